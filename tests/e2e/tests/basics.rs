//! Requests and responses as they should be: methods, bodies, connections, routes, what is written into the heads.

use e2e::{Client, Origin, Scripted, Setup, Sluice, eventually, free_address, pattern, run};
use std::{fs, net::SocketAddr};

/// One listener, one origin.
fn one() -> (SocketAddr, Origin, Sluice) {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let sluice = Setup::simple(web, &[&origin]).with(&["--workers", "1"]).start();
    (web, origin, sluice)
}

#[test]
fn methods_reach_the_origin() {
    let (web, _origin, _sluice) = one();
    let mut client = Client::connect(web);
    let response = client.get("/");
    assert_eq!((response.status(), response.text().as_str()), (200, "amber\n"));
    client.send("HEAD /bytes/5000 HTTP/1.1\r\nhost: test\r\n\r\n");
    let response = client.head_response();
    assert_eq!((response.status(), response.field("content-length")), (200, Some("5000")));
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        client.send(format!("{method} /headers HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc"));
        let response = client.response();
        assert_eq!(response.status(), 200, "{method}");
        assert!(response.text().starts_with(&format!("{method} /headers\n")), "{}", response.text());
    }
    for status in [200, 201, 204, 301, 304, 404, 418, 500, 599] {
        let response = client.get(&format!("/status/{status}"));
        assert_eq!((response.status(), response.reason()), (status, ""), "{status}");
    }
}

