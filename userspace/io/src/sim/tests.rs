//! The simulated kernel against the contract in `op`, and the shipped reactor against the simulated kernel.

use std::rc::Rc;

use buf::Chunk;
use core::{cell::RefCell, future::poll_fn, net::SocketAddr, task::Poll, time::Duration};
use model::{Address, Instant};

use super::{Chance, Chaos, Host, Random, Sim, World};
use crate::{Bell, Completion, Descriptor, Errno, Fd, Kind, Op, Outcome, Ring, Token};

pub(super) fn address(text: &str) -> Address {
    text.strip_prefix("unix:").map_or_else(|| Address::Tcp(text.parse::<SocketAddr>().unwrap()), |path| Address::Unix(path.into()))
}

/// Two hosts with a ring each: 0 is the server, 1 the client.
struct Lab {
    world: World,
    hosts: [Host; 2],
    rings: [Sim; 2],
    heard: [Vec<String>; 2],
    pieces: Vec<Chunk>,
    _listener: Descriptor,
    listener: Fd,
}

const SERVER: usize = 0;
const CLIENT: usize = 1;
pub(super) const PLACE: &str = "10.0.0.1:80";

impl Lab {
    fn new(chaos: Chaos) -> Self {
        let world = World::new(chaos);
        let hosts = [world.host("server"), world.host("client")];
        let held = world.listen(hosts[SERVER], address(PLACE)).unwrap();
        let rings = [Sim::new(&world, hosts[SERVER]), Sim::new(&world, hosts[CLIENT])];
        Self { world, hosts, rings, heard: [Vec::new(), Vec::new()], pieces: Vec::new(), listener: held.fd(), _listener: held }
    }

    /// A connection: the client's and the server's descriptor.
    fn connected(chaos: Chaos) -> (Self, Fd, Fd) {
        let mut lab = Self::new(chaos);
        let client = lab.rings[CLIENT].socket(&address(PLACE)).unwrap();
        lab.ask(CLIENT, 0, Op::Connect { fd: client, address: address(PLACE) });
        lab.ask(SERVER, 0, Op::Accept { fd: lab.listener });
        lab.settle();
        let accepted = lab.heard(SERVER).join(" ");
        let server = Fd(accepted.trim_start_matches("accepted ").trim_end_matches('+').parse().unwrap());
        assert_eq!(lab.heard(CLIENT), ["Connect 0"]);
        (lab, client, server)
    }

    fn ask(&mut self, ring: usize, slot: u32, op: Op) {
        self.rings[ring].submit(slot, op);
    }

    fn send(&mut self, ring: usize, fd: Fd, bytes: usize, wait: bool) {
        // The client's connection stands in slot 0, behind the server's listener in slot 1.
        let slot = u32::from(ring == SERVER);
        self.ask(ring, slot, Op::Send { fd, pieces: vec![Chunk::from(vec![b'x'; bytes])], wait, last: false });
    }

    /// Lets everything happen that happens by itself.
    fn settle(&mut self) {
        loop {
            for ring in [SERVER, CLIENT] {
                let mut completions = Vec::new();
                self.rings[ring].wait(true, Instant::NEVER, &mut completions);
                for completion in completions {
                    self.hear(ring, completion);
                }
            }
            if self.world.advance().is_err() {
                return;
            }
        }
    }

    fn hear(&mut self, ring: usize, completion: Completion) {
        let more = if completion.more { "+" } else { "" };
        let text = match completion.outcome {
            Outcome::Accepted(Ok(fd)) => format!("accepted {}{more}", fd.0),
            Outcome::Accepted(Err(errno)) => format!("accept: {}{more}", errno.0),
            Outcome::Received(Ok(chunk)) => format!("received {}{more}", chunk.len()),
            Outcome::Received(Err(errno)) => format!("receive: {}{more}", errno.0),
            Outcome::Sent(Ok(count), pieces) => {
                self.pieces = pieces;
                format!("sent {count}")
            }
            Outcome::Sent(Err(errno), pieces) => {
                self.pieces = pieces;
                format!("send: {}", errno.0)
            }
            Outcome::Done(Ok(count)) => format!("{:?} {count}{more}", completion.token.kind),
            Outcome::Done(Err(errno)) => format!("{:?}: {}", completion.token.kind, errno.0),
        };
        self.heard[ring].push(text);
    }

