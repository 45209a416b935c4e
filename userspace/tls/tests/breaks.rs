//! How connections end, well and badly: whose fault it is called, what the peer is told, and that nothing is taken for an end that is none.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use buf::{Arena, Chunk};
use common::{NAME, World, deliver};
use model::{Blame, Cause, Fault};
use tls::{Session, Version, hello::HELLO_BYTES_MAX};

const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

fn both_versions(test: impl Fn(&World)) {
    for version in [Version::Tls12, Version::Tls13] {
        let mut world = World::new();
        world.server.protocol.version_min = version;
        world.server.protocol.version_max = version;
        test(&world);
    }
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3, high, low], content].concat()
}

/// The last alert in the clear among records: level and description.
fn alert(bytes: &[u8]) -> Option<[u8; 2]> {
    bytes.windows(7).rfind(|window| window.starts_with(&[21, 3, 3, 0, 2])).map(|window| [window[5], window[6]])
}

#[test]
fn each_side_ends_by_itself() {
    both_versions(|world| {
        let mut pair = world.pair();
        pair.connect();
        assert!(!pair.server.session.has_ended());
        let last = [pair.client.seal(b"last"), pair.client.finish(), b"nonsense behind the end".to_vec()].concat();
        deliver(&mut pair.server, &last, 7);
        assert!(pair.server.session.has_ended() && pair.server.fault.is_none());
        assert_eq!(pair.server.received, b"last");
        let answer = [pair.server.seal(b"answer"), pair.server.finish()].concat();
        deliver(&mut pair.client, &answer, usize::MAX);
        assert!(pair.client.session.has_ended() && pair.client.fault.is_none());
        assert_eq!(pair.client.received, b"answer");
        assert!(pair.client.seal(b"after the end").is_empty() && pair.client.finish().is_empty(), "nothing follows the end");
    });
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    both_versions(|world| {
        let (server, client) = world.compile();
        for at in 0..40 {
            let mut pair = common::Pair::new(&server, &client);
            pair.connect();
            let mut bytes = pair.client.seal(b"hello, hello");
            let at = at % bytes.len();
            // A longer record is one that has not come whole: more of them follow.
            bytes[at] ^= 1;
            deliver(&mut pair.server, &[&bytes[..], &vec![0; 40_000]].concat(), usize::MAX);
            assert_eq!(pair.server.fault, Some(Fault::client(Cause::TlsProtocol)), "byte {at}");
            assert!(pair.server.received.is_empty());
            let told = pair.server.transmit();
            deliver(&mut pair.client, &told, usize::MAX);
            assert_eq!(pair.client.fault, Some(Fault::origin(Cause::UpstreamTlsProtocol)), "it is told so: byte {at}");
            assert!(pair.client.transmit().is_empty(), "an alert is not answered");
            pair.server.take(b"more");
            assert_eq!(pair.server.fault, Some(Fault::client(Cause::TlsProtocol)), "and stays broken");
        }
    });
}

#[test]
fn a_record_twice_or_out_of_turn_is_refused() {
    both_versions(|world| {
        let mut pair = world.pair();
        pair.connect();
        let first = pair.client.seal(b"first");
        deliver(&mut pair.server, &[&first[..], &first].concat(), usize::MAX);
        assert_eq!((&pair.server.received[..], pair.server.fault), (&b"first"[..], Some(Fault::client(Cause::TlsProtocol))));

        let mut pair = world.pair();
        pair.connect();
        pair.client.seal(b"lost");
        let second = pair.client.seal(b"second");
        deliver(&mut pair.server, &second, usize::MAX);
        assert_eq!(pair.server.fault, Some(Fault::client(Cause::TlsProtocol)));
    });
}

