//! A process from its start to its end: served, refused, drained, without rights it does not need.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests, in real time")]

mod stage;

use std::{fs, os::unix::fs::MetadataExt, thread};

use stage::{Site, ask, eventually, get, origin, output};

#[test]
fn it_serves_and_drains() {
    let (_origin, at) = origin(&["--name", "birch"]);
    let site = Site::new(at, "");
    let mut running = site.run(&["--workers", "2"]);
    let (head, body) = get(site.web, "/");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("x-origin: birch\r\n"), "{head}");
    assert_eq!(body, b"birch\n");
    assert_eq!(running.status("NoNewPrivs"), "1");

    let (status, frame, stderr) = output(&["top", "--once", "--admin", &site.admin()]);
    assert!(status.success(), "{stderr}");
    for part in ["ready  ", "web/*/0", &format!("origin {at}"), "turns/s"] {
        assert!(frame.contains(part), "{part} in\n{frame}");
    }

    running.terminate();
    assert!(running.wait().success(), "{}", site.log());
    assert!(site.log().contains("drained"), "{}", site.log());
    assert!(!site.path("admin.sock").exists());
}

#[test]
fn drain_is_asked_for_at_the_admin_socket() {
    let (_origin, at) = origin(&[]);
    let site = Site::new(at, "");
    let mut running = site.run(&["--workers", "1"]);
    let (status, _, stderr) = output(&["drain", "--admin", &format!("unix:{}", site.admin())]);
    assert!(status.success(), "{stderr}");
    assert!(running.wait().success(), "{}", site.log());
}

#[test]
fn a_drain_finishes_what_is_under_way_and_a_second_signal_does_not() {
    let (_origin, at) = origin(&[]);
    for is_patient in [true, false] {
        let site = Site::new(at, "");
        let mut running = site.run(&["--workers", "1"]);
        let (web, path) = (site.web, if is_patient { "/delay/700" } else { "/delay/60000" });
        let client = thread::spawn(move || get(web, path));
        let active = || control::Client::Socket(site.admin().into()).stats().unwrap().total("sluice_requests_active", &[]);
        eventually("the request is under way", || active() == 1);
        running.terminate();
        eventually("it drains", || site.log().contains("draining"));
        if !is_patient {
            running.terminate();
        }
        assert!(running.wait().success(), "{}", site.log());
        let (head, _) = client.join().unwrap();
        assert_eq!(head.starts_with("HTTP/1.1 200 ") && head.contains("connection: close"), is_patient, "{head}");
        assert_eq!(site.log().contains("before everything under way was finished"), !is_patient, "{}", site.log());
    }
}

#[test]
fn a_second_process_is_refused() {
    let (_origin, at) = origin(&[]);
    let site = Site::new(at, "");
    let _running = site.run(&["--workers", "1"]);
    let file = site.path("sluice.yaml");
    let file = file.to_str().unwrap();
    let refused = |arguments: &[&str], why: &str| {
        let (status, _, stderr) = output(&[&["run", "--config", file], arguments].concat());
        assert_eq!(status.code(), Some(1));
        assert!(stderr.contains(why), "{stderr}");
    };
    refused(&[], "another sluice runs with");
    // By another name it would still take the same sockets.
    refused(&["--name", "other"], "another process listens there");
    fs::write(site.path("second.yaml"), fs::read_to_string(file).unwrap().replace("admin.sock", "second.sock")).unwrap();
    let second = site.path("second.yaml");
    let (status, _, stderr) = output(&["run", "--config", second.to_str().unwrap()]);
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains(&format!("cannot listen on {}", site.web)), "{stderr}");
    // Two of one name, whatever their files.
    let third = Site::new(at, "");
    let _third = third.run(&["--workers", "1", "--name", "sluice-test-of-one-name"]);
    refused(&["--name", "sluice-test-of-one-name"], "another sluice named sluice-test-of-one-name runs");
    assert_eq!(get(site.web, "/").1, b"origin\n");
}

