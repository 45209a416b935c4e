//! How often a request may still be forwarded: TRACE and OPTIONS can say it, to find out where they fail or go round (RFC 9110 §7.6.2). Where none
//! is left, we answer as if we were the origin; and TRACE, which shows a request to whoever asks for it, is implemented by nobody here.

use exchange::Exchange;
use model::{Cause, Fault, Head, Method, Name, Record, Scope, grammar};

use config::Route;

use crate::reply;

/// Counts this hop down, where the request counts; whether it may not be forwarded. What cannot be counted is refused.
pub(crate) fn spend(head: &mut Head) -> Result<bool, Fault> {
    if !head.request().is_some_and(|line| matches!(line.method, Method::Options | Method::Trace)) {
        return Ok(false);
    }
    let Some(value) = head.fields.get(Name::MaxForwards) else { return Ok(false) };
    let digits_only = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if !digits_only || head.fields.all(Name::MaxForwards).count() > 1 {
        return Err(Fault { scope: Scope::Stream, ..Fault::client(Cause::MalformedHead) });
    }
    // (More than we can count is as much as we can count.)
    let allowed = grammar::parse_length(value).unwrap_or(grammar::LENGTH_MAX);
    let Some(left) = allowed.checked_sub(1) else { return Ok(true) };
    head.fields.set(Name::MaxForwards.as_str().as_bytes(), left.to_string().as_bytes());
    Ok(false)
}

/// The answer to a request that is not to be forwarded.
pub(crate) fn answer(down: &Exchange, head: &Head, route: &Route, record: &mut Record) -> Result<(), Fault> {
    match head.request().map(|line| &line.method) {
        Some(Method::Options) => reply::empty(down, route, record),
        _ => Err(Fault { scope: Scope::Stream, ..Fault::client(Cause::NotImplemented) }),
    }
}
