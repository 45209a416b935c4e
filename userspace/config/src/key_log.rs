//! The file that secrets of sessions are written to for debugging, in the NSS key log format (`SSLKEYLOGFILE` of browsers).

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use tls::KeyLog;

/// A key log in a file, opened with the first line. It makes a worker wait for the disk, which is the price of debugging.
#[derive(Debug)]
pub(crate) struct KeyLogFile {
    path: PathBuf,
    /// `None` once it could not be opened.
    file: OnceLock<Option<File>>,
}

impl KeyLogFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: OnceLock::new() }
    }

    fn open(&self) -> Option<File> {
        // Whoever reads it reads every connection.
        let opened = File::options().append(true).create(true).mode(0o600).open(&self.path);
        opened.map_err(|error| tracing::error!("the key log {} cannot be opened: {error}", self.path.display())).ok()
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let Some(mut file) = self.file.get_or_init(|| self.open()).as_ref() else { return };
        let line = format!("{label} {} {}\n", hexadecimal(client_random), hexadecimal(secret));
        // One write, so that lines of several workers do not mix.
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!("the key log {} cannot be written: {error}", self.path.display());
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn lines_are_appended_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keys.log");
        for _ in 0..2 {
            let log = KeyLogFile::new(path.clone());
            log.log("CLIENT_RANDOM", &[0, 0xab], &[0x10]);
        }
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "CLIENT_RANDOM 00ab 10\nCLIENT_RANDOM 00ab 10\n");
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        KeyLogFile::new(folder.path().join("none/keys.log")).log("CLIENT_RANDOM", &[], &[]);
    }
}
