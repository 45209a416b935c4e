//! What must hold for any bytes at all: no panic; the split means nothing; what a hello is said to be does not change when more comes; and whatever is
//! done to the bytes on their way, no plain byte comes out that was not put in.

use std::sync::{Arc, LazyLock};

use tls::{
    Client, Server, Session, Version,
    hello::{Peek, peek},
};

use crate::common::{End, Pair, World, deliver};

/// Settings by version.
static SIDES: LazyLock<[(Arc<Server>, Arc<Client>); 2]> = LazyLock::new(|| {
    [Version::Tls12, Version::Tls13].map(|version| {
        let mut world = World::new();
        world.server.protocol.version_max = version;
        world.compile()
    })
});

/// The first bytes of a client.
pub(crate) fn hello(data: &[u8]) {
    let mut said = Peek::More;
    for length in 0..=data.len() {
        let now = peek(&data[..length]);
        assert!(said == Peek::More || said == now, "{said:?} and then {now:?}");
        said = now;
    }
}

/// All bytes of a client. The first byte says how the rest is split.
pub(crate) fn server(data: &[u8]) {
    let Some((split, bytes)) = data.split_first() else { return };
    let run = |piece| {
        let mut end = End::new(Session::server(&SIDES[1].0));
        deliver(&mut end, bytes, piece);
        assert!(end.received.is_empty() && end.session.outcome().is_none());
        (end.fault, end.transmit().first().copied())
    };
    assert_eq!(run(usize::MAX), run(usize::from(*split).max(1)), "the split means nothing");
}

/// What is done to the bytes between two honest ends: version and split, then four bytes for each deed: which flight, where (two bytes), what.
pub(crate) fn flights(data: &[u8]) {
    let Some(([version, split], deeds)) = data.split_first_chunk() else { return };
    let (server, client) = &SIDES[usize::from(version % 2)];
    let mut pair = Pair::new(server, client);
    pair.piece = usize::from(*split).max(1) * 16;
    let mut flight = 0;
    for _ in 0..6 {
        let up = tampered(send(&mut pair.client, b"from the client"), flight, deeds);
        deliver(&mut pair.server, &up, pair.piece);
        let down = tampered(send(&mut pair.server, b"from the server"), flight + 1, deeds);
        deliver(&mut pair.client, &down, pair.piece);
        flight += 2;
    }
    assert!(b"from the client".repeat(6).starts_with(&pair.server.received), "{}", pair.server.received.escape_ascii());
    assert!(b"from the server".repeat(6).starts_with(&pair.client.received), "{}", pair.client.received.escape_ascii());
}

fn send(end: &mut End, plain: &[u8]) -> Vec<u8> {
    let mut bytes = end.transmit();
    if !end.session.is_handshaking() {
        bytes.extend(end.seal(plain));
    }
    bytes
}

fn tampered(mut bytes: Vec<u8>, flight: u8, deeds: &[u8]) -> Vec<u8> {
    for [which, high, low, what] in deeds.as_chunks().0 {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len().max(1);
        if which % 12 != flight || bytes.is_empty() {
            continue;
        }
        match what % 4 {
            0 => bytes[at] ^= what | 1,
            1 => drop(bytes.drain(at..)),
            2 => drop(bytes.remove(at)),
            _ => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy);
            }
        }
    }
    bytes
}
