//! What one simulated request is and what the origin does with it: all of it follows from the run's seed and the request's number, so that
//! client, origin and judge know it without telling each other.

use core::time::Duration;

use io::sim::{Chance, Random};

/// How the origins of a run behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// They answer everything well.
    Good,
    /// ... and close idle connections without warning.
    Hasty,
    /// They also die, stall, and answer garbage.
    Bad,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Unique in its run.
    pub id: u64,
    /// GET, HEAD, PUT, POST.
    pub method: &'static str,
    /// The request's body.
    pub request: Body,
    /// Whether the client waits for 100 before it sends the body.
    pub expects_continue: bool,
    /// The response's body.
    pub response: Body,
    /// The response's status.
    pub status: u16,
    /// Interim responses before it.
    pub infos: usize,
    /// What the trailers of a chunked request, and of a chunked response, say.
    pub trailers: [Option<String>; 2],
    /// What the origin waits before it answers.
    pub delay: Duration,
    /// What the origin does.
    pub conduct: Conduct,
    /// How often an origin that speaks HTTP/2 refuses to look at it.
    pub refusals: usize,
}

/// A body and how it is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None at all.
    None,
    /// With Content-Length.
    Known(usize),
    /// Chunked.
    Chunked(usize),
    /// Ended by the connection's end (responses only).
    Close(usize),
}

/// What the origin does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Reads all of it, answers.
    Answer,
    /// Answers as soon as it has the head, then reads the rest.
    Early,
    /// Answers as soon as it has the head and closes without reading the rest.
    EarlyClose,
    /// Closes the connection before answering.
    DieBefore,
    /// Closes it in the middle of the response's head.
    DieInHead,
    /// Closes it in the middle of the response's body.
    DieInBody,
    /// Never answers.
    Stall,
    /// Answers what is not HTTP.
    Garbage,
}

impl Body {
    /// Bytes.
    pub fn length(self) -> usize {
        match self {
            Self::None => 0,
            Self::Known(length) | Self::Chunked(length) | Self::Close(length) => length,
        }
    }
}

impl Plan {
    /// Request `id` of the run with that seed.
    pub fn new(seed: u64, id: u64, mood: Mood) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(id));
        let random = &mut random;
        let method = random.pick(&["GET", "GET", "GET", "HEAD", "PUT", "POST", "POST"]);
        let has_body = matches!(method, "PUT" | "POST");
        let request = if has_body { body(random, false) } else { Body::None };
        let status = random.pick(&[200, 200, 200, 200, 204, 304, 404, 503]);
        let conduct = match mood {
            Mood::Bad if random.happens(Chance(3_000)) => random.pick(&[
                Conduct::DieBefore,
                Conduct::DieInHead,
                Conduct::DieInBody,
                Conduct::Stall,
                Conduct::Garbage,
                Conduct::EarlyClose,
            ]),
            Mood::Good | Mood::Hasty | Mood::Bad => random.pick(&[Conduct::Answer, Conduct::Answer, Conduct::Answer, Conduct::Early]),
        };
        let expects_continue = request.length() > 0 && random.happens(Chance(1_500));
        let response = if matches!(status, 204 | 304) { Body::None } else { body(random, true) };
        let plan = Self {
            id,
            method,
            request,
            expects_continue,
            response,
            trailers: [None, None],
            status,
            infos: random.pick(&[0, 0, 0, 0, 1, 2]),
            delay: Duration::from_micros(random.pick(&[0, 0, 100, 20_000])),
            conduct,
            refusals: random.pick(&[0, 0, 0, 0, 0, 1, 2]),
        };
        let mut trailer =
            |body, whose| (matches!(body, Body::Chunked(_)) && random.happens(Chance(3_000))).then(|| format!("{whose} {id}"));
        Self { trailers: [trailer(request, "request"), trailer(response, "response")], ..plan }
    }

    /// Whether repeating the request does no harm.
    pub fn is_idempotent(&self) -> bool {
        self.method != "POST"
    }

    /// What comes of the request behind its head: its body, and its trailers as [`told`].
    pub fn request_whole(&self) -> Vec<u8> {
        whole(self.request_bytes(), self.trailers[0].as_ref())
    }

    /// What comes of the response to anything but HEAD behind its head.
    pub fn response_whole(&self) -> Vec<u8> {
        whole(self.response_bytes(), self.trailers[1].as_ref())
    }

    /// The request's body.
    pub fn request_bytes(&self) -> Vec<u8> {
        bytes(self.id, self.request.length())
    }

    /// The body of the origin's response to anything but HEAD.
    pub fn response_bytes(&self) -> Vec<u8> {
        bytes(!self.id, self.response.length())
    }
}

fn body(random: &mut Random, response: bool) -> Body {
    let large = random.happens(Chance(100));
    let length = if large { 300_000 } else { random.pick(&[0, 1, 10, 500, 3_000, 20_000]) };
    match random.below(if response { 5 } else { 4 }) {
        0 | 1 => Body::Known(length),
        2 | 3 => Body::Chunked(length),
        _ => Body::Close(length),
    }
}

/// The field in trailers.
pub const TRAILER: &str = "x-last";

/// A field of trailers, as if it were the end of the body: no trailers may be lost, and none made up.
pub fn told(name: &str, value: &str) -> Vec<u8> {
    format!("\n{name}: {value}").into_bytes()
}

fn whole(mut body: Vec<u8>, trailer: Option<&String>) -> Vec<u8> {
    body.extend(trailer.map(|value| told(TRAILER, value)).unwrap_or_default());
    body
}

/// Bytes that say whose they are and where they stand.
fn bytes(whose: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(whose);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.bits().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
