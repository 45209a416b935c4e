//! Laws that hold for all bytes and all messages: how the input is split means nothing; what is encoded is decoded again; two codecs back to
//! back come to rest, whatever the windows, the order and the sizes of the pieces; nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use buf::{Chunk, Output};
use common::{NOW, Story, client, feed, request, server, server_with, show_frames, story, transmitted};
use h2::{Connection, ErrorCode, Event, Settings};
use model::{Body, Fields, Head, Part, StreamId, Text};
use proptest::{collection::vec, prelude::*, sample::select};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// One message's texts. All of it is what a peer may send.
#[derive(Clone, Debug)]
struct Message {
    fields: Vec<(String, String)>,
    pieces: Vec<u32>,
    known: bool,
    trailers: Vec<(String, String)>,
}

fn field() -> impl Strategy<Value = (String, String)> {
    // A letter in front keeps clear of the names the codec has an opinion on; few of them, so that they repeat.
    ("[z][a-c0-9!#$%&'*+.^_`|~-]{0,3}", "([!-~]([ -~\t\u{80}-\u{ff}]{0,20}[!-~])?)?")
}

fn message() -> impl Strategy<Value = Message> {
    (vec(field(), 0..8), vec(1_u32..40_000, 0..5), any::<bool>(), vec(field(), 0..3))
        .prop_map(|(fields, pieces, known, trailers)| Message { fields, pieces, known, trailers })
}

fn exchanges() -> impl Strategy<Value = Vec<(&'static str, Message, Message)>> {
    vec((select(vec!["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"]), message(), message()), 1..8)
}

fn fields(list: &[(String, String)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in list {
        fields.append(name.as_bytes(), value.as_bytes());
    }
    fields
}

/// The Parts of a message behind its head, which gets its body and fields.
fn parts(mut head: Head, message: &Message, contentless: bool) -> VecDeque<Part> {
    let length: u32 = message.pieces.iter().sum();
    head.fields = fields(&message.fields);
    head.body = match length {
        _ if contentless => Body::None,
        0 => Body::Unknown,
        length if message.known => Body::Known(u64::from(length)),
        _ => Body::Unknown,
    };
    if let Body::Known(length) = head.body {
        head.fields.append(b"content-length", length.to_string().as_bytes());
    }
    head.end = contentless;
    let mut parts = VecDeque::from([Part::Head(head)]);
    if contentless {
        return parts;
    }
    for (at, piece) in message.pieces.iter().enumerate() {
        let bytes = (0..*piece).map(|byte| u8::try_from((byte as usize * 7 + at) % 251).unwrap()).collect::<Vec<u8>>();
        parts.push_back(Part::Data(Chunk::from(bytes)));
    }
    if !message.trailers.is_empty() {
        parts.push_back(Part::Trailers(fields(&message.trailers)));
    }
    parts.push_back(Part::End);
    parts
}

fn request_parts(method: &str, message: &Message) -> VecDeque<Part> {
    parts(request(method, "/p", Body::None), message, message.pieces.is_empty() && message.trailers.is_empty())
}

fn response_parts(method: &str, message: &Message) -> VecDeque<Part> {
    let mut head = Head::response(200, Body::None);
    if let model::Start::Response(line) = &mut head.start {
        line.reason = Text::default(); // there is none in HTTP/2
    }
    parts(head, message, method == "HEAD")
}

/// A message as it was understood: Data put together.
fn merge(into: &mut Vec<Part>, part: Part) {
    match (into.last_mut(), part) {
        (Some(Part::Data(before)), Part::Data(data)) => *before = Chunk::from([&before[..], &data[..]].concat()),
        (_, part) => into.push(part),
    }
}

fn merged(parts: impl IntoIterator<Item = Part>) -> Vec<Part> {
    let mut whole = Vec::new();
    parts.into_iter().for_each(|part| merge(&mut whole, part));
    whole
}

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % end.max(1)
    }
}

/// One end of a pair: a codec, what it has to say, what it has heard, and what is on its way to it.
struct End {
    codec: Connection,
    wire: VecDeque<u8>,
    to_send: BTreeMap<StreamId, VecDeque<Part>>,
    heard: BTreeMap<StreamId, Vec<Part>>,
    unconsumed: BTreeMap<StreamId, usize>,
}

