//! From a path to documents: the only IO of this crate.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::containers::Located;
use crate::contents::{Contents, Kept};
use crate::read::{At, Reader, Value};
use crate::rejection::Rejection;
use crate::resolve::resolve;
use crate::scalars::IncludePattern;
use crate::snapshot::Snapshot;
use crate::tree::{DOCUMENT_BYTES_MAX, Flaw, Tree};
use crate::yaml;

/// Files of one configuration.
const FILES_MAX: usize = 10_000;

/// A configuration as it was read: every document, the environment and the contents it names.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The main file first, then the included ones in the order they were named.
    pub(crate) documents: Arc<[Document]>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) contents: Contents,
    watched: Vec<PathBuf>,
    hash: [u8; 32],
}

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) file: Arc<Path>,
    /// The folder of the file.
    pub(crate) directory: Box<Path>,
    pub(crate) tree: Tree,
}

impl Loaded {
    /// The files it came from, contents included, and the folders in which further files would be found by a pattern.
    pub fn watched(&self) -> &[PathBuf] {
        &self.watched
    }

    /// BLAKE3 of the text of all documents in their order, each with its length before it, then of the contents they name.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The documents' texts, the main file first. No content is among them.
    pub fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.documents.iter().map(|document| (&*document.file, &**document.tree.source()))
    }
}

/// Reads a file, what it includes, and the contents it names.
pub fn load(path: &Path) -> Result<Loaded, Vec<Rejection>> {
    load_after(path, None)
}

/// As [`load`], but contents that are as they were when `previous` was made are not read again.
pub fn load_after(path: &Path, previous: Option<&Snapshot>) -> Result<Loaded, Vec<Rejection>> {
    let file: Arc<Path> = path.into();
    let text = read_file(&file).map_err(|rejection| vec![rejection])?;
    load_text_after(path, text, previous)
}

/// Reads a text as if it stood in the file at `path`, what it includes, and the contents it names.
pub fn load_text(path: &Path, text: impl Into<Arc<str>>) -> Result<Loaded, Vec<Rejection>> {
    load_text_after(path, text, None)
}

/// As [`load_text`], but contents that are as they were when `previous` was made are not read again.
pub fn load_text_after(path: &Path, text: impl Into<Arc<str>>, previous: Option<&Snapshot>) -> Result<Loaded, Vec<Rejection>> {
    let mut loading = Loading { main: path.into(), documents: Vec::new(), watched: vec![path.to_owned()], rejections: Vec::new() };
    loading.take(&path.into(), &text.into());
    for file in loading.included() {
        match read_file(&file) {
            Ok(text) => loading.take(&file, &text.into()),
            Err(rejection) => loading.rejections.push(rejection),
        }
    }
    loading.finish(previous.map_or_else(Arc::default, |previous| previous.kept.clone()))
}

struct Loading {
    main: Arc<Path>,
    documents: Vec<Document>,
    watched: Vec<PathBuf>,
    rejections: Vec<Rejection>,
}

impl Loading {
    fn take(&mut self, file: &Arc<Path>, text: &Arc<str>) {
        match yaml::parse(text) {
            Ok(tree) => {
                let directory = file.parent().unwrap_or_else(|| Path::new("")).into();
                self.documents.push(Document { file: file.clone(), directory, tree });
            }
            Err(flaws) => self.rejections.extend(flaws.into_iter().map(|flaw| rejection_of(file, text, flaw))),
        }
    }

    /// The files that the main one includes, each once, in the order of patterns and names.
    fn included(&mut self) -> Vec<Arc<Path>> {
        let Some(main) = self.documents.first() else {
            return Vec::new();
        };
        let Some(place) = main.tree.root().children().find(|child| child.key() == "include") else {
            return Vec::new();
        };
        let nothing = BTreeMap::new();
        let mut reader = Reader::new(&self.documents, &nothing);
        let patterns = Vec::<Located<IncludePattern>>::read(&mut reader, place).unwrap_or_default();
        let directory = main.directory.clone();
        let mut seen: BTreeSet<PathBuf> = BTreeSet::from([main.file.to_path_buf()]);
        let mut files = Vec::new();
        for pattern in patterns {
            for path in expand(&pattern.value, &directory, pattern.at, &mut self.watched, &mut reader) {
                if seen.insert(path.clone()) {
                    files.push(path.into());
                }
                if files.len() > FILES_MAX {
                    reader.reject(pattern.at, format_args!("more than {FILES_MAX} files are included"));
                    return Vec::new();
                }
            }
        }
        self.rejections.extend(reader.finish());
        files
    }

