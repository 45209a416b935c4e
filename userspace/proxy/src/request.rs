//! The room of the request's head: waited for, brought into one form, and told on by whom it was forwarded.

use exchange::Exchange;
use model::{Address, Body, Cause, ConnectionRecord, Fault, Head, Name, Part, Record, Scheme, Start, Text};
use std::{borrow::Cow, io::Write as _};

use crate::{connection::Scope, path};

/// What `Via` says of us (RFC 9110 §7.6.3).
const VIA: &[u8] = b"1.1 sluice";

/// Waits for the head, whose first byte is there.
pub(crate) async fn receive(down: &Exchange, scope: &Scope<'_>) -> Result<Head, Fault> {
    let limit = scope.listener.config().timeouts.request_head;
    let until = scope.house.ring().now().after(limit);
    match scope.timer.within(until, down.next()).await {
        Some(Ok(Part::Head(head))) => Ok(head),
        Some(Ok(Part::Info(_) | Part::Data(_) | Part::Trailers(_) | Part::End)) => Err(Fault::client(Cause::MalformedHead)),
        Some(Err(fault)) => Err(fault),
        None => Err(Fault::client(Cause::RequestHeadTimeout)),
    }
}

/// Brings the target into its one form, and refuses a body that is announced as too large.
pub(crate) fn normalise(head: &mut Head, listener: &config::Listener) -> Result<(), Fault> {
    if let (Body::Known(length), Some(limit)) = (head.body, listener.limits.body_bytes)
        && length > limit
    {
        return Err(Fault::client(Cause::BodyTooLarge));
    }
    let Start::Request(line) = &mut head.start else { return Ok(()) };
    match path::normalise(&line.path) {
        None => Err(Fault { scope: model::Scope::Stream, ..Fault::client(Cause::BadTarget) }),
        Some(Cow::Borrowed(_)) => Ok(()),
        Some(Cow::Owned(path)) => {
            line.path = Text::from(path);
            Ok(())
        }
    }
}

/// Writes by whom and for whom the request is forwarded. What an untrusted client claims of it is taken out.
pub(crate) fn stamp(head: &mut Head, client: &ConnectionRecord, record: &mut Record) {
    let fields = &mut head.fields;
    if !client.trusted {
        fields.retain(|field| !matches!(field.known, Name::XForwardedFor | Name::XForwardedProto | Name::XRequestId | Name::Forwarded));
    }
    let mut line = Line::default();
    let forwarded: Vec<&[u8]> = fields.all(Name::XForwardedFor).collect();
    for value in &forwarded {
        line.push(value);
    }
    let chained = !forwarded.is_empty();
    line.address(&client.client);
    if chained {
        fields.remove_name(Name::XForwardedFor);
    }
    fields.append_name(Name::XForwardedFor, line.as_bytes());
    if fields.get(Name::XForwardedProto).is_none() {
        let scheme = head.request().map_or(Scheme::Http, |line| line.scheme).as_str();
        head.fields.append_name(Name::XForwardedProto, scheme.as_bytes());
    }
    match head.fields.get(Name::XRequestId).and_then(parse_id) {
        Some(id) => record.id = id,
        None if head.fields.get(Name::XRequestId).is_some() => {}
        None => head.fields.append_name(Name::XRequestId, &format_id(record.id)),
    }
    let mut via = Line::default();
    for value in head.fields.all(Name::Via) {
        via.push(value);
    }
    if via.is_empty() {
        head.fields.append_name(Name::Via, VIA);
    } else {
        via.push(VIA);
        head.fields.set(Name::Via.as_str().as_bytes(), via.as_bytes());
    }
}

/// A list value under construction (RFC 9110 §5.3); short ones need no allocation of their own beyond one.
#[derive(Default)]
struct Line(Vec<u8>);

impl Line {
    fn push(&mut self, value: &[u8]) {
        if !self.0.is_empty() {
            self.0.extend_from_slice(b", ");
        }
        self.0.extend_from_slice(value);
    }

    fn address(&mut self, address: &Address) {
        if !self.0.is_empty() {
            self.0.extend_from_slice(b", ");
        }
        // Writing to a Vec cannot fail.
        let _written = match address.ip() {
            Some(ip) => write!(self.0, "{ip}"),
            None => write!(self.0, "unix"),
        };
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An id as a UUID of version 4 is written.
pub(crate) fn format_id(id: u128) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let id = (id & !(0xf << 76 | 0x3 << 62)) | 0x4 << 76 | 0x2 << 62;
    let mut text = [b'-'; 36];
    let mut shift = 128;
    for (at, byte) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            shift -= 4;
            *byte = DIGITS[(id >> shift & 0xf) as usize];
        }
    }
    text
}

/// The id in a request-id field that is written as ours are.
fn parse_id(text: &[u8]) -> Option<u128> {
    let digits = text.iter().filter(|byte| **byte != b'-');
    if text.len() != 36 || digits.clone().count() != 32 {
        return None;
    }
    digits.map(|digit| char::from(*digit).to_digit(16)).try_fold(0_u128, |id, digit| Some(id << 4 | u128::from(digit?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_and_comes_back() {
        let text = format_id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(str::from_utf8(&text).unwrap(), "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(format_id(parse_id(&text).unwrap()), text);
        assert_eq!(parse_id(b"not-an-id"), None);
    }
}
