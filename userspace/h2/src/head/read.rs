//! Field lists to heads and trailers (RFC 9113 §8.3, §8.5; RFC 8441 §4).

use alloc::vec::Vec;

use model::{
    Body, Cause, Fields, Head, HeadLimits, Method, Name, RequestLine, Scheme, Start, StatusLine, Text,
    grammar::{is_authority, is_forbidden_trailer},
};

use super::{
    Problem, grammar,
    list::{Expects, List, Pseudo, text},
};

/// A request's head. `end`: nothing follows it. `connect_protocol`: we have offered extended CONNECT.
pub(crate) fn request(list: List, end: bool, limits: &HeadLimits, connect_protocol: bool) -> Result<Head, Problem> {
    if let Some(problem) = list.problem() {
        return Err(problem);
    }
    let method = list.at(list.pseudo.method.ok_or(Problem::Malformed)?);
    let connect = method == b"CONNECT";
    if !grammar::is_token(method) || list.pseudo.status.is_some() {
        return Err(Problem::Malformed);
    }
    let scheme = check_target(&list, connect, connect_protocol)?;
    check_authority(&list, connect)?;
    if list.pseudo.path.is_some_and(|path| path.length > limits.target_bytes_max) {
        return Err(Problem::Refused(Cause::TargetTooLong));
    }
    if list.expects == Expects::Other {
        return Err(Problem::Refused(Cause::ExpectationFailed));
    }
    let body = match list.content_length {
        _ if connect && end => Body::None,
        _ if connect => Body::Unknown,
        Some(length) if end && length > 0 => return Err(Problem::Malformed), // RFC 9113 §8.1.1
        Some(length) => Body::Known(length),
        None if end => Body::None,
        None => Body::Unknown,
    };
    let registered = Method::registered(method);
    let (cookies, expects, host) = (list.cookies, list.expects, list.host);
    let Pseudo { method, authority, path, protocol, .. } = list.pseudo;
    let (mut fields, block) = list.close();
    if cookies > 1 {
        join_cookies(&mut fields);
    }
    if expects == Expects::Continue && end {
        fields.remove_name(Name::Expect); // nothing to wait for (RFC 9110 §10.1.1)
    }
    if connect {
        fields.remove_name(Name::ContentLength);
    }
    let line = RequestLine {
        method: match registered {
            // In every version of HTTP it is a GET that asks for a protocol.
            Some(_) if protocol.is_some() => Method::Get,
            Some(method) => method,
            None => Method::Other(text(&block, method)),
        },
        scheme,
        authority: text(&block, authority.or(host)),
        path: text(&block, path),
        protocol: text(&block, protocol),
    };
    Ok(Head { start: Start::Request(line), fields, body, end })
}

/// :scheme, :path and :protocol, which all but a plain CONNECT must have (but for :protocol, which only CONNECT may).
fn check_target(list: &List, connect: bool, connect_protocol: bool) -> Result<Scheme, Problem> {
    let Pseudo { scheme, path, protocol, .. } = &list.pseudo;
    if let Some(protocol) = protocol {
        if !connect || !connect_protocol || !grammar::is_token(list.at(*protocol)) {
            return Err(Problem::Malformed);
        }
    } else if connect {
        return if scheme.is_none() && path.is_none() { Ok(Scheme::Http) } else { Err(Problem::Malformed) };
    }
    let (Some(scheme), Some(path)) = (scheme, path) else { return Err(Problem::Malformed) };
    let options = list.pseudo.method.is_some_and(|method| list.at(method) == b"OPTIONS");
    if !(grammar::is_path(list.at(*path)) || (options && list.at(*path) == b"*")) {
        return Err(Problem::Malformed);
    }
    match list.at(*scheme) {
        scheme if scheme.eq_ignore_ascii_case(b"https") => Ok(Scheme::Https),
        scheme if scheme.eq_ignore_ascii_case(b"http") => Ok(Scheme::Http),
        _ => Err(Problem::Malformed),
    }
}

/// Who is asked: :authority, or Host where that is missing; both must say the same (RFC 9113 §8.3.1).
fn check_authority(list: &List, connect: bool) -> Result<(), Problem> {
    let (authority, host) = (list.pseudo.authority.map(|span| list.at(span)), list.host.map(|span| list.at(span)));
    let same = match (authority, host) {
        (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => true,
    };
    let asterisk = list.pseudo.path.is_some_and(|path| list.at(path) == b"*");
    let valid = match authority.or(host) {
        Some(authority) if connect => is_authority(authority) && authority.last() != Some(&b']') && authority.contains(&b':'),
        Some(authority) => is_authority(authority),
        None => asterisk && !connect,
    };
    let extended = list.pseudo.protocol.is_some();
    let valid = valid || (extended && authority.is_some_and(is_authority));
    if same && valid { Ok(()) } else { Err(Problem::Malformed) }
}

/// A Cookie field that came in crumbs is one again (RFC 9113 §8.2.3).
fn join_cookies(fields: &mut Fields) {
    let mut whole = Vec::new();
    for field in fields.iter().filter(|field| field.name == b"cookie") {
        if !whole.is_empty() {
            whole.extend_from_slice(b"; ");
        }
        whole.extend_from_slice(field.value);
    }
    fields.set(b"cookie", &whole);
}

/// A response's head, interim ones included. `head_only`: the request was HEAD; `connect`: it was CONNECT.
pub(crate) fn response(list: List, end: bool, head_only: bool, connect: bool) -> Result<Head, Problem> {
    if let Some(problem) = list.problem() {
        return Err(problem);
    }
    let Pseudo { status, method: None, scheme: None, authority: None, path: None, protocol: None } = list.pseudo else {
        return Err(Problem::Malformed);
    };
    let status = status.and_then(|status| grammar::parse_status(list.at(status))).ok_or(Problem::Malformed)?;
    // 101 does not exist here (RFC 9113 §8.6), an interim response ends nothing (§8.1).
    if status == 101 || (status < 200 && (end || list.content_length.is_some())) {
        return Err(Problem::Malformed);
    }
    let tunnel = connect && (200..300).contains(&status);
    let bodiless = head_only || matches!(status, 100..=199 | 204 | 304);
    let body = match list.content_length {
        _ if bodiless => Body::None,
        _ if tunnel => Body::Unknown,
        Some(length) if end && length > 0 => return Err(Problem::Malformed),
        Some(length) => Body::Known(length),
        None if end => Body::None,
        None => Body::Unknown,
    };
    let (fields, _) = list.close();
    Ok(Head { start: Start::Response(StatusLine { status, reason: Text::default() }), fields, body, end })
}

/// Trailers: no pseudo-header fields (RFC 9113 §8.1); what would frame, route or authorise is left out (RFC 9110 §6.5.1).
pub(crate) fn trailers(list: List) -> Result<Fields, Problem> {
    if let Some(problem) = list.problem() {
        return Err(problem);
    }
    if list.pseudo != Pseudo::default() {
        return Err(Problem::Malformed);
    }
    let (mut fields, _) = list.close();
    fields.retain(|field| !is_forbidden_trailer(field.name));
    Ok(fields)
}
