//! The fields of a head or trailer section in one pass: each name recognised once, what this hop is meant for read and taken out
//! (RFC 9110 §7.6.1), the rest listed where it stands.

use model::{
    Cause, Fields, Name, Span,
    grammar::{is_disguised, is_forbidden_trailer},
};

use crate::{framing::Framing, source::Source};

/// Options of Connection fields that name other fields: more than anyone sends, few enough to look for each.
pub const CONNECTION_OPTIONS_MAX: usize = 16;

/// What connections may be upgraded to (RFC 6455).
pub(crate) const WEBSOCKET: &[u8] = b"websocket";

/// What the codec must know of a head's fields.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of a field of its own")]
pub(crate) struct Facts {
    pub(crate) framing: Framing,
    /// Where the Host field's value stands.
    pub(crate) host: Option<Span>,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    /// Expect, if it was 100-continue.
    pub(crate) expects_continue: bool,
    /// Connection names Upgrade.
    connection_upgrade: bool,
    /// Upgrade names what we let through.
    websocket: bool,
}

/// Whose head it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

/// Reads a head's fields.
#[expect(clippy::wildcard_enum_match_arm, reason = "a name that is not this hop's business is passed on")]
pub(crate) fn read(source: &Source<'_>, headers: &[httparse::Header<'_>], kind: Kind) -> Result<(Fields, Facts), Cause> {
    let mut fields = Fields::over(source.block.clone(), headers.len());
    let mut facts = Facts::default();
    let mut options = 0;
    for header in headers {
        let known = Name::of(header.name.as_bytes());
        let name = source.span(header.name.as_bytes());
        let mut value = source.span(header.value);
        match known {
            Name::Other if kind == Kind::Request && is_disguised(header.name.as_bytes()) => return Err(Cause::MalformedHead),
            Name::Connection => {
                options += facts.connection(header.value);
                continue;
            }
            // Meant for this hop. Transfer-Encoding is written anew; an Upgrade is declined by not being passed on (RFC 9110 §7.8): all but
            // the one that no server could take for another version of HTTP.
            Name::Upgrade => {
                facts.websocket = header.value.eq_ignore_ascii_case(WEBSOCKET);
                continue;
            }
            Name::KeepAlive | Name::ProxyConnection => continue,
            Name::TransferEncoding => {
                facts.framing.transfer_encoding(header.value)?;
                continue;
            }
            Name::Te => match trailers_option(header.value) {
                Some(option) if fields.get(Name::Te).is_none() => value = source.span(option),
                _ => continue,
            },
            Name::ContentLength => facts.framing.content_length(header.value)?,
            Name::Host | Name::Expect if kind == Kind::Response => {}
            Name::Host if facts.host.is_some() => return Err(Cause::BadHost),
            Name::Host => facts.host = Some(value),
            Name::Expect if header.value.eq_ignore_ascii_case(b"100-continue") => facts.expects_continue = true,
            Name::Expect => return Err(Cause::ExpectationFailed),
            _ => {}
        }
        fields.push_span(known, name, value);
    }
    match options {
        0 => {}
        1..=CONNECTION_OPTIONS_MAX => remove_named(&mut fields, headers),
        _ => return Err(Cause::MalformedHead),
    }
    Ok((fields, facts))
}

/// Reads a trailer section; what would frame, route or authorise is not allowed there and left out (RFC 9110 §6.5.1).
pub(crate) fn read_trailers(source: &Source<'_>, headers: &[httparse::Header<'_>]) -> Fields {
    let mut fields = Fields::over(source.block.clone(), headers.len());
    for header in headers {
        let name = header.name.as_bytes();
        if !is_disguised(name) && !is_forbidden_trailer(name) {
            fields.push_span(Name::Other, source.span(name), source.span(header.value));
        }
    }
    fields
}

impl Facts {
    /// Whether it asks for, or agrees to, an upgrade that we let through.
    pub(crate) fn upgrades(&self) -> bool {
        self.connection_upgrade && self.websocket
    }

    /// Reads one Connection field; gives how many other fields it names.
    fn connection(&mut self, value: &[u8]) -> usize {
        let mut named = 0;
        for option in options(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else {
                let name = Name::of(option);
                self.connection_upgrade |= name == Name::Upgrade;
                named += usize::from(name == Name::Other);
            }
        }
        named
    }
}

/// Takes out the fields that Connection names. Those we know are never among them: hop-by-hop ones are gone already, and the rest (Host,
/// Content-Length, Via, X-Forwarded-For ...) are meant for all recipients, whatever a client says in order to be rid of them.
fn remove_named(fields: &mut Fields, headers: &[httparse::Header<'_>]) {
    let connections = headers.iter().filter(|header| Name::of(header.name.as_bytes()) == Name::Connection);
    for option in connections.flat_map(|header| options(header.value)) {
        fields.retain(|field| field.known != Name::Other || !field.name.eq_ignore_ascii_case(option));
    }
}

fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

/// The one option of TE that is passed on: transfer codings end at each hop (RFC 9110 §10.1.4).
fn trailers_option(value: &[u8]) -> Option<&[u8]> {
    options(value).find(|option| option.eq_ignore_ascii_case(b"trailers"))
}
