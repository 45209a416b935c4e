//! The pieces that every request goes through, one at a time: what a change to one of them costs.
//!
//! A whole request through the kernel costs about ten microseconds; anything here is worth a thought above a tenth of that.

use balance::{Balancer, Policy};
use buf::{Chunk, Output};
use core::hint::black_box;
use core::time::Duration;
use criterion::Criterion;
use h1::{Connection, Settings};
use model::{Instant, Part};
use route::{HostPattern, MethodSet, PathPattern, RouteTable, Rule, Site};
use std::rc::Rc;

const REQUEST: &str = "GET /shop/cart?item=17 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n\
     Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
     Cookie: session=5b2f7c0a9d; theme=dark\r\n\r\n";
const RESPONSE_HEAD: &str = "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Type: text/plain\r\n\
     Cache-Control: max-age=60\r\nContent-Length: 1024\r\n\r\n";
const ENDPOINTS: u32 = 60;
const ROUTES: usize = 5000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    codec(&mut criterion);
    multiplexed(&mut criterion);
    routes(&mut criterion);
    balancers(&mut criterion);
    counters(&mut criterion);
    criterion.final_summary();
}

/// One request and its response through the codecs of both sides.
fn codec(criterion: &mut Criterion) {
    let request = Chunk::from(REQUEST);
    let response = Chunk::from((RESPONSE_HEAD.to_owned() + &"x".repeat(1024)).as_str());
    let mut down = Connection::server(Settings::default());
    let mut up = Connection::client(Settings::default());
    let mut output = Output::default();
    criterion.bench_function("h1/receive a request", |bench| {
        bench.iter(|| Connection::server(Settings::default()).receive(&mut request.clone()));
    });
    criterion.bench_function("h1/request and response, both sides", |bench| {
        bench.iter(|| {
            relay(&mut down, &mut up, request.clone(), &mut output);
            relay(&mut up, &mut down, response.clone(), &mut output);
        });
    });
}

/// Take a whole message from one connection and write it to the other.
fn relay(from: &mut Connection, to: &mut Connection, mut input: Chunk, output: &mut Output) {
    loop {
        let part = from.receive(&mut input).expect("it is well formed").expect("it is whole");
        let last = part.is_end();
        to.send(part, output).expect("what was received can be sent");
        if last {
            break;
        }
    }
    let mut written = output.take(Vec::new());
    // As a worker does: the block of a finished send is used for the next.
    if let Some(block) = written.drain(..).next().and_then(Chunk::into_block) {
        output.reuse(block);
    }
}

/// One request and its response between an HTTP/2 client and a server, each both written and read.
fn multiplexed(criterion: &mut Criterion) {
    let head = |part: Option<Part>| match part {
        Some(Part::Head(head)) => head,
        other => panic!("not a head: {other:?}"),
    };
    let request = head(Connection::server(Settings::default()).receive(&mut Chunk::from(REQUEST)).expect("it is well formed"));
    let mut asking = Connection::client(Settings::default());
    asking.send_head(&request, &mut Output::default()).expect("what was received can be sent");
    let response = head(asking.receive(&mut Chunk::from(RESPONSE_HEAD)).expect("it is well formed"));
    let body = Chunk::from("x".repeat(1024).as_str());
    let (mut client, mut server) =
        (h2::Connection::client(Rc::new(h2::Settings::default())), h2::Connection::server(Rc::new(h2::Settings::default())));
    criterion.bench_function("h2/request and response, both sides", |bench| {
        bench.iter(|| {
            let stream = client.open(&request).expect("one stream is open at a time");
            hand_over(&mut client, &mut server);
            server.send_head(stream, &response).expect("a response to a request");
            server.send(stream, Part::Data(body.clone())).expect("as much as was announced");
            server.send(stream, Part::End).expect("as much as was announced");
            hand_over(&mut server, &mut client);
            client.release(stream);
            server.release(stream);
            // The windows and settings that are owed.
            hand_over(&mut client, &mut server);
        });
    });
}

/// Carry what one side has to send to the other, which consumes it at once.
fn hand_over(from: &mut h2::Connection, to: &mut h2::Connection) {
    let mut output = Output::default();
    from.transmit(&mut output, usize::MAX);
    for mut piece in output.take(Vec::new()) {
        while let Some(event) = to.receive(&mut piece, Instant(0)).expect("it is well formed") {
            if let h2::Event::Part(stream, Part::Data(data)) = event {
                to.consumed(stream, data.len());
            }
        }
    }
}

/// The first, the last and no route of many.
fn routes(criterion: &mut Criterion) {
    let rule = |place: usize| Rule {
        path: PathPattern::parse(&format!("/service-{place}/*")).expect("a path pattern"),
        methods: MethodSet::any(),
        value: place,
    };
    let hosts = vec![HostPattern::parse("shop.example.com").expect("a host")];
    let table = RouteTable::build(vec![Site { hosts, rules: (0..ROUTES).map(rule).collect() }]).expect("one site");
    for (what, path) in [("first", "/service-0/x"), ("last", "/service-4999/a/b/c"), ("none", "/nothing/a/b/c")] {
        criterion.bench_function(&format!("route/find the {what} of {ROUTES}"), |bench| {
            bench.iter(|| black_box(table.find(b"shop.example.com", black_box(path.as_bytes()), b"GET").route().copied()));
        });
    }
}

fn balancers(criterion: &mut Criterion) {
    for policy in [Policy::RoundRobin, Policy::LeastRequest, Policy::Random] {
        let members = (0..ENDPOINTS).map(|number| (number, 1 + number % 3));
        let mut balancer = Balancer::new(policy, members, 1);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        criterion.bench_function(&format!("balance/{policy:?} over {ENDPOINTS}"), |bench| {
            bench.iter(|| {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                black_box(balancer.pick(random, |_| true).map(|pick| pick.index()))
            });
        });
    }
}

fn counters(criterion: &mut Criterion) {
    let (hub, _reader) = stats::stats();
    let page = hub.page();
    let counter = page.counter(&stats::metrics::REQUESTS, &[("listener", "web"), ("route", "shop")]);
    let histogram = page.histogram(&stats::metrics::REQUEST_DURATION, &[("route", "shop")]);
    criterion.bench_function("stats/count", |bench| bench.iter(|| counter.add(black_box(1))));
    let durations = (1..=64_u64).map(|step| Duration::from_micros(step * step * 7)).collect::<Vec<_>>();
    criterion.bench_function("stats/record 64 durations", |bench| {
        bench.iter(|| durations.iter().for_each(|took| histogram.record(*took)));
    });
}
