//! What a listener's TLS agrees to and refuses, as OpenSSL sees it: versions, suites, groups, protocols, names, tickets, staples, chains.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Authority, Client, Pair, Setup, Sluice, eventually, free_address, run};
use rustls::{
    ClientConfig, ClientConnection, NamedGroup, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n";

/// What `openssl s_client` says of a listener; `input` is what is typed.
#[track_caller]
fn s_client(address: SocketAddr, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("openssl");
    let name: &[&str] = if arguments.contains(&"-noservername") { &[] } else { &["-servername", "shop.test"] };
    command.args(["s_client", "-connect", &address.to_string()]).args(name).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // (It may have been refused before it was asked.)
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn check(address: SocketAddr, arguments: &[&str], expect: &[&str]) {
    let said = s_client(address, arguments, "");
    for expect in expect {
        assert!(said.contains(expect), "{arguments:?}: no {expect} in\n{said}");
    }
}

/// Listeners, each with `tls` of its own, that answer everything themselves.
fn start(secrets: &str, listeners: &[(SocketAddr, &str)]) -> Sluice {
    let listener = |(at, (address, tls)): (usize, &(SocketAddr, &str))| {
        format!(
            "  web{at}: {{ bind: [\"{address}\"], tls: {{ {tls} }}, http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ reply: 200 }}] }}] }} }}\n"
        )
    };
    let listeners: String = listeners.iter().enumerate().map(listener).collect();
    Setup::new(format!("secrets: {{ {secrets} }}\nlisteners:\n{listeners}")).with(&["--workers", "2"]).start()
}

/// What OpenSSL's command makes, in a folder of its own.
#[track_caller]
fn openssl(arguments: &[&str]) {
    let output = run("openssl", arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An RSA certificate that nobody has signed.
fn rsa(folder: &Path) -> String {
    let (cert, key) = (folder.join("rsa.pem").display().to_string(), folder.join("rsa.key").display().to_string());
    let names = ["-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:shop.test"];
    openssl(&[&["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", &key, "-out", &cert], &names[..]].concat());
    format!("{{ cert: \"{cert}\", key: \"{key}\" }}")
}

/// (what the listener says, what the client says, what comes of it)
#[rustfmt::skip]
const AGREEMENTS: &[(&str, &[&str], &[&str])] = &[
    // Versions: protocol_version (RFC 8446 §4.2.1).
    ("", &["-tls1_3"], &["New, TLSv1.3"]),
    ("", &["-tls1_2"], &["New, TLSv1.2"]),
    ("", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], &["alert number 70"]),
    ("", &["-tls1", "-cipher", "ALL:@SECLEVEL=0"], &["alert number 70"]),
    ("versions: [tls13]", &["-tls1_2"], &["alert number 70"]),
    ("versions: [tls12]", &["-tls1_3"], &["alert number 70"]),
    ("versions: [tls12]", &[], &["New, TLSv1.2"]),
    // A client that fell back although it need not have (RFC 7507).
    ("", &["-tls1_2", "-fallback_scsv"], &["alert number 86"]),
    ("versions: [tls12]", &["-tls1_2", "-fallback_scsv"], &["New, TLSv1.2"]),
    ("", &["-fallback_scsv"], &["New, TLSv1.3"]),
    // Suites, each alone, and who is asked for none of them: handshake_failure.
    ("suites: [TLS_AES_128_GCM_SHA256]", &[], &["New, TLSv1.3", "Cipher is TLS_AES_128_GCM_SHA256"]),
    ("suites: [TLS_AES_256_GCM_SHA384]", &[], &["Cipher is TLS_AES_256_GCM_SHA384"]),
    ("suites: [TLS_CHACHA20_POLY1305_SHA256]", &[], &["Cipher is TLS_CHACHA20_POLY1305_SHA256"]),
    ("suites: [TLS_AES_128_GCM_SHA256]", &["-ciphersuites", "TLS_AES_256_GCM_SHA384"], &["alert number 40"]),
    ("suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", &[], &["New, TLSv1.2", "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"]),
    ("suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]", &[], &["Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"]),
    ("suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]", &[], &["Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"]),
    ("suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", &[], &["Cipher is ECDHE-RSA-AES128-GCM-SHA256"]),
    ("suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", &[], &["Cipher is ECDHE-RSA-AES256-GCM-SHA384"]),
    ("suites: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]", &[], &["Cipher is ECDHE-RSA-CHACHA20-POLY1305"]),
    ("", &["-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-SHA"], &["alert number 40"]),
    // The best of ours decides where we say what is best, else the client's.
    ("suites: [TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256]", &[], &["Cipher is TLS_AES_128_GCM_SHA256"]),
    ("suites: [TLS_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]", &[], &["Cipher is TLS_CHACHA20_POLY1305_SHA256"]),
    ("", &["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"], &["Cipher is TLS_CHACHA20_POLY1305_SHA256"]),
    ("", &["-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"], &["Cipher is TLS_AES_256_GCM_SHA384"]),
    // ECDSA for who can verify it, else RSA.
    ("", &["-tls1_2"], &["Cipher is ECDHE-ECDSA"]),
    ("", &["-tls1_2", "-cipher", "aRSA"], &["Cipher is ECDHE-RSA"]),
    ("", &["-sigalgs", "RSA-PSS+SHA256"], &["Peer signature type: RSA-PSS"]),
    ("", &["-sigalgs", "ECDSA+SHA256"], &["Peer signature type: ECDSA"]),
    // Groups, with and without another round.
    ("", &["-groups", "X25519"], &["Server Temp Key: X25519"]),
    ("", &["-groups", "P-256"], &["Server Temp Key: ECDH, prime256v1"]),
    ("", &["-groups", "P-384"], &["Server Temp Key: ECDH, secp384r1"]),
    ("groups: [secp384r1]", &["-groups", "X25519:P-384"], &["Server Temp Key: ECDH, secp384r1"]),
    ("groups: [secp256r1]", &["-tls1_2"], &["Server Temp Key: ECDH, prime256v1"]),
    ("groups: [secp384r1]", &["-groups", "X25519"], &["alert number 40"]),
    ("", &["-groups", "P-521"], &["alert number 40"]),
    ("groups: [X25519MLKEM768]", &[], &["alert number 40"]),
    // Protocols (RFC 7301 §3.2).
    ("", &["-alpn", "http/1.1,h2"], &["ALPN protocol: h2"]),
    ("", &["-alpn", "http/1.1"], &["ALPN protocol: http/1.1"]),
    ("", &[], &["No ALPN negotiated"]),
    ("", &["-alpn", "spdy/3"], &["alert number 120"]),
    ("alpn: [http/1.1]", &["-alpn", "h2,http/1.1"], &["ALPN protocol: http/1.1"]),
    ("alpn: [http/1.1]", &["-alpn", "h2"], &["alert number 120"]),
    // Names (RFC 6066 §3).
    ("unknown_names: refuse", &["-servername", "other.test"], &["alert number 112"]),
    ("unknown_names: refuse", &["-noservername"], &["alert number 112"]),
    ("", &["-noservername"], &["CN = shop.test"]),
    ("", &["-servername", "SHOP.TEST"], &["CN = shop.test"]),
    // What nobody should have agreed to since CRIME and 3SHAKE.
    ("", &["-tls1_2", "-comp"], &["Compression: NONE", "Secure Renegotiation IS supported"]),
    ("", &["-tls1_2"], &["Extended master secret: yes"]),
];

#[test]
fn agreements() {
    let authority = Authority::new();
    let pair = authority.sign(&["shop.test"]);
    let folder = tempfile::tempdir().unwrap();
    let secrets = format!("shop: {}, old: {}", pair.secret(), rsa(folder.path()));
    let mut said: Vec<&str> = AGREEMENTS.iter().map(|(tls, ..)| *tls).collect();
    said.sort_unstable();
    said.dedup();
    let texts: Vec<String> = said.iter().map(|tls| format!("certificates: [shop, old], {tls}")).collect();
    let addresses: Vec<SocketAddr> = said.iter().map(|_| free_address()).collect();
    let listeners: Vec<(SocketAddr, &str)> = addresses.iter().copied().zip(texts.iter().map(String::as_str)).collect();
    let sluice = start(&secrets, &listeners);
    for (tls, arguments, expect) in AGREEMENTS {
        let at = said.iter().position(|known| known == tls).unwrap();
        let shown = s_client(addresses[at], arguments, "");
        for expect in *expect {
            assert!(shown.contains(expect), "{tls:?} {arguments:?}: no {expect} in\n{shown}");
        }
    }
    assert!(sluice.metrics().faults("tls_nothing_shared") >= 8);
}

/// The group that OpenSSL's older versions do not know, by a client that does: (what the listener says, what is agreed on).
#[test]
fn the_hybrid_group() {
    let authority = Authority::new();
    let rows = [
        ("", NamedGroup::X25519MLKEM768),
        ("groups: [X25519MLKEM768]", NamedGroup::X25519MLKEM768),
        // (The client's favourite.)
        ("groups: [X25519, X25519MLKEM768]", NamedGroup::X25519MLKEM768),
        ("groups: [X25519, secp256r1]", NamedGroup::X25519),
        ("groups: [secp256r1]", NamedGroup::secp256r1),
    ];
    let listeners = rows.map(|(tls, _)| (free_address(), format!("certificates: [shop], {tls}")));
    let listeners: Vec<_> = listeners.iter().map(|(address, tls)| (*address, tls.as_str())).collect();
    let _sluice = start(&format!("shop: {}", authority.sign(&["shop.test"]).secret()), &listeners);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
    let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    for ((tls, group), (address, _)) in rows.into_iter().zip(listeners) {
        let mut client = ClientConnection::new(Arc::clone(&config), "shop.test".try_into().unwrap()).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        while client.is_handshaking() {
            client.complete_io(&mut socket).unwrap();
        }
        assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), group, "{tls}");
    }
}

/// Asked to renegotiate, it says no (RFC 5246 §7.2.2) and serves on, or ends the connection; never a second handshake.
#[test]
fn no_renegotiation() {
    let (web, authority) = (free_address(), Authority::new());
    let sluice = start(&format!("shop: {}", authority.sign(&["shop.test"]).secret()), &[(web, "certificates: [shop]")]);
    let said = s_client(web, &["-tls1_2"], "R\n");
    assert!(said.contains("RENEGOTIATING") && (said.contains("no renegotiation") || said.contains("alert number")), "{said}");
    assert_eq!(sluice.metrics().sum("sluice_tls_handshakes_total", &[]), 1);
}

/// Whether a session of `from` goes on at `to`.
fn is_resumed(from: SocketAddr, to: SocketAddr, version: &str, more: &[&str]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session").display().to_string();
    let first = s_client(from, &[&[version, "-ign_eof", "-sess_out", &session], more].concat(), REQUEST);
    assert!(first.contains("HTTP/1.1 200") && first.contains("New, TLS"), "{first}");
    // Without a ticket there is nothing to keep.
    if !Path::new(&session).exists() {
        return false;
    }
    let second = s_client(to, &[&[version, "-ign_eof", "-sess_in", &session], more].concat(), REQUEST);
    assert!(second.contains("HTTP/1.1 200"), "{second}");
    second.contains("Reused, TLS")
}

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

#[test]
fn tickets() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let write = |lines: &[&str]| {
        let draft = keys.with_extension("draft");
        fs::write(&draft, lines.iter().map(|line| line.repeat(32)).collect::<Vec<_>>().join("\n")).unwrap();
        fs::rename(draft, &keys).unwrap();
    };
    write(&["0a"]);
    let [own, shared, none] = [free_address(), free_address(), free_address()];
    let secret = format!("shop: {}", authority.sign(&["shop.test"]).secret());
    let with_keys = format!("certificates: [shop], tickets: {{ keys: \"{}\" }}", keys.display());
    let listeners = [(own, "certificates: [shop]"), (shared, &with_keys), (none, "certificates: [shop], tickets: none")];
    let sluice = start(&secret, &listeners);
    for version in VERSIONS {
        // Whichever worker gets the second connection.
        for _ in 0..4 {
            assert!(is_resumed(own, own, version, &[]), "{version}");
        }
        assert!(is_resumed(shared, shared, version, &[]), "{version}");
        assert!(!is_resumed(own, shared, version, &[]), "{version}: other keys");
        assert!(!is_resumed(none, none, version, &[]), "{version}: no tickets");
    }
    // Another process, with the same keys.
    let [other_own, other] = [free_address(), free_address()];
    let second = start(&secret, &[(other_own, "certificates: [shop]"), (other, &with_keys)]);
    for version in VERSIONS {
        assert!(is_resumed(shared, other, version, &[]), "{version}: as after a restart");
        assert!(!is_resumed(own, other_own, version, &[]), "{version}: keys of its own died with it");
    }
    // Turned: the newest key seals, the one before still opens, what is gone does not.
    let generation = |sluice: &Sluice| sluice.metrics().sum("sluice_config_generation", &[]);
    for (lines, expect) in [(&["0b", "0a"][..], true), (&["0c", "0b"], false)] {
        let old = folder.path().join("old").display().to_string();
        if expect {
            let first = s_client(shared, &["-tls1_3", "-ign_eof", "-sess_out", &old], REQUEST);
            assert!(first.contains("HTTP/1.1 200"), "{first}");
        }
        let before = generation(&sluice);
        write(lines);
        eventually("the keys are in force", || generation(&sluice) > before);
        let again = s_client(shared, &["-tls1_3", "-ign_eof", "-sess_in", &old], REQUEST);
        assert_eq!(again.contains("Reused, TLS"), expect, "{lines:?}: {again}");
    }
    drop(second);
}

