//! Each limit is reached once: what is within it passes, what is beyond ends as it should, and is told so that it can be counted.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use buf::{Chunk, Output};
use common::{NOW, Story, client, feed, frame, frames, request, server, server_with, show_frames, story, transmitted};
use h2::{CONTINUATIONS_MAX, Connection, Event, INTERIM_RESPONSES_MAX, Rate, Rates, Settings, UNREAD_BYTES_MAX};
use model::{Body, Head, HeadLimits, Instant, Part, StreamId};

/// Attacks with `round`, told its number, until the connection ends, releasing every stream that comes to an end. Gives how many rounds it
/// took and what happened last.
fn attack(mut connection: Connection, rounds: u32, round: impl Fn(u32) -> Vec<u8>) -> (u32, String) {
    for at in 0..rounds {
        let mut input = Chunk::from(round(at));
        let mut last = String::new();
        loop {
            match connection.receive(&mut input, NOW) {
                Ok(None) => break,
                Ok(Some(Event::Reset(id, _))) => connection.release(id),
                Ok(Some(Event::Reached(limit))) => last = format!("{limit:?} "),
                Ok(Some(_)) => {}
                Err(fault) => {
                    let told = show_frames(&transmitted(&mut connection));
                    return (at, format!("{last}{} => {}", fault.cause.reason(), told.split(' ').next_back().unwrap()));
                }
            }
        }
        transmitted(&mut connection);
        assert!(connection.heap_bytes() < 64 * 1024, "what is gone leaves little behind: {}", connection.heap_bytes());
    }
    (rounds, "alive".into())
}

/// The connection survives `count` rounds and ends in the next one.
fn check_flood(limit: &str, count: u16, first: &str, round: impl Fn(u32) -> Vec<u8>) {
    let made = || {
        let mut connection = server();
        assert!(feed(&mut connection, &frames(first), &mut Story::default()));
        connection
    };
    let expect = format!("{limit} http2_flood => EnhanceYourCalm");
    assert_eq!(attack(made(), 100_000, &round), (u32::from(count), expect));
    assert_eq!(attack(made(), u32::from(count), &round), (u32::from(count), "alive".into()));
}

fn id(at: u32) -> u32 {
    2 * at + 1
}

#[test]
fn floods_end_the_connection() {
    let rates = Rates::default();
    check_flood("Resets", rates.resets.burst, "", |at| frames(&format!("post {0}; rst {0} 8", id(at))));
    check_flood("ProvokedResets", rates.provoked_resets.burst, "", |at| frames(&format!("post {0}; window {0} 0", id(at))));
    check_flood("ProvokedResets", rates.provoked_resets.burst, "", |at| frames(&format!("get {} X=y", id(at))));
    check_flood("ProvokedResets", rates.provoked_resets.burst, "", |at| frames(&format!("get {0}; data {0} x", id(at))));
    check_flood("Pings", rates.pings.burst, "", |_| frames("ping abcdefgh"));
    check_flood("Pings", rates.pings.burst, "", |_| frames("ping ack abcdefgh"));
    check_flood("Settings", rates.settings.burst - 2, "", |_| frames("settings 4=1"));
    check_flood("Settings", rates.settings.burst - 2, "", |_| frames("settings ack"));
    check_flood("EmptyData", rates.empty_data.burst, "post 1", |_| frames("data 1"));
    check_flood("EmptyData", rates.empty_data.burst, "post 1", |_| frames("raw 0 8 1 020000"));
    check_flood("Chatter", rates.chatter.burst, "", |_| frames("priority 1 3"));
    check_flood("Chatter", rates.chatter.burst, "get 1", |_| frames("window 1 1"));
    check_flood("Chatter", rates.chatter.burst, "", |_| frames("window 0 1"));
    check_flood("Chatter", rates.chatter.burst, "get 1", |_| frames("update 1 u=1"));
    check_flood("Chatter", rates.chatter.burst, "", |_| frames("raw 99 0 0 00"));
    check_flood("Chatter", rates.chatter.burst - 1, "get 1; rst 1 0; rst 1 0", |_| frames("rst 1 0"));
    check_flood("Chatter", rates.chatter.burst - 1, "goaway 0 0", |_| frames("goaway 0 0"));
}

#[test]
fn time_is_a_healer() {
    let mut connection = server();
    for tenth in 0..10_000 {
        let mut input = Chunk::from(frames("ping abcdefgh"));
        let now = Instant(tenth * 100_000_000);
        assert_eq!(connection.receive(&mut input, now), Ok(None), "ten a second are welcome for ever");
        transmitted(&mut connection);
    }
}