#[test]
fn bodies_come_back_byte_for_byte() {
    let (web, _origin, _sluice) = one();
    let mut client = Client::connect(web);
    for count in [0, 1, 2, 100, 4_095, 4_096, 16_384, 65_535, 65_536, 65_537, 131_072, 300_000, 3 << 20] {
        let body = pattern(count);
        for path in ["bytes", "chunked"] {
            let response = client.get(&format!("/{path}/{count}"));
            assert!(response.body == body, "GET /{path}/{count}: {} bytes", response.body.len());
        }
        let response = echo(web, |client| {
            client.send(format!("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: {count}\r\n\r\n"));
            client.send(pattern(count));
        });
        assert!(response == body, "echo of {count}: {} bytes", response.len());
        let response = echo(web, |client| {
            client.send("POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
            for piece in pattern(count).chunks(10_007) {
                client.send(format!("{:x};extension=\"1\"\r\n", piece.len()));
                client.send(piece);
                client.send("\r\n");
            }
            client.send("0\r\n\r\n");
        });
        assert!(response == body, "chunked echo of {count}: {} bytes", response.len());
    }
}

/// Sends with one thread and reads with another: an echo's response comes while its request is still being sent.
fn echo(web: SocketAddr, send: impl FnOnce(&mut Client) + Send) -> Vec<u8> {
    let mut reader = Client::connect(web);
    let mut writer = reader.twin();
    std::thread::scope(|scope| {
        scope.spawn(move || send(&mut writer));
        let response = reader.response();
        assert_eq!(response.status(), 200);
        response.body
    })
}

#[test]
fn trailers_are_carried_both_ways() {
    let origin = Scripted::start(|turn| {
        while turn.request().is_some() {
            turn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
        }
    });
    let web = free_address();
    let _sluice = Setup::simple(web, &[&origin]).start();
    let response = Client::connect(web).get("/");
    assert_eq!((response.text().as_str(), response.trailers), ("ok", vec!["x-sum: 7".to_owned()]));
}

#[test]
fn curl_is_content() {
    let (web, _origin, sluice) = one();
    let upload = sluice.folder().join("upload");
    let (body, sent) = (pattern(3 << 20), format!("@{}", upload.display()));
    fs::write(&upload, &body).unwrap();
    let url = |path: &str| format!("http://{web}{path}");
    let curl = |arguments: &[&str]| {
        let output = run("curl", &[&["--silent", "--show-error", "--fail", "--max-time", "15"], arguments].concat());
        assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(curl(&[&url("/")]), b"amber\n");
    assert_eq!(curl(&["--http1.0", &url("/")]), b"amber\n");
    assert!(curl(&[&url("/bytes/3145728")]) == body);
    assert!(curl(&[&url("/chunked/3145728")]) == body);
    assert!(curl(&["--data-binary", &sent, &url("/echo")]) == body);
    assert!(curl(&["--header", "transfer-encoding: chunked", "--data-binary", &sent, &url("/echo")]) == body);
    // curl asks before it sends this much, and would wait a second were it not told to go on.
    let asked = ["--header", "expect: 100-continue", "--data-binary", &sent];
    assert!(curl(&[&asked[..], &[&url("/echo")]].concat()) == body);
    assert_eq!(curl(&[&asked[..], &[&url("/early")]].concat()), b"amber did not wait\n");
    assert_eq!(curl(&["--head", "--write-out", "%{http_code}", "--output", "/dev/null", &url("/bytes/77")]), b"200");
}

#[test]
fn an_expecting_client_is_told_to_go_on() {
    let (web, _origin, _sluice) = one();
    let mut client = Client::connect(web);
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status(), 100);
    client.send("hello");
    let mut response = client.response();
    if response.status() == 100 {
        response = client.response();
    }
    assert_eq!((response.status(), response.text().as_str()), (200, "hello"));
}

#[test]
fn an_early_response_does_not_wait_for_the_request() {
    let (web, _origin, _sluice) = one();
    let mut client = Client::connect(web);
    client.send("POST /early HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (200, "amber did not wait\n"));
    assert_eq!(response.field("connection"), Some("close"), "it will not read the rest");
    client.finish();
    assert!(client.is_closed());
}

/// An answer of our own: what has come of the request already is read, and the connection goes on; else it says that it will not.
#[test]
fn an_answer_of_our_own_does_not_wait_for_the_request() {
    let web = free_address();
    let site = "{ hosts: [\"*\"], routes: [{ match: { path: /fixed }, reply: { body: here } }] }";
    let _sluice = Setup::new(format!("listeners: {{ web: {{ bind: [\"{web}\"], http: {{ sites: [{site}] }} }} }}\n")).start();
    let mut client = Client::connect(web);
    for (path, status) in [("/fixed", 200), ("/none", 404)] {
        for framing in ["content-length: 5\r\n\r\nwhole", "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"] {
            client.send(format!("POST {path} HTTP/1.1\r\nhost: test\r\n{framing}"));
            let response = client.response();
            assert_eq!((response.status(), response.field("connection")), (status, None), "{path} {framing}");
        }
    }
    for (path, status) in [("/fixed", 200), ("/none", 404)] {
        let mut client = Client::connect(web);
        client.send(format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\npart"));
        let response = client.response();
        assert_eq!((response.status(), response.field("connection")), (status, Some("close")), "{path}");
        client.finish();
        assert!(client.is_closed());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (web, _origin, _sluice) = one();
    let mut client = Client::connect(web);
    let sizes: Vec<usize> = (0..60).map(|number| number * 37 % 400).collect();
    let requests: Vec<_> = sizes.iter().map(|size| format!("GET /bytes/{size} HTTP/1.1\r\nhost: test\r\n\r\n")).collect();
    client.send(requests.concat());
    for size in sizes {
        assert_eq!(client.response().body, pattern(size));
    }
    // In pieces that end anywhere, with bodies between.
    let requests = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nfirst\
        POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n\
        GET /bytes/3 HTTP/1.1\r\nhost: test\r\n\r\n";
    for piece in requests.as_bytes().chunks(7) {
        client.send(piece);
    }
    let answers: Vec<_> = (0..3).map(|_| client.response().text()).collect();
    assert_eq!(answers, ["first", "second", "!\"#"]);
}

#[test]
fn connections_on_both_sides_are_kept() {
    let (web, _origin, sluice) = one();
    let mut client = Client::connect(web);
    for _ in 0..50 {
        assert_eq!(client.get("/").status(), 200);
    }
    let counted = |name| sluice.metrics().sum(name, &[]);
    eventually("all are counted", || counted("sluice_requests_total") == 50);
    assert_eq!(counted("sluice_downstream_connections_total"), 1);
    assert_eq!(counted("sluice_upstream_connects_total"), 1);
    assert_eq!(counted("sluice_upstream_reused_total"), 49);
    eventually("the one that is kept is shown", || counted("sluice_upstream_connections_active") == 1);
}

#[test]
fn connections_end_when_one_side_says_so() {
    let (web, _origin, _sluice) = one();
    let mut client = Client::connect(web);
    client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), response.field("connection")), (200, Some("close")));
    assert!(client.is_closed());

    let mut client = Client::connect(web);
    client.send("GET /bytes/10 HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().body, pattern(10));
    assert!(client.is_closed(), "HTTP/1 ends with its response");

    // HTTP/1 knows no chunks: such a body ends with its connection.
    let mut client = Client::connect(web);
    client.send("GET /chunked/100000 HTTP/1.0\r\nhost: test\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("transfer-encoding"), None);
    assert!(response.body == pattern(100_000));

    let mut client = Client::connect(web);
    client.send("GET /bytes/10 HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().body, pattern(10));

    // The origin's wish concerns the origin's connection alone.
    let mut client = Client::connect(web);
    assert_eq!(client.get("/close").text(), "amber closes\n");
    assert_eq!(client.get("/").text(), "amber\n");
}

const HOUSE: &str = r#"
listeners:
  web:
    bind: ["WEB"]
    http:
      sites:
        - hosts: [shop.test, "*.shop.test"]
          routes:
            - match: { path: /exact }
              reply: { status: 200, body: "exact" }
            - match: { path: /api/*, methods: [POST] }
              reply: { status: 201, body: "posted" }
            - match: { path: /api/* }
              to: amber
              request: { headers: { set: { x-set: one }, add: { x-add: two }, remove: [x-gone] } }
              response: { headers: { set: { x-served-by: sluice }, remove: [x-origin] } }
            - match: { path: /both }
              to: { amber: 1, birch: 1 }
        - hosts: ["*"]
          routes:
            - match: { path: /headers }
              to: amber
            - reply: { status: 403, body: "nothing here" }
  believing:
    bind: ["BELIEVING"]
    trusted: [127.0.0.0/8]
    http: { sites: [{ hosts: ["*"], routes: [{ to: amber }] }] }
clusters:
  amber: { endpoints: ["AMBER"] }
  birch: { endpoints: ["BIRCH"] }
"#;

struct House {
    web: SocketAddr,
    believing: SocketAddr,
    _origins: [Origin; 2],
    _sluice: Sluice,
}

fn house() -> House {
    let (web, believing) = (free_address(), free_address());
    let origins = [Origin::start("amber"), Origin::start("birch")];
    let text = HOUSE.replace("WEB", &web.to_string()).replace("BELIEVING", &believing.to_string());
    let text = text.replace("AMBER", &origins[0].to_string()).replace("BIRCH", &origins[1].to_string());
    House { web, believing, _origins: origins, _sluice: Setup::new(text).start() }
}

#[test]
fn requests_find_their_route() {
    let house = house();
    let mut client = Client::connect(house.web);
    let mut check = |method: &str, host: &str, path: &str, status: u16, body: &str| {
        client.send(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status(), response.text().as_str()), (status, body), "{method} {host} {path}");
    };
    check("GET", "shop.test", "/exact", 200, "exact");
    check("GET", "SHOP.TEST:8080", "/exact?query", 200, "exact");
    check("GET", "a.b.shop.test", "/exact", 200, "exact");
    check("GET", "shop.test", "/exact/not", 404, "No route matches the request.\n");
    check("GET", "shop.test", "/other", 404, "No route matches the request.\n");
    check("POST", "shop.test", "/api/x", 201, "posted");
    check("GET", "shop.test", "/api/bytes/3", 404, "amber has no such path\n");
    check("GET", "shop.test", "/apiary", 404, "No route matches the request.\n");
    check("GET", "other.test", "/exact", 403, "nothing here");
    check("GET", "other.test", "http://shop.test/exact", 200, "exact");
}

#[test]
fn weighted_clusters_share_a_route() {
    let house = house();
    let mut client = Client::connect(house.web);
    let mut seen = [0, 0];
    for _ in 0..200 {
        client.send("GET /both HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        seen[usize::from(client.response().field("x-origin") == Some("birch"))] += 1;
    }
    // 200 tosses of a fair coin: outside of this once in 10^15.
    assert!(seen.iter().all(|count| *count > 40), "{seen:?}");
}

#[test]
fn response_heads_are_edited() {
    let house = house();
    let mut client = Client::connect(house.web);
    client.send("GET /api/headers HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    let response = client.response();
    assert_eq!((response.field("x-served-by"), response.field("x-origin")), (Some("sluice"), None));
}

#[test]
fn what_an_origin_sees() {
    let (web, believing, origin) = (free_address(), free_address(), Scripted::plain());
    let text = HOUSE.replace("WEB", &web.to_string()).replace("BELIEVING", &believing.to_string());
    let text = text.replace("AMBER", &origin.to_string()).replace("BIRCH", "127.0.0.1:9");
    let _sluice = Setup::new(text).start();
    let seen = |address, request: &str| {
        let mut client = Client::connect(address);
        client.send(request);
        assert_eq!(client.response().status(), 200, "{request}");
        let lines: Vec<String> = origin.next().head.lines().map(str::to_owned).collect();
        lines
    };
    let lines = seen(
        web,
        "GET /api/a%2fb?q=1 HTTP/1.1\r\nHost: shop.test\r\nX-Set: old\r\nX-Gone: 1\r\nX-ADD: 1\r\nCoNnEcTiOn: x-hop\r\nX-Hop: 1\r\n\r\n",
    );
    assert_eq!(lines[0], "GET /api/a%2Fb?q=1 HTTP/1.1");
    for line in [
        "Host: shop.test",
        "x-set: one",
        "X-ADD: 1",
        "x-add: two",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "via: 1.1 sluice",
    ] {
        assert!(lines.iter().any(|seen| seen == line), "{line} in {lines:?}");
    }
    for gone in ["x-gone", "x-hop", "connection"] {
        assert!(!lines.iter().any(|seen| seen.to_ascii_lowercase().starts_with(gone)), "{gone} in {lines:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("x-request-id: ") && line.len() == "x-request-id: ".len() + 36), "{lines:?}");

    let claims = "GET /headers HTTP/1.1\r\nhost: t\r\nx-forwarded-for: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nforwarded: for=1.2.3.4\r\n\
        x-request-id: mine\r\nvia: 1 fred\r\n\r\n";
    let lines = seen(web, claims);
    for line in ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "via: 1 fred, 1.1 sluice"] {
        assert!(lines.iter().any(|seen| seen == line), "{line} in {lines:?}");
    }
    assert!(!lines.iter().any(|line| line.contains("1.2.3.4") || line.contains("mine") || line.contains("https")), "{lines:?}");

    let lines = seen(believing, claims);
    for line in ["x-forwarded-for: 1.2.3.4, 127.0.0.1", "X-Forwarded-Proto: https", "x-request-id: mine", "via: 1 fred, 1.1 sluice"] {
        assert!(lines.iter().any(|seen| seen == line), "{line} in {lines:?}");
    }
}

#[test]
fn the_house_answers_where_clients_are_believed() {
    let house = house();
    assert_eq!(Client::connect(house.believing).get("/").text(), "amber\n");
}

/// `front` goes by a UNIX socket to `back`, which listens on it and on two more addresses.
#[test]
fn unix_sockets_and_ipv6_carry_requests() {
    let (front, back, origin) = (free_address(), free_address(), Origin::start("amber"));
    let port = back.port();
    let sluice = Setup::new(format!(
        r#"
listeners:
  front: {{ bind: ["{front}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: back }}] }}] }} }}
  back: {{ bind: ["unix:back.sock", "*:{port}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  back: {{ endpoints: ["unix:back.sock"] }}
  app: {{ endpoints: ["{origin}"] }}
"#
    ))
    .start();
    let mut client = Client::connect(front);
    for count in [0, 100, 1 << 20] {
        assert!(client.get(&format!("/bytes/{count}")).body == pattern(count));
    }
    assert!(client.get("/headers").text().contains("via: 1.1 sluice, 1.1 sluice"), "it passed twice");
    for address in ["127.0.0.1", "::1"] {
        assert_eq!(Client::connect(SocketAddr::new(address.parse().expect("an address"), port)).get("/").text(), "amber\n");
    }
    let socket = sluice.folder().join("back.sock").display().to_string();
    assert_eq!(run("curl", &["--silent", "--unix-socket", &socket, "http://test/"]).stdout, b"amber\n");
}

#[test]
fn wrk_gets_nothing_but_answers() {
    let (web, _origin, sluice) = one();
    let output = run("wrk", &["--threads", "1", "--connections", "32", "--duration", "2s", &format!("http://{web}/bytes/1024")]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    assert!(sluice.metrics().sum("sluice_responses_total", &["class=\"2xx\""]) > 100, "{said}");
}
