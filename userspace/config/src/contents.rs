//! What documents name but do not hold: certificates, keys, authorities. Read beside the documents and before anything is compiled, so that a
//! change of such a file is a change of the configuration like any other.
//!
//! A file that is as it was is not read again when what was made of it is still there: of ten thousand certificates, one that changed is read.
//! The bytes are never shown, neither as such nor in a message.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

use hashbrown::HashMap;
use tls::{Authorities, Certificate};

use crate::containers::Map;
use crate::document::{ClusterTls, ListenerTls, Secret, Source, TicketsChoice};
use crate::load::Document;
use crate::read::{Reader, Value as _};
use crate::scalars::{FilePath, VerifyOrigin};
use crate::snapshot::Name;
use crate::tree::Place;

/// Bytes of one file, variable or credential.
pub(crate) const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where distributions keep the authorities they believe: Debian, Fedora, SUSE, Alpine.
const SYSTEM_BUNDLES: [&str; 4] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// A file that changed this long before it was read, or later, may change again without its times telling: file systems count in ticks.
const TICK: Duration = Duration::from_millis(100);

/// BLAKE3 of bytes.
pub(crate) type Digest = [u8; 32];

/// The bytes behind a source.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) digest: Digest,
    /// `None`: as they were, and all that was made of them is kept.
    pub(crate) bytes: Option<Arc<[u8]>>,
    file: Option<(PathBuf, Option<Identity>)>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a snapshot keeps of the contents it was made of.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    files: HashMap<PathBuf, (Identity, Digest)>,
    /// By [`secret_digest`].
    pub(crate) certificates: HashMap<Digest, Arc<Certificate>>,
    pub(crate) authorities: HashMap<Digest, Arc<Authorities>>,
}

/// Every content that the documents name.
#[derive(Clone, Default)]
pub(crate) struct Contents {
    by_source: HashMap<Source, Result<Content, String>>,
    /// Where the system's authorities are, if somebody relies on them and they were found.
    system: Option<Source>,
    /// Of the snapshot it was read against: has what was made of contents without bytes.
    pub(crate) kept: Arc<Kept>,
}

impl Contents {
    /// Reads what the documents name, but for what is kept.
    pub(crate) fn read(documents: &[Document], environment: &BTreeMap<String, String>, kept: Arc<Kept>) -> Self {
        let named = Named::of(documents, environment);
        let mut contents = Self { kept, ..Self::default() };
        for secret in &named.secrets {
            let digest = contents.look_at_secret(secret);
            if !digest.is_some_and(|digest| contents.kept.certificates.contains_key(&digest)) {
                secret.sources().for_each(|source| contents.fetch(source));
            }
        }
        if named.relies_on_system {
            let found = SYSTEM_BUNDLES.iter().find(|path| Path::new(path).is_file());
            contents.system = found.map(|path| Source::File(FilePath(path.into())));
        }
        for source in named.authorities.iter().chain(&contents.system.clone()) {
            let digest = contents.look_at(source);
            if !digest.is_some_and(|digest| contents.kept.authorities.contains_key(&digest)) {
                contents.fetch(source);
            }
        }
        named.others.iter().for_each(|source| contents.fetch(source));
        contents
    }

    /// What is behind a source that the documents name, or why nothing is.
    pub(crate) fn get(&self, source: &Source) -> Result<&Content, &str> {
        self.by_source.get(source).map_or(Err("it was not read"), |content| content.as_ref().map_err(String::as_str))
    }

    /// The system's authorities, or why there are none.
    pub(crate) fn system(&self) -> Result<&Source, String> {
        self.system
            .as_ref()
            .ok_or_else(|| format!("this system has no bundle of authorities ({}); say which under ca", SYSTEM_BUNDLES.join(", ")))
    }

    /// The files among them, read or not.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.by_source.keys().filter_map(|source| path_of(source).ok()?)
    }

    /// Of all of them, in whichever order they were named; `None` without any.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let of_content = |(source, content): (&Source, &Result<Content, String>)| {
            let mut hash = blake3::Hasher::new();
            hash.update(format!("{source:?}").as_bytes());
            hash.update(content.as_ref().map_or(&[], |content| &content.digest));
            *hash.finalize().as_bytes()
        };
        let mut digests: Vec<Digest> = self.by_source.iter().map(of_content).collect();
        digests.sort_unstable();
        (!digests.is_empty()).then(|| *blake3::hash(digests.as_flattened()).as_bytes())
    }

    /// What the snapshot that is made of them keeps, besides what was compiled.
    pub(crate) fn seen(&self) -> Kept {
        let files = self.by_source.values().filter_map(|content| {
            let content = content.as_ref().ok()?;
            let (path, identity) = content.file.as_ref()?;
            Some((path.clone(), ((*identity)?, content.digest)))
        });
        Kept { files: files.collect(), ..Kept::default() }
    }

    fn look_at_secret(&mut self, secret: &Secret) -> Option<Digest> {
        let [cert, key] = [&secret.cert, &secret.key].map(|source| self.look_at(source));
        let ocsp = secret.ocsp.as_ref().map(|ocsp| self.look_at(ocsp));
        Some(secret_digest(cert?, key?, if let Some(ocsp) = ocsp { Some(ocsp?) } else { None }))
    }

    /// The digest of a source: without reading it, if it is a file that is as it was.
    fn look_at(&mut self, source: &Source) -> Option<Digest> {
        if !self.by_source.contains_key(source) {
            let known = path_of(source).ok().flatten().and_then(|path| self.kept.unchanged(path));
            self.by_source.insert(source.clone(), known.map_or_else(|| read(source), Ok));
        }
        self.get(source).ok().map(|content| content.digest)
    }

    /// Has the bytes of a source.
    fn fetch(&mut self, source: &Source) {
        if self.look_at(source).is_some() && self.get(source).is_ok_and(|content| content.bytes.is_none()) {
            self.by_source.insert(source.clone(), read(source));
        }
    }
}

