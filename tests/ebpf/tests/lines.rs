//! What a debug build of the balancer says of packets, to who asks for it.

use abi::{MODE_DSR, Service, VIA_IPIP};
use aya::TestRun as _;
use aya::programs::TestRunOptions;
use ebpf::Place;
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, V4, V6, frame, ipv4, ipv6, tcp};
use ebpf::world::{self, CLIENT4, CLIENT6, PORT, VIP4, VIP6, ip};
use log::{LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;

/// Keeps what is said on its thread.
struct Heard;

thread_local! {
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Log for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("balancer") {
            HEARD.with_borrow_mut(|heard| heard.push(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// What the balancer at `level` says of three packets: one that is forwarded, one of the other family to a port that is nobody's,
/// and one that breaks off.
fn said(level: LevelFilter) -> Vec<String> {
    log::set_max_level(level);
    let place = Place::new(level.as_str());
    let mut balancer = place.balancer();
    world::furnish(&mut place.kernel(), Service { mode: MODE_DSR, via: VIA_IPIP, ..Service::default() }, 1);
    let v4 = (ip(CLIENT4), ip(VIP4));
    let v6 = (ip(CLIENT6), ip(VIP6));
    let forwarded = frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(v4, 6, &V4::default(), &tcp(v4, (4000, PORT), ACK, b"")));
    let broken = frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(v4, 6, &V4::default(), &[0; 3]));
    let nobodys = frame(OWN_MAC, CLIENT_MAC, &[], &ipv6(v6, 6, &V6::default(), &tcp(v6, (4000, 9), ACK, b"")));
    for packet in [forwarded, nobodys, broken] {
        let mut options = TestRunOptions::new();
        options.data_in = Some(&packet);
        balancer.program().expect("loaded").test_run(options).expect("the kernel runs it");
    }
    balancer.say();
    HEARD.take()
}

#[test]
fn each_packet_is_a_line_where_it_is_asked_for() {
    log::set_logger(&Heard).expect("the first");
    assert_eq!(said(LevelFilter::Info), [""; 0]);
    let expect = [
        "transmitted              protocol 6 from ::ffff:198.51.100.7 port 4000 to ::ffff:203.0.113.10 port 443 at interface 1",
        "to_stack                 protocol 6 from 2001:db8:c::7 port 4000 to 2001:db8::10 port 9 at interface 1",
        "truncated                protocol 6 from ::ffff:198.51.100.7 port 0 to ::ffff:203.0.113.10 port 0 at interface 1",
    ];
    assert_eq!(said(LevelFilter::Debug), if l4::programs::HAS_LOG { &expect[..] } else { &[] });
}