    fn heard(&mut self, ring: usize) -> Vec<String> {
        self.settle();
        core::mem::take(&mut self.heard[ring])
    }
}

fn failed(what: &str, errno: Errno) -> String {
    format!("{what}: {}", errno.0)
}

#[test]
fn bytes_and_a_half_close_go_both_ways() {
    let (mut lab, client, server) = Lab::connected(Chaos::calm());
    let (near, far) = (&lab.rings[SERVER], &lab.rings[CLIENT]);
    assert_eq!((near.peer(server), near.local(server)), (far.local(client), far.peer(client)));
    assert_eq!(near.local(server), Ok(address(PLACE)));
    lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 1000 });
    lab.send(CLIENT, client, 700, false);
    assert_eq!(lab.heard(CLIENT), ["sent 700"]);
    lab.rings[CLIENT].finish(client);
    assert_eq!(lab.heard(SERVER), ["received 700+", "received 0"]);
    lab.send(CLIENT, client, 1, false);
    assert_eq!(lab.heard(CLIENT), [failed("send", Errno::PIPE)]);
    lab.send(SERVER, server, 5, true);
    lab.ask(CLIENT, 0, Op::Receive { fd: client, credit: 1000 });
    assert_eq!((lab.heard(SERVER), lab.heard(CLIENT)), (vec!["sent 5".to_owned()], vec!["received 5+".to_owned()]));
    lab.ask(SERVER, 1, Op::Close { fd: server, reset: false });
    assert_eq!((lab.heard(SERVER), lab.heard(CLIENT)), (vec!["Close 0".to_owned()], vec!["received 0".to_owned()]));
    lab.ask(CLIENT, 0, Op::Close { fd: client, reset: false });
    assert_eq!(lab.heard(CLIENT), ["Close 0"]);
    assert_eq!(lab.world.usage(lab.hosts[CLIENT]), super::Usage::default());
}

#[test]
fn a_receive_ends_with_its_credit_or_without_buffers() {
    let check = |chaos: Chaos, sent: usize, credit: u32, expect: &[&str]| {
        let (mut lab, client, server) = Lab::connected(chaos);
        lab.send(CLIENT, client, sent, false);
        lab.settle();
        lab.ask(SERVER, 1, Op::Receive { fd: server, credit });
        assert_eq!(lab.heard(SERVER), expect);
        assert_eq!(lab.world.usage(lab.hosts[SERVER]).leased, 0, "the test drops what it hears");
    };
    let chaos = Chaos { buffers: 2, buffer_bytes: 100, ..Chaos::calm() };
    let nobufs = failed("receive", Errno::NOBUFS);
    check(chaos.clone(), 150, 120, &["received 100+", "received 20"]);
    check(chaos.clone(), 250, 1000, &["received 100+", "received 100+", &nobufs]);
    check(Chaos { receive_credit: false, ..chaos.clone() }, 150, 1000, &["received 100"]);
    check(Chaos { early_end: Chance(10_000), ..chaos }, 150, 1000, &["received 100"]);
}

#[test]
fn a_buffer_takes_one_reception_or_several() {
    let check = |incremental, expect: &[&str]| {
        let (mut lab, client, server) = Lab::connected(Chaos { buffers: 1, buffer_bytes: 100, incremental, ..Chaos::calm() });
        lab.send(CLIENT, client, 30, false);
        lab.settle();
        lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 10 });
        let first = {
            let mut completions = Vec::new();
            lab.rings[SERVER].wait(true, Instant::NEVER, &mut completions);
            completions
        };
        assert_eq!(first.len(), 1);
        lab.heard[SERVER].clear();
        lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 10 });
        assert_eq!(lab.heard(SERVER), expect);
        assert_eq!(lab.world.usage(lab.hosts[SERVER]).leased, 1);
        drop(first);
        assert!(lab.rings[SERVER].has_buffers());
        lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 10 });
        assert_eq!(lab.heard(SERVER), ["received 10"]);
    };
    check(true, &["received 10"]);
    check(false, &[&failed("receive", Errno::NOBUFS)]);
}