#[test]
fn who_receives_much_may_update_much() {
    let mut connection = server();
    assert!(feed(&mut connection, &frames("get 1"), &mut Story::default()));
    let stream = StreamId(1);
    let mut head = Head::response(200, Body::Unknown);
    head.end = false;
    connection.send_head(stream, &head).unwrap();
    for _ in 0..5_000 {
        connection.send_data(stream, Chunk::from(vec![b'x'; 16_384])).unwrap();
        transmitted(&mut connection);
        assert!(feed(&mut connection, &frames("window 1 16384; window 0 16384"), &mut Story::default()));
    }
}

#[test]
fn unread_answers_have_an_end() {
    let rates = Rates { pings: Rate { burst: u16::MAX, per_second: 0 }, ..Rates::default() };
    let mut connection = server_with(Settings { rates, ..Settings::default() });
    let most = UNREAD_BYTES_MAX / 17;
    for _ in 0..3 {
        assert!(feed(&mut connection, &frames("ping abcdefgh").repeat(most), &mut Story::default()));
        assert_eq!(transmitted(&mut connection).len(), most * 17, "who reads them may have as many again");
    }
    let mut told = Story::default();
    assert!(!feed(&mut connection, &frames("ping abcdefgh").repeat(most + 1), &mut told));
    assert_eq!(told.told(), "limit Unread | fault http2_flood");
}

#[test]
fn streams() {
    let small = || server_with(Settings { streams_max: 2, ..Settings::default() });
    let refused = "1 POST http a / unknown | 3 POST http a / unknown | limit Streams | 5 rejected stream_refused";
    assert_eq!(story(small(), &[&frames("post 1; post 3; post 5")]), format!("{refused} => rst 5 RefusedStream"));
    // A place is free again once a stream is over.
    let again = "1 POST http a / unknown | 3 POST http a / unknown | 1 reset downstream_reset Unsafe | 5 GET http a / .";
    assert_eq!(story(small(), &[&frames("post 1; post 3; rst 1 8; get 5")]), format!("{again} =>"));
    // Streams that are over and not released, since whoever handles them has not come to it, have an end too.
    let mut connection = small();
    let mut told = Story::default();
    assert!(feed(&mut connection, &frames("get 1; rst 1 8; get 3; rst 3 8; get 5; rst 5 8; get 7; rst 7 8; get 9"), &mut told));
    assert!(told.told().ends_with("limit Streams | 9 rejected stream_refused"));
    assert_eq!((connection.open_streams(), connection.known_streams()), (0, 4));
    connection.release(StreamId(5));
    assert!(feed(&mut connection, &frames("get 11"), &mut Story::default()));
    assert_eq!((connection.open_streams(), connection.known_streams()), (1, 4));
}

#[test]
fn heads() {
    let limits = HeadLimits { head_bytes_max: 300, target_bytes_max: 10, fields_max: 3 };
    let small = || server_with(Settings { limits, ..Settings::default() });
    for (input, expect) in [
        ("get 1 x=y", "1 GET http a / x=y . =>"),
        ("get 1 a=b c=d e=f", "1 GET http a / a=b c=d e=f . =>"),
        ("get 1 a=b c=d e=f g=h", "1 refused head_too_large | limit Head =>"),
        ("post 1; headers 1 es eh a=b c=d e=f g=h", "1 POST http a / unknown | 1 refused head_too_large | limit Head =>"),
        ("headers 1 es eh :method=GET :scheme=http :authority=a :path=/234567890", "1 GET http a /234567890 . =>"),
        ("headers 1 es eh :method=GET :scheme=http :authority=a :path=/2345678901", "1 refused target_too_long | limit Head =>"),
    ] {
        assert_eq!(story(small(), &[&frames(input)]), expect, "{input}");
    }
    // 4 pseudo-header fields take 166 bytes as RFC 9113 6.5.2 counts, this one 33 and its value.
    for (value, expect) in [(101, "1 GET http a /"), (102, "1 refused head_too_large | limit Head =>")] {
        let told = story(small(), &[&frames(&format!("get 1 x={}", "y".repeat(value)))]);
        assert!(told.starts_with(expect), "{told}");
    }
}

