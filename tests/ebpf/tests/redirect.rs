//! The program of `redirect: sockmap` at sockets of this machine: what it hands on, what it keeps, what it is refused.
#![expect(clippy::disallowed_methods, reason = "the kernel hands on in its own time")]

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
    time::{Duration, Instant},
};

use io::{End, Fd, Moved, Redirect as _, Ways};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection: a peer's socket, and ours.
struct Pair {
    peer: TcpStream,
    ours: TcpStream,
}

impl Pair {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (ours, _) = listener.accept().expect("a connection");
        peer.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        ours.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { peer, ours }
    }

    /// Nothing was written to it before.
    fn end(&self) -> End {
        let cookie = rustix::net::sockopt::socket_cookie(&self.ours).expect("every socket has one");
        End { fd: Fd(self.ours.as_raw_fd()), cookie, written: 0 }
    }

    /// What has come is looked at, as whoever joins two sockets has to.
    fn look(&self) {
        self.ours.set_nonblocking(true).expect("a socket");
        assert!(self.ours.peek(&mut [0]).is_err(), "nothing is to be received");
        self.ours.set_nonblocking(false).expect("a socket");
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Until the kernel has it in the socket's queue.
fn arrived(socket: &TcpStream) {
    assert!(socket.peek(&mut [0]).is_ok());
}

#[test]
fn what_came_before_goes_first_and_both_ways_go_on() {
    let (mut down, mut up) = (Pair::new(), Pair::new());
    let mut redirect = l4::Redirect::load().expect("loading needs root");
    down.peer.write_all(b"be").expect("it is taken");
    arrived(&down.ours);
    assert_eq!(redirect.join([down.end(), up.end()], 1 << 20).expect("both are established"), Ways::Both);
    down.look();
    down.peer.write_all(b"fore").expect("it is taken");
    let mut came = [0; 6];
    up.peer.read_exact(&mut came).expect("it comes");
    assert_eq!(&came, b"before");
    up.peer.write_all(b"back").expect("it is taken");
    let mut came = [0; 4];
    down.peer.read_exact(&mut came).expect("it comes");
    assert_eq!(&came, b"back");
    assert_eq!(redirect.moved(down.end().cookie), Moved { redirected: 6, kept: 0 });
    assert_eq!(redirect.moved(up.end().cookie), Moved { redirected: 4, kept: 0 });
}

/// A target whose peer does not read: the backlog, and not a byte more, is on its way to it; everything else is ours to receive, also after the end.
#[test]
fn beyond_the_backlog_bytes_are_kept_in_order() {
    const BACKLOG: u64 = 100_000;
    let (mut down, mut up) = (Pair::new(), Pair::new());
    let mut redirect = l4::Redirect::load().expect("loading needs root");
    let (from, to) = (down.end(), up.end());
    // As if so much were on its way already. What is kept first is more than what was redirected, for the peer may have acknowledged that by then.
    let to = End { written: BACKLOG - 4, ..to };
    redirect.join([from, to], BACKLOG).expect("both are established");
    down.look();
    let mut full = Vec::new();
    for (part, sum) in [(&b"0123"[..], 4), (b"kept here ", 14), (b"for us", 20)] {
        redirect.full(&mut full);
        down.peer.write_all(part).expect("it is taken");
        eventually("the program ran", || {
            let moved = redirect.moved(from.cookie);
            moved.redirected + moved.kept == sum
        });
    }
    down.peer.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(redirect.moved(from.cookie), Moved { redirected: 4, kept: 16 });
    redirect.full(&mut full);
    assert_eq!(full, [from.cookie], "told once");
    let mut kept = Vec::new();
    down.ours.read_to_end(&mut kept).expect("it ends well");
    assert_eq!(kept, b"kept here for us");
    let mut came = [0; 4];
    up.peer.read_exact(&mut came).expect("it comes");
    assert_eq!(&came, b"0123");
}

#[test]
fn a_socket_that_has_ended_is_not_joined() {
    for ended in [0, 1] {
        let (down, up) = (Pair::new(), Pair::new());
        let mut redirect = l4::Redirect::load().expect("loading needs root");
        [&down, &up][ended].peer.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!([&down, &up][ended].ours.peek(&mut [0]).ok(), Some(0));
        assert!(redirect.join([down.end(), up.end()], 1 << 20).is_err());
        // And nothing of it is left: they can be relayed by hand.
        let (mut from, mut to) = if ended == 0 { (up, down) } else { (down, up) };
        from.peer.write_all(b"by hand").expect("it is taken");
        let mut came = [0; 7];
        from.ours.read_exact(&mut came).expect("it comes");
        to.ours.write_all(&came).expect("it is taken");
        to.peer.read_exact(&mut came).expect("it comes");
        assert_eq!(&came, b"by hand");
    }
}