#[test]
fn a_full_window_cuts_sends_short() {
    let (mut lab, client, server) = Lab::connected(Chaos { window_bytes: 100..=100, ..Chaos::calm() });
    lab.send(CLIENT, client, 150, false);
    assert_eq!(lab.heard(CLIENT), ["sent 100"]);
    lab.send(CLIENT, client, 50, false);
    assert_eq!(lab.heard(CLIENT), [failed("send", Errno::AGAIN)]);
    lab.send(CLIENT, client, 250, true);
    assert!(lab.heard(CLIENT).is_empty());
    lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 200 });
    lab.settle();
    assert!(lab.heard(CLIENT).is_empty(), "50 bytes do not fit yet");
    lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 200 });
    assert_eq!(lab.heard(CLIENT), ["sent 250"]);
    assert_eq!(lab.pieces.len(), 1);
}

#[test]
fn a_broken_send_tells_what_went_out_and_then_why() {
    let (mut lab, client, server) = Lab::connected(Chaos { window_bytes: 100..=100, ..Chaos::calm() });
    lab.send(CLIENT, client, 250, true);
    lab.settle();
    lab.ask(SERVER, 1, Op::Close { fd: server, reset: true });
    assert_eq!(lab.heard(CLIENT), ["sent 100"]);
    lab.send(CLIENT, client, 1, true);
    assert_eq!(lab.heard(CLIENT), [failed("send", Errno::CONNRESET)]);
    lab.send(CLIENT, client, 1, true);
    assert_eq!(lab.heard(CLIENT), [failed("send", Errno::PIPE)]);
}

#[test]
fn closing_with_unread_bytes_resets() {
    let check = |sent_before, sent_after, reset, expect: &[&str]| {
        let (mut lab, client, server) = Lab::connected(Chaos::calm());
        if sent_before {
            lab.send(CLIENT, client, 10, false);
            lab.settle();
        }
        lab.ask(SERVER, 1, Op::Close { fd: server, reset });
        lab.settle();
        if sent_after {
            lab.send(CLIENT, client, 10, false);
            lab.settle();
        }
        lab.heard[CLIENT].clear();
        lab.ask(CLIENT, 0, Op::Receive { fd: client, credit: 10 });
        assert_eq!(lab.heard(CLIENT), expect);
    };
    let broken = failed("receive", Errno::CONNRESET);
    check(false, false, false, &["received 0"]);
    check(true, false, false, &[&broken]);
    check(false, true, false, &[&broken]);
    check(false, false, true, &[&broken]);
}

#[test]
fn a_reset_may_take_unread_bytes_with_it() {
    let check = |reset_loses_unread, expect: &[&str]| {
        let (mut lab, client, server) = Lab::connected(Chaos { reset_loses_unread, ..Chaos::calm() });
        lab.send(SERVER, server, 10, false);
        lab.settle();
        lab.ask(SERVER, 1, Op::Close { fd: server, reset: true });
        lab.settle();
        lab.ask(CLIENT, 0, Op::Receive { fd: client, credit: 100 });
        assert_eq!(lab.heard(CLIENT), expect);
    };
    let broken = failed("receive", Errno::CONNRESET);
    check(Chance(0), &["received 10+", &broken]);
    check(Chance(10_000), &[&broken]);
}

