//! What an HTTP/1 origin gets of an HTTP/1 request, and the client of its response, row by row (RFC 9112, RFC 9110): what is refused stands in
//! `smuggling.rs`, what the codec alone makes of bytes in its own tables.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Client, Scripted, Setup, Sluice, Target, Wire, free_address};
use std::{collections::HashMap, net::SocketAddr};

fn start(script: impl Fn(&mut e2e::Turn) + Send + Sync + 'static) -> (SocketAddr, Scripted, Sluice) {
    let (web, origin) = (free_address(), Scripted::start(script));
    let sluice = Setup::simple(web, &[&origin]).with(&["--workers", "1"]).start();
    (web, origin, sluice)
}

/// A head without the fields by which we say who forwarded it.
fn told(head: &str) -> String {
    const OURS: [&str; 4] = ["x-forwarded-for:", "x-forwarded-proto:", "x-request-id:", "via:"];
    let lines = head.trim_end().split("\r\n").filter(|line| !OURS.iter().any(|ours| line.starts_with(ours)));
    lines.collect::<Vec<_>>().join(" | ")
}

/// (the rule, what is sent, what the origin gets)
#[rustfmt::skip]
const REQUESTS: &[(&str, &str, &str)] = &[
    // The four forms of a target, and what becomes of Host.
    ("9112 3.2.1", "GET /a?b=c HTTP/1.1\r\nhost: a.test\r\n\r\n", "GET /a?b=c HTTP/1.1 | host: a.test"),
    ("9112 3.2.2 the target overrides Host", "GET http://b.test/a HTTP/1.1\r\nhost: a.test\r\n\r\n", "GET /a HTTP/1.1 | host: b.test"),
    ("9112 3.2.2 without a path", "GET http://b.test HTTP/1.1\r\nhost: b.test\r\n\r\n", "GET / HTTP/1.1 | host: b.test"),
    ("9112 3.2.2 with a query alone", "GET http://b.test?q HTTP/1.1\r\nhost: b.test\r\n\r\n", "GET /?q HTTP/1.1 | host: b.test"),
    ("9112 3.2.2 any case", "GET HTTP://B.test:80/ HTTP/1.1\r\nhost: b.test\r\n\r\n", "GET / HTTP/1.1 | host: B.test:80"),
    ("9112 3.2.4", "OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n", "OPTIONS * HTTP/1.1 | host: a.test"),
    ("9112 3.2.4 from the absolute form", "OPTIONS http://b.test:8001 HTTP/1.1\r\nhost: b.test:8001\r\n\r\n", "OPTIONS * HTTP/1.1 | host: b.test:8001"),
    ("9112 3.2 IPv6", "GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "GET / HTTP/1.1 | host: [::1]:80"),
    // Lines.
    ("9112 2.2 an empty line before", "\r\nGET / HTTP/1.1\r\nhost: a.test\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9110 2.5 a later minor version", "GET / HTTP/1.9\r\nhost: a.test\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9112 5 white space around values", "GET / HTTP/1.1\r\nhost: \t a.test \r\nx: \t b c \t\r\n\r\n", "GET / HTTP/1.1 | host: a.test | x: b c"),
    ("9110 5.5 an empty value", "GET / HTTP/1.1\r\nhost: a.test\r\nx:\r\n\r\n", "GET / HTTP/1.1 | host: a.test | x: "),
    ("9110 5.3 order and repetition", "GET / HTTP/1.1\r\nhost: a.test\r\nx: 1\r\nY: 2\r\nx: 3\r\n\r\n", "GET / HTTP/1.1 | host: a.test | x: 1 | Y: 2 | x: 3"),
    ("9110 9.1 a method of one's own", "purge-all /a HTTP/1.1\r\nhost: a.test\r\n\r\n", "purge-all /a HTTP/1.1 | host: a.test"),
    // What is one connection's (RFC 9110 §7.6.1).
    ("9110 7.6.1 close", "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9110 7.6.1 what it names", "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: x-a, X-B\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\n\r\n", "GET / HTTP/1.1 | host: a.test | x-c: 3"),
    ("9110 7.6.1 twice", "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: x-a\r\nconnection: x-b\r\nx-a: 1\r\nx-b: 2\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9110 7.6.1 keep-alive", "GET / HTTP/1.1\r\nhost: a.test\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9110 7.8 an upgrade to what we do not speak", "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: irc/6.9\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9110 10.1.4", "GET / HTTP/1.1\r\nhost: a.test\r\nte: deflate;q=0.5, trailers\r\nconnection: te\r\n\r\n", "GET / HTTP/1.1 | host: a.test | te: trailers | connection: te"),
    ("9110 10.1.4 codings end here", "GET / HTTP/1.1\r\nhost: a.test\r\nte: deflate\r\nconnection: te\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    // How often it may be forwarded (RFC 9110 §7.6.2).
    ("9110 7.6.2", "OPTIONS /a HTTP/1.1\r\nhost: a.test\r\nMAX-forwards: 10\r\nx: 1\r\n\r\n", "OPTIONS /a HTTP/1.1 | host: a.test | max-forwards: 9 | x: 1"),
    ("9110 7.6.2 the last time", "OPTIONS * HTTP/1.1\r\nhost: a.test\r\nmax-forwards: 01\r\n\r\n", "OPTIONS * HTTP/1.1 | host: a.test | max-forwards: 0"),
    ("9110 7.6.2 as often as we can count", "TRACE / HTTP/1.1\r\nhost: a.test\r\nmax-forwards: 999999999999999999999\r\n\r\n", "TRACE / HTTP/1.1 | host: a.test | max-forwards: 9223372036854775806"),
    ("9110 7.6.2 not said", "TRACE / HTTP/1.1\r\nhost: a.test\r\n\r\n", "TRACE / HTTP/1.1 | host: a.test"),
    ("9110 7.6.2 other methods are not counted", "GET / HTTP/1.1\r\nhost: a.test\r\nmax-forwards: 0\r\n\r\n", "GET / HTTP/1.1 | host: a.test | max-forwards: 0"),
    // Content.
    ("9112 6.2", "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc", "POST / HTTP/1.1 | host: a.test | content-length: 3 > abc"),
    ("9110 8.6 zeros in front", "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 003\r\n\r\nabc", "POST / HTTP/1.1 | host: a.test | content-length: 3 > abc"),
    ("9110 8.6 none", "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n", "POST / HTTP/1.1 | host: a.test | content-length: 0"),
    ("9112 7.1 chunks are ours", "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1 | host: a.test | transfer-encoding: chunked > 3|abc|0||"),
    ("9112 7.1.1 extensions end here", "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n3;a=b;c=\"d;e\"\r\nabc\r\n0;f\r\n\r\n", "POST / HTTP/1.1 | host: a.test | transfer-encoding: chunked > 3|abc|0||"),
    ("9112 7.1 sizes in any spelling", "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n0000A\r\n0123456789\r\n000\r\n\r\n", "POST / HTTP/1.1 | host: a.test | transfer-encoding: chunked > a|0123456789|0||"),
    ("9112 7.1.2 announced trailers", "POST / HTTP/1.1\r\nhost: a.test\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "POST / HTTP/1.1 | host: a.test | trailer: x-sum | transfer-encoding: chunked > 0||"),
    ("9110 10.1.1 nothing to wait for", "GET / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9110 10.1.1 1.0 knows none", "POST / HTTP/1.0\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc", "POST / HTTP/1.1 | host: a.test | content-length: 3 > abc"),
    // HTTP/1.0, which we speak to nobody.
    ("9110 2.5 our own version", "GET / HTTP/1.0\r\nhost: a.test\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9112 C.2.2 its keep-alive", "GET / HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\nkeep-alive: 5\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
    ("9110 7.8 its upgrades", "GET / HTTP/1.0\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "GET / HTTP/1.1 | host: a.test"),
];

#[test]
fn requests() {
    let (web, origin, _sluice) = start(|turn| {
        while turn.request().is_some() {
            turn.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    for (rule, request, expect) in REQUESTS {
        let mut client = Client::connect(web);
        client.send(request);
        let response = client.response();
        assert_eq!(response.status(), 200, "{rule}: {}", response.text());
        let seen = origin.next();
        let body = String::from_utf8(seen.body).unwrap().replace("\r\n", "|");
        let got = told(&seen.head) + if body.is_empty() { "" } else { " > " } + &body;
        assert_eq!(got, *expect, "{rule}");
        assert!(origin.all().is_empty(), "{rule}: one request is one");
    }
}

/// What may not be forwarded any more is answered here, whatever the HTTP version, and the connection goes on.
#[test]
fn requests_that_end_here() {
    let (web, origin, sluice) = start(|turn| while turn.request().is_some() {});
    for (method, path, values, status, reason) in [
        ("OPTIONS", "/a", &["0"][..], 200, ""),
        ("OPTIONS", "*", &["0"], 200, ""),
        ("OPTIONS", "/a", &["000"], 200, ""),
        ("TRACE", "/a", &["0"], 501, "not_implemented"),
        // What cannot be counted.
        ("OPTIONS", "/a", &[""], 400, "malformed_head"),
        ("OPTIONS", "/a", &["-1"], 400, "malformed_head"),
        ("OPTIONS", "*", &["5, 5"], 400, "malformed_head"),
        ("TRACE", "/a", &["5", "5"], 400, "malformed_head"),
    ] {
        let case = format!("{method} {path} {values:?}");
        let mut client = Client::connect(web);
        let fields = values.iter().map(|value| format!("max-forwards: {value}\r\n")).collect::<Vec<_>>().concat();
        for _ in 0..2 {
            client.send(format!("{method} {path} HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n"));
            let response = client.response();
            assert_eq!((response.status(), response.reason(), response.field("connection")), (status, reason, None), "{case}");
        }
        let mut wire = Wire::connect(web, None);
        wire.greet();
        let fields = values.iter().map(|value| format!(" max-forwards={}", value.replace(' ', "_"))).collect::<Vec<_>>().concat();
        let fields = format!(":method={method} :scheme=SCHEME :path={path} :authority=HOST{fields}");
        let script =
            format!("headers 1 es eh {fields}; > head 1 {status}; headers 3 es eh {fields}; > head 3; ping h2-spec!; > pong h2-spec!");
        wire.play(&script, Target { scheme: "http", authority: "a.test" }).unwrap_or_else(|instead| panic!("{case}: {instead}"));
    }
    assert!(origin.all().is_empty(), "none of them is the origin's");
    assert_eq!((sluice.metrics().faults("not_implemented"), sluice.metrics().faults("malformed_head")), (4, 16));
}

/// Over HTTP/2 a request counts as over HTTP/1.
#[test]
fn hops_of_http_2_are_counted() {
    let (web, origin, _sluice) = start(|turn| {
        while turn.request().is_some() {
            turn.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let mut wire = Wire::connect(web, None);
    wire.greet();
    for (stream, method, path, before, after) in
        [(1, "OPTIONS", "/a", "7", "6"), (3, "TRACE", "/b", "1", "0"), (5, "OPTIONS", "*", "2", "1")]
    {
        let script = format!(
            "headers {stream} es eh :method={method} :scheme=SCHEME :path={path} :authority=HOST max-forwards={before}; > head {stream} 200"
        );
        wire.play(&script, Target { scheme: "http", authority: "a.test" }).unwrap();
        assert_eq!(told(&origin.next().head), format!("{method} {path} HTTP/1.1 | host: a.test | max-forwards: {after}"));
    }
}

/// (the rule, what is asked, the origin's response, what the client gets, whether its connection goes on)
#[rustfmt::skip]
const RESPONSES: &[(&str, &str, &str, &str, bool)] = &[
    ("9112 6.3 by its length", "GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.1 200 OK | content-length: 2 > ok", true),
    ("9112 6.3 in chunks", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nx-t: 1\r\n\r\n", "HTTP/1.1 200 OK | transfer-encoding: chunked > 2|ok|0|x-t: 1||", true),
    ("9112 6.3 to the end of the connection", "GET", "HTTP/1.1 200 OK\r\n\r\nok", "HTTP/1.1 200 OK | transfer-encoding: chunked > 2|ok|0||", true),
    ("9112 6.3 of HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nok", "HTTP/1.1 200 OK | transfer-encoding: chunked > 2|ok|0||", true),
    ("9112 4 a reason of its own", "GET", "HTTP/1.1 299 So La La\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 299 So La La | content-length: 0", true),
    ("9112 4 no reason", "GET", "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK | content-length: 0", true),
    ("9110 6.4.1 HEAD", "HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", "HTTP/1.1 200 OK | content-length: 5000", true),
    ("9110 6.4.1 HEAD, of unknown length", "HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK", true),
    ("9110 15.3.5", "GET", "HTTP/1.1 204 No Content\r\nx: 1\r\n\r\n", "HTTP/1.1 204 No Content | x: 1", true),
    ("9110 8.6 204 has no length", "GET", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", "HTTP/1.1 204 No Content", true),
    ("9110 15.4.5", "GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: \"a\"\r\n\r\n", "HTTP/1.1 304 Not Modified | content-length: 5 | etag: \"a\"", true),
    ("9110 15.2 interim ones go through", "GET", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.1 103 Early Hints | link: </a> || HTTP/1.1 200 OK | content-length: 2 > ok", true),
    ("9110 15.2 several", "GET", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 102 Processing || HTTP/1.1 103 Early Hints || HTTP/1.1 200 OK | content-length: 0", true),
    ("9110 7.6.1 the origin's close is its own", "GET", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.1 200 OK | content-length: 2 > ok", true),
    ("9110 7.6.1 what it names", "GET", "HTTP/1.1 200 OK\r\nconnection: x-a\r\nx-a: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK | content-length: 0", true),
    ("9110 7.8 an upgrade that is offered", "GET", "HTTP/1.1 426 Upgrade Required\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 426 Upgrade Required | content-length: 0", true),
    ("9110 5.3 cookies stay apart", "GET", "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK | set-cookie: a=1 | set-cookie: b=2 | content-length: 0", true),
];

/// All bytes of a response up to the next one, and whether there was a next one on the connection.
fn responses(client: &mut Client, method: &str) -> (String, bool) {
    client.send(format!("{method} / HTTP/1.1\r\nhost: a.test\r\n\r\nGET /end HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"));
    let text = String::from_utf8(client.rest().unwrap()).unwrap();
    match text.split_once("HTTP/1.1 200 End") {
        Some((before, _)) => (before.to_owned(), true),
        None => (text, false),
    }
}

#[test]
fn responses_as_they_come_down() {
    for (rule, method, response, expect, goes_on) in RESPONSES {
        let (web, _origin, _sluice) = start(move |turn| {
            while let Some(seen) = turn.request() {
                if seen.head.contains(" /end ") {
                    turn.send("HTTP/1.1 200 End\r\ncontent-length: 0\r\n\r\n");
                    continue;
                }
                turn.send(response);
                // What lasts to the end of its connection has to end.
                if !response.contains("-length") && !response.contains("chunked") && !response.contains(" 204 ") {
                    return;
                }
            }
        });
        let (text, went_on) = responses(&mut Client::connect(web), method);
        let messages = text.trim_end_matches("\r\n").replace("\r\n\r\nHTTP/1.1 ", " || HTTP/1.1 ");
        let got = match messages.split_once("\r\n\r\n") {
            Some((head, body)) => {
                let end = if text.ends_with("\r\n\r\n") { "||" } else { "" };
                format!("{} > {}{end}", head.replace("\r\n", " | "), body.replace("\r\n", "|"))
            }
            None => messages.replace("\r\n", " | "),
        };
        assert_eq!((got.as_str(), went_on), (*expect, *goes_on), "{rule}");
    }
}

/// HTTP/1.0 clients get no chunks, no interim responses, and their connection ends unless they ask for more and the length is known.
#[test]
fn clients_of_http_1_0() {
    let answers: HashMap<&str, &str> = HashMap::from([
        ("/known", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("/chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n"),
        ("/hints", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ]);
    let (web, _origin, _sluice) = start(move |turn| {
        while let Some(seen) = turn.request() {
            turn.send(answers[seen.head.split(' ').nth(1).unwrap()]);
        }
    });
    for (path, keeps, expect) in [
        ("/known", false, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
        ("/chunks", false, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok"),
        ("/chunks", true, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok"),
        ("/hints", false, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"),
    ] {
        let mut client = Client::connect(web);
        let field = if keeps { "connection: keep-alive\r\n" } else { "" };
        client.send(format!("GET {path} HTTP/1.0\r\nhost: a.test\r\n{field}\r\n"));
        assert_eq!(String::from_utf8(client.rest().unwrap()).unwrap(), expect, "{path} {keeps}");
    }
    let mut client = Client::connect(web);
    for _ in 0..3 {
        client.send("GET /known HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n");
        let response = client.response();
        assert_eq!((response.field("connection"), response.text().as_str()), (Some("keep-alive"), "ok"));
    }
}
