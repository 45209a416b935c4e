//! What the origin answers, by path. To add an answer, add its line to [`answer`].

use core::time::Duration;

use buf::Chunk;
use exchange::Exchange;
use model::{Body, Cause, Fault, Field, Head, Name, Part, RequestLine};

/// A block of bytes to cut from: whole periods, so that blocks follow one another without a seam.
const BLOCK_BYTES: usize = PERIOD * 697;
/// Printable characters: no power of two divides their number evenly, so that a lost or repeated buffer shows.
const PERIOD: usize = 94;

/// One request, from its head to the end of both messages. A fault ends the connection.
pub(super) async fn answer(exchange: &Exchange, name: &str) -> Result<(), Fault> {
    let head = match exchange.next().await {
        Ok(Part::Head(head)) => head,
        Ok(_) => return Err(Fault::us(Cause::Internal)),
        Err(fault) => return refuse(exchange, name, fault),
    };
    let Some(line) = head.request() else { return Err(Fault::us(Cause::Internal)) };
    let path = String::from_utf8_lossy(&line.path).into_owned();
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.split('/').skip(1);
    let verb = parts.next().unwrap_or_default();
    let numbers: Option<Vec<u64>> = parts.map(|part| part.parse().ok()).collect();
    let call = Call { exchange, name, head: &head };
    match (verb, numbers.as_deref()) {
        ("echo", Some([])) => call.echo().await,
        ("early", Some([])) => call.early().await,
        (verb, numbers) => {
            call.take_body().await?;
            call.answer_after_body(verb, numbers, line).await
        }
    }
}

/// A request that is no HTTP.
fn refuse(exchange: &Exchange, name: &str, fault: Fault) -> Result<(), Fault> {
    if fault.cause.status() != 0 {
        exchange.conn().close_after();
        let text = format!("{name}: {}\n", fault.cause.text());
        send_text(exchange, named(name, fault.cause.status(), Body::Known(text.len() as u64)), &text)?;
    }
    Err(fault)
}

/// A request under way.
struct Call<'a> {
    exchange: &'a Exchange,
    name: &'a str,
    head: &'a Head,
}

