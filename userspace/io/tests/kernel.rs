//! The ring on the real kernel: the same scenarios with every feature and with each fallback forced.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test panics where it fails, says what it runs with, and its clients live in real time"
)]
use io::{
    Descriptor, ListenOptions, Ring, listen,
    uring::{Forced, Uring, UringOptions},
};
use model::Address;
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    pin::pin,
    rc::Rc,
    thread,
};

fn each_fallback(scenario: impl Fn(&Ring)) {
    for name in ["", "defer_taskrun", "incremental_buffers", "receive_credit", "splice", "kernel_tls"] {
        let mut forced = Forced::default();
        if !name.is_empty() {
            forced.set(name).unwrap();
        }
        let uring = Uring::new(UringOptions { arena_bytes: 1 << 20, forced }).unwrap();
        eprintln!("without {name:?}:\n{}", uring.features());
        let ring = Ring::uring(uring);
        scenario(&ring);
        assert_eq!(ring.shut_down(ring.now() + core::time::Duration::from_secs(5)), 0, "sockets left");
        assert_eq!(ring.panics(), 0);
    }
}

fn listener() -> (Descriptor, SocketAddr) {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let socket = listen(&Address::Tcp(address), ListenOptions { backlog: 64, shared: true }).unwrap();
    let local = std::net::TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap();
    (Descriptor::Kernel(socket), local)
}

/// Echoes one connection until its peer closes, then closes.
fn serve_echo(ring: &Ring, descriptor: Descriptor, connections: usize) -> Rc<Cell<usize>> {
    let served = Rc::new(Cell::new(0));
    let (inner, count) = (ring.clone(), Rc::clone(&served));
    ring.spawn(async move {
        let listener = inner.listen(descriptor);
        for _ in 0..connections {
            let stream = listener.accept().await.unwrap();
            let count = Rc::clone(&count);
            inner.spawn(async move {
                loop {
                    stream.room().await.unwrap();
                    let chunk = stream.receive().await.unwrap();
                    if chunk.is_empty() {
                        break;
                    }
                    stream.write(|output| output.push(chunk));
                }
                stream.finish();
                stream.flushed().await.unwrap();
                count.set(count.get() + 1);
            });
        }
    });
    served
}

#[test]
fn echo_of_much_and_little() {
    each_fallback(|ring| {
        let (descriptor, address) = listener();
        let served = serve_echo(ring, descriptor, 3);
        let clients: Vec<_> = [1_usize, 5_000, 3_000_000]
            .into_iter()
            .map(|length| {
                thread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    let sent: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
                    let mut reader = stream.try_clone().unwrap();
                    let copy = sent.clone();
                    let writer = thread::spawn(move || {
                        stream.write_all(&copy).unwrap();
                        stream.shutdown(Shutdown::Write).unwrap();
                    });
                    let mut got = Vec::new();
                    // A slow reader, so that windows fill.
                    thread::sleep(std::time::Duration::from_millis(50));
                    reader.read_to_end(&mut got).unwrap();
                    writer.join().unwrap();
                    assert!(got == sent, "echo of {length} differs");
                })
            })
            .collect();
        ring.run(|| served.get() == 3);
        for client in clients {
            client.join().unwrap();
        }
    });
}

/// Whoever has connected is served, whatever the socket was at when it was to be closed.
#[test]
fn a_socket_is_emptied_before_it_closes() {
    for accepts_first in [false, true] {
        each_fallback(|ring| {
            let (descriptor, address) = listener();
            let socket = Rc::new(ring.listen(descriptor));
            let mut waiting = 20;
            let mut clients: Vec<_> = (0..waiting).map(|_| TcpStream::connect(address).unwrap()).collect();
            let (accepted, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            if accepts_first {
                let (socket, count) = (Rc::clone(&socket), Rc::clone(&accepted));
                ring.spawn(async move {
                    drop(socket.accept().await.unwrap());
                    count.set(count.get() + 1);
                });
                ring.run(|| accepted.get() == 1);
                clients.extend((0..5).map(|_| TcpStream::connect(address).unwrap()));
                waiting += 5;
            }
            socket.refuse_handshakes();
            let late = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(100));
            assert_eq!(late.err().map(|error| error.kind()), Some(std::io::ErrorKind::TimedOut));
            socket.stop();
            let (count, end) = (Rc::clone(&accepted), Rc::clone(&ended));
            ring.spawn(async move {
                while let Ok(stream) = socket.accept().await {
                    stream.finish();
                    count.set(count.get() + 1);
                }
                end.set(true);
            });
            ring.run(|| ended.get());
            assert_eq!(accepted.get(), waiting);
            for mut client in clients {
                assert_eq!(client.read(&mut [0]).unwrap(), 0, "closed, not reset");
            }
        });
    }
}

