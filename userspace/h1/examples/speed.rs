//! How long a typical head takes: `cargo run --release -p h1 --example speed`.
use std::{hint::black_box, time::Instant};

use buf::{Chunk, Output};
use h1::{Connection, Settings};

const REQUEST: &str = "GET /shop/articles/4711?sort=price&page=2 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://shop.example.com/shop/\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nX-Forwarded-For: 203.0.113.7\r\nCache-Control: no-cache\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\
    Connection: keep-alive\r\nETag: \"0123456789\"\r\nAccept-Ranges: bytes\r\n\r\n";
const ROUNDS: u32 = 1_000_000;

fn time(what: &str, mut run: impl FnMut()) {
    let best = (0..5)
        .map(|_| {
            let start = now();
            (0..ROUNDS / 5).for_each(|_| run());
            start.elapsed() / (ROUNDS / 5)
        })
        .min();
    println!("{what}: {best:?}");
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch, not the data path")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let (request, response) = (Chunk::from(REQUEST), Chunk::from(RESPONSE));
    let head = |connection: &mut Connection, bytes: &Chunk| connection.receive(&mut bytes.clone()).unwrap().unwrap();
    time("parse a request", || drop(black_box(head(&mut Connection::server(Settings::default()), black_box(&request)))));
    let part = head(&mut Connection::server(Settings::default()), &request);
    let model::Part::Head(parsed) = &part else { return };
    let mut output = Output::default();
    output.tail().reserve(4096);
    time("write a request", || {
        Connection::client(Settings::default()).send_head(black_box(parsed), &mut output).unwrap();
        black_box(output.tail()).clear();
    });
    let mut block = Vec::with_capacity(4096);
    time("copy a head", || {
        block.clear();
        block.extend_from_slice(black_box(REQUEST.as_bytes()));
        black_box(&block);
    });
    time("httparse alone", || {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut headers);
        black_box(parsed.parse(black_box(REQUEST.as_bytes())).unwrap());
    });
    time("a whole exchange through both codecs", || {
        let (mut down, mut up) = (Connection::server(Settings::default()), Connection::client(Settings::default()));
        up.send(head(&mut down, &request), &mut output).unwrap();
        down.send(head(&mut up, &response), &mut output).unwrap();
        black_box(output.tail()).clear();
    });
}
