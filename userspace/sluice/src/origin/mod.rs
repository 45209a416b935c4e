//! `sluice origin`: a small honest origin, on the same engine as the load balancer, to try and test it with.
//!
//! It says who it is in every answer and misbehaves only when a path asks for it.

mod answers;

use core::{future::poll_fn, net::SocketAddr, num::NonZeroUsize, time::Duration};
use std::{os::fd::OwnedFd, process::ExitCode, rc::Rc, thread};

use anyhow::{Context, Result};
use clap::Args;
use exchange::{Arrival, Conn, Settings};
use io::{
    Descriptor, ListenOptions, Ring, Stream,
    uring::{Uring, UringOptions},
};
use model::Address;

use crate::say;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long accepting rests when it fails (no file descriptors).
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Bytes thrown away of a client that still sends when its connection is closed.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// What to serve.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: SocketAddr,
    /// What it calls itself in every answer
    #[arg(long, default_value = "origin")]
    name: String,
    /// Threads
    #[arg(long, value_name = "N", default_value = "1")]
    workers: NonZeroUsize,
    /// Send back every byte instead of speaking HTTP
    #[arg(long)]
    tcp: bool,
}

/// Serves until the process is ended.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let workers = options.workers.get();
    let first = listen(options.bind, workers > 1)?;
    let bound = rustix::net::getsockname(&first).context("a socket without an address")?;
    let bound = SocketAddr::try_from(bound).context("a socket of another kind")?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(listen(bound, true)?);
    }
    say(format_args!("origin {} listens on {bound}", options.name));
    let started: Vec<_> = sockets
        .into_iter()
        .map(|socket| {
            let (name, tcp) = (options.name.clone(), options.tcp);
            thread::Builder::new().name("origin".to_owned()).spawn(move || serve(socket, &name, tcp))
        })
        .collect::<Result<_, _>>()
        .context("a thread cannot be started")?;
    for thread in started {
        thread.join().unwrap_or_else(|_panic| Err(anyhow::anyhow!("a thread of the origin panicked")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn listen(address: SocketAddr, shared: bool) -> Result<OwnedFd> {
    Ok(io::listen(&Address::Tcp(address), ListenOptions { backlog: BACKLOG, shared })?)
}

/// One thread.
fn serve(socket: OwnedFd, name: &str, tcp: bool) -> Result<()> {
    let ring = Ring::uring(Uring::new(UringOptions::default())?);
    let (name, inner): (Rc<str>, Ring) = (name.into(), ring.clone());
    ring.spawn(async move {
        let listener = inner.listen(Descriptor::Kernel(socket));
        loop {
            match listener.accept().await {
                Ok(stream) if tcp => inner.spawn(echo(stream)),
                Ok(stream) => inner.spawn(speak(stream, Rc::clone(&name))),
                Err(_errno) => inner.sleep(ACCEPT_REST).await,
            }
        }
    });
    ring.run(|| false);
    Ok(())
}

/// Requests of one connection.
async fn speak(stream: Stream, name: Rc<str>) {
    let settings = Settings::default();
    let mut conn = Conn::server(stream.into(), &settings);
    while poll_fn(|_| conn.poll_readable()).await {
        if conn.exchanges() == 0 && conn.may_be_multiplexed() {
            conn = conn.sniff(&settings).await;
            if conn.is_multiplexed() {
                return speak_many(&conn, &name).await;
            }
        }
        if answers::answer(&conn.exchange(), &name).await.is_err() || !conn.can_accept() {
            break;
        }
    }
    conn.transport().finish();
    // Closing with unread bytes would reset the connection and could destroy the answer on its way.
    if conn.transport().flushed().await.is_ok() && !conn.can_accept() {
        conn.transport().discard(LINGER_BYTES_MAX).await;
    }
}

/// Requests of a connection that carries many at once.
async fn speak_many(conn: &Rc<Conn>, name: &Rc<str>) {
    loop {
        match poll_fn(|_| conn.poll_arrival()).await {
            Arrival::Exchange(exchange) => {
                let name = Rc::clone(name);
                // Whoever asked may be gone before the answer is whole.
                conn.transport().ring().spawn(async move {
                    let _answered = answers::answer(&exchange, &name).await;
                });
            }
            Arrival::Rejected(_) | Arrival::Reached(_) | Arrival::Room => {}
            Arrival::Over(_) => return,
        }
    }
}

/// Every byte back, each half closed when the client closes its own.
async fn echo(stream: Stream) {
    while stream.room().await.is_ok() {
        match stream.receive().await {
            Ok(chunk) if !chunk.is_empty() => stream.write(|output| output.push(chunk)),
            Ok(_end) => break,
            Err(_errno) => return stream.reset(),
        }
    }
    stream.finish();
    // Dropped earlier, what the client's window does not take would be lost.
    let _broken = stream.flushed().await;
}