#[test]
fn a_refused_head_can_be_answered_and_harms_no_other() {
    let limits = HeadLimits { head_bytes_max: 300, ..HeadLimits::default() };
    let mut connection = server_with(Settings { limits, ..Settings::default() });
    let mut told = Story::default();
    // The field that is too much enters the table all the same, and the next request refers to one of before.
    let block = format!("headers 1 eh 8286 84 4101 61 4001 78 7f ad 01 {}; data 1 abc", "79".repeat(300));
    assert!(feed(&mut connection, &frames(&block), &mut told));
    connection.send_head(StreamId(1), &Head::response(431, Body::None)).unwrap();
    connection.release(StreamId(1));
    assert_eq!(show_frames(&transmitted(&mut connection)), "headers 1 . rst 1 NoError", "answered, and the rest is not wanted");
    assert!(feed(&mut connection, &frames("data 1 es abc; headers 3 es eh 8286 84 bf"), &mut told));
    assert_eq!(told.told(), "1 refused head_too_large | limit Head | 3 GET http a / .");
}

#[test]
fn header_blocks() {
    let begun = "headers 1 es :method=GET :scheme=http :authority=a :path=/;";
    let empty = |count: u8| frames(&format!("{begun} {} cont 1 eh x=y", "cont 1;".repeat(usize::from(count) - 1)));
    assert_eq!(story(server(), &[&empty(CONTINUATIONS_MAX)]), "1 GET http a / x=y . =>");
    let flood = "limit Continuations | fault http2_flood => goaway 0 EnhanceYourCalm";
    assert_eq!(story(server(), &[&empty(CONTINUATIONS_MAX + 1)]), flood);
    let large = [frames(begun), frame(9, 0, 1, &[0x40; 16_384]), frame(9, 0, 1, &[0x40; 16_384])].concat();
    assert_eq!(story(server(), &[&large]), "limit BlockBytes | fault http2_flood => goaway 0 EnhanceYourCalm");
}

#[test]
fn a_bomb_is_defused() {
    // A field of 4 KB, and 16 000 references of a byte each to it.
    let mut connection = server();
    let mut block = common::hex("8286 84 4101 61 4001 78 7f");
    block.extend([0x80 | 0x21, 0x1e]); // 127 + 33 + 30 * 128 = 4 000
    block.extend([b'y'; 4000]);
    block.extend([0xbe; 12_000]);
    let mut told = Story::default();
    assert!(feed(&mut connection, &frame(1, 5, 1, &block), &mut told));
    assert_eq!(told.told(), "1 refused head_too_large | limit Head");
    assert!(connection.heap_bytes() < 10_000, "{}", connection.heap_bytes());
}

#[test]
fn interim_responses() {
    for (count, expect) in [(INTERIM_RESPONSES_MAX, true), (INTERIM_RESPONSES_MAX + 1, false)] {
        let mut connection = client();
        connection.open(&request("GET", "/", Body::None)).unwrap();
        let mut told = Story::default();
        feed(&mut connection, &frames("headers 1 eh :status=103").repeat(usize::from(count)), &mut told);
        assert_eq!(!told.told().ends_with("reset malformed_response Unsafe"), expect, "{count}");
    }
}

#[test]
fn content_is_bounded_by_what_is_consumed() {
    let (stream_window, connection_window) = (100_000, 150_000);
    let mut connection = server_with(Settings { stream_window, connection_window, ..Settings::default() });
    let mut told = Story::default();
    assert!(feed(&mut connection, &frames("post 1; post 3"), &mut told));
    let data = |stream, bytes| frame(0, 0, stream, &vec![b'x'; bytes]);
    for _ in 0..6 {
        assert!(feed(&mut connection, &data(1, 16_000), &mut told));
    }
    assert_eq!(transmitted(&mut connection), b"", "nothing was consumed, nothing is granted");
    connection.consumed(StreamId(1), 49_999);
    assert_eq!(show_frames(&transmitted(&mut connection)), "");
    connection.consumed(StreamId(1), 1);
    assert_eq!(show_frames(&transmitted(&mut connection)), "window 1 50000");
    connection.consumed(StreamId(1), 25_000);
    assert_eq!(show_frames(&transmitted(&mut connection)), "window 0 75000");
    connection.consumed(StreamId(1), 1 << 20);
    assert_eq!(show_frames(&transmitted(&mut connection)), "", "no more than there was");
    // 96 000 of 150 000 were used, 75 000 given back: 129 000 are left for both.
    for _ in 0..6 {
        assert!(feed(&mut connection, &data(3, 16_000), &mut told));
    }
    assert!(feed(&mut connection, &data(1, 16_000), &mut told));
    assert!(feed(&mut connection, &data(1, 16_000), &mut told));
    assert!(!feed(&mut connection, &data(1, 1_001), &mut told));
    assert!(told.told().ends_with("fault http2_protocol"));
}

