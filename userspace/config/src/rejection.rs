//! Why a configuration was refused, one reason at a time.

use alloc::sync::Arc;
use core::fmt;
use std::path::Path;

/// One reason, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The file.
    pub file: Arc<Path>,
    /// Counted from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Counted from 1 in characters; 0 when the whole file is meant.
    pub column: u32,
    /// The field, `listeners.web.http.sites[0].routes[2].match.path`; empty for the whole document.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Rejection {
    /// `FILE:LINE:COLUMN: FIELD: MESSAGE`, without what does not apply.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if self.line > 0 {
            write!(out, ":{}:{}", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(out, ": {}", self.field)?;
        }
        write!(out, ": {}", self.message)
    }
}

impl core::error::Error for Rejection {}

impl Rejection {
    /// About a byte of a file's text.
    pub(crate) fn at(file: &Arc<Path>, source: &str, offset: usize) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            file: file.clone(),
            line: count(before.matches('\n').count() + 1),
            column: count(before[line_start..].chars().count() + 1),
            field: String::new(),
            message: String::new(),
        }
    }

    /// About a file as a whole.
    pub(crate) fn whole(file: &Arc<Path>, message: impl Into<String>) -> Self {
        Self { file: file.clone(), line: 0, column: 0, field: String::new(), message: message.into() }
    }
}
