//! TLS in the configuration: what a document means to a client that comes, what a change of a file changes, what is never shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use config::{ClusterTls, ListenerTls, Protocol, Rejection, Snapshot, compile, effective, load, load_after, load_text};
use rcgen::PKCS_ECDSA_P256_SHA256;
use tls::{Client, ClientSettings, Server, Verification, Version};

#[path = "../../tls/tests/common/mod.rs"]
mod common;

use common::{Authority, NAME, Pair};

/// A folder with a configuration, and an authority that signs what is in it.
struct Scene {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Scene {
    fn new(text: &str) -> Self {
        let scene = Self { folder: tempfile::tempdir().expect("a temporary folder"), authority: Authority::new("Test Authority") };
        scene.write("sluice.yaml", text);
        scene.write("ca.pem", &scene.authority.pem);
        scene.pair("shop");
        scene.pair("blog");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it can be written");
    }

    /// Another certificate with another key.
    fn pair(&self, name: &str) {
        let (chain, key) = self.authority.sign(&[NAME], &PKCS_ECDSA_P256_SHA256);
        self.write(&format!("{name}.pem"), &chain);
        self.write(&format!("{name}.key"), &key);
    }

    fn try_update(&self, previous: Option<&Snapshot>) -> Result<Snapshot, Vec<String>> {
        let root = format!("{}/", self.folder.path().display());
        let told = |rejections: Vec<Rejection>| rejections.iter().map(|rejection| rejection.to_string().replace(&root, "")).collect();
        load_after(&self.path("sluice.yaml"), previous).and_then(|loaded| compile(&loaded, previous)).map_err(told)
    }

    fn update(&self, previous: Option<&Snapshot>) -> Snapshot {
        self.try_update(previous).unwrap_or_else(|told| panic!("{}", told.join("\n")))
    }