#[test]
fn splice_moves_everything_and_sees_the_end() {
    each_fallback(|ring| {
        let (front, address) = listener();
        let (back, origin) = listener();
        let length = 5_000_000_usize;
        let source = thread::spawn(move || {
            let mut stream = TcpStream::connect(origin).unwrap();
            let bytes: Vec<u8> = (0..length).map(|at| (at * 7 % 253) as u8).collect();
            stream.write_all(&bytes).unwrap();
        });
        let sink = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            thread::sleep(std::time::Duration::from_millis(50));
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        let done = Rc::new(Cell::new(0_u64));
        let (inner, total) = (ring.clone(), Rc::clone(&done));
        ring.spawn(async move {
            let (front, back) = (inner.listen(front), inner.listen(back));
            let (down, up) = (front.accept().await.unwrap(), back.accept().await.unwrap());
            let mut moved = 0;
            loop {
                let count = up.splice_to(&down, 1 << 20).await.unwrap();
                if count == 0 {
                    break;
                }
                moved += count;
            }
            total.set(moved);
        });
        ring.run(|| done.get() > 0);
        ring.turn(ring.now());
        source.join().unwrap();
        let got = sink.join().unwrap();
        assert_eq!(got.len(), length);
        assert!(got.iter().enumerate().all(|(at, byte)| *byte == (at * 7 % 253) as u8));
    });
}

/// Given up at the very moment at which it could go on, by a reader that then stops again: nobody will ask a second time.
#[test]
fn a_splice_that_is_given_up_ends() {
    each_fallback(|ring| {
        let (front, address) = listener();
        let (back, origin) = listener();
        let source = thread::spawn(move || {
            let mut stream = TcpStream::connect(origin).unwrap();
            // Until we close.
            while stream.write_all(&[7; 8192]).is_ok() {}
        });
        let mut sink = TcpStream::connect(address).unwrap();
        let mut reader = sink.try_clone().unwrap();
        let done = Rc::new(Cell::new(false));
        let (inner, flag) = (ring.clone(), Rc::clone(&done));
        ring.spawn(async move {
            let (front, back) = (inner.listen(front), inner.listen(back));
            let (down, up) = (front.accept().await.unwrap(), back.accept().await.unwrap());
            {
                let mut splice = pin!(async { while up.splice_to(&down, 1 << 40).await.is_ok() {} });
                let mut patience = pin!(inner.sleep(core::time::Duration::from_millis(200)));
                poll_fn(|context| {
                    assert!(splice.as_mut().poll(context).is_pending());
                    patience.as_mut().poll(context)
                })
                .await;
                assert!(reader.read(&mut vec![0; 1 << 20]).unwrap() > 0);
                thread::sleep(std::time::Duration::from_millis(20));
            }
            flag.set(true);
        });
        ring.run(|| done.get());
        assert_eq!(ring.shut_down(ring.now() + core::time::Duration::from_secs(5)), 0, "it goes on");
        assert!(sink.read(&mut [0]).is_ok());
        source.join().unwrap();
    });
}