impl End {
    fn new(codec: Connection) -> Self {
        Self { codec, wire: VecDeque::new(), to_send: BTreeMap::new(), heard: BTreeMap::new(), unconsumed: BTreeMap::new() }
    }

    fn hear(&mut self, bytes: usize) {
        let mut input = Chunk::from(self.wire.drain(..bytes.min(self.wire.len())).collect::<Vec<u8>>());
        while let Some(event) = self.codec.receive(&mut input, NOW).unwrap() {
            let Event::Part(id, part) = event else { panic!("{event:?}") };
            if let Part::Data(data) = &part {
                *self.unconsumed.entry(id).or_default() += data.len();
            }
            merge(self.heard.entry(id).or_default(), part);
        }
    }

    /// Sends a Part of some stream that has one and room for it.
    fn say(&mut self, random: &mut Random) {
        let ready: Vec<StreamId> = self.to_send.keys().copied().collect();
        let Some(id) = ready.get(random.below(ready.len())) else { return };
        let parts = self.to_send.get_mut(id).unwrap();
        if self.codec.room(*id) == 0 {
            return;
        }
        self.codec.send(*id, parts.pop_front().unwrap()).unwrap();
        if parts.is_empty() {
            self.to_send.remove(id);
        }
    }

    fn consume(&mut self, random: &mut Random) {
        for (id, bytes) in &mut self.unconsumed {
            let some = random.below(*bytes + 1);
            self.codec.consumed(*id, some);
            *bytes -= some;
        }
    }

    fn transmit(&mut self, other: &mut Self, bytes: usize) {
        let mut output = Output::default();
        self.codec.transmit(&mut output, bytes);
        other.wire.extend(output.take(Vec::new()).iter().flat_map(|piece| piece.to_vec()));
    }
}

