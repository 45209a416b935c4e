//! What an exchange is told when its connection ends with, or just behind, the last bytes of a response: all that came whole, and the first
//! thing that went wrong.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use core::{cell::RefCell, future::poll_fn};
use exchange::{Arrival, Conn, Exchange, Settings};
use io::{
    Ring,
    sim::{Chaos, Sim, World},
};
use model::{Address, Body, Fields, Head, Method, Part, RequestLine, Scheme, Start, Text};
use std::{rc::Rc, time::Duration};

const PLACE: &str = "10.0.0.1:80";
/// Whatever was sent has arrived.
const ARRIVED: Duration = Duration::from_secs(1);

/// How the origin ends the connection.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
}

/// SETTINGS; HEADERS of stream 1 with status 200; DATA of stream 1, its last; the same not the last; GOAWAY that names stream 1, and none;
/// `RST_STREAM` of stream 1 with CANCEL, with `REFUSED_STREAM`.
const GREETING: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const FINE: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
const FOUR: &[u8] = b"\0\0\x04\0\x01\0\0\0\x01four";
const PART: &[u8] = b"\0\0\x04\0\0\0\0\0\x01part";
const LEAVES: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";
const LEFT: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
const CANCEL: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08";
const REFUSED: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07";

#[test]
fn what_came_whole_is_whole_and_the_first_fault_counts() {
    let known: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour";
    let chunked: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n";
    let cut: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart";
    let whole = "200 four end";
    let rows: &[(bool, &[&[u8]], End, &str)] = &[
        (false, &[known], End::Close, whole),
        (false, &[known], End::Reset, whole),
        (false, &[chunked], End::Reset, whole),
        (false, &[cut], End::Close, "200 part upstream_reset Unsafe"),
        (false, &[cut], End::Reset, "200 part upstream_reset Unsafe"),
        (true, &[FINE, FOUR], End::Close, whole),
        (true, &[FINE, FOUR], End::Reset, whole),
        (true, &[FINE, FOUR, LEAVES], End::Close, whole),
        (true, &[FINE, FOUR, CANCEL], End::Close, whole),
        (true, &[FINE, PART], End::Close, "upstream_reset Unsafe"),
        (true, &[FINE, PART, LEAVES], End::Close, "upstream_reset Unsafe"),
        (true, &[LEFT], End::Close, "stream_refused Safe"),
        (true, &[LEFT], End::Reset, "stream_refused Safe"),
        (true, &[REFUSED], End::Close, "stream_refused Safe"),
        (true, &[], End::Close, "upstream_reset Unsafe"),
    ];
    for (many, frames, end, expected) in rows {
        let bytes = if *many { [&[GREETING], *frames].concat().concat() } else { frames.concat() };
        assert_eq!(told(*many, bytes, *end), *expected, "{:?}, then {end:?}", frames.concat().escape_ascii().to_string());
    }
}

/// What is told of a request whose connection's task hears everything before the request's own does.
fn told(many: bool, bytes: Vec<u8>, end: End) -> String {
    let world = World::new(Chaos::calm());
    let (origin, worker) = (world.host("origin"), world.host("worker"));
    let rings = [Ring::sim(Sim::new(&world, origin)), Ring::sim(Sim::new(&world, worker))];
    let (ring, listening) = (rings[0].clone(), world.listen(origin, address()).unwrap());
    rings[0].spawn(async move {
        let stream = ring.listen(listening).accept().await.unwrap();
        ring.sleep(ARRIVED).await;
        // (Unread bytes would make any close a reset.)
        let _request = stream.receive().await.unwrap();
        stream.write(|output| output.write(&bytes));
        stream.flushed().await.unwrap();
        match end {
            End::Close => drop(stream),
            End::Reset => stream.reset(),
        }
    });
    let story = Rc::new(RefCell::new(None));
    let (ring, heard) = (rings[1].clone(), Rc::clone(&story));
    rings[1].spawn(async move {
        let stream = ring.connect(&address()).await.unwrap();
        let settings = Settings::default();
        let conn = if many { Conn::multiplexed_client(stream.into(), &settings) } else { Conn::client(stream.into(), &settings) };
        let exchange = conn.exchange();
        exchange.send_head(&request()).unwrap();
        if many {
            ring.spawn(async move { while !matches!(poll_fn(|_| conn.poll_arrival()).await, Arrival::Over(_)) {} });
        }
        ring.sleep(3 * ARRIVED).await;
        *heard.borrow_mut() = Some(read(&exchange).await);
    });
    world.run(&rings, world.now() + 100 * ARRIVED, || story.borrow().is_some()).unwrap();
    story.take().unwrap()
}

async fn read(exchange: &Exchange) -> String {
    let mut words = Vec::new();
    loop {
        match exchange.next().await {
            Ok(Part::Head(head) | Part::Info(head)) => words.push(head.status().to_string()),
            Ok(Part::Data(data)) => words.push(data.escape_ascii().to_string()),
            Ok(Part::Trailers(_)) => words.push("trailers".to_owned()),
            Ok(Part::End) => {
                words.push("end".to_owned());
                return words.join(" ");
            }
            Err(fault) => {
                words.push(format!("{} {:?}", fault.cause.reason(), fault.retry));
                return words.join(" ");
            }
        }
    }
}

fn request() -> Head {
    let line = RequestLine {
        method: Method::Get,
        scheme: Scheme::Http,
        authority: Text::copy_of(b"a"),
        path: Text::copy_of(b"/"),
        protocol: Text::default(),
    };
    Head { start: Start::Request(line), fields: Fields::default(), body: Body::None, end: true }
}

fn address() -> Address {
    Address::Tcp(PLACE.parse().unwrap())
}
