//! The loader's life: attached for real, killed, adopted, refused, removed.
#![expect(clippy::disallowed_methods, reason = "the kernel detaches in its own time")]

use abi::{Backend, PortKey, Reason, Settings};
use aya::maps::{Array, Map, MapData};
use ebpf::{Place, namespace};
use l4::{AttachError, Attachment, Balancer, LoadError, MAPS, Mode, Origin, PinError, Wish};
use std::collections::BTreeSet;
use std::process::Command;

/// What `ip link` says of an interface's XDP: its mode word and its program's id.
fn attached(interface: &str) -> Option<(String, String)> {
    let output = Command::new("ip").args(["link", "show", "dev", interface]).output().expect("iproute2");
    let text = String::from_utf8(output.stdout).expect("text");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mode = words.iter().find(|word| word.starts_with("xdp"))?;
    let id = words.iter().skip_while(|word| **word != "prog/xdp").nth(2)?;
    Some(((*mode).to_owned(), (*id).to_owned()))
}

/// The kernel detaches a little after the last pin is gone.
fn wait_until_free(interface: &str) {
    for _ in 0..500 {
        if attached(interface).is_none() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{interface} is still attached");
}

fn attachment(interface: &str, mode: Mode, adopted: bool) -> Attachment {
    Attachment { interface: interface.to_owned(), mode, adopted }
}

#[test]
fn what_is_pinned_survives_and_is_adopted() {
    namespace::enter();
    let place = Place::new("adopted");
    let key = PortKey::new(abi::Address::v4([203, 0, 113, 10]), 6, 443);
    let settings = Settings { layout: abi::LAYOUT, slots: 65537, hash_seed: 99, ..Settings::default() };

    let mut first = place.balancer();
    assert!(!first.adopted());
    first.put_settings(settings).expect("written");
    first.put_port(key, 7).expect("written");
    first.put_backend(3, Backend { mtu: 1400, ..Backend::default() }).expect("written");
    first.put_table(5, &vec![3; 65537]).expect("written");
    first.put_slots(5, &[(9, 4)]).expect("written");
    let attachments = first.attach(&[("out", Wish::Auto), ("wire", Wish::Generic)]).expect("attached");
    assert_eq!(attachments, [attachment("out", Mode::Native, false), attachment("wire", Mode::Generic, false)]);
    let before = attached("out").expect("attached");
    assert_eq!((before.0.as_str(), attached("wire").expect("attached").0.as_str()), ("xdp", "xdpgeneric"));

    // The process dies.
    drop(first);
    assert_eq!(attached("out"), Some(before.clone()));

    let mut second = place.balancer();
    assert!(second.adopted());
    assert_eq!(second.settings().expect("read"), settings);
    let table = second.table(5).expect("read");
    assert_eq!((table.len(), table[8], table[9]), (65537, 3, 4));
    let attachments = second.attach(&[("out", Wish::Auto)]).expect("attached");
    assert_eq!(attachments, [attachment("out", Mode::Native, true)]);
    let after = attached("out").expect("attached");
    assert_eq!(after.0, "xdp");
    assert_ne!(after.1, before.1, "the new process's program");
    wait_until_free("wire");

    assert!(place.folder().remove().expect("removed"));
    wait_until_free("out");
    assert!(!place.folder().remove().expect("nothing there"));
}

#[test]
fn an_interface_that_comes_again_is_attached_to_again() {
    namespace::enter();
    let place = Place::new("again");
    drop(place.balancer().attach(&[("out", Wish::Auto)]).expect("attached"));
    for command in [&["link", "del", "out"][..], &["link", "add", "out", "type", "veth", "peer", "name", "wire"]] {
        assert!(Command::new("ip").args(command).status().expect("iproute2").success(), "{command:?}");
    }
    let attachments = place.balancer().attach(&[("out", Wish::Auto)]).expect("attached");
    assert_eq!(attachments, [attachment("out", Mode::Native, false)]);
    assert!(attached("out").is_some());
}

#[test]
fn another_layout_is_refused() {
    let place = Place::new("layout");
    drop(place.balancer());
    let map = MapData::from_pin(place.path().join("maps/SETTINGS")).expect("pinned");
    let mut settings: Array<_, Settings> = Map::Array(map).try_into().expect("an array");
    settings.set(0, Settings { layout: 17, ..Settings::default() }, 0).expect("written");
    let refused = Balancer::open(place.folder()).map(drop).expect_err("refused");
    assert!(matches!(refused, LoadError::Pin(PinError::Layout { found: 17, .. })), "{refused}");
    // Maps that were never finished are nothing.
    settings.set(0, Settings::default(), 0).expect("written");
    assert!(!place.balancer().adopted());
}

#[test]
fn who_cannot_be_attached_to_is_told_why() {
    namespace::enter();
    let (place, other) = (Place::new("held"), Place::new("holder"));
    let mut balancer = place.balancer();
    let mut holder = Balancer::open(other.folder()).expect("loads");
    holder.attach(&[("out", Wish::Native)]).expect("attached");
    let held = balancer.attach(&[("out", Wish::Auto)]).map(drop).expect_err("refused");
    assert!(matches!(held, LoadError::Attach(AttachError::Held { .. })), "{held}");
    assert!(
        held.to_string().starts_with("the program balance (number ") && held.to_string().ends_with("holds the XDP hook of out"),
        "{held}"
    );
    let unknown = balancer.attach(&[("nowhere", Wish::Auto)]).map(drop).expect_err("refused");
    assert!(matches!(unknown, LoadError::Attach(AttachError::Unknown { .. })), "{unknown}");
    // The loopback device has no native mode: auto says what it made of it, native refuses.
    let native = balancer.attach(&[("lo", Wish::Native)]).map(drop).expect_err("refused");
    assert!(matches!(native, LoadError::Attach(AttachError::NotNative { .. })), "{native}");
    assert_eq!(balancer.attach(&[("lo", Wish::Auto)]).expect("attached"), [attachment("lo", Mode::Generic, false)]);
}

#[test]
fn the_origin_s_side_lives_as_long() {
    namespace::enter();
    let place = Place::new("origin");
    let own = (abi::Address::v4([10, 0, 0, 2]), abi::Address::default());
    let mut first = Origin::open(place.folder(), own.0, own.1).expect("loads");
    assert_eq!(first.attach(&[("out", Wish::Auto)]).expect("attached"), [attachment("out", Mode::Native, false)]);
    let before = attached("out").expect("attached");
    drop(first);
    assert_eq!(attached("out"), Some(before.clone()));
    let mut second = Origin::open(place.folder(), own.0, own.1).expect("loads");
    assert_eq!(second.attach(&[("out", Wish::Auto)]).expect("attached"), [attachment("out", Mode::Native, true)]);
    assert_ne!(attached("out").expect("attached").1, before.1);
    assert_eq!(second.reason(Reason::Decapsulated).expect("read"), 0);
}

/// Every map is pinned but scratch memory: one that is forgotten would be empty after a restart.
#[test]
fn every_map_is_pinned_or_scratch() {
    let ebpf = aya::Ebpf::load(l4::programs::BALANCER).expect("root");
    let scratch = ["NOTES", "PROBES", "PROBE_STREAMS", "ANSWERS", "BUDGETS", "FLOOD", "TCP_COPY", "SOURCES"];
    let all: BTreeSet<&str> = ebpf.maps().map(|(name, _)| name).filter(|name| !name.starts_with('.')).collect();
    let lines = l4::programs::HAS_LOG.then_some(["AYA_LOGS", "LINE"]).into_iter().flatten();
    let known: BTreeSet<&str> = MAPS.iter().copied().chain(scratch).chain(lines).collect();
    assert_eq!(all, known);
}
