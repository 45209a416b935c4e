//! Interfaces on top of others: bridges, bonds and VLANs. Few kernels of build machines have the last two, Debian's own has: `cargo xtask guest` runs these.
#![expect(clippy::disallowed_methods, reason = "the kernel detaches in its own time")]

use ebpf::namespace;
use l4::{AttachError, Balancer, Folder, LoadError, Mode, Wish};
use std::path::PathBuf;
use std::process::{self, Command};

fn ip(commands: &[&str]) {
    for command in commands {
        let status = Command::new("ip").args(command.split(' ')).status().expect("iproute2");
        assert!(status.success(), "ip {command}");
    }
}

/// What `ip link` says of an interface's XDP.
fn shown(interface: &str) -> Option<String> {
    let output = Command::new("ip").args(["link", "show", "dev", interface]).output().expect("iproute2");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().find(|word| word.starts_with("xdp")).map(str::to_owned)
}

/// Waits until only these have a program, of all that are named.
#[track_caller]
fn only(attached: &[&str], all: &[&str]) {
    let is_so = || all.iter().all(|interface| shown(interface).is_some() == attached.contains(interface));
    for _ in 0..500 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("of {all:?} not only {attached:?} have a program");
}

/// A balancer whose attachments are gone with it.
fn open(name: &str) -> (Balancer, PathBuf) {
    let folder = PathBuf::from(format!("{}/sluice-test-{name}-{}", l4::ROOT, process::id()));
    drop(Folder::of_instance("mounted").expect("root"));
    (Balancer::open(Folder::at(folder.clone())).expect("loads"), folder)
}

/// The kernel takes no program below one: what leaves makes way first, and is put back when that was for nothing.
#[test]
fn an_interface_is_exchanged_for_one_below_it() {
    namespace::enter();
    ip(&["link add top type bridge", "link add m0 type veth peer name p0", "link set m0 master top", "link set top up", "link set m0 up"]);
    let (mut balancer, folder) = open("exchanged");
    let all = ["top", "m0", "out"];
    exchange(&mut balancer, ("top", Mode::Generic), ("m0", Mode::Native), &all);
    // Only what is in the way makes way: who leaves elsewhere stays, when that would not help.
    balancer.attach(&[("top", Wish::Auto), ("out", Wish::Auto)]).expect("they are free");
    balancer.attach(&[("m0", Wish::Auto), ("top", Wish::Auto)]).expect_err("refused");
    only(&["top", "out"], &all);
    // Who stays does not make way, and who cannot come is told why.
    balancer.attach(&[("top", Wish::Auto)]).expect("it is free");
    let covered = balancer.attach(&[("m0", Wish::Auto), ("top", Wish::Auto)]).map(drop).expect_err("refused");
    assert!(matches!(covered, LoadError::Attach(AttachError::Covered { .. })), "{covered}");
    println!("below one that stays: {covered}");
    only(&["top"], &all);
    assert!(Folder::at(folder).remove().expect("removed"));
    only(&[], &all);
}

/// From one to the one below it and back; and not, when another that is wished for too is not there.
fn exchange(balancer: &mut Balancer, above: (&str, Mode), below: (&str, Mode), all: &[&str]) {
    for (interface, mode) in [above, below, above] {
        let attachments = balancer.attach(&[(interface, Wish::Auto)]).unwrap_or_else(|error| panic!("{interface}: {error}"));
        assert_eq!(attachments.iter().map(|one| (&*one.interface, one.mode)).collect::<Vec<_>>(), [(interface, mode)]);
        only(&[interface], all);
    }
    let error = balancer.attach(&[(below.0, Wish::Auto), ("out", Wish::Auto), ("nowhere", Wish::Auto)]).map(drop).expect_err("refused");
    assert!(matches!(error, LoadError::Attach(AttachError::Unknown { .. })), "{error}");
    only(&[above.0], all);
}

/// What is asked for, and what comes of it; `None`: it is refused, with the reason.
type Row<'a> = (&'a [(&'a str, Wish)], Option<&'a [Mode]>);

#[test]
#[ignore = "needs a kernel with bonds and VLANs: `cargo xtask guest` runs it"]
fn every_kind_of_interface_is_attached_to_as_it_can_be() {
    namespace::enter();
    ip(&[
        "link add bond0 type bond mode active-backup",
        "link add m0 type veth peer name p0",
        "link add m1 type veth peer name p1",
        "link set m0 master bond0",
        "link set m1 master bond0",
        "link add link out name out.7 type vlan id 7",
        "link set bond0 up",
        "link set out.7 up",
    ]);
    let (mut balancer, folder) = open("stacked");
    exchange(&mut balancer, ("out.7", Mode::Generic), ("out", Mode::Native), &["out", "out.7", "wire"]);
    let rows: [Row<'_>; 8] = [
        (&[("bond0", Wish::Auto)], Some(&[Mode::Native])),
        (&[("out.7", Wish::Native)], None),
        (&[("out.7", Wish::Auto)], Some(&[Mode::Generic])),
        // The kernel has no program below one.
        (&[("out", Wish::Native), ("out.7", Wish::Generic)], None),
        // The way back from generic, and forth.
        (&[("bond0", Wish::Generic)], Some(&[Mode::Generic])),
        (&[("bond0", Wish::Native), ("wire", Wish::Auto), ("out", Wish::Auto)], Some(&[Mode::Native, Mode::Native, Mode::Native])),
        (&[("out", Wish::Native), ("out.7", Wish::Generic)], Some(&[Mode::Native, Mode::Generic])),
        (&[("nowhere", Wish::Auto)], None),
    ];
    for (wishes, expect) in rows {
        match (balancer.attach(wishes), expect) {
            (Ok(attachments), Some(modes)) => {
                let became: Vec<Mode> = attachments.iter().map(|attachment| attachment.mode).collect();
                assert_eq!(became, modes, "{wishes:?}");
                for attachment in &attachments {
                    let word = if attachment.mode == Mode::Native { "xdp" } else { "xdpgeneric" };
                    assert_eq!(shown(&attachment.interface).as_deref(), Some(word), "{wishes:?}");
                }
            }
            (Err(LoadError::Attach(error)), None) => {
                println!("{wishes:?}: {error}");
                let (AttachError::NotNative { interface, .. }
                | AttachError::Unknown { interface }
                | AttachError::Covered { interface }
                | AttachError::Held { interface, .. }
                | AttachError::Lost { interface, .. }) = &error
                else {
                    panic!("{wishes:?}: {error}")
                };
                assert_eq!(interface, wishes[0].0);
            }
            (outcome, _) => panic!("{wishes:?}: {outcome:?}"),
        }
    }
    // A bond's program is its members': they can have no other.
    let held = balancer.attach(&[("bond0", Wish::Native), ("m0", Wish::Native)]).map(drop).expect_err("refused");
    assert!(matches!(held, LoadError::Attach(AttachError::Covered { .. })), "{held}");
    println!("a member of a bond that has a program: {held}");
    assert!(Folder::at(folder).remove().expect("removed"));
    only(&[], &["bond0", "out", "out.7", "m0"]);
}