    fn finish(mut self, kept: Arc<Kept>) -> Result<Loaded, Vec<Rejection>> {
        let mut hash = blake3::Hasher::new();
        let mut environment = BTreeMap::new();
        for document in &self.documents {
            let text = document.tree.source();
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
            environment.extend(environment_of(text));
        }
        let contents = Contents::read(&self.documents, &environment, kept);
        hash.update(contents.digest().as_ref().map_or(&[], |digest| digest));
        self.watched.extend(contents.files());
        self.watched.sort();
        self.watched.dedup();
        let has_main = self.documents.first().is_some_and(|document| *document.file == *self.main);
        let loaded =
            Loaded { documents: self.documents.into(), environment, contents, watched: self.watched, hash: *hash.finalize().as_bytes() };
        if self.rejections.is_empty() {
            return Ok(loaded);
        }
        if has_main {
            // One file that cannot be read is no reason to keep quiet about the others.
            let mut reader = Reader::new(&loaded.documents, &loaded.environment);
            resolve(&loaded, &mut reader);
            let more = reader.finish().into_iter().filter(|rejection| !self.rejections.contains(rejection));
            let more: Vec<Rejection> = more.collect();
            self.rejections.extend(more);
        }
        Err(self.rejections)
    }
}

/// The files a pattern stands for. Without a star the file has to be there; with one there may be none.
fn expand(pattern: &IncludePattern, directory: &Path, at: At, watched: &mut Vec<PathBuf>, reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let path = directory.join(&pattern.0);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    if !name.contains('*') {
        watched.push(path.clone());
        return vec![path];
    }
    watched.push(folder.to_owned());
    let entries = match fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }) {
        Ok(entries) => entries,
        Err(error) => {
            reader.reject(at, format_args!("the folder {} cannot be read: {error}", folder.display()));
            return Vec::new();
        }
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Editors keep their copies as dot files: a pattern does not mean them.
    let mut names: Vec<String> = names.filter(|file| matches(name, file) && !file.starts_with('.')).collect();
    names.sort();
    let files: Vec<PathBuf> = names.into_iter().map(|name| folder.join(name)).collect();
    watched.extend(files.iter().cloned());
    files
}

/// Whether a name fits a pattern in which each `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.len() >= last.len() && name.ends_with(last)
}

fn read_file(file: &Arc<Path>) -> Result<String, Rejection> {
    let refuse = |message: String| Rejection::whole(file, message);
    let size = fs::metadata(file).map_err(|error| refuse(format!("the file cannot be read: {error}")))?.len();
    if size > DOCUMENT_BYTES_MAX as u64 {
        return Err(refuse(format!("the file has more than {DOCUMENT_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(file).map_err(|error| refuse(format!("the file cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        refuse(format!("the file is not UTF-8 (line {line}, byte {at})"))
    })
}

fn rejection_of(file: &Arc<Path>, text: &str, flaw: Flaw) -> Rejection {
    let spot = Rejection::at(file, text, flaw.offset);
    Rejection { field: flaw.field, message: flaw.message, ..spot }
}

/// Every variable that the text names and the environment has.
fn environment_of(text: &str) -> impl Iterator<Item = (String, String)> {
    // Looking for one byte is many times faster than looking for six, and most texts have none.
    let text = if text.contains('$') { text } else { "" };
    let names = text.split("${env:").skip(1).filter_map(|after| Some(after.split_once('}')?.0));
    names.filter_map(|name| Some((name.to_owned(), env::var(name).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, expect) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", ".yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("a", "a", true),
        ] {
            assert_eq!(matches(pattern, name), expect, "{pattern} {name}");
        }
    }
}