/// Who came in by a certificate does not come back by a ticket once another authority decides, or a list revokes.
#[test]
fn tickets_of_clients() {
    let (authority, another) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "0a".repeat(32)).unwrap();
    let ca = folder.path().join("ca.pem");
    fs::copy(authority.file(), &ca).unwrap();
    let (both, web, same, named) = (folder.path().join("both.pem"), free_address(), free_address(), free_address());
    fs::write(&both, fs::read_to_string(authority.file()).unwrap() + &fs::read_to_string(another.file()).unwrap()).unwrap();
    let listener = |ca: &Path, more: &str| {
        format!("certificates: [shop], tickets: {{ keys: \"{}\" }}, clients: {{ ca: \"{}\"{more} }}", keys.display(), ca.display())
    };
    let (client, texts) = (
        authority.sign(&["client.test"]),
        [listener(&ca, ""), listener(&authority.file(), ""), listener(&ca, ", names: [client.test]"), listener(&both, "")],
    );
    let more = free_address();
    let sluice = start(
        &format!("shop: {}", authority.sign(&["shop.test"]).secret()),
        &[(web, &texts[0]), (same, &texts[1]), (named, &texts[2]), (more, &texts[3])],
    );
    let (cert, key) = (client.cert.display().to_string(), client.key.display().to_string());
    let own = ["-cert", &cert, "-key", &key];
    for version in VERSIONS {
        assert!(is_resumed(web, web, version, &own), "{version}");
        assert!(is_resumed(web, same, version, &own), "{version}: the same rules elsewhere");
        assert!(!is_resumed(web, named, version, &own), "{version}: other names");
        assert!(!is_resumed(web, more, version, &own), "{version}: other authorities");
    }
    // In force at the same listener: who has only a ticket is out.
    let session = folder.path().join("session").display().to_string();
    let first = s_client(web, &[&["-tls1_3", "-ign_eof", "-sess_out", &session], &own[..]].concat(), REQUEST);
    assert!(first.contains("HTTP/1.1 200"), "{first}");
    let generation = || sluice.metrics().sum("sluice_config_generation", &[]);
    let before = generation();
    let draft = ca.with_extension("draft");
    fs::copy(another.file(), &draft).unwrap();
    fs::rename(draft, &ca).unwrap();
    eventually("the authority is in force", || generation() > before);
    let again = s_client(web, &[&["-tls1_3", "-ign_eof", "-sess_in", &session], &own[..]].concat(), REQUEST);
    assert!(!again.contains("HTTP/1.1 200") && again.contains("alert number 48"), "{again}");
}

