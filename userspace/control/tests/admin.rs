//! The admin API over real sockets, and configurations on their way to the workers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "tests"
)]

mod scene;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixStream,
    },
    sync::atomic::Ordering::SeqCst,
};

use control::{ClientError, DoorError, Doors, Ending};
use scene::{LONG, Scene, eventually};
use stats::metrics;

#[test]
fn what_may_be_asked_where() {
    let scene = Scene::start(false);
    let check = |method: &str, path: &str, on_socket: u16, on_port: u16| {
        let status = |client: control::Client| client.ask(method, path, b"").unwrap().status;
        assert_eq!((status(scene.socket()), status(scene.port())), (on_socket, on_port), "{method} {path}");
    };
    for path in ["/", "/ready", "/metrics", "/stats", "/config", "/clusters", "/listeners"] {
        check("GET", path, 200, 200);
        check("DELETE", path, 405, 403);
    }
    check("POST", "/logs/reopen", 202, 403);
    check("POST", "/reload", 200, 403);
    check("PUT", "/config", 409, 403);
    check("GET", "/drain", 405, 405);
    check("GET", "/nothing", 404, 404);
    check("POST", "/ready", 405, 403);
    assert!(!scene.told.draining.load(SeqCst));
    let mode = fs::metadata(scene.path("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(scene.end(), Ending::Drained);
}

#[test]
fn the_port_answers_only_to_our_names() {
    let scene = Scene::start(false);
    let status = |host: &str| {
        let mut stream = TcpStream::connect(scene.port).unwrap();
        write!(stream, "GET /ready HTTP/1.1\r\n{host}connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("host: localhost\r\n"), "200");
    assert_eq!(status("host: 127.0.0.1:1\r\n"), "200");
    assert_eq!(status("host: rebound.example.com\r\n"), "403");
    assert_eq!(status(""), "403");
    let view = scene.socket().stats().unwrap();
    assert_eq!(view.total("sluice_admin_refused_total", &[("reason", "host")]), 2);
    scene.end();
}

#[test]
fn what_is_told_is_what_was_counted() {
    let scene = Scene::start(false);
    let page = scene.hub.page();
    let endpoint = [("cluster", "api"), ("endpoint", "10.0.0.1:80")];
    page.counter(&metrics::REQUESTS, &[("listener", "web"), ("route", "web/*/0")]).add(7);
    page.counter(&metrics::UPSTREAM_REQUESTS, &endpoint).add(5);
    page.histogram(&metrics::UPSTREAM_DURATION, &endpoint).record(core::time::Duration::from_millis(3));
    page.gauge(&metrics::UPSTREAM_ACTIVE, &[("cluster", "api")]).set(2);
    let clusters = scene.socket().clusters().unwrap();
    assert_eq!((clusters[0].name.as_str(), clusters[0].connections_active), ("api", 2));
    assert_eq!((clusters[0].endpoints[0].address.as_str(), clusters[0].endpoints[0].requests), ("10.0.0.1:80", 5));
    assert!((0.0029..0.0031).contains(&clusters[0].endpoints[0].seconds["p50"]));
    let listeners = scene.port().listeners().unwrap();
    assert_eq!((listeners[0].name.as_str(), listeners[0].kind.as_str(), listeners[0].requests), ("web", "http", 7));
    assert_eq!(listeners[0].binds, ["127.0.0.1:18080"]);
    let text = String::from_utf8(scene.port().ask("GET", "/metrics", b"").unwrap().body).unwrap();
    for line in ["sluice_ready 1\n", "sluice_config_generation 1\n", "sluice_build_info{version=\"test\"} 1\n"] {
        assert!(text.contains(line), "{text}");
    }
    let config = scene.port().config().unwrap();
    assert_eq!((config.generation, config.refused), (1, None));
    assert_eq!(config.files[&scene.path("sluice.yaml")], fs::read_to_string(scene.path("sluice.yaml")).unwrap());
    scene.end();
}

#[test]
fn a_changed_file_is_applied_and_a_bad_one_is_not() {
    let scene = Scene::start(false);
    let file = scene.path("sluice.yaml");
    fs::write(&file, scene.text(&["10.0.0.2:80"])).unwrap();
    assert_eq!(scene.next_applied(), ["10.0.0.2:80"]);
    eventually("generation 2", || scene.socket().config().unwrap().generation == 2);
    let live = scene.socket().config().unwrap();

    fs::write(&file, "version: 1\nlisteners: { web: { bind: 7 } }\nnonsense: true\n").unwrap();
    eventually("refusal", || scene.socket().config().unwrap().refused.is_some());
    let refused = scene.socket().config().unwrap();
    assert_eq!((refused.generation, &refused.hash), (2, &live.hash));
    let reasons = refused.refused.unwrap().reasons;
    assert!(reasons.len() >= 2 && reasons.iter().all(|reason| reason.contains("sluice.yaml:")), "{reasons:?}");
    assert!(scene.applied.try_recv().is_err());

    // The old text again: in force already, and the refusal is settled.
    fs::write(&file, scene.text(&["10.0.0.2:80"])).unwrap();
    eventually("settled", || scene.socket().config().unwrap().refused.is_none());
    assert!(scene.applied.try_recv().is_err());

    // Sound, but the workers cannot: refused, and applied when they can.
    scene.told.refusing.store(true, SeqCst);
    fs::write(scene.path("new.yaml"), scene.text(&["10.0.0.3:80"])).unwrap();
    fs::rename(scene.path("new.yaml"), &file).unwrap();
    eventually("refusal", || scene.socket().config().unwrap().refused.is_some_and(|refused| refused.reasons[0].contains("address in use")));
    scene.told.refusing.store(false, SeqCst);
    assert_eq!(scene.socket().reload().unwrap(), "applied as generation 3\n");
    assert_eq!(scene.next_applied(), ["10.0.0.3:80"]);
    let view = scene.socket().stats().unwrap();
    let count = |metric| view.total(metric, &[]);
    assert_eq!((count("sluice_config_applied_total"), count("sluice_config_rejected_total"), count("sluice_config_generation")), (2, 2, 3));
    scene.end();
}

#[test]
fn a_certificate_is_replaced_with_its_key() {
    let scene = Scene::start(false);
    let pair = || {
        let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let text = scene.text(&["10.0.0.2:80"]) + "secrets: { shop: { cert: tls/shop.pem, key: tls/shop.key } }\n";
    fs::write(scene.path("sluice.yaml"), text).unwrap();
    let rejected = || scene.socket().stats().unwrap().total("sluice_config_rejected_total", &[]);
    // What a refused configuration names is watched too, though its folder is not even there.
    eventually("refusal", || scene.socket().config().unwrap().refused.is_some_and(|refused| refused.reasons.len() == 2));
    assert_eq!(rejected(), 1);
    let write = |folder: &str, (cert, key): &(String, String)| {
        fs::create_dir_all(scene.path(folder)).unwrap();
        fs::write(scene.path(folder).join("shop.pem"), cert).unwrap();
        fs::write(scene.path(folder).join("shop.key"), key).unwrap();
    };
    write("v1", &pair());
    symlink("v1", scene.path("tls")).unwrap();
    assert_eq!(scene.next_applied(), ["10.0.0.2:80"]);
    eventually("settled", || scene.socket().config().unwrap().refused.is_none());

    // One after the other, the second renamed into place: nothing is refused meanwhile.
    let (cert, key) = pair();
    fs::write(scene.path("v1/shop.pem"), &cert).unwrap();
    fs::write(scene.path("v1/new"), &key).unwrap();
    fs::rename(scene.path("v1/new"), scene.path("v1/shop.key")).unwrap();
    assert_eq!(scene.next_applied(), ["10.0.0.2:80"]);
    // Both at once, by another folder in the place of theirs.
    write("v2", &pair());
    symlink("v2", scene.path("new")).unwrap();
    fs::rename(scene.path("new"), scene.path("tls")).unwrap();
    assert_eq!(scene.next_applied(), ["10.0.0.2:80"]);
    assert_eq!(rejected(), 1);

    // A pair that stays broken is told of, and what was there stays in force.
    fs::write(scene.path("v2/shop.pem"), &cert).unwrap();
    eventually("refusal", || scene.socket().config().unwrap().refused.is_some());
    let live = scene.socket().config().unwrap();
    assert!(live.refused.unwrap().reasons[0].ends_with("secrets.shop.key: the private key is not the certificate's"));
    assert_eq!((rejected(), live.generation), (2, 4));
    assert!(live.files.values().all(|text| !text.contains("PRIVATE")));
    fs::write(scene.path("v2/shop.key"), &key).unwrap();
    assert_eq!(scene.next_applied(), ["10.0.0.2:80"]);
    eventually("settled", || scene.socket().config().unwrap().refused.is_none());
    assert!(scene.applied.try_recv().is_err());
    scene.end();
}

#[test]
fn included_files_are_watched_too() {
    let scene = Scene::start(false);
    fs::create_dir(scene.path("sites.d")).unwrap();
    let main = scene.text(&["10.0.0.1:80"]).replace("clusters:\n  api: { endpoints: [\"10.0.0.1:80\"] }", "include: [sites.d/*.yaml]");
    let cluster = |address: &str| format!("clusters: {{ api: {{ endpoints: [\"{address}\"] }} }}\n");
    fs::write(scene.path("sites.d/api.yaml"), cluster("10.0.0.5:80")).unwrap();
    fs::write(scene.path("sluice.yaml"), main).unwrap();
    assert_eq!(scene.next_applied(), ["10.0.0.5:80"]);
    fs::write(scene.path("sites.d/api.yaml"), cluster("10.0.0.6:80")).unwrap();
    assert_eq!(scene.next_applied(), ["10.0.0.6:80"]);
    // Another file in its place: away with the one, in with the other.
    fs::rename(scene.path("sites.d/api.yaml"), scene.path("sites.d/other.yaml")).unwrap();
    fs::write(scene.path("sites.d/other.yaml"), cluster("10.0.0.7:80")).unwrap();
    while scene.next_applied() != ["10.0.0.7:80"] {}
    scene.end();
}

#[test]
fn a_put_configuration_is_written_and_applied_or_neither() {
    let scene = Scene::start(true);
    let put = |text: &str| {
        let answer = scene.socket().ask("PUT", "/config", text.as_bytes()).unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let file = || fs::read_to_string(scene.path("sluice.yaml")).unwrap();
    let (first, second) = (file(), scene.text(&["10.0.0.2:80"]));
    assert_eq!(put("clusters: [").0, 422);
    assert_eq!(file(), first);
    assert_eq!(put(&second), (200, "applied as generation 2\n".to_owned()));
    assert_eq!((file(), scene.next_applied()), (second.clone(), vec!["10.0.0.2:80".to_owned()]));
    scene.told.refusing.store(true, SeqCst);
    let (status, reason) = put(&scene.text(&["10.0.0.3:80"]));
    assert_eq!(status, 422);
    assert!(reason.contains("address in use"), "{reason}");
    assert_eq!(file(), second, "what cannot be applied does not stay in the file");
    scene.told.refusing.store(false, SeqCst);
    // The restored file is noticed, and read once more because it is asked for: that is no answer to what was refused.
    assert_eq!(scene.socket().reload().unwrap(), "this configuration is in force already\n");
    let refused = scene.socket().config().unwrap().refused.expect("it is still told why");
    assert!(refused.reasons[0].contains("address in use"), "{refused:?}");
    assert_eq!(scene.socket().stats().unwrap().total("sluice_config_rejected_total", &[]), 2);
    assert_eq!(put(&second), (200, "this configuration is in force already\n".to_owned()));
    assert_eq!(scene.socket().config().unwrap().refused, None, "another was accepted");
    let left: Vec<_> = fs::read_dir(scene.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains(".new")), "{left:?}");
    scene.end();
}

#[test]
fn the_admin_sockets_follow_the_configuration() {
    let scene = Scene::start(false);
    let moved = scene.text(&["10.0.0.1:80"]).replace("admin.sock", "moved.sock");
    fs::write(scene.path("sluice.yaml"), &moved).unwrap();
    let client = control::Client::Socket(scene.path("moved.sock"));
    eventually("moved", || client.config().is_ok_and(|config| config.generation == 2));
    assert!(matches!(scene.socket().stats(), Err(ClientError::Unreachable { .. })));
    assert!(!scene.path("admin.sock").exists());

    // A socket somebody else serves is not taken from him, and nothing of that configuration comes into force.
    let taken = scene.path("taken.sock");
    let _other = std::os::unix::net::UnixListener::bind(&taken).unwrap();
    scene.next_applied();
    fs::write(scene.path("sluice.yaml"), moved.replace("moved.sock", "taken.sock").replace("10.0.0.1", "10.0.0.9")).unwrap();
    eventually("refusal", || client.config().unwrap().refused.is_some_and(|refused| refused.reasons[0].contains("another process")));
    assert!(scene.applied.try_recv().is_err());
    let admin = config::Admin { socket: Some(taken), metrics: None };
    assert!(matches!(Doors::open(&admin.into()), Err(DoorError::Taken(_))));
    scene.told.drained.store(true, SeqCst);
    client.drain().unwrap();
    assert_eq!(scene.wait(), Ending::Drained);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_others_served() {
    let scene = Scene::start(false);
    let idle: Vec<UnixStream> = (0..80).map(|_| UnixStream::connect(scene.path("admin.sock")).unwrap()).collect();
    eventually("refused", || scene.port().stats().unwrap().total("sluice_admin_refused_total", &[("reason", "connections")]) >= 16);
    drop(idle);
    eventually("served again", || scene.socket().stats().is_ok());
    scene.end();
}

#[test]
fn ready_ends_with_the_drain() {
    let scene = Scene::start(false);
    assert_eq!(scene.socket().drain().unwrap(), "draining\n");
    eventually("not ready", || scene.port().ask("GET", "/ready", b"").unwrap().status == 503);
    assert!(scene.told.draining.load(SeqCst));
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.4:80"])).unwrap();
    assert!(matches!(scene.socket().reload(), Err(ClientError::Refused { status: 422, .. })));
    scene.told.drained.store(true, SeqCst);
    let socket = scene.path("admin.sock");
    let folder = scene.folder.path().to_owned();
    assert!(folder.exists() && socket.exists());
    assert_eq!(scene.wait(), Ending::Drained);
    assert!(!socket.exists(), "the socket goes with the process");
}

#[test]
fn nothing_that_takes_long_holds_up_an_answer() {
    let scene = Scene::start(false);
    scene.told.stuck.store(true, SeqCst);
    fs::write(scene.path("sluice.yaml"), scene.text(&["10.0.0.2:80"])).unwrap();
    eventually("applying", || scene.told.applying.load(SeqCst));
    for path in ["/ready", "/metrics", "/stats", "/config", "/clusters", "/listeners"] {
        assert_eq!(scene.port().ask("GET", path, b"").unwrap().status, 200, "{path}");
    }
    assert!(scene.applied.try_recv().is_err());
    scene.told.stuck.store(false, SeqCst);
    assert_eq!(scene.next_applied(), ["10.0.0.2:80"]);
    scene.end();
}

#[test]
fn configurations_no_worker_holds_are_freed() {
    let scene = Scene::start(false);
    let apply = |endpoint: &str| {
        fs::write(scene.path("sluice.yaml"), scene.text(&[endpoint])).unwrap();
        scene.applied.recv_timeout(LONG).unwrap()
    };
    let held = apply("10.0.0.2:80");
    let freed = std::sync::Arc::downgrade(&held);
    drop(apply("10.0.0.3:80"));
    assert_eq!(held.cluster_by_name("api").unwrap().endpoints[0].name.as_ref(), "10.0.0.2:80");
    drop(held);
    eventually("freed", || freed.strong_count() == 0);
    scene.end();
}

#[test]
fn other_users_are_not_served_even_where_the_socket_lets_them_connect() {
    if !rustix::process::geteuid().is_root() {
        // Only root can become another user to try; that the socket's mode keeps others out is tested elsewhere.
        return;
    }
    let scene = Scene::start(false);
    for path in [scene.folder.path().to_owned(), scene.path("admin.sock")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let socket = scene.path("admin.sock");
    let ask_as = |uid: u32| {
        let socket = socket.clone();
        let ask = move || {
            // This thread alone becomes another user.
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid)).unwrap();
            control::Client::Socket(socket).ask("GET", "/ready", b"")
        };
        std::thread::spawn(ask).join().unwrap()
    };
    assert_eq!(ask_as(0).unwrap().status, 200);
    assert!(ask_as(65_534).is_err());
    assert_eq!(scene.socket().stats().unwrap().total("sluice_admin_refused_total", &[("reason", "peer")]), 1);
    scene.end();
}
