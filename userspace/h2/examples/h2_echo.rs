//! A small HTTP/2 server over blocking sockets, to let real clients at the codec: `cargo run --release -p h2 --example h2_echo -- 127.0.0.1:8080`,
//! then `curl --http2-prior-knowledge`, `nghttp`, `h2load`. `GET` answers 1 KiB (`/N`: N bytes), anything else gives back what it was sent,
//! trailers too. One thread for each connection.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person")]
#![expect(clippy::disallowed_methods, reason = "time has to come from somewhere")]

use buf::{Chunk, Output};
use h2::{Connection, Event, Settings};
use model::{Body, Fault, Head, Instant, Method, Part, StreamId};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

/// Bytes handed to the socket at once.
const OUTPUT_BYTES: usize = 64 * 1024;

struct Echo {
    connection: Connection,
    /// Content received and not echoed yet, by stream: what makes the window follow what was consumed.
    waiting: Vec<(StreamId, VecDeque<Part>)>,
    counts: [u64; 3],
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(&address)?;
    println!("listening on {address}");
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("connection: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut echo = Echo { connection: Connection::server(Rc::new(Settings::default())), waiting: Vec::new(), counts: [0; 3] };
    let started = std::time::Instant::now();
    let mut buffer = vec![0; 64 * 1024];
    echo.flush(&mut stream)?;
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            println!(
                "closed: {:?}, {} requests, {} resets, {} events of limits",
                echo.connection.eof(),
                echo.counts[0],
                echo.counts[1],
                echo.counts[2]
            );
            println!("idle heap: {} bytes", echo.connection.heap_bytes());
            return Ok(());
        }
        let mut input = Chunk::copy_of(&buffer[..length]);
        let now = Instant(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let fault = echo.receive(&mut input, now);
        echo.pump();
        echo.flush(&mut stream)?;
        if let Err(fault) = fault {
            println!("fault: {fault:?}");
            return Ok(());
        }
        if echo.connection.is_over() {
            return Ok(());
        }
    }
}

impl Echo {
    fn receive(&mut self, input: &mut Chunk, now: Instant) -> Result<(), Fault> {
        while let Some(event) = self.connection.receive(input, now)? {
            match event {
                Event::Part(id, Part::Head(head)) => self.request(id, &head),
                Event::Part(id, part) => {
                    if let Some((_, parts)) = self.waiting.iter_mut().find(|(known, _)| *known == id) {
                        parts.push_back(part);
                    }
                }
                Event::Refused(id, fault) => {
                    let head = Head::response(fault.cause.status(), Body::None);
                    self.connection.send_head(id, &head)?;
                    self.connection.release(id);
                }
                Event::Reset(id, _) => {
                    self.counts[1] += 1;
                    self.waiting.retain(|(known, _)| *known != id);
                    self.connection.release(id);
                }
                Event::Rejected(..) | Event::Draining => {}
                Event::Reached(limit) => {
                    self.counts[2] += 1;
                    println!("limit: {limit:?}");
                }
            }
        }
        Ok(())
    }

    fn request(&mut self, id: StreamId, head: &Head) {
        self.counts[0] += 1;
        let Some(line) = head.request() else { return };
        let mut response = Head::response(200, Body::Unknown);
        response.end = false;
        response.fields.append(b"server", b"echo");
        if line.method != Method::Get {
            let mut parts = VecDeque::new();
            parts.push_back(Part::Head(response));
            if head.end {
                parts.push_back(Part::End);
            }
            self.waiting.push((id, parts));
            return;
        }
        let length = core::str::from_utf8(&line.path[1..]).ok().and_then(|text| text.parse().ok()).unwrap_or(1024_usize);
        response.body = Body::Known(length as u64);
        response.end = length == 0;
        let mut parts = VecDeque::from([Part::Head(response)]);
        let mut left = length;
        while left > 0 {
            let piece = left.min(16 * 1024);
            parts.push_back(Part::Data(Chunk::from(vec![b'x'; piece])));
            left -= piece;
        }
        parts.push_back(Part::End);
        self.waiting.push((id, parts));
    }

    /// Gives back what there is room for.
    fn pump(&mut self) {
        let connection = &mut self.connection;
        self.waiting.retain_mut(|(id, parts)| {
            while !matches!(parts.front(), Some(Part::Data(_))) || connection.room(*id) > 0 {
                let Some(part) = parts.pop_front() else { return true };
                let (length, end) = (if let Part::Data(data) = &part { data.len() } else { 0 }, part.is_end());
                let sent = connection.send(*id, part);
                connection.consumed(*id, length);
                if end || sent.is_err() {
                    connection.release(*id);
                    return false;
                }
            }
            true
        });
    }

    fn flush(&mut self, stream: &mut TcpStream) -> std::io::Result<()> {
        while self.connection.has_output() {
            let mut output = Output::default();
            self.connection.transmit(&mut output, OUTPUT_BYTES);
            for piece in output.take(Vec::new()) {
                stream.write_all(&piece)?;
            }
            while self.connection.next_with_room().is_some() {}
            self.pump();
        }
        Ok(())
    }
}
