//! The head of a request or response, free of any HTTP version.

use buf::Chunk;
use core::fmt;

use crate::Fields;

/// Bytes that a codec has checked to be what they stand for (a token, a path, a reason phrase).
pub type Text = Chunk;

/// A message's head. `body` says what follows, `end` that nothing does.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The request or status line.
    pub start: Start,
    /// The header fields in their order and case, hop-by-hop ones already taken out by the codec.
    pub fields: Fields,
    /// What kind of body follows.
    pub body: Body,
    /// Nothing follows: this Part is the End too.
    pub end: bool,
}

/// The first line of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// What is asked.
    Request(RequestLine),
    /// What is answered.
    Response(StatusLine),
}

/// What a request asks for (RFC 9110 §7.1: the target, taken apart).
#[derive(Clone, Debug, PartialEq)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// How the client reached us, or what an absolute target said.
    pub scheme: Scheme,
    /// Host and port from the target or the Host field; empty only for HTTP/1.0 without Host. A `host` entry in the fields keeps its place
    /// but is written from here (RFC 9112 §3.2.2).
    pub authority: Text,
    /// Path and query as they came, beginning with `/`; `*` for the asterisk form; empty for a plain CONNECT.
    pub path: Text,
    /// What the client asks to speak from here on: a tunnel follows if the answer is 101, in every HTTP version (RFC 9110 §7.8, RFC 8441);
    /// else empty. The body is [`Unknown`](Body::Unknown) then, and each side's End closes its half.
    pub protocol: Text,
}

/// A response's status.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusLine {
    /// 100 to 599.
    pub status: u16,
    /// May be empty.
    pub reason: Text,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The length of a body, as far as it is known (RFC 9110 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None; for a response this also stands for HEAD, 204 and 304, whatever Content-Length says.
    None,
    /// Exactly so many bytes.
    Known(u64),
    /// Until the End says so.
    Unknown,
}

/// A request method (RFC 9110 §9).
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "their names are the methods' names")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token.
    Other(Text),
}

impl Method {
    /// The registered method of that name (methods are case-sensitive, RFC 9110 §9.1).
    pub fn registered(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => return None,
        })
    }

    /// As it is written on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Get => b"GET",
            Self::Head => b"HEAD",
            Self::Post => b"POST",
            Self::Put => b"PUT",
            Self::Delete => b"DELETE",
            Self::Connect => b"CONNECT",
            Self::Options => b"OPTIONS",
            Self::Trace => b"TRACE",
            Self::Patch => b"PATCH",
            Self::Other(name) => name,
        }
    }

    /// Whether sending it twice does what sending it once does (RFC 9110 §9.2.2). Unknown methods are not.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace => true,
            Self::Post | Self::Connect | Self::Patch | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.as_bytes().escape_ascii())
    }
}

impl Head {
    /// The request line; `None` for a response.
    pub fn request(&self) -> Option<&RequestLine> {
        match &self.start {
            Start::Request(line) => Some(line),
            Start::Response(_) => None,
        }
    }

    /// The status; 0 for a request.
    pub fn status(&self) -> u16 {
        match &self.start {
            Start::Request(_) => 0,
            Start::Response(line) => line.status,
        }
    }

    /// A response of our own.
    pub fn response(status: u16, body: Body) -> Self {
        let start = Start::Response(StatusLine { status, reason: Text::from(reason_phrase(status)) });
        Self { start, fields: Fields::default(), body, end: body == Body::None }
    }
}

/// The registered phrase of a status (RFC 9110 §15); empty for others (a reason phrase may be empty, RFC 9112 §4).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}