impl Call<'_> {
    async fn answer_after_body(&self, verb: &str, numbers: Option<&[u64]>, line: &RequestLine) -> Result<(), Fault> {
        match (verb, numbers) {
            ("", Some([])) => self.text(200, &format!("{}\n", self.name)),
            ("bytes", Some([count])) => self.bytes(Body::Known(*count), *count).await,
            ("chunked", Some([count])) => self.bytes(Body::Unknown, *count).await,
            ("delay", Some([milliseconds])) => {
                self.wait(*milliseconds).await;
                self.text(200, &format!("{} after {milliseconds} ms\n", self.name))
            }
            ("status", Some([status @ 200..=599])) => self.status(u16::try_from(*status).unwrap_or(500)),
            ("headers", Some([])) => self.text(200, &self.received(line)),
            ("close", Some([])) => {
                self.exchange.conn().close_after();
                self.text(200, &format!("{} closes\n", self.name))
            }
            ("die", Some([])) => self.die().await,
            ("garbage", Some([])) => self.garbage().await,
            ("stream", Some([count, milliseconds])) => self.stream(*count, *milliseconds).await,
            _ => self.text(404, &format!("{} has no such path\n", self.name)),
        }
    }

    /// Reads what the client sends and throws it away.
    async fn take_body(&self) -> Result<(), Fault> {
        if self.head.end {
            return Ok(());
        }
        self.invite()?;
        while !self.exchange.next().await?.is_end() {}
        Ok(())
    }

    /// A client that asked whether to send its body is told to (RFC 9110 §10.1.1).
    fn invite(&self) -> Result<(), Fault> {
        if self.head.fields.get(Name::Expect).is_some() {
            self.exchange.send(Part::Info(Head::response(100, Body::None)))?;
        }
        Ok(())
    }

    fn text(&self, status: u16, text: &str) -> Result<(), Fault> {
        send_text(self.exchange, named(self.name, status, Body::Known(text.len() as u64)), text)
    }

    fn status(&self, status: u16) -> Result<(), Fault> {
        // RFC 9110 §15.3.5, §15.4.5: these have no content.
        if matches!(status, 204 | 304) {
            return self.exchange.send(Part::Head(named(self.name, status, Body::None)));
        }
        self.text(status, &format!("{} says {status}\n", self.name))
    }

    async fn bytes(&self, body: Body, count: u64) -> Result<(), Fault> {
        self.exchange.send(Part::Head(named(self.name, 200, body)))?;
        let block = block();
        let mut left = count;
        while left > 0 {
            self.exchange.room().await?;
            let piece = block.slice(0, usize::try_from(left).unwrap_or(usize::MAX));
            left -= piece.len() as u64;
            self.exchange.send(Part::Data(piece))?;
        }
        self.exchange.send(Part::End)
    }

    /// The request's body, as it comes.
    async fn echo(&self) -> Result<(), Fault> {
        let mut head = named(self.name, 200, if self.head.end { Body::Known(0) } else { self.head.body });
        if let Some(media_type) = self.head.fields.get_named(b"content-type") {
            head.fields.set(b"content-type", media_type);
        }
        self.invite()?;
        self.exchange.send(Part::Head(head))?;
        if self.head.end {
            return self.exchange.send(Part::End);
        }
        loop {
            self.exchange.room().await?;
            let part = self.exchange.next().await?;
            let is_end = part.is_end();
            self.exchange.send(part)?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Answers before it reads the body, which it then throws away.
    async fn early(&self) -> Result<(), Fault> {
        self.text(200, &format!("{} did not wait\n", self.name))?;
        while !self.exchange.received() {
            if self.exchange.next().await?.is_end() {
                break;
            }
        }
        Ok(())
    }

    async fn stream(&self, count: u64, milliseconds: u64) -> Result<(), Fault> {
        self.exchange.send(Part::Head(named(self.name, 200, Body::Unknown)))?;
        for number in 0..count {
            if number > 0 {
                self.wait(milliseconds).await;
            }
            self.exchange.room().await?;
            self.exchange.send(Part::Data(Chunk::from(format!("{} {number}\n", self.name).as_str())))?;
        }
        self.exchange.send(Part::End)
    }

    /// Half of what it promised, then the end of the connection.
    async fn die(&self) -> Result<(), Fault> {
        self.exchange.send(Part::Head(named(self.name, 200, Body::Known(PERIOD as u64))))?;
        self.exchange.send(Part::Data(block().slice(0, PERIOD / 2)))?;
        self.give_up().await
    }

    /// Bytes that are no HTTP.
    async fn garbage(&self) -> Result<(), Fault> {
        self.exchange.conn().transport().write(|output| output.write(b"\x16\x03\x01garbage\r\n\r\n"));
        self.give_up().await
    }

    async fn give_up(&self) -> Result<(), Fault> {
        // Whether it could be sent makes no difference: the connection ends.
        let _sent = self.exchange.conn().transport().flushed().await;
        Err(Fault::us(Cause::Internal))
    }

    async fn wait(&self, milliseconds: u64) {
        self.exchange.conn().transport().ring().sleep(Duration::from_millis(milliseconds)).await;
    }

    /// The request's head, as the codec understood it.
    fn received(&self, line: &RequestLine) -> String {
        let field = |field: Field<'_>| {
            let value = if field.known == Name::Host { &line.authority[..] } else { field.value };
            format!("{}: {}\n", String::from_utf8_lossy(field.name), String::from_utf8_lossy(value))
        };
        let first = format!("{} {}\n", line.method, String::from_utf8_lossy(&line.path));
        self.head.fields.iter().fold(first, |text, one| text + &field(one))
    }
}

/// A response's head that says whose it is.
fn named(name: &str, status: u16, body: Body) -> Head {
    let mut head = Head::response(status, body);
    head.fields.append(b"x-origin", name.as_bytes());
    head.fields.append(b"content-type", b"text/plain; charset=utf-8");
    head
}

fn send_text(exchange: &Exchange, head: Head, text: &str) -> Result<(), Fault> {
    exchange.send(Part::Head(head))?;
    exchange.send(Part::Data(Chunk::from(text)))?;
    exchange.send(Part::End)
}

/// The byte at place `i` of any body of ours is the `i % 94`th printable character.
fn block() -> Chunk {
    thread_local! {
        static BLOCK: Chunk = Chunk::from((b'!'..=b'~').cycle().take(BLOCK_BYTES).collect::<Vec<u8>>());
    }
    BLOCK.with(Chunk::clone)
}