#[test]
fn connects_fail_as_they_do() {
    let check = |chaos: Chaos, place: &str, expect: String, seconds: u64| {
        let mut lab = Lab::new(chaos);
        let fd = lab.rings[CLIENT].socket(&address(place)).unwrap();
        lab.ask(CLIENT, 0, Op::Connect { fd, address: address(place) });
        assert_eq!(lab.heard(CLIENT), [expect]);
        assert_eq!(lab.world.now().0 / 1_000_000_000, seconds);
    };
    check(Chaos::calm(), "10.0.0.1:81", failed("Connect", Errno::CONNREFUSED), 0);
    check(Chaos::calm(), "unix:/none", failed("Connect", Errno::CONNREFUSED), 0);
    check(Chaos { refuse: Chance(10_000), ..Chaos::calm() }, PLACE, failed("Connect", Errno::CONNREFUSED), 0);
    check(Chaos { unanswered: Chance(10_000), ..Chaos::calm() }, PLACE, failed("Connect", Errno::TIMEDOUT), 127);
    check(Chaos { backlog: 0, ..Chaos::calm() }, PLACE, failed("Connect", Errno::TIMEDOUT), 127);
}

#[test]
fn descriptors_run_out_and_come_back() {
    let mut lab = Lab::new(Chaos::calm());
    lab.world.limit_descriptors(lab.hosts[CLIENT], 1);
    let fd = lab.rings[CLIENT].socket(&address(PLACE)).unwrap();
    assert_eq!(lab.rings[CLIENT].socket(&address(PLACE)), Err(Errno::MFILE));
    lab.world.limit_descriptors(lab.hosts[SERVER], 1);
    lab.ask(SERVER, 0, Op::Accept { fd: lab.listener });
    lab.ask(CLIENT, 0, Op::Connect { fd, address: address(PLACE) });
    assert_eq!(lab.heard(SERVER), [failed("accept", Errno::MFILE)]);
    lab.world.limit_descriptors(lab.hosts[SERVER], 2);
    lab.ask(SERVER, 0, Op::Accept { fd: lab.listener });
    assert_eq!(lab.heard(SERVER), [format!("accepted {}+", fd.0 + 1)]);
    assert_eq!(lab.world.usage(lab.hosts[SERVER]).descriptors, 2);
}

#[test]
fn a_cancel_may_come_too_late() {
    let (mut lab, client, server) = Lab::connected(Chaos::calm());
    let cancel = |kind, slot| Op::Cancel { target: Token { kind, slot } };
    lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 10 });
    lab.ask(SERVER, 1, cancel(Kind::Receive, 1));
    assert_eq!(lab.heard(SERVER), [failed("receive", Errno::CANCELED), "Cancel 0".to_owned()]);
    lab.send(CLIENT, client, 10, false);
    lab.settle();
    lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 10 });
    lab.ask(SERVER, 1, cancel(Kind::Receive, 1));
    assert_eq!(lab.heard(SERVER), ["received 10".to_owned(), format!("Cancel: {}", libc::ENOENT)]);
    lab.ask(SERVER, 0, cancel(Kind::Accept, 0));
    assert_eq!(lab.heard(SERVER), [failed("accept", Errno::CANCELED), "Forget 0".to_owned()]);
}

#[test]
fn splicing_moves_what_fits_and_tells_the_end() {
    let (mut lab, client, server) = Lab::connected(Chaos { window_bytes: 100..=100, ..Chaos::calm() });
    // A second connection, over which the server gives back what it splices.
    let back = lab.rings[CLIENT].socket(&address(PLACE)).unwrap();
    lab.ask(CLIENT, 1, Op::Connect { fd: back, address: address(PLACE) });
    let accepted = lab.heard(SERVER).join("");
    let to = Fd(accepted.trim_start_matches("accepted ").trim_end_matches('+').parse().unwrap());
    lab.ask(SERVER, 1, Op::Splice { from: server, to, length: 1000 });
    assert!(lab.heard(SERVER).is_empty(), "nothing to move yet");
    lab.send(CLIENT, client, 60, false);
    assert_eq!(lab.heard(SERVER), ["Splice 60"]);
    lab.send(CLIENT, client, 60, false);
    lab.ask(SERVER, 1, Op::Splice { from: server, to, length: 1000 });
    assert_eq!(lab.heard(SERVER), ["Splice 40"], "the window");
    lab.ask(SERVER, 1, Op::Splice { from: server, to, length: 5 });
    assert!(lab.heard(SERVER).is_empty(), "no room");
    lab.heard[CLIENT].clear();
    lab.ask(CLIENT, 1, Op::Receive { fd: back, credit: 1000 });
    assert_eq!(lab.heard(CLIENT), ["received 100+", "received 5+"]);
    assert_eq!(lab.heard(SERVER), ["Splice 5"]);
    lab.rings[CLIENT].finish(client);
    lab.ask(SERVER, 1, Op::Splice { from: server, to, length: 1000 });
    assert_eq!(lab.heard(SERVER), ["Splice 15"]);
    lab.ask(SERVER, 1, Op::Splice { from: server, to, length: 1000 });
    assert_eq!(lab.heard(SERVER), ["Splice 0"]);
}