#[test]
fn what_is_no_handshake_is_told_apart() {
    let garbage_hello = record(HANDSHAKE, &[&[1, 0, 0, 40][..], &[7; 40]].concat());
    let too_large = [&[1, 0, 0x80, 0][..], &[0; 8000]].concat();
    let endless = [record(HANDSHAKE, &too_large), record(HANDSHAKE, &[0; 9000])].concat();
    let tiny_pieces: Vec<u8> = [1, 0, 0x3f, 0xff].into_iter().chain([0; 16_000]).flat_map(|byte| record(HANDSHAKE, &[byte])).collect();
    let table: [(&str, &[u8], Cause, Option<u8>); 9] = [
        ("plain HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Cause::PlainHttp, None),
        ("plain HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Cause::PlainHttp, None),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", Cause::NotTls, Some(10)),
        ("zeroes", &[0; 100], Cause::NotTls, Some(10)),
        ("a record too long", &[22, 3, 1, 0xff, 0xff, 1], Cause::NotTls, Some(22)),
        ("data first", &record(DATA, b"hello"), Cause::TlsHandshake, Some(10)),
        ("a hello of nonsense", &garbage_hello, Cause::TlsHandshake, Some(50)),
        ("a hello too large", &endless, Cause::TlsHelloTooLarge, Some(47)),
        ("a hello in pieces of one byte", &tiny_pieces, Cause::TlsHelloTooLarge, Some(47)),
    ];
    let (server, _) = World::new().compile();
    for (what, bytes, cause, description) in table {
        for piece in [1, 3, 1000, usize::MAX] {
            let mut end = common::End::new(Session::server(&server));
            deliver(&mut end, bytes, piece);
            let fault = end.fault.unwrap_or_else(|| panic!("{what}: nothing is wrong in pieces of {piece}"));
            assert_eq!((fault.cause, fault.blame), (cause, Blame::Client), "{what}, {piece}");
            let told = end.transmit();
            assert_eq!(alert(&told), description.map(|description| [2, description]), "{what}, {piece}: {told:?}");
        }
    }
    assert!(endless.len() > HELLO_BYTES_MAX);
}

#[test]
fn a_cut_handshake_is_no_end() {
    both_versions(|world| {
        let mut pair = world.pair();
        let hello = pair.client.transmit();
        for cut in [0, 1, 5, hello.len() - 1] {
            let (server, _) = world.compile();
            let mut end = common::End::new(Session::server(&server));
            deliver(&mut end, &hello[..cut], usize::MAX);
            assert!(end.fault.is_none() && end.session.is_handshaking() && !end.session.has_ended());
        }
    });
}

#[test]
fn a_changed_handshake_is_refused_by_somebody() {
    both_versions(|world| {
        let (server, client) = world.compile();
        let mut pair = common::Pair::new(&server, &client);
        let length = pair.client.transmit().len();
        for at in (0..length).step_by(11) {
            let mut pair = common::Pair::new(&server, &client);
            let mut hello = pair.client.transmit();
            hello[at] ^= 0x40;
            deliver(&mut pair.server, &hello, usize::MAX);
            for _ in 0..4 {
                let down = pair.server.transmit();
                deliver(&mut pair.client, &down, usize::MAX);
                let up = pair.client.transmit();
                deliver(&mut pair.server, &up, usize::MAX);
            }
            assert!(pair.server.session.outcome().is_none(), "byte {at}");
        }
    });
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_complete() {
    let mut pair = World::new().pair();
    let (mut plain, mut cipher) = (buf::Output::default(), buf::Output::default());
    plain.write(b"early");
    pair.server.session.seal(&mut plain, &mut cipher);
    assert_eq!((plain.len(), cipher.len()), (5, 0));
    pair.connect();
    pair.server.session.seal(&mut plain, &mut cipher);
    assert!(plain.is_empty());
    deliver(&mut pair.client, &common::flatten(&mut cipher), usize::MAX);
    assert_eq!(pair.client.received, b"early");
}

#[test]
fn plain_bytes_stand_where_the_cipher_stood() {
    both_versions(|world| {
        let mut pair = world.pair();
        pair.connect();
        let arena = Arena::new(1, 4096);
        let index = arena.give().unwrap();
        let bytes = [pair.client.seal(b"one"), pair.client.seal(b"two"), pair.client.seal(b"three")[..9].to_vec()].concat();
        let length = arena.write(index, &bytes);
        let mut input = arena.lease(index, length);
        let first = pair.server.session.receive(&mut input).unwrap().unwrap();
        let second = pair.server.session.receive(&mut input).unwrap().unwrap();
        assert_eq!((&first[..], &second[..]), (&b"one"[..], &b"two"[..]));
        assert!(first.is_leased() && second.is_leased(), "no copy was made");
        assert!(pair.server.session.receive(&mut input).unwrap().is_none());
        assert_eq!(arena.leased(), 2, "the piece of a record holds no buffer");

        let mut shared = Chunk::copy_of(&pair.client.seal(b"four"));
        let copy = shared.clone();
        assert!(pair.server.session.receive(&mut shared).is_err(), "three came in part, so that four is out of turn");
        assert_eq!(copy.first(), Some(&DATA));
    });
}

#[test]
fn what_others_see_too_is_not_written_over() {
    both_versions(|world| {
        let mut pair = world.pair();
        pair.connect();
        let mut input = Chunk::copy_of(&pair.client.seal(b"hello"));
        let (copy, before) = (input.clone(), input.to_vec());
        assert_eq!(&pair.server.session.receive(&mut input).unwrap().unwrap()[..], b"hello");
        assert_eq!(&copy[..], &before[..]);
    });
}

#[test]
fn names_no_host_can_have_are_refused() {
    let (_, client) = World::new().compile();
    assert_eq!(Session::client(&client, "no host").err().unwrap().cause, Cause::UpstreamTlsHandshake);
    for name in [NAME, "10.0.0.1", "2001:db8::1"] {
        assert!(Session::client(&client, name).is_ok(), "{name}");
    }
}