/// The alerts of who is not let in: (mode and rules, certificate, alert; none where it is let in).
#[test]
fn certificates_of_clients() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (good, bad) = (authority.sign(&["client.test", "spiffe://test/one"]), authority.sign(&["gone.test"]));
    let (strange, other) = (stranger.sign(&["client.test"]), authority.sign(&["other.test"]));
    let (ca, crl) = (authority.file().display().to_string(), authority.revoke(&[&bad]).display().to_string());
    let texts = [
        format!("verify: required, ca: \"{ca}\", crl: \"{crl}\""),
        format!("verify: optional, ca: \"{ca}\", crl: \"{crl}\""),
        format!("ca: \"{ca}\", names: [\"spiffe://test/one\"]"),
        format!("ca: \"{ca}\", names: [\"*.test\"]"),
    ];
    let texts = texts.map(|clients| format!("certificates: [shop], clients: {{ {clients} }}"));
    let addresses = [(); 4].map(|()| free_address());
    let listeners: Vec<_> = addresses.iter().copied().zip(texts.iter().map(String::as_str)).collect();
    let _sluice = start(&format!("shop: {}", authority.sign(&["shop.test"]).secret()), &listeners);
    // RFC 8446 §6.2: access_denied, certificate_revoked, unknown_ca, certificate_required (which rustls says in 1.2 too).
    let rows: [(usize, Option<&Pair>, Option<u8>); 13] = [
        (0, Some(&good), None),
        (0, Some(&bad), Some(44)),
        (0, Some(&strange), Some(48)),
        (0, None, Some(116)),
        (1, Some(&good), None),
        (1, Some(&bad), Some(44)),
        (1, Some(&strange), Some(48)),
        (1, None, None),
        (2, Some(&good), None),
        (2, Some(&other), Some(49)),
        (3, Some(&good), None),
        (3, Some(&other), None),
        (3, None, Some(116)),
    ];
    for (at, pair, alert) in rows {
        for version in VERSIONS {
            let files = pair.map(|pair| [pair.cert.display().to_string(), pair.key.display().to_string()]);
            let own: Vec<&str> = files.iter().flat_map(|[cert, key]| ["-cert", cert, "-key", key]).collect();
            let said = s_client(addresses[at], &[&[version, "-ign_eof"], &own[..]].concat(), REQUEST);
            let expect = alert.map_or_else(|| "HTTP/1.1 200".to_owned(), |alert| format!("alert number {alert}"));
            assert!(said.contains(&expect), "{} {version} {pair:?}: no {expect} in\n{said}", texts[at]);
        }
    }
}