#[test]
fn a_bell_is_heard_once_for_all_its_rings() {
    let mut lab = Lab::new(Chaos::calm());
    let bell: Bell = lab.rings[SERVER].bell().unwrap();
    lab.ask(SERVER, 3, Op::Watch { bell: bell.clone() });
    assert!(lab.heard(SERVER).is_empty());
    bell.ring();
    bell.ring();
    assert_eq!(lab.heard(SERVER), ["Watch 1+"]);
    bell.ring();
    assert_eq!(lab.heard(SERVER), ["Watch 1+"]);
}

#[test]
fn a_dropped_descriptor_is_closed() {
    let (mut lab, client, server) = Lab::connected(Chaos::calm());
    assert!(lab.rings[SERVER].is_quiet(server));
    drop(lab.rings[CLIENT].descriptor(client));
    lab.settle();
    assert!(!lab.rings[SERVER].is_quiet(server), "the peer's end has come");
    assert_eq!(lab.world.usage(lab.hosts[CLIENT]).descriptors, 0);
    assert_eq!(lab.rings[SERVER].descriptor(server).into_fd(), server);
    lab.settle();
    assert!(lab.rings[SERVER].peer(server).is_ok(), "given on, not closed");
}

#[test]
fn silence_ends_with_the_senders_patience() {
    let chaos = Chaos { silence: Chance(10_000), life_micros: 1_000_000..=1_000_000, ..Chaos::calm() };
    let (mut lab, client, server) = Lab::connected(chaos);
    let ours = lab.rings[CLIENT].local(client).unwrap();
    assert!(lab.world.was_broken(&ours), "settling lets the second pass");
    lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 10 });
    lab.ask(CLIENT, 0, Op::Receive { fd: client, credit: 10 });
    lab.send(CLIENT, client, 10, false);
    assert_eq!(lab.heard(CLIENT), ["sent 10".to_owned(), failed("receive", Errno::TIMEDOUT)]);
    assert!(lab.heard(SERVER).is_empty());
}

#[test]
fn breaches_of_the_contract_are_found() {
    let check = |expect: &str, breach: fn(&mut Lab, Fd)| {
        let (mut lab, client, _) = Lab::connected(Chaos::calm());
        breach(&mut lab, client);
        let caught = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| lab.settle())).expect_err(expect);
        let text = caught.downcast_ref::<String>().unwrap();
        assert!(text.starts_with(expect), "{text}");
    };
    check("Fd(4) is closed with [(1, Token { kind: Receive, slot: 0 })", |lab, fd| {
        lab.ask(CLIENT, 0, Op::Receive { fd, credit: 1 });
        lab.settle();
        drop(lab.rings[CLIENT].descriptor(fd));
    });
    check("ring 1: Token { kind: Close, slot: 0 } on Fd(4) while Token { kind: Receive, slot: 0 }", |lab, fd| {
        lab.ask(CLIENT, 0, Op::Receive { fd, credit: 1 });
        lab.ask(CLIENT, 0, Op::Close { fd, reset: false });
    });
    check("ring 1: Fd(4) is not open, but used by", |lab, fd| {
        lab.ask(CLIENT, 0, Op::Close { fd, reset: false });
        lab.ask(CLIENT, 1, Op::Receive { fd, credit: 1 });
    });
    check("ring 1: slot 0 is reused", |lab, fd| {
        lab.ask(CLIENT, 0, Op::Receive { fd, credit: 1 });
        let other = lab.rings[CLIENT].socket(&address(PLACE)).unwrap();
        lab.ask(CLIENT, 0, Op::Connect { fd: other, address: address(PLACE) });
    });
    check("ring 1: Token { kind: Receive, slot: 0 } is outstanding already", |lab, fd| {
        lab.ask(CLIENT, 0, Op::Receive { fd, credit: 1 });
        lab.ask(CLIENT, 0, Op::Receive { fd, credit: 1 });
    });
    check("ring 0: Fd(4) is another host's", |lab, fd| lab.ask(SERVER, 7, Op::Receive { fd, credit: 1 }));
}