/// The kernel may have said that there are none before it got those that came back meanwhile, and be heard only after.
#[test]
fn whoever_found_no_buffer_gets_one_that_came_back() {
    for name in ["", "defer_taskrun"] {
        let mut forced = Forced::default();
        if !name.is_empty() {
            forced.set(name).unwrap();
        }
        // The fewest there can be.
        let ring = Ring::uring(Uring::new(UringOptions { arena_bytes: 1, forced }).unwrap());
        let (descriptor, address) = listener();
        let (mut greedy, mut modest) = (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
        let (got, late) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let (inner, flag) = (ring.clone(), Rc::clone(&got));
        let counts = ring.clone();
        ring.spawn(async move {
            let listener = inner.listen(descriptor);
            let (hoarder, other) = (listener.accept().await.unwrap(), listener.accept().await.unwrap());
            other.arm();
            greedy.write_all(&vec![7; 1 << 20]).unwrap();
            let mut hoard = Vec::new();
            while counts.counts().parked == 0 {
                let chunk = poll_fn(|_| match hoarder.poll_receive() {
                    core::task::Poll::Ready(chunk) => core::task::Poll::Ready(Some(chunk.unwrap())),
                    core::task::Poll::Pending if counts.counts().parked > 0 => core::task::Poll::Ready(None),
                    core::task::Poll::Pending => core::task::Poll::Pending,
                });
                hoard.extend(chunk.await);
            }
            modest.write_all(b"x").unwrap();
            thread::sleep(std::time::Duration::from_millis(20));
            drop((hoard, hoarder));
            assert_eq!(&other.receive().await.unwrap()[..], b"x");
            flag.set(true);
        });
        let (inner, flag) = (ring.clone(), Rc::clone(&late));
        ring.spawn(async move {
            inner.sleep(core::time::Duration::from_secs(5)).await;
            flag.set(true);
        });
        ring.run(|| got.get() || late.get());
        assert!(got.get(), "without {name:?} it waits for ever");
    }
}

/// More receptions than a turn has buffers for, and more than are tried again in one turn: each comes to its turn.
#[test]
fn buffers_for_a_few_serve_many() {
    const CONNECTIONS: usize = 64;
    const BYTES: usize = 48 * 1024;
    each_fallback(|ring| {
        let (descriptor, address) = listener();
        let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
        for client in &mut clients {
            client.write_all(&vec![7; BYTES]).unwrap();
        }
        let whole = Rc::new(Cell::new(0));
        let (inner, count) = (ring.clone(), Rc::clone(&whole));
        ring.spawn(async move {
            let listener = inner.listen(descriptor);
            for _ in 0..CONNECTIONS {
                let (stream, count) = (listener.accept().await.unwrap(), Rc::clone(&count));
                inner.spawn(async move {
                    let mut left = BYTES;
                    while left > 0 {
                        left -= stream.receive().await.unwrap().len();
                    }
                    count.set(count.get() + 1);
                });
            }
        });
        ring.run(|| whole.get() == CONNECTIONS);
        assert!(ring.counts().parked > 0, "there were buffers for all");
    });
}

#[test]
fn timers_mailboxes_and_connects() {
    each_fallback(|ring| {
        let (descriptor, address) = listener();
        let served = serve_echo(ring, descriptor, 1);
        let (mailbox, post) = io::mailbox::<u32>(ring).unwrap();
        thread::spawn(move || {
            for letter in 1..=3 {
                post.send(letter).unwrap();
                thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let inner = ring.clone();
        let done = Rc::new(Cell::new(false));
        let flag = Rc::clone(&done);
        ring.spawn(async move {
            let before = inner.now();
            inner.sleep(core::time::Duration::from_millis(20)).await;
            assert!(inner.now().since(before) >= core::time::Duration::from_millis(20));
            for letter in 1..=3 {
                assert_eq!(mailbox.next().await, letter);
            }
            let nobody = Address::Tcp("127.0.0.1:1".parse().unwrap());
            assert_eq!(inner.connect(&nobody).await.err(), Some(io::Errno::CONNREFUSED));
            let stream = inner.connect(&Address::Tcp(address)).await.unwrap();
            stream.write(|output| output.write(b"ping"));
            assert_eq!(&stream.receive().await.unwrap()[..], b"ping");
            // To rest and back.
            let rest = stream.rest().await.expect("silent");
            let stream = inner.adopt(rest).expect("still silent");
            stream.write(|output| output.write(b"pong"));
            assert_eq!(&stream.receive().await.unwrap()[..], b"pong");
            flag.set(true);
        });
        ring.run(|| done.get() && served.get() == 1);
    });
}
