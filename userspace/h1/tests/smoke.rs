//! smoke
use buf::{Chunk, Output};
use h1::{Connection, Settings};
use model::*;
#[test]
fn there_and_back() {
    let (mut down, mut up) = (Connection::server(Settings::default()), Connection::client(Settings::default()));
    let mut input = Chunk::from(
        "POST /a?b HTTP/1.1\r\nHost: x\r\nX-A:  1 \r\nConnection: x-b, te\r\nX-B: 2\r\nTE: gzip, trailers\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\nGET /next",
    );
    let mut out = Output::default();
    while let Some(part) = down.receive(&mut input).unwrap() {
        println!("{part:?}");
        up.send(part, &mut out).unwrap();
    }
    let bytes: Vec<u8> = out.take(Vec::new()).iter().flat_map(|c| c.to_vec()).collect();
    println!("{}", String::from_utf8(bytes).unwrap());
    assert!(down.is_waiting());
    let mut input = Chunk::from("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 3\r\nA: b\r\n\r\nabc");
    while let Some(part) = up.receive(&mut input).unwrap() {
        println!("{part:?}");
        down.send(part, &mut out).unwrap();
    }
    let bytes: Vec<u8> = out.take(Vec::new()).iter().flat_map(|c| c.to_vec()).collect();
    println!("{}", String::from_utf8(bytes).unwrap());
    assert!(up.can_reuse() && down.can_reuse());
    let _: Option<Name> = None;
}