#[test]
#[should_panic(expected = "nothing can move and no timer is set")]
fn a_lone_ring_that_waits_for_nothing_hangs() {
    let world = World::new(Chaos::calm());
    let host = world.host("alone");
    Sim::new(&world, host).wait(true, Instant::NEVER, &mut Vec::new());
}

#[test]
fn a_hang_of_several_says_who_waits() {
    let (mut lab, _, server) = Lab::connected(Chaos::calm());
    lab.ask(SERVER, 1, Op::Receive { fd: server, credit: 7 });
    lab.settle();
    let text = lab.world.advance().unwrap_err().0;
    assert!(text.contains("receive Fd(5), credit 7") && text.contains("listens on 10.0.0.1:80"), "{text}");
}

// ---- the shipped reactor on the simulated kernel ----

/// What became of a run.
struct Run {
    fingerprint: u64,
    echoed: usize,
    broken: usize,
}

const CONNECTIONS: usize = 4;

/// A server that echoes and clients that send random bytes and check what comes back, all under the chaos.
fn echo(chaos: Chaos) -> Run {
    let seed = chaos.seed;
    let world = World::new(chaos);
    let hosts = [world.host("server"), world.host("client")];
    let rings = hosts.map(|host| Ring::sim(Sim::new(&world, host)));
    let done = Rc::new(RefCell::new(Vec::new()));
    serve(&rings[SERVER], world.listen(hosts[SERVER], address(PLACE)).unwrap());
    for number in 0..CONNECTIONS {
        let (ring, done) = (rings[CLIENT].clone(), Rc::clone(&done));
        let mut random = Random::new(seed.wrapping_mul(31) + number as u64);
        rings[CLIENT].spawn(async move {
            let intact = ask(&ring, &mut random).await;
            done.borrow_mut().push(intact);
        });
    }
    let run = |ready: &dyn Fn() -> bool| {
        if let Err(hang) = world.run(&rings, Instant(u64::MAX / 2), ready) {
            panic!("seed {seed} hangs\n{}\n{}", world.trace(), hang.0);
        }
    };
    run(&|| done.borrow().len() == CONNECTIONS);
    for ring in &rings {
        assert_eq!(ring.panics(), 0, "seed {seed}");
        ring.shut_down(Instant(0));
    }
    run(&|| rings.iter().all(|ring| ring.open() == 0));
    for host in hosts {
        let usage = world.usage(host);
        assert_eq!((usage.operations, usage.leased), (0, 0), "seed {seed}\n{}", world.report());
    }
    let echoed = done.borrow().iter().filter(|intact| **intact).count();
    Run { fingerprint: world.fingerprint(), echoed, broken: CONNECTIONS - echoed }
}