/// The chain as its file has it, and the staple, made by OpenSSL alone.
#[test]
fn chains_and_staples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (root, middle, leaf) = (path("root"), path("middle"), path("leaf"));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let request = |name: &str, file: &str, more: &[&str]| {
        let (key, out, subject) = (format!("{file}.key"), format!("{file}.pem"), format!("/CN={name}"));
        openssl(&[&["req", "-x509", "-days", "30", "-keyout", &key, "-out", &out, "-subj", &subject], &curve[..], more].concat());
    };
    let authority = ["-addext", "keyUsage=keyCertSign,cRLSign"];
    request("root", &root, &authority);
    let (root_cert, root_key) = (format!("{root}.pem"), format!("{root}.key"));
    request("middle", &middle, &[&authority[..], &["-CA", &root_cert, "-CAkey", &root_key]].concat());
    let (middle_cert, middle_key) = (format!("{middle}.pem"), format!("{middle}.key"));
    let names = ["-addext", "subjectAltName=DNS:shop.test", "-addext", "basicConstraints=critical,CA:FALSE"];
    request("shop.test", &leaf, &[&names[..], &["-CA", &middle_cert, "-CAkey", &middle_key]].concat());
    let leaf_cert = format!("{leaf}.pem");
    let (chain, staple) = (path("chain.pem"), path("staple.der"));
    fs::write(&chain, fs::read_to_string(&leaf_cert).unwrap() + &fs::read_to_string(&middle_cert).unwrap()).unwrap();
    let serial = run("openssl", &["x509", "-in", &leaf_cert, "-noout", "-serial"]).stdout;
    let serial = String::from_utf8(serial).unwrap().trim().trim_start_matches("serial=").to_owned();
    fs::write(path("index.txt"), format!("V\t991231235959Z\t\t{serial}\tunknown\t/CN=shop.test\n")).unwrap();
    let asked = ["-CA", &middle_cert, "-issuer", &middle_cert, "-cert", &leaf_cert, "-rsigner", &middle_cert, "-rkey", &middle_key];
    let (index, ask) = (path("index.txt"), path("request.der"));
    openssl(&["ocsp", "-issuer", &middle_cert, "-cert", &leaf_cert, "-no_nonce", "-reqout", &ask]);
    let [_, _, _, _, _, _, signer @ ..] = asked;
    openssl(&[&["ocsp", "-index", &index, "-CA", &middle_cert, "-reqin", &ask, "-respout", &staple, "-ndays", "7"], &signer[..]].concat());

    let [with, without] = [free_address(), free_address()];
    let secrets = format!(
        "with: {{ cert: \"{chain}\", key: \"{leaf}.key\", ocsp: \"{staple}\" }}, without: {{ cert: \"{chain}\", key: \"{leaf}.key\" }}"
    );
    let _sluice = start(&secrets, &[(with, "certificates: [with]"), (without, "certificates: [without]")]);
    for version in VERSIONS {
        let verified = [version, "-status", "-showcerts", "-CAfile", &root_cert, "-verify_return_error"];
        let said = s_client(with, &verified, "");
        for expect in ["OCSP Response Status: successful", "Cert Status: good", "Verify return code: 0 (ok)"] {
            assert!(said.contains(expect), "{version}: no {expect} in\n{said}");
        }
        let (first, second) = (said.find(" 0 s:CN = shop.test"), said.find(" 1 s:CN = middle"));
        assert!(first.zip(second).is_some_and(|(first, second)| first < second), "{version}: {said}");
        check(without, &[version, "-status"], &["OCSP response: no response sent"]);
    }
}