/// Runs all exchanges at once between two codecs until both have heard all; checks that each heard what the other said.
fn run(up: &mut End, down: &mut End, exchanges: &[(&'static str, Message, Message)], random: &mut Random) {
    let mut waiting: VecDeque<_> = exchanges.iter().collect();
    let (mut open, mut answered) = (Vec::new(), BTreeSet::new());
    for step in 0.. {
        assert!(step < 200_000, "they never come to rest");
        match random.below(8) {
            0 if up.codec.capacity() > 0 => {
                let Some((method, asked, answer)) = waiting.pop_front() else { continue };
                let mut parts = request_parts(method, asked);
                let Some(Part::Head(head)) = parts.pop_front() else { panic!("a head comes first") };
                let id = up.codec.open(&head).unwrap();
                if !parts.is_empty() {
                    up.to_send.insert(id, parts);
                }
                open.push((id, *method, asked, answer));
            }
            1 => up.say(random),
            2 => down.say(random),
            3 => up.consume(random),
            4 => down.consume(random),
            5 => up.transmit(down, random.below(100_000)),
            6 => down.transmit(up, random.below(100_000)),
            _ => {
                up.hear(random.below(30_000));
                down.hear(random.below(30_000));
            }
        }
        open.retain(|(id, method, asked, answer)| {
            let ended = |end: &End| end.heard.get(id).is_some_and(|heard| heard.last().is_some_and(Part::is_end));
            if down.heard.contains_key(id) && answered.insert(*id) {
                down.to_send.insert(*id, response_parts(method, answer)); // both directions flow from the head on
            }
            if !ended(up) || !ended(down) {
                return true;
            }
            assert_eq!(down.heard.remove(id).unwrap(), merged(request_parts(method, asked)));
            assert_eq!(up.heard.remove(id).unwrap(), merged(response_parts(method, answer)));
            up.codec.release(*id);
            down.codec.release(*id);
            false
        });
        if waiting.is_empty() && open.is_empty() {
            break;
        }
    }
    up.unconsumed.clear();
    down.unconsumed.clear();
    while up.codec.has_output() || down.codec.has_output() || !up.wire.is_empty() || !down.wire.is_empty() {
        up.transmit(down, usize::MAX);
        down.transmit(up, usize::MAX);
        up.hear(usize::MAX);
        down.hear(usize::MAX);
    }
    for codec in [&up.codec, &down.codec] {
        assert_eq!((codec.known_streams(), codec.open_streams(), codec.in_frame()), (0, 0, false));
        assert!(codec.heap_bytes() < 14_000, "at rest it holds its tables: {}", codec.heap_bytes());
    }
}

/// Bytes of a client that asks all this at once.
fn asked(exchanges: &[(&'static str, Message, Message)]) -> Vec<u8> {
    let mut codec = Connection::client(Rc::new(Settings::default()));
    assert!(feed(&mut codec, &common::frames("settings 4=1000000; settings ack; window 0 1000000"), &mut Story::default()));
    let mut bytes = Vec::new();
    for (method, message, _) in exchanges {
        let mut parts = request_parts(method, message);
        let Some(Part::Head(head)) = parts.pop_front() else { panic!("a head comes first") };
        let id = codec.open(&head).unwrap();
        for part in parts {
            codec.send(id, part).unwrap();
        }
        bytes.extend(transmitted(&mut codec));
    }
    bytes
}

fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for place in places.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_split_means_nothing(exchanges in exchanges(), places in vec(any::<prop::sample::Index>(), 0..12)) {
        let bytes = asked(&exchanges);
        let make = || Connection::server(Rc::new(Settings { connection_window: 1 << 22, stream_window: 1 << 20, ..Settings::default() }));
        let whole = told(&story(make(), &[&bytes]));
        prop_assert!(whole.contains(" http a /p"), "{whole}");
        prop_assert_eq!(&told(&story(make(), &cut(&bytes, &places))), &whole);
        prop_assert_eq!(&told(&story(make(), &bytes.chunks(7).collect::<Vec<_>>())), &whole);
    }

    #[test]
    fn two_codecs_come_to_rest(
        mut rounds in vec(exchanges(), 1..4),
        seed in 1_u64..,
        windows in (prop_oneof![1_u32..20, 20_u32..300_000], 65_535_u32..300_000),
        streams_max in 1_u32..8,
        tables in (0_u32..5000, 0_u32..5000),
    ) {
        let (stream_window, connection_window) = windows;
        if stream_window < 4096 {
            let messages = rounds.iter_mut().flatten().flat_map(|(_, asked, answer)| [asked, answer]);
            messages.flat_map(|message| message.pieces.iter_mut()).for_each(|piece| *piece = *piece % 100 + 1);
        }
        let (decoder_table_bytes, encoder_table_bytes) = tables;
        let settings = Settings { stream_window, connection_window, streams_max, decoder_table_bytes, encoder_table_bytes, ..Settings::default() };
        // (Tiny windows mean many updates, and no time passes here.)
        let patient = h2::Rate { burst: u16::MAX, per_second: 0 };
        let settings = Rc::new(Settings { rates: h2::Rates { chatter: patient, ..h2::Rates::default() }, ..settings });
        let (mut up, mut down) = (End::new(Connection::client(Rc::clone(&settings))), End::new(Connection::server(settings)));
        // Before the greetings have crossed a client cannot know how many streams there may be.
        down.transmit(&mut up, usize::MAX);
        up.hear(usize::MAX);
        let mut random = Random(seed);
        for exchanges in &rounds {
            run(&mut up, &mut down, exchanges, &mut random);
        }
    }
}

/// Without the answers, which come in other pieces when the input does.
fn told(story: &str) -> String {
    story.split(" =>").next().unwrap().to_owned()
}

#[test]
fn every_split_in_two_means_nothing() {
    let bytes = common::frames(
        "post 1 content-length=3; headers 3 es :method=GET :scheme=http; cont 3 eh :authority=b :path=/x a=b; data 1 pad ab; \
         ping abcdefgh; data 1 c; headers 1 es eh t=v; get 5 X=y; post 7; window 7 5; rst 7 8; goaway 0 0",
    );
    let whole = story(server(), &[&bytes]);
    assert!(whole.contains("3 GET http b /x a=b .") && whole.contains("1 trailers t=v") && whole.contains("draining"), "{whole}");
    for at in 0..bytes.len() {
        assert_eq!(story(server(), &[&bytes[..at], &bytes[at..]]), whole, "at {at}");
    }
}

#[test]
fn content_is_not_copied() {
    let arena = buf::Arena::new(1, 4096);
    let index = arena.give().unwrap();
    let bytes = common::frames("post 1; data 1 hello");
    arena.write(index, &bytes);
    let mut input = arena.lease(index, u32::try_from(bytes.len()).unwrap());
    let mut connection = server();
    assert!(matches!(connection.receive(&mut input, NOW), Ok(Some(Event::Part(_, Part::Head(_))))));
    let Ok(Some(Event::Part(id, Part::Data(data)))) = connection.receive(&mut input, NOW) else { panic!("content") };
    assert!(data.is_leased(), "it stands where it was received");
    assert_eq!(connection.receive(&mut input, NOW), Ok(None));
    connection.send(id, Part::Head(Head { end: false, ..Head::response(200, Body::Unknown) })).unwrap();
    connection.send(id, Part::Data(data)).unwrap();
    assert_eq!((arena.leased(), connection.move_to_heap(), arena.leased()), (1, 5, 0), "what waits can leave the receive buffer");
    assert_eq!(show_frames(&transmitted(&mut connection)), "headers 1 data 1 \"hello\"");
}

#[test]
fn urgent_responses_go_first_and_equals_take_turns() {
    let mut connection = server();
    let asked = "get 1 priority=u=5; get 3; get 5; get 7 priority=u=1; get 9; update 9 u=0";
    assert!(feed(&mut connection, &common::frames(&format!("settings 4=1000000; window 0 1000000; {asked}")), &mut Story::default()));
    for stream in [1, 3, 5, 7, 9] {
        let id = StreamId(stream);
        connection.send(id, Part::Head(Head { end: false, ..Head::response(200, Body::Unknown) })).unwrap();
        connection.send(id, Part::Data(Chunk::from(vec![b'x'; 20_000]))).unwrap();
        connection.send(id, Part::End).unwrap();
    }
    let sent = show_frames(&transmitted(&mut connection));
    let data: Vec<&str> = sent.split("data ").skip(1).map(|frame| &frame[..1]).collect();
    assert_eq!(data, ["9", "9", "7", "7", "3", "5", "3", "5", "1", "1"], "{sent}");
}

#[test]
fn a_window_that_settings_close_opens_again() {
    let mut connection = server();
    let id = StreamId(1);
    assert!(feed(&mut connection, &common::frames("get 1"), &mut Story::default()));
    connection.send(id, Part::Head(Head { end: false, ..Head::response(200, Body::Unknown) })).unwrap();
    connection.send(id, Part::Data(Chunk::from("abc"))).unwrap();
    for (asked, expect) in [
        ("settings 4=0", "headers 1 ack"),
        ("window 1 1", "data 1 \"a\""),
        ("settings 4=1; settings 4=0", "ack ack"),
        ("settings 4=1", "ack data 1 \"b\""),
        ("window 1 7", "data 1 \"c\""),
    ] {
        assert!(feed(&mut connection, &common::frames(asked), &mut Story::default()));
        assert_eq!(show_frames(&transmitted(&mut connection)), expect, "{asked}");
    }
}

#[test]
fn leaving_loses_no_request() {
    let mut connection = server();
    let mut told = Story::default();
    assert!(feed(&mut connection, &common::frames("post 1"), &mut told));
    connection.drain();
    assert_eq!(show_frames(&transmitted(&mut connection)), "goaway 2147483647 NoError ping leaving!");
    assert!(
        feed(&mut connection, &common::frames("get 3; ping ack leaving!; get 5 X=y; data 1 es hello"), &mut told),
        "what crossed it is taken"
    );
    assert_eq!(told.told(), "1 POST http a / unknown | 3 GET http a / . | 1 \"hello\" | 1 end", "and 5 is not, nor looked at");
    assert_eq!(show_frames(&transmitted(&mut connection)), "goaway 3 NoError");
    for stream in [1, 3] {
        assert!(!connection.is_over());
        connection.send(StreamId(stream), Part::Head(Head::response(204, Body::None))).unwrap();
        connection.release(StreamId(stream));
        transmitted(&mut connection);
    }
    assert!(connection.is_over() && connection.known_streams() == 0);
    assert!(!feed(&mut connection, &common::frames("get 7; data 0 x"), &mut Story::default()));
    assert_eq!(show_frames(&transmitted(&mut connection)), "goaway 3 ProtocolError", "a later end names no later stream");
    assert!(connection.is_over());
    assert_eq!(connection.eof(), Ok(()));
    let mut up = client();
    up.drain();
    assert_eq!((show_frames(&transmitted(&mut up)).as_str(), up.capacity(), up.is_over()), ("goaway 0 NoError", 0, true));
}

#[test]
fn what_is_given_up_is_reset() {
    // What the peer hears when a stream is released in the middle, by how far both directions are.
    let ended = |body| Head { end: body == Body::None, ..Head::response(200, body) };
    for (asked, answer, expect) in [
        ("get 1", vec![], "rst 1 Cancel"),
        ("post 1", vec![], "rst 1 Cancel"),
        ("post 1", vec![Part::Head(ended(Body::None))], "headers 1 . rst 1 NoError"),
        ("get 1", vec![Part::Head(ended(Body::None))], "headers 1 ."),
        ("get 1", vec![Part::Head(ended(Body::Unknown))], "headers 1 rst 1 Cancel"),
        ("get 1", vec![Part::Head(ended(Body::Unknown)), Part::Data(Chunk::from("a")), Part::End], "headers 1 data 1 \"a\" ."),
        (
            "post 1",
            vec![Part::Head(ended(Body::Unknown)), Part::Data(Chunk::from("a")), Part::End],
            "headers 1 data 1 \"a\" . rst 1 NoError",
        ),
    ] {
        let mut connection = server();
        assert!(feed(&mut connection, &common::frames(asked), &mut Story::default()));
        for part in answer {
            connection.send(StreamId(1), part).unwrap();
        }
        connection.release(StreamId(1));
        assert_eq!(show_frames(&transmitted(&mut connection)), expect);
        assert_eq!((connection.known_streams(), connection.heap_bytes() < 1000), (0, true), "{expect}");
    }
}

#[test]
fn parts_that_contradict_each_other_break_their_stream_only() {
    let head = |body| Part::Head(Head { end: false, ..Head::response(200, body) });
    let data = |text: &str| Part::Data(Chunk::from(text));
    let mut split = Head::response(200, Body::None);
    split.fields.append(b"a", b"b\r\nc: d");
    for parts in [
        vec![data("a")],
        vec![Part::End],
        vec![head(Body::Known(2)), data("abc")],
        vec![head(Body::Known(2)), data("a"), Part::End],
        vec![head(Body::Known(2)), Part::Trailers(Fields::default())],
        vec![head(Body::Unknown), head(Body::Unknown)],
        vec![Part::Head(Head::response(101, Body::None))],
        vec![Part::Head(Head { end: true, ..Head::response(200, Body::Known(3)) })],
        vec![Part::Head(request("GET", "/", Body::None))],
        vec![Part::Head(split)],
    ] {
        let mut connection = server();
        assert!(feed(&mut connection, &common::frames("get 1; get 3"), &mut Story::default()));
        let (last, first) = parts.split_last().unwrap();
        for part in first {
            connection.send(StreamId(1), part.clone()).unwrap();
        }
        assert!(connection.send(StreamId(1), last.clone()).is_err(), "{last:?}");
        assert!(show_frames(&transmitted(&mut connection)).ends_with("rst 1 InternalError"), "{last:?}");
        connection.send(StreamId(3), Part::Head(Head::response(204, Body::None))).unwrap();
        assert_eq!(show_frames(&transmitted(&mut connection)), "headers 3 .");
    }
}

/// Heads as they are made have no content and so an end, which an interim one must not write.
#[test]
fn interim_heads_end_no_stream() {
    let mut connection = server();
    assert!(feed(&mut connection, &common::frames("get 1"), &mut Story::default()));
    connection.send(StreamId(1), Part::Info(Head::response(100, Body::None))).unwrap();
    connection.send(StreamId(1), Part::Head(Head::response(204, Body::None))).unwrap();
    assert_eq!(show_frames(&transmitted(&mut connection)), "headers 1 headers 1 .");
}

#[test]
fn tunnels_and_their_protocols() {
    let mut up = client();
    assert!(up.takes_connect_protocol());
    let mut head = request("GET", "/chat", Body::Unknown);
    if let model::Start::Request(line) = &mut head.start {
        line.protocol = Text::from("websocket");
    }
    let id = up.open(&head).unwrap();
    up.send(id, Part::Data(Chunk::from("ping"))).unwrap();
    let mut down = server_with(Settings::default());
    let mut told = Story::default();
    assert!(feed(&mut down, &transmitted(&mut up), &mut told));
    assert_eq!(told.told(), "1 GET http a /chat websocket unknown | 1 \"ping\"");
    let agreed = Head { end: false, ..Head::response(101, Body::Unknown) };
    down.send(id, Part::Head(agreed)).unwrap();
    down.send(id, Part::End).unwrap();
    let mut told = Story::default();
    let bytes = transmitted(&mut down);
    assert!(show_frames(&bytes).starts_with("headers 1") && bytes[9] == 0x88, "101 is written as 200 (RFC 8441 section 5)");
    assert!(feed(&mut up, &bytes, &mut told));
    assert_eq!(told.told(), "1 101 unknown | 1 end", "half closed");
    up.reset(id, ErrorCode::ConnectError);
    assert_eq!(show_frames(&transmitted(&mut up)), "rst 1 ConnectError");
    let mut without = Connection::client(Rc::new(Settings::default()));
    assert!(feed(&mut without, &common::frames("settings; settings ack"), &mut Story::default()));
    assert!(without.open(&head).is_err(), "who has not offered it does not get it");
}

#[test]
fn large_heads_come_in_pieces() {
    let limits = model::HeadLimits { head_bytes_max: 100_000, ..model::HeadLimits::default() };
    let settings = Rc::new(Settings { limits, ..Settings::default() });
    let mut up = Connection::client(Rc::clone(&settings));
    let mut down = Connection::server(settings);
    assert!(feed(&mut up, &transmitted(&mut down), &mut Story::default()));
    let mut head = request("GET", "/", Body::None);
    head.fields.append(b"a", &vec![b'x'; 40_000]);
    up.open(&head).unwrap();
    let bytes = transmitted(&mut up);
    assert!(show_frames(&bytes[24..]).ends_with("headers 1 . cont 1 cont 1"));
    let mut input = Chunk::from(bytes);
    assert_eq!(down.receive(&mut input, NOW), Ok(Some(Event::Part(StreamId(1), Part::Head(head)))));
}

#[test]
fn an_idle_connection_holds_little() {
    let (mut up, mut down) = (client(), server());
    for at in 0..100 {
        let mut head = request("GET", "/index.html", Body::None);
        for (name, value) in
            [("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"), ("accept", "*/*"), ("x-request-id", &at.to_string())]
        {
            head.fields.append(name.as_bytes(), value.as_bytes());
        }
        let id = up.open(&head).unwrap();
        assert!(feed(&mut down, &transmitted(&mut up), &mut Story::default()));
        let mut head = Head { end: false, ..Head::response(200, Body::Known(3)) };
        head.fields.append(b"server", b"sluice");
        head.fields.append(b"content-type", b"text/html");
        for part in [Part::Head(head), Part::Data(Chunk::from("abc")), Part::End] {
            down.send(id, part).unwrap();
        }
        down.release(id);
        assert!(feed(&mut up, &transmitted(&mut down), &mut Story::default()));
        up.release(id);
        transmitted(&mut up);
    }
    println!("bytes of heap, after 100 exchanges: client {}, server {}", up.heap_bytes(), down.heap_bytes());
    up.shrink();
    down.shrink();
    println!("shrunk: client {}, server {}", up.heap_bytes(), down.heap_bytes());
    assert_eq!((up.heap_bytes(), down.heap_bytes()), (195, 195), "the tables: four entries each, and nothing else");
}