#[test]
fn what_a_released_stream_held_is_given_back() {
    let mut connection = server_with(Settings { connection_window: 65_535, ..Settings::default() });
    let mut told = Story::default();
    for at in 0..50 {
        let stream = id(at);
        assert!(feed(&mut connection, &frames(&format!("post {stream}")), &mut told));
        for _ in 0..3 {
            assert!(feed(&mut connection, &frame(0, 0, stream, &[b'x'; 16_000]), &mut told), "at {at}");
        }
        connection.release(StreamId(u64::from(stream)));
        // On its way before the peer knew.
        assert!(feed(&mut connection, &frame(0, 1, stream, &[b'x'; 16_000]), &mut told), "at {at}");
        let sent = show_frames(&transmitted(&mut connection));
        assert!(sent.contains("Cancel") && sent.contains("window 0 "), "{sent}");
    }
}

#[test]
fn what_nobody_wants_is_given_back() {
    // By every way there is: content of a stream that was released in the middle of a frame, too much of it, padding.
    let mut connection = server_with(Settings { connection_window: 65_535, stream_window: 1 << 20, ..Settings::default() });
    for at in 0..40 {
        let stream = id(at);
        assert!(feed(&mut connection, &frames(&format!("post {stream} content-length=15745")), &mut Story::default()));
        let mut whole = frame(0, 0, stream, &[b'x'; 15_745]);
        if at % 2 == 0 {
            let rest = whole.split_off(5_000);
            assert!(feed(&mut connection, &whole, &mut Story::default()));
            connection.release(StreamId(u64::from(stream)));
            assert!(feed(&mut connection, &rest, &mut Story::default()), "at {at}");
        } else {
            assert!(feed(&mut connection, &frame(0, 0, stream, &[b'x'; 16_000]), &mut Story::default()), "at {at}");
        }
        connection.release(StreamId(u64::from(stream)));
        transmitted(&mut connection);
    }
    assert!(feed(&mut connection, &frames("post 101"), &mut Story::default()));
    for at in 0..400 {
        assert!(feed(&mut connection, &frame(0, 8, 101, &[&[255][..], b"x", &[0; 255]].concat()), &mut Story::default()), "at {at}");
        connection.consumed(StreamId(101), 1);
        transmitted(&mut connection);
    }
}

#[test]
fn a_queue_says_when_it_is_full_and_when_there_is_room() {
    let mut connection = server();
    assert!(feed(&mut connection, &frames("get 1"), &mut Story::default()));
    let stream = StreamId(1);
    connection.send(stream, Part::Head(Head { end: false, ..Head::response(200, Body::Unknown) })).unwrap();
    let mut queued = 0;
    while connection.room(stream) > 0 {
        connection.send_data(stream, Chunk::from(vec![b'x'; 10_000])).unwrap();
        queued += 10_000;
    }
    assert_eq!((queued, connection.queued(stream)), (70_000, 70_000));
    let mut output = Output::default();
    connection.transmit(&mut output, 20_000);
    assert!((20_000..40_000).contains(&output.len()), "no more than was asked for, and a frame: {}", output.len());
    assert_eq!(connection.next_with_room(), None);
    connection.transmit(&mut Output::default(), usize::MAX);
    assert_eq!(connection.queued(stream), 70_000 - 65_535, "as far as the window goes");
    assert_eq!((connection.next_with_room(), connection.next_with_room()), (Some(stream), None));
    assert!(!connection.has_output());
}

#[test]
fn limits_of_opening() {
    let mut connection = client();
    assert_eq!(connection.capacity(), 100);
    assert!(feed(&mut connection, &frames("settings 3=1"), &mut Story::default()));
    let first = connection.open(&request("GET", "/", Body::None)).unwrap();
    assert_eq!((first, connection.capacity()), (StreamId(1), 0));
    let fault = connection.open(&request("GET", "/", Body::None)).unwrap_err();
    assert_eq!((fault.cause.reason(), fault.retry), ("stream_refused", model::Retry::Safe));
    connection.release(first);
    assert_eq!(connection.open(&request("GET", "/", Body::None)), Ok(StreamId(3)));
}
