//! A request's head: httparse for the grammar, then what this codec is strict about.

use buf::Chunk;
use core::mem::MaybeUninit;
use httparse::{Error, Status};
use model::{Body, Cause, Fields, Head, Method, Name, RequestLine, Scheme, Start, Text, grammar::is_authority};

use crate::{
    connection::{Settings, Version},
    fields::{self, Facts, Kind, WEBSOCKET},
    head::{Message, SLOTS, is_plain, persistent, with_later_minor, with_slots},
    source::Source,
    target,
};

/// Parses a head where it stands, at the very front of `input`; gives its length too. `None` when it is not whole there, or when anything
/// about it asks for the careful way by [`crate::section`] and [`gathered`], which then has the verdict.
pub(crate) fn in_place(input: &[u8], settings: &Settings) -> Option<(usize, Result<Message, Cause>)> {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(Status::Complete(length)) = parsed.parse_with_uninit_headers(input, &mut slots) else { return None };
    let bytes = input.get(..length)?;
    is_plain(bytes, parsed.headers, &settings.limits).then(|| (length, read(&Source::copy_of(bytes), &parsed, settings)))
}

/// Parses a head of so many lines, each of which ends with CRLF.
pub(crate) fn gathered(block: &Chunk, lines: usize, settings: &Settings) -> Result<Message, Cause> {
    with_slots(lines, &settings.limits, |slots| {
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(block, slots) {
            Ok(Status::Complete(_)) => read(&Source::block(block), &parsed, settings),
            Err(Error::Version) => with_later_minor(block, |patched| gathered(patched, lines, settings)),
            Ok(Status::Partial) | Err(_) => Err(Cause::MalformedHead),
        }
    })
}

fn read(source: &Source<'_>, parsed: &httparse::Request<'_, '_>, settings: &Settings) -> Result<Message, Cause> {
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Cause::MalformedHead);
    };
    if target.len() > settings.limits.target_bytes_max as usize {
        return Err(Cause::TargetTooLong);
    }
    let method = Method::registered(method.as_bytes()).unwrap_or_else(|| Method::Other(source.cut(method.as_bytes())));
    let version = Version::of(minor);
    let target = target::read(&method, source.cut(target.as_bytes()))?;
    let (mut fields, facts) = fields::read(source, parsed.headers, Kind::Request)?;
    facts.framing.check(version)?;
    let (scheme, authority) = authority(source, &facts, &target, version, settings.scheme)?;
    let body = facts.framing.request();
    let connect = method == Method::Connect;
    if connect && body != Body::None {
        // It means nothing there (RFC 9110 §9.3.6), so what is content and what the tunnel's could be read in two ways.
        return Err(Cause::BadFraming);
    }
    // Content and an upgrade in one request are more than anyone needs: the upgrade is declined.
    let upgrade = facts.upgrades() && version == Version::Http11 && body == Body::None && method == Method::Get;
    let protocol = if upgrade { Text::copy_of(WEBSOCKET) } else { Text::default() };
    let upgrade = upgrade || connect;
    let body = if upgrade { Body::Unknown } else { body };
    let end = matches!(body, Body::None | Body::Known(0));
    let expects_continue = expects_continue(&mut fields, &facts, version, end);
    let start = Start::Request(RequestLine { method, scheme, authority, path: target.path, protocol });
    let persistent = persistent(version, &facts);
    Ok(Message { head: Head { start, fields, body, end }, version, chunked: facts.framing.chunked, persistent, expects_continue, upgrade })
}

/// Who is asked: what an absolute target says, else Host, of which there is exactly one from 1.1 on, and valid (RFC 9112 §3.2).
fn authority(
    source: &Source<'_>,
    facts: &Facts,
    target: &target::Target,
    version: Version,
    scheme: Scheme,
) -> Result<(Scheme, Text), Cause> {
    let host = match facts.host {
        Some(span) => source.at(span),
        None if version == Version::Http10 => Text::default(),
        None => return Err(Cause::BadHost),
    };
    if !host.is_empty() && !is_authority(&host) {
        return Err(Cause::BadHost);
    }
    match &target.absolute {
        Some((scheme, authority)) => Ok((*scheme, authority.clone())),
        // An empty Host stands for no authority: fine with the asterisk form, but no http URI is without one (RFC 9110 §4.2.1).
        None if host.is_empty() && version == Version::Http11 && target.path.first() == Some(&b'/') => Err(Cause::BadHost),
        None => Ok((scheme, host)),
    }
}

/// Whether the client waits for 100 (Continue). HTTP/1.0 knows none, and without content there is nothing to wait for (RFC 9110 §10.1.1):
/// then the expectation is not passed on either.
fn expects_continue(fields: &mut Fields, facts: &Facts, version: Version, end: bool) -> bool {
    let valid = facts.expects_continue && version == Version::Http11 && !end;
    if facts.expects_continue && !valid {
        fields.remove_name(Name::Expect);
    }
    valid
}
