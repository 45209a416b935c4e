//! What happened: bytes came, or the peer closed. Each call gives at most one [`Part`].

use buf::Chunk;
use model::{Body, Cause, Fault, Head, Part};

use crate::{
    Connection,
    chunked::{self, Step},
    connection::{Asks, Exchange, Receiving, Sending, Side},
    head::{self, Message},
    request, response,
    section::{self, Refused, Section},
};

/// Empty lines skipped before a request line (RFC 9112 §2.2 asks for one; a third is a client that does not speak HTTP).
pub const EMPTY_LINES_MAX: u8 = 2;

/// Interim responses to one request.
pub const INTERIM_RESPONSES_MAX: u8 = 32;

impl Connection {
    /// Takes one Part off the front of `input`. `None`: more is needed, and `input` is used up, unless the connection
    /// [is waiting](Self::is_waiting) or [must close](Self::must_close). After a fault nothing more is read; a server can still answer it.
    pub fn receive(&mut self, input: &mut Chunk) -> Result<Option<Part>, Fault> {
        match self.receive_part(input) {
            Ok(part) => Ok(part),
            Err(cause) => {
                self.receiving = Receiving::Failed;
                self.persistent = false;
                self.gather = None;
                Err(self.blame(cause))
            }
        }
    }

    /// They closed their side. The End of a response that lasts until then, a fault in the middle of a message, `None` between messages.
    pub fn eof(&mut self) -> Result<Option<Part>, Fault> {
        self.persistent = false;
        let in_message = match (self.receiving, self.side) {
            (Receiving::UntilClose | Receiving::Known(0) | Receiving::Ending, _) => return Ok(Some(self.received_end())),
            (Receiving::Head, Side::Server) => self.gather.is_some(),
            (Receiving::Head, Side::Client) if self.sending == Sending::Head => {
                self.receiving = Receiving::Failed; // no request may follow
                false
            }
            (Receiving::Done | Receiving::Failed, _) => false,
            (Receiving::Head | Receiving::Known(_) | Receiving::Chunked(_) | Receiving::Trailers | Receiving::Held, _) => true,
        };
        if !in_message {
            return Ok(None);
        }
        self.receiving = Receiving::Failed;
        self.gather = None;
        Err(match self.side {
            Side::Server => Fault::client(Cause::DownstreamReset),
            Side::Client => Fault::origin(Cause::UpstreamReset),
        })
    }

    fn blame(&self, cause: Cause) -> Fault {
        match self.side {
            Side::Server => Fault::client(cause),
            Side::Client => Fault::origin(Cause::MalformedResponse),
        }
    }

    fn receive_part(&mut self, input: &mut Chunk) -> Result<Option<Part>, Cause> {
        match self.receiving {
            Receiving::Head => self.receive_head(input),
            Receiving::Known(0) | Receiving::Ending => Ok(Some(self.received_end())),
            Receiving::Known(_) | Receiving::UntilClose if input.is_empty() => Ok(None),
            Receiving::Known(left) => {
                let data = input.split_to(usize::try_from(left).unwrap_or(usize::MAX));
                self.receiving = Receiving::Known(left - data.len() as u64);
                Ok(Some(self.received_data(data)))
            }
            Receiving::UntilClose => {
                let data = core::mem::take(input);
                Ok(Some(self.received_data(data)))
            }
            Receiving::Chunked(decoder) => self.receive_chunked(decoder, input),
            Receiving::Trailers => self.receive_trailers(input),
            Receiving::Done => self.receive_between(input),
            Receiving::Held | Receiving::Failed => Ok(None),
        }
    }

    /// The message is complete. A server goes on to the next request once the response is complete too; bytes that an origin sends behind
    /// its response belong to nothing: they are dropped, and the connection is not used again.
    fn receive_between(&mut self, input: &mut Chunk) -> Result<Option<Part>, Cause> {
        if input.is_empty() {
            return Ok(None);
        }
        match self.side {
            Side::Server if self.can_reuse() => {
                self.begin_exchange();
                self.receive_head(input)
            }
            Side::Server => Ok(None),
            Side::Client => {
                self.persistent = false;
                *input = Chunk::default();
                Ok(None)
            }
        }
    }

    pub(crate) fn begin_exchange(&mut self) {
        debug_assert!(self.at_rest(), "exchanges do not overlap");
        (self.receiving, self.sending, self.exchange) = (Receiving::Head, Sending::Head, Exchange::NEW);
        (self.empty_lines, self.interim) = (0, 0);
    }

    fn receive_head(&mut self, input: &mut Chunk) -> Result<Option<Part>, Cause> {
        if self.side == Side::Client && self.sending == Sending::Head {
            self.receive_unasked(input);
            return Ok(None);
        }
        loop {
            if let Some(part) = self.receive_head_in_place(input) {
                return part.map(Some);
            }
            self.check_first_byte(input)?;
            let bytes_max = self.settings.limits.head_bytes_max as usize;
            return match section::take(&mut self.gather, input, bytes_max) {
                Ok(None) => Ok(None),
                Ok(Some(Section::Whole(block, lines))) => self.received_head(&block, lines).map(Some),
                Ok(Some(Section::Empty)) => {
                    self.empty_lines += 1;
                    if self.side == Side::Client || self.empty_lines > EMPTY_LINES_MAX {
                        return Err(Cause::MalformedHead);
                    }
                    continue;
                }
                Err(Refused::BareLf) => Err(Cause::MalformedHead),
                Err(Refused::TooLarge { lines: 0 }) => Err(Cause::TargetTooLong),
                Err(Refused::TooLarge { .. }) => Err(Cause::HeadTooLarge),
            };
        }
    }