#[test]
fn what_cannot_run_says_why() {
    let (_origin, at) = origin(&[]);
    let refused = |more: &str, arguments: &[&str], why: &str| {
        let site = Site::new(at, more);
        let status = site.command(arguments).status().unwrap();
        assert_eq!(status.code(), Some(1), "{}", site.log());
        assert!(site.log().contains(why), "{}", site.log());
    };
    refused("colour: red", &[], "colour");
    refused("user: nobody-of-this-name", &[], "there is no user nobody-of-this-name");
    refused("", &["--without", "nothing"], "no feature `nothing`");
}

#[test]
fn every_fallback_serves() {
    let (_origin, at) = origin(&[]);
    for feature in ["defer_taskrun", "incremental_buffers", "receive_credit", "splice", "kernel_tls"] {
        let site = Site::new(at, "");
        let mut running = site.run(&["--workers", "1", "--without", feature]);
        let (_, body) = get(site.web, "/bytes/1000000");
        assert_eq!(body.len(), 1_000_000, "{feature}");
        running.terminate();
        assert!(running.wait().success(), "{feature}: {}", site.log());
    }
}

#[test]
fn root_becomes_the_user_and_keeps_one_capability() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (_origin, at) = origin(&[]);
    let site = Site::new(at, "user: nobody");
    let mut running = site.run(&["--workers", "1"]);
    assert_eq!(get(site.web, "/").1, b"origin\n");
    let user = running.status("Uid");
    let owner = fs::metadata(site.path("admin.sock")).unwrap().uid().to_string();
    assert_eq!(user.split_whitespace().next(), Some(owner.as_str()));
    assert!(user.split_whitespace().all(|id| id != "0"), "{user}");
    // CAP_NET_BIND_SERVICE is the tenth.
    for (set, expect) in [("CapEff", 1 << 10), ("CapPrm", 1 << 10), ("CapInh", 0), ("CapAmb", 0)] {
        let has = u64::from_str_radix(&running.status(set), 16).unwrap();
        assert_eq!(has & !expect, 0, "{set}");
    }
    running.terminate();
    assert!(running.wait().success(), "{}", site.log());
}

#[test]
fn the_origin_does_what_its_paths_say() {
    let (_origin, at) = origin(&["--name", "oak", "--workers", "2"]);
    let check = |path: &str, status: &str, body: &str| {
        let (head, got) = get(at, path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
        assert!(head.contains("x-origin: oak\r\n"), "{path}: {head}");
        assert!(String::from_utf8_lossy(&got).contains(body), "{path}: {got:?}");
    };
    check("/", "200", "oak\n");
    check("/bytes/5", "200", "!\"#$%");
    check("/chunked/5", "200", "\r\n0\r\n\r\n");
    check("/delay/1", "200", "after 1 ms");
    check("/status/503", "503", "says 503");
    check("/status/204", "204", "");
    check("/headers", "200", "GET /headers\nhost: a\n");
    check("/close", "200", "closes");
    check("/stream/2/1", "200", "oak 1\n");
    check("/nothing", "404", "no such path");
    check("/bytes/many", "404", "no such path");

    let (head, body) = get(at, "/bytes/200000");
    assert!(head.contains("content-length: 200000\r\n"), "{head}");
    let pattern: Vec<u8> = (b'!'..=b'~').cycle().take(200_000).collect();
    assert_eq!(body, pattern);
    let (head, body) = get(at, "/die");
    assert!(head.contains("content-length: 94\r\n") && body.len() == 47, "{head}");
    assert!(!get(at, "/garbage").0.starts_with("HTTP"));
    let post = |path: &str| ask(at, &format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"));
    assert_eq!(post("/echo").1, b"hello");
    assert_eq!(post("/early").1, b"oak did not wait\n");
    assert!(ask(at, "nonsense\r\n\r\n").0.starts_with("HTTP/1.1 400 "));
}

#[test]
fn the_tcp_origin_sends_back_what_it_gets() {
    use std::io::{Read, Write};
    let (_origin, at) = origin(&["--tcp"]);
    let mut stream = std::net::TcpStream::connect(at).unwrap();
    stream.write_all(b"there and back").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "there and back");
}