fn serve(ring: &Ring, listening: Descriptor) {
    let listener = ring.listen(listening);
    let ring = ring.clone();
    ring.clone().spawn(async move {
        loop {
            let Ok(stream) = listener.accept().await else {
                ring.sleep(Duration::from_millis(10)).await;
                continue;
            };
            ring.spawn(async move {
                while let Ok(chunk) = stream.receive().await {
                    if chunk.is_empty() {
                        stream.finish();
                        // The end goes out after what is unsent.
                        if stream.flushed().await.is_ok() {
                            let _end = stream.receive().await;
                        }
                        return;
                    }
                    stream.write(|output| output.push(chunk));
                    if stream.room().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Whether everything came back; a wrong byte panics.
async fn ask(ring: &Ring, random: &mut Random) -> bool {
    let Ok(stream) = ring.connect(&address(PLACE)).await else { return false };
    let length = random.pick(&[1, 100, 3_000, 20_000]);
    let bytes: Vec<u8> = (0..length).map(|_| random.bits().to_le_bytes()[0]).collect();
    let stream = Rc::new(stream);
    let (sender, sent) = (Rc::clone(&stream), bytes.clone());
    ring.spawn(async move {
        for piece in sent.chunks(7_000) {
            sender.write(|output| output.push(Chunk::copy_of(piece)));
            if sender.room().await.is_err() {
                return;
            }
        }
        sender.finish();
    });
    let mut back = Vec::new();
    loop {
        // A silent peer is given up on.
        let timer = ring.timer();
        timer.set(ring.now() + Duration::from_secs(1_000));
        let received = poll_fn(|_| match stream.poll_receive() {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending => timer.poll_expired().map(|()| None),
        })
        .await;
        match received {
            Some(Ok(chunk)) if chunk.is_empty() => break,
            Some(Ok(chunk)) => back.extend_from_slice(&chunk),
            Some(Err(_)) | None => return false,
        }
    }
    assert!(bytes.starts_with(&back), "bytes come back in their order");
    back.len() == bytes.len()
}

/// A relay whose reader stalls: what waits for it must stand on the heap, whichever Send it waits behind.
#[test]
fn a_stalled_peer_holds_no_receive_buffers() {
    let chaos = Chaos { window_bytes: 40_000..=40_000, segment_bytes: 5_000..=5_000, buffers: 4, ..Chaos::calm() };
    let world = World::new(chaos);
    let hosts = [world.host("server"), world.host("client")];
    let rings = hosts.map(|host| Ring::sim(Sim::new(&world, host)));
    serve(&rings[SERVER], world.listen(hosts[SERVER], address(PLACE)).unwrap());
    let ring = rings[CLIENT].clone();
    rings[CLIENT].spawn(async move {
        let stream = ring.connect(&address(PLACE)).await.unwrap();
        loop {
            stream.write(|output| output.push(Chunk::from(vec![b'x'; 5_000])));
            stream.room().await.unwrap();
        }
    });
    let mut turns = 0;
    // The client never reads, so in the end nobody can move.
    while world.advance().is_ok() {
        for ring in &rings {
            ring.turn(Instant::NEVER);
        }
        turns += 1;
        assert!(turns < 100_000);
    }
    assert!(rings[SERVER].counts().short_sends > 0);
    assert_eq!(world.usage(hosts[SERVER]).leased, 0, "{}", world.report());
}

#[test]
fn everything_comes_back_over_unbroken_connections() {
    for seed in 0..100 {
        assert_eq!(echo(Chaos::from_seed(seed).unbroken()).echoed, CONNECTIONS, "seed {seed}");
    }
}

#[test]
fn nothing_leaks_or_hangs_when_connections_break() {
    let broken: usize = (0..200).map(|seed| echo(Chaos::from_seed(seed)).broken).sum();
    assert!(broken > 20, "the chaos broke only {broken} connections of 800");
}

#[test]
fn a_seed_says_everything() {
    let mut seen = Vec::new();
    for seed in 0..20 {
        let first = echo(Chaos::from_seed(seed)).fingerprint;
        assert_eq!(first, echo(Chaos::from_seed(seed)).fingerprint, "seed {seed} runs the same way twice");
        assert!(!seen.contains(&first), "seed {seed} runs its own way");
        seen.push(first);
    }
}