    /// The usual case by a short cut: a head that is whole and in order is parsed where it stands, without looking for its end first.
    fn receive_head_in_place(&mut self, input: &mut Chunk) -> Option<Result<Part, Cause>> {
        if self.gather.is_some() || matches!(input.first(), None | Some(b'\r' | b'\n')) {
            return None;
        }
        let (length, message) = match self.side {
            Side::Server => request::in_place(input, &self.settings)?,
            Side::Client => response::in_place(input, self.exchange.is_head_only(), &self.settings.limits)?,
        };
        input.advance(length);
        Some(message.and_then(|message| self.received_message(message)))
    }

    /// Nothing was asked, so nothing can be answered: the origin closes (perhaps telling why), or is confused.
    fn receive_unasked(&mut self, input: &mut Chunk) {
        if !input.is_empty() {
            self.persistent = false;
            self.receiving = Receiving::Failed;
            *input = Chunk::default();
        }
    }

    /// What cannot become a head (a TLS hello, say) is refused at its first byte instead of at the timeout.
    fn check_first_byte(&self, input: &Chunk) -> Result<(), Cause> {
        let plausible = match (self.gather.is_some(), input.first(), self.side) {
            (true, _, _) | (_, None | Some(b'\r' | b'\n'), _) => true,
            (false, Some(byte), Side::Server) => byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte),
            (false, Some(byte), Side::Client) => *byte == b'H',
        };
        if plausible { Ok(()) } else { Err(Cause::MalformedHead) }
    }

    fn received_head(&mut self, block: &Chunk, lines: usize) -> Result<Part, Cause> {
        let message = match self.side {
            Side::Server => request::gathered(block, lines, &self.settings)?,
            Side::Client => response::gathered(block, lines, self.exchange.is_head_only(), &self.settings.limits)?,
        };
        self.received_message(message)
    }

    fn received_message(&mut self, message: Message) -> Result<Part, Cause> {
        match self.side {
            Side::Server => Ok(self.received_request(message)),
            Side::Client => self.received_response(message),
        }
    }

    fn received_request(&mut self, message: Message) -> Part {
        let Message { head, version, chunked, persistent, expects_continue, upgrade } = message;
        let asks = Asks::of(&head.start);
        self.exchange = Exchange { version, asks, expects_continue, last: !persistent };
        self.persistent &= persistent;
        if upgrade {
            self.receiving = Receiving::Held;
        } else {
            self.content_follows(&head, chunked);
        }
        Part::Head(head)
    }

    fn received_response(&mut self, message: Message) -> Result<Part, Cause> {
        let Message { mut head, chunked, persistent, upgrade, .. } = message;
        self.persistent &= persistent;
        match head.status() {
            101 if upgrade && self.exchange.asks == Asks::Upgrade => {
                (head.body, head.end) = (Body::Unknown, false);
                self.switched();
                Ok(Part::Head(head))
            }
            101 => Err(Cause::MalformedResponse), // nobody has asked for that (RFC 9110 §15.2.2)
            100..=199 => {
                self.interim += 1;
                if self.interim > INTERIM_RESPONSES_MAX { Err(Cause::MalformedResponse) } else { Ok(Part::Info(head)) }
            }
            _ => {
                if self.sending == Sending::Held {
                    self.sending = Sending::Nothing;
                }
                self.content_follows(&head, chunked);
                Ok(Part::Head(head))
            }
        }
    }

    /// The connection speaks something else from here on.
    pub(crate) fn switched(&mut self) {
        (self.receiving, self.sending, self.persistent) = (Receiving::UntilClose, Sending::UntilClose, false);
        self.exchange.asks = Asks::Tunnel;
    }

    fn content_follows(&mut self, head: &Head, chunked: bool) {
        self.receiving = match head.body {
            _ if head.end => Receiving::Done,
            Body::None => Receiving::Done,
            Body::Known(length) => Receiving::Known(length),
            Body::Unknown if chunked => Receiving::Chunked(chunked::Decoder::NEW),
            Body::Unknown => Receiving::UntilClose,
        };
    }

    fn receive_chunked(&mut self, mut decoder: chunked::Decoder, input: &mut Chunk) -> Result<Option<Part>, Cause> {
        let step = decoder.run(input)?;
        self.receiving = Receiving::Chunked(decoder);
        match step {
            Step::More => Ok(None),
            Step::Data(data) => Ok(Some(self.received_data(data))),
            Step::Last => {
                self.receiving = Receiving::Trailers;
                self.receive_trailers(input)
            }
        }
    }

    fn receive_trailers(&mut self, input: &mut Chunk) -> Result<Option<Part>, Cause> {
        let bytes_max = self.settings.limits.head_bytes_max as usize;
        match section::take(&mut self.gather, input, bytes_max) {
            Ok(None) => Ok(None),
            Ok(Some(Section::Empty)) => Ok(Some(self.received_end())),
            Ok(Some(Section::Whole(block, lines))) => {
                let trailers = head::trailers(&block, lines, &self.settings.limits)?;
                if trailers.is_empty() {
                    return Ok(Some(self.received_end()));
                }
                self.receiving = Receiving::Ending;
                Ok(Some(Part::Trailers(trailers)))
            }
            Err(Refused::BareLf) => Err(Cause::BadChunk),
            Err(Refused::TooLarge { .. }) => Err(Cause::HeadTooLarge),
        }
    }

    /// Content has come, so the client waits for no 100 (Continue).
    fn received_data(&mut self, data: Chunk) -> Part {
        self.exchange.expects_continue = false;
        Part::Data(data)
    }

    fn received_end(&mut self) -> Part {
        self.exchange.expects_continue = false;
        self.receiving = Receiving::Done;
        Part::End
    }
}
