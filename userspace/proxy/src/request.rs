//! The room of the request's head: waited for, brought into one form, and told on by whom it was forwarded.

use exchange::Exchange;
use model::{Address, Body, Cause, ConnectionRecord, Fault, Fields, Head, Name, Part, Record, RecordId, Scheme, Start, Text};
use std::{borrow::Cow, io::Write as _, net::IpAddr};

use tls::AlternativeName;

use crate::{path, scope::Scope};

/// What `Via` says of us (RFC 9110 §7.6.3).
const VIA: &[u8] = b"1.1 sluice";

/// Waits for the head, whose first byte is there.
pub(crate) async fn receive(down: &Exchange, scope: &Scope<'_>) -> Result<Head, Fault> {
    let limit = scope.listener.config().timeouts.request_head;
    let until = scope.house.ring().now().after(limit);
    match scope.house.within((scope.listener, scope.timer), until, down.next()).await {
        Some(Ok(Part::Head(head))) => Ok(head),
        Some(Ok(Part::Info(_) | Part::Data(_) | Part::Trailers(_) | Part::End)) => Err(Fault::client(Cause::MalformedHead)),
        Some(Err(fault)) => Err(fault),
        None => Err(Fault::client(Cause::RequestHeadTimeout)),
    }
}

/// Gives a request of HTTP/1.0 that names no host (RFC 9112 §3.2 asks it of 1.1 only) the address that it came to.
pub(crate) fn name_host(head: &mut Head, down: &Exchange) {
    let Start::Request(line) = &mut head.start else { return };
    if line.authority.is_empty()
        && let Ok(ours) = down.conn().transport().local()
    {
        line.authority = match ours {
            Address::Tcp(address) => Text::from(&*address.to_string()),
            Address::Unix(_) => Text::from("localhost"),
        };
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
pub(crate) fn stamp(head: &mut Head, scheme: Scheme, client: &ConnectionRecord, record: &mut Record) {
    // (What a client says of the scheme is not believed.)
    if let Start::Request(line) = &mut head.start {
        line.scheme = scheme;
    }
    let fields = &mut head.fields;
    if !client.trusted {
        fields.retain(|field| !matches!(field.known, Name::XForwardedFor | Name::XForwardedProto | Name::XRequestId | Name::Forwarded));
    }
    extend_list(fields, Name::XForwardedFor, |value| write_address(value, &client.client));
    if fields.get(Name::XForwardedProto).is_none() {
        fields.append_name(Name::XForwardedProto, scheme.as_str().as_bytes());
    }
    match fields.get(Name::XRequestId) {
        None => fields.append_name(Name::XRequestId, &format_id(record.id)),
        Some(id) => record.id = parse_id(id).unwrap_or(record.id),
    }
    extend_list(fields, Name::Via, |value| value.extend_from_slice(VIA));
}

/// Tells the origin who the client has proved to be, in the form Envoy gave it; what the client itself says of it is taken out.
pub(crate) fn identify(head: &mut Head, listener: &config::Listener, down: &Exchange) {
    let Some(field) = listener.tls.as_ref().and_then(|tls| tls.client_identity_field.as_deref()) else { return };
    head.fields.remove(field);
    let Some(Some(client)) = down.conn().transport().with_outcome(|outcome| outcome.client.clone()) else { return };
    let subject = client.subject().replace(['\\', '"'], "");
    let mut value = format!("Hash={};Subject=\"{subject}\"", client.fingerprint());
    for name in client.names() {
        let (kind, name) = match name {
            AlternativeName::Dns(name) => ("DNS", name),
            AlternativeName::Uri(uri) => ("URI", uri),
            AlternativeName::Email(address) => ("Email", address),
            AlternativeName::Ip(ip) => ("IP", ip.to_string()),
        };
        value.extend([";", kind, "=", &name]);
    }
    value.retain(|character| !character.is_control());
    head.fields.append(field, value.as_bytes());
}

/// Adds to the end of a list that may stand in several fields (RFC 9110 §5.3): afterwards it stands in one, the last.
fn extend_list(fields: &mut Fields, name: Name, write: impl FnOnce(&mut Vec<u8>)) {
    let mut list = Vec::new();
    for value in fields.all(name) {
        list.extend_from_slice(value);
        list.extend_from_slice(b", ");
    }
    if !list.is_empty() {
        fields.remove_name(name);
    }
    fields.append_with(name, |value| {
        value.extend_from_slice(&list);
        write(value);
    });
}

fn write_address(out: &mut Vec<u8>, address: &Address) {
    match address.ip() {
        // By hand: the formatter costs more than the rest of this room.
        Some(IpAddr::V4(ip)) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                if octet >= 100 {
                    out.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    out.push(b'0' + octet / 10 % 10);
                }
                out.push(b'0' + octet % 10);
            }
        }
        // Written to a Vec, which cannot fail.
        Some(IpAddr::V6(ip)) => drop(write!(out, "{ip}")),
        None => out.extend_from_slice(b"unix"),
    }
}

/// An id as a UUID of version 4 is written.
pub(crate) fn format_id([high, low]: RecordId) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0x3 << 62) | 0x2 << 62;
    let mut text = [b'-'; 36];
    let mut nibbles = [high, low].into_iter().flat_map(|half| (0..16).rev().map(move |at| half >> (4 * at) & 0xf));
    for (at, byte) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            *byte = nibbles.next().and_then(|nibble| DIGITS.get(usize::try_from(nibble).ok()?)).copied().unwrap_or(b'0');
        }
    }
    text
}

/// The id in a request-id field that is written as ours are.
fn parse_id(text: &[u8]) -> Option<RecordId> {
    let digits = text.iter().filter(|byte| **byte != b'-');
    if text.len() != 36 || digits.clone().count() != 32 {
        return None;
    }
    let half = |skip| {
        let digits = digits.clone().skip(skip).take(16);
        digits.map(|digit| char::from(*digit).to_digit(16)).try_fold(0_u64, |half, digit| Some(half << 4 | u64::from(digit?)))
    };
    Some([half(0)?, half(16)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_formatter_would() {
        for text in ["0.0.0.0", "1.20.199.255", "100.10.9.99", "2001:db8::1"] {
            let mut out = Vec::new();
            let ip: IpAddr = text.parse().unwrap();
            write_address(&mut out, &Address::Tcp((ip, 1).into()));
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn lists_grow_in_one_field() {
        let mut fields = Fields::default();
        fields.append(b"Via", b"1.0 a");
        fields.append(b"x", b"y");
        fields.append(b"via", b"1.1 b, 1.1 c");
        extend_list(&mut fields, Name::Via, |value| value.extend_from_slice(VIA));
        assert_eq!(fields.all(Name::Via).collect::<Vec<_>>(), [b"1.0 a, 1.1 b, 1.1 c, 1.1 sluice"]);
    }

    #[test]
    fn an_id_is_a_uuid_and_comes_back() {
        let text = format_id([0x0123_4567_89ab_cdef; 2]);
        assert_eq!(str::from_utf8(&text).unwrap(), "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(format_id(parse_id(&text).unwrap()), text);
        assert_eq!(parse_id(b"not-an-id"), None);
    }
}