/// Both sides write the same secrets, so that whoever has the file can read the connection.
#[test]
fn a_key_log() {
    let (web, authority) = (free_address(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let tls = format!("certificates: [shop], key_log: \"{}\"", ours.display());
    let _sluice = start(&format!("shop: {}", authority.sign(&["shop.test"]).secret()), &[(web, &tls)]);
    for version in VERSIONS {
        let said = s_client(web, &[version, "-ign_eof", "-keylogfile", &theirs.display().to_string()], REQUEST);
        assert!(said.contains("HTTP/1.1 200"), "{said}");
    }
    let lines = |file: &Path| -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_ascii_lowercase).collect();
        lines.sort();
        lines
    };
    // (Of TLS 1.3 five secrets, of 1.2 one.)
    eventually("all secrets are written", || lines(&ours).len() >= 6);
    let theirs = lines(&theirs);
    for line in lines(&ours) {
        assert!(theirs.contains(&line), "{line} in {theirs:?}");
    }
}

/// Hellos that never become whole, or are too large: (bytes, whether our half ends, the alert, the reason).
#[test]
fn hellos_that_are_none() {
    let (web, authority) = (free_address(), Authority::new());
    let sluice = start(&format!("shop: {}", authority.sign(&["shop.test"]).secret()), &[(web, "certificates: [shop]")]);
    let record = |kind: u8, content: &[u8]| [&[kind, 3, 1][..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat();
    // A hello that announces 60 kB, in records of 16 KiB and in records of one byte.
    let begun = [&[1, 0, 0xea, 0x60][..], &[0; 16_380]].concat();
    let large = [record(22, &begun), record(22, &[0; 16_384])].concat();
    let crumbs: Vec<u8> = [1, 0, 0x40, 0].iter().chain(&[3; 200]).flat_map(|byte| record(22, &[*byte])).collect();
    let half = record(22, &[1, 0, 0, 100, 3, 3]);
    for (bytes, ends, alert, reason) in [
        (&large, false, Some(47), "tls_hello_too_large"),
        (&crumbs, false, Some(47), "tls_hello_too_large"),
        (&half, true, None, ""),
        (&half[..4].to_vec(), true, None, ""),
        (&record(22, &[1, 0, 0, 2, 3, 3]), false, Some(50), "tls_handshake"),
        (&record(21, &[2, 40]), false, None, "tls_handshake"),
        (&record(20, &[1]), false, Some(10), "tls_handshake"),
    ] {
        let before = sluice.metrics().faults(reason);
        let mut client = Client::connect(web);
        drop(client.try_send(bytes));
        if ends {
            client.finish();
        }
        let answer = client.rest().unwrap_or_default();
        let told = answer.get(..7).map(|alert| alert[6]).filter(|_| answer.starts_with(&[21, 3, 3, 0, 2, 2]));
        let shown = &bytes[..bytes.len().min(12)];
        assert_eq!(told, alert, "{shown:?}: {answer:?}");
        if !reason.is_empty() {
            eventually(format_args!("{shown:?} is counted as {reason}"), || sluice.metrics().faults(reason) == before + 1);
        }
    }
    eventually("all are gone", || sluice.metrics().sum("sluice_downstream_connections_active", &[]) == 0);
}