    /// A client that believes the authority.
    fn client(&self) -> Arc<Client> {
        let mut settings = ClientSettings::new(Verification::Name(self.authority.authorities()));
        settings.alpn = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        Arc::new(Client::compile(&settings).expect("good settings"))
    }
}

fn listener<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Arc<ListenerTls> {
    snapshot.listeners[name].tls.as_ref().expect("it speaks TLS")
}

fn cluster<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Arc<ClusterTls> {
    snapshot.cluster_by_name(name).and_then(|cluster| cluster.tls.as_ref()).expect("it speaks TLS")
}

/// What a client and a listener agree on: application protocol, version, whether a session was resumed.
fn connect(server: &Arc<Server>, client: &Arc<Client>) -> (Option<String>, Version, bool) {
    let mut pair = Pair::new(server, client);
    pair.connect().exchange(b"hello");
    let outcome = pair.server.session.outcome().expect("it is complete");
    (outcome.alpn.as_ref().map(|alpn| String::from_utf8_lossy(alpn).into_owned()), outcome.version, outcome.resumed)
}

const TWO: &str = r#"
version: 1
secrets:
  shop: { cert: shop.pem, key: { file: shop.key } }
  blog: { cert: { file: blog.pem }, key: blog.key }
listeners:
  web: { bind: ["*:443"], tls: { certificates: [shop] }, http: { sites: [{ hosts: ["*"], routes: [{ to: plain }] }] } }
  raw: { bind: ["*:444"], tls: { certificates: [blog], versions: [tls12], key_log: keys.log }, tcp: plain }
  bare: { bind: ["*:80"], tcp: plain }
clusters:
  plain: { endpoints: [10.0.0.1:80] }
  secure: { endpoints: [10.0.0.1:443], tls: { server_name: shop.example.com, ca: ca.pem, certificate: shop } }
  pinned: { endpoints: [10.0.0.1:443], tls: { ca: ca.pem, names: [shop.example.com] }, protocol: http2 }
  named: { endpoints: [10.0.0.1:443], tls: shop.example.com, protocol: http1 }
  system: { endpoints: [10.0.0.1:443], tls: {} }
  blind: { endpoints: ["unix:a.sock"], tls: { server_name: a, verify: none, alpn: [redis] } }
"#;

#[test]
fn listeners_speak_what_the_document_says() {
    let scene = Scene::new(TWO);
    let snapshot = scene.update(None);
    let client = scene.client();
    assert_eq!(connect(&listener(&snapshot, "web").server, &client), (Some("h2".to_owned()), Version::Tls13, false));
    assert_eq!(connect(&listener(&snapshot, "raw").server, &Arc::new(client.with_own_sessions())), (None, Version::Tls12, false));
    assert!(snapshot.listeners["bare"].tls.is_none());
    let log = fs::read_to_string(scene.path("keys.log")).expect("it is written");
    assert!(log.starts_with("CLIENT_RANDOM "), "{log}");
}

#[test]
fn clusters_speak_what_the_document_says() {
    let scene = Scene::new(TWO);
    let snapshot = scene.update(None);
    let web = &listener(&snapshot, "web").server;
    for (name, expect) in [("secure", "h2"), ("pinned", "h2")] {
        assert_eq!(connect(web, &cluster(&snapshot, name).client).0.as_deref(), Some(expect), "{name}");
    }
    for name in ["named", "system"] {
        let mut pair = Pair::new(web, &cluster(&snapshot, name).client);
        assert!(pair.run().client.fault.is_some(), "{name}: the system believes no test authority");
    }
    // redis is nothing that web speaks; raw does not ask.
    assert_eq!(connect(&listener(&snapshot, "raw").server, &cluster(&snapshot, "blind").client).0, None);
    let protocol = |name: &str| snapshot.cluster_by_name(name).map(|cluster| cluster.protocol);
    let expect = [("plain", Protocol::Http1), ("secure", Protocol::Auto), ("pinned", Protocol::Http2), ("named", Protocol::Http1)];
    assert!(expect.iter().all(|(name, expect)| protocol(name) == Some(*expect)));
}

#[test]
fn clients_show_certificates_where_they_are_asked_to() {
    let text = TWO.replace(
        "tls: { certificates: [shop] }",
        "tls: { certificates: [shop], clients: { ca: ca.pem, names: [shop.example.com], identity_field: X-Client } }",
    );
    let scene = Scene::new(&text);
    let snapshot = scene.update(None);
    let web = listener(&snapshot, "web");
    assert_eq!(web.client_identity_field.as_deref(), Some(b"x-client".as_slice()));
    assert!(Pair::new(&web.server, &scene.client()).run().server.fault.is_some(), "without one nobody is let in");
    connect(&web.server, &cluster(&snapshot, "secure").client);
}

#[test]
fn a_revocation_list_without_any_is_none() {
    let scene = Scene::new(&TWO.replace("certificates: [shop] }", "certificates: [shop], clients: { ca: ca.pem, crl: list.crl } }"));
    for (text, why) in [("", "the file is empty"), (scene.authority.pem.as_str(), "there is none in it")] {
        scene.write("list.crl", text);
        let expect = format!("sluice.yaml:7:84: listeners.web.tls.clients.crl: the revocation list cannot be read: {why}");
        assert_eq!(scene.try_update(None).unwrap_err(), [expect]);
    }
}

#[test]
fn a_changed_file_changes_what_names_it_and_nothing_else() {
    let scene = Scene::new(TWO);
    let before = scene.update(None);
    scene.pair("shop");
    let after = scene.update(Some(&before));
    assert_ne!(before.hash, after.hash);
    let is_same = |name: &str| Arc::ptr_eq(&before.listeners[name], &after.listeners[name]);
    assert_eq!(["web", "raw", "bare"].map(is_same), [false, true, true]);
    let is_same =
        |name: &str| before.cluster_by_name(name).zip(after.cluster_by_name(name)).is_some_and(|(one, other)| Arc::ptr_eq(one, other));
    assert_eq!(["plain", "secure", "pinned", "named", "system", "blind"].map(is_same), [true, false, true, true, true, true]);

    // What is written again as it was is as it was, and so is what is read again though nobody wrote it.
    let blog = fs::read(scene.path("blog.pem")).expect("it is there");
    fs::write(scene.path("blog.pem"), blog).expect("it can be written");
    let again = scene.update(Some(&after));
    assert_eq!(again.hash, after.hash);
    assert_eq!(scene.update(None).hash, after.hash);
    assert!(Arc::ptr_eq(listener(&after, "raw"), listener(&again, "raw")));

    fs::write(scene.path("ca.pem"), &Authority::new("Another").pem).expect("it can be written");
    let last = scene.update(Some(&again));
    assert!(Arc::ptr_eq(listener(&again, "web"), listener(&last, "web")));
    assert!(!Arc::ptr_eq(cluster(&again, "secure"), cluster(&last, "secure")));
    assert!(Arc::ptr_eq(cluster(&again, "named"), cluster(&last, "named")), "the system's authorities are others");
}

#[test]
fn sessions_are_resumed_over_changes() {
    let scene = Scene::new(TWO);
    let before = scene.update(None);
    let client = scene.client();
    assert!(!connect(&listener(&before, "web").server, &client).2);
    scene.pair("shop");
    scene.write("sluice.yaml", &TWO.replace("certificates: [shop] }", "certificates: [shop, blog], tickets: { rotate: 1h } }"));
    let after = scene.update(Some(&before));
    assert!(connect(&listener(&after, "web").server, &client).2, "the keys of its tickets are the same");
    scene.write("sluice.yaml", &TWO.replace("certificates: [shop] }", "certificates: [shop], tickets: none }"));
    assert!(!connect(&listener(&scene.update(Some(&after)), "web").server, &client).2);
}

#[test]
fn ticket_keys_come_from_a_file() {
    let scene = Scene::new(&TWO.replace("certificates: [shop] }", "certificates: [shop], tickets: { keys: tickets } }"));
    let (old, new) = ("0".repeat(63) + "1\n", "0".repeat(63) + "2\n");
    scene.write("tickets", &old);
    let client = scene.client();
    let first = scene.update(None);
    connect(&listener(&first, "web").server, &client);
    assert!(connect(&listener(&scene.update(None), "web").server, &client).2, "another node with the same keys");
    scene.write("tickets", &(new + &old));
    let second = scene.update(Some(&first));
    assert!(!Arc::ptr_eq(listener(&first, "web"), listener(&second, "web")));
    assert!(connect(&listener(&second, "web").server, &client).2, "the old key still opens");
    assert_eq!(second.listeners["web"].tls.as_ref().and_then(|tls| tls.tickets.as_ref()?.rotate), None);
    scene.write("tickets", "no key\n");
    assert_eq!(
        scene.try_update(Some(&second)).unwrap_err(),
        ["sluice.yaml:7:73: listeners.web.tls.tickets.keys: line 1 is no ticket key: 64 hexadecimal digits"]
    );
}

#[test]
fn a_broken_pair_is_refused_until_it_is_whole() {
    let scene = Scene::new(TWO);
    let before = scene.update(None);
    let (chain, key) = scene.authority.sign(&[NAME], &PKCS_ECDSA_P256_SHA256);
    scene.write("shop.pem", &chain);
    let told = scene.try_update(Some(&before)).unwrap_err();
    assert_eq!(told, ["sluice.yaml:4:32: secrets.shop.key: the private key is not the certificate's"]);
    fs::remove_file(scene.path("shop.key")).expect("it can be removed");
    let told = scene.try_update(Some(&before)).unwrap_err();
    assert_eq!(told, ["sluice.yaml:4:32: secrets.shop.key: the file shop.key cannot be read: No such file or directory (os error 2)"]);
    scene.write("shop.key", &key);
    connect(&listener(&scene.update(Some(&before)), "web").server, &scene.client());
}

#[test]
fn included_files_name_files_beside_them() {
    let scene = Scene::new("version: 1\ninclude: [sites/*.yaml]\nsecrets: { blog: { cert: blog.pem, key: blog.key } }\n");
    fs::create_dir(scene.path("sites")).expect("it can be made");
    let text = "secrets: { shop: { cert: ../shop.pem, key: shop.key }, blog: { cert: ../blog.pem, key: ../blog.key } }\n";
    scene.write("sites/shop.yaml", text);
    let told = scene.try_update(None).unwrap_err();
    let expect = [
        "sites/shop.yaml:1:44: secrets.shop.key: the file sites/shop.key cannot be read: No such file or directory (os error 2)",
        "sites/shop.yaml:1:56: secrets.blog: the secret \"blog\" is already defined at sluice.yaml:3",
    ];
    assert_eq!(told, expect);
    let watched = load(&scene.path("sluice.yaml")).expect("it can be read").watched().to_vec();
    for file in ["blog.pem", "sites/shop.key", "sites/../shop.pem"] {
        assert!(watched.contains(&scene.path(file)), "{file}: {watched:?}");
    }
}

#[test]
fn contents_are_shown_nowhere() {
    let scene = Scene::new(TWO);
    let loaded = load(&scene.path("sluice.yaml")).expect("it can be read");
    let snapshot = compile(&loaded, None).expect("a good configuration");
    let shown = effective(&loaded).expect("a good document");
    assert!(shown.contains(&format!("file: {}", scene.path("shop.key").display())), "{shown}");
    let key = fs::read_to_string(scene.path("shop.key")).expect("it is there");
    let secret = key.lines().nth(1).expect("base64");
    let texts: String = loaded.texts().map(|(_, text)| text).collect();
    for text in [shown, format!("{loaded:?}"), format!("{snapshot:?}"), texts] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn a_content_has_an_end() {
    let scene = Scene::new(TWO);
    scene.write("shop.pem", &"#".repeat(16 * 1024 * 1024 + 1));
    assert_eq!(
        scene.try_update(None).unwrap_err(),
        ["sluice.yaml:4:17: secrets.shop.cert: the file shop.pem has more than 16777216 bytes"]
    );
}

#[test]
fn secrets_come_from_environment_and_credentials() {
    const MARK: &str = "SECRETS_ARE_THERE";
    let text = "version: 1\nsecrets: { shop: { cert: { env: SHOP_CERT }, key: { credential: shop.key } } }\n";
    if let Some(folder) = std::env::var_os(MARK) {
        let loaded = load_text(Path::new("/etc/sluice.yaml"), text).expect("it can be read");
        assert_eq!(loaded.watched()[1], Path::new(&folder).join("shop.key"));
        compile(&loaded, None).expect("both are there");
        return;
    }
    let scene = Scene::new(text);
    let expect = [
        "sluice.yaml:2:26: secrets.shop.cert: the environment has no variable \"SHOP_CERT\"",
        "sluice.yaml:2:51: secrets.shop.key: there are no credentials: the service manager has not set CREDENTIALS_DIRECTORY",
    ];
    assert_eq!(scene.try_update(None).unwrap_err(), expect);
    // The environment of a process is what it was started with: another one sees to it.
    let mut again = Command::new(std::env::current_exe().expect("a test has a path"));
    again.args(["--exact", "secrets_come_from_environment_and_credentials"]).env(MARK, scene.folder.path());
    again.env("SHOP_CERT", fs::read_to_string(scene.path("shop.pem")).expect("it is there"));
    let output = again.env("CREDENTIALS_DIRECTORY", scene.folder.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