impl Kept {
    fn unchanged(&self, path: PathBuf) -> Option<Content> {
        let (identity, digest) = *self.files.get(&path)?;
        let is_same = fs::metadata(&path).is_ok_and(|found| Identity::of(&found) == identity);
        is_same.then_some(Content { digest, bytes: None, file: Some((path, Some(identity))) })
    }
}

impl Secret {
    fn sources(&self) -> impl Iterator<Item = &Source> {
        [Some(&self.cert), Some(&self.key), self.ocsp.as_ref()].into_iter().flatten().map(|source| &source.value)
    }
}

/// Of a certificate, its key and its staple together.
pub(crate) fn secret_digest(cert: Digest, key: Digest, ocsp: Option<Digest>) -> Digest {
    *blake3::hash([cert, key, ocsp.unwrap_or_default()].as_flattened()).as_bytes()
}

/// The sources that documents name. What cannot be read in them is told of when they are compiled.
#[derive(Default)]
struct Named {
    secrets: Vec<Secret>,
    authorities: Vec<Source>,
    relies_on_system: bool,
    others: Vec<Source>,
}

impl Named {
    fn of(documents: &[Document], environment: &BTreeMap<String, String>) -> Self {
        let mut named = Self::default();
        let mut reader = Reader::new(documents, environment);
        for index in 0..documents.len() {
            let Some(root) = reader.enter(index) else { continue };
            for section in root.children() {
                match section.key() {
                    "secrets" => named.secrets.extend(
                        Map::<Name, Secret>::read(&mut reader, section).into_iter().flat_map(|map| map.entries).map(|entry| entry.value),
                    ),
                    "listeners" => tls_of(section).for_each(|tls| named.add_listener(ListenerTls::read(&mut reader, tls))),
                    "clusters" => tls_of(section).for_each(|tls| named.add_cluster(ClusterTls::read(&mut reader, tls))),
                    _ => {}
                }
            }
        }
        named
    }

    fn add_listener(&mut self, tls: Option<ListenerTls>) {
        let Some(tls) = tls else { return };
        if let TicketsChoice::Given(tickets) = tls.tickets {
            self.others.extend(tickets.keys.map(|keys| keys.value));
        }
        if let Some(clients) = tls.clients {
            self.authorities.push(clients.ca.value);
            self.others.extend(clients.crl.map(|crl| crl.value));
        }
    }

    fn add_cluster(&mut self, tls: Option<ClusterTls>) {
        let Some(tls) = tls else { return };
        match tls.ca {
            Some(ca) => self.authorities.push(ca.value),
            None => self.relies_on_system |= tls.verify.value == VerifyOrigin::Required,
        }
    }
}

/// The `tls` of every listener or cluster.
fn tls_of(section: Place<'_>) -> impl Iterator<Item = Place<'_>> {
    section.children().filter_map(|one| one.children().find(|field| field.key() == "tls"))
}

/// The file behind a source; `None` for what is none.
fn path_of(source: &Source) -> Result<Option<PathBuf>, String> {
    match source {
        Source::File(path) => Ok(Some(path.0.clone())),
        Source::Environment(_) => Ok(None),
        Source::Credential(name) => {
            let folder: Option<OsString> = env::var_os("CREDENTIALS_DIRECTORY");
            let folder = folder.ok_or("there are no credentials: the service manager has not set CREDENTIALS_DIRECTORY")?;
            Ok(Some(Path::new(&folder).join(&name.0)))
        }
    }
}

fn read(source: &Source) -> Result<Content, String> {
    if let Source::Environment(name) = source {
        let text = env::var_os(&name.0).ok_or_else(|| format!("the environment has no variable {:?}", name.0))?;
        return Ok(Content::new(text.into_encoded_bytes(), None));
    }
    let path = path_of(source)?.unwrap_or_default();
    let unreadable = |error: io::Error| format!("the file {} cannot be read: {error}", path.display());
    // What is no file might never end, or wait for a writer when it is opened.
    if !fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let file = File::open(&path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0).min(CONTENT_BYTES_MAX) + 1);
    file.take(CONTENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > CONTENT_BYTES_MAX {
        return Err(format!("the file {} has more than {CONTENT_BYTES_MAX} bytes", path.display()));
    }
    let identity = is_old(&found).then(|| Identity::of(&found));
    Ok(Content::new(bytes, Some((path, identity))))
}

/// Whether a further change would show in its times.
fn is_old(found: &Metadata) -> bool {
    #[expect(clippy::disallowed_methods, reason = "beside the times of files; the data path never comes here")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let changed = u64::try_from(found.ctime()).ok().zip(u32::try_from(found.ctime_nsec()).ok());
    changed.is_some_and(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds) + TICK < now)
}

impl Content {
    fn new(bytes: Vec<u8>, file: Option<(PathBuf, Option<Identity>)>) -> Self {
        Self { digest: *blake3::hash(&bytes).as_bytes(), bytes: Some(bytes.into()), file }
    }
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self {
            inode: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.by_source.keys()).finish()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kept").finish_non_exhaustive()
    }
}
