//! What gRPC asks of a proxy besides HTTP: its deadline is kept, our own replies are statuses of its own, its calls are counted by method.
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>)

use core::time::Duration;
use model::{Body, Cause, Fields, Head, Record};
use stats::{Page, metrics};

/// What begins the content type of a call, also of one with another encoding than protobuf.
const CONTENT_TYPE: &[u8] = b"application/grpc";
const TIMEOUT: &[u8] = b"grpc-timeout";
const STATUS: &[u8] = b"grpc-status";
/// The last status there is.
const STATUS_MAX: u8 = 16;

/// The registered statuses' names, by number.
const STATUSES: [&str; STATUS_MAX as usize + 1] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// Whether a request is a call.
pub(crate) fn is_call(head: &Head) -> bool {
    let content_type = head.fields.iter().find(|field| field.name.eq_ignore_ascii_case(b"content-type"));
    let Some(rest) = content_type.and_then(|field| field.value.strip_prefix(CONTENT_TYPE)) else { return false };
    // `application/grpc-web` is another protocol.
    matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// How long a call may take in all, if it says so: up to eight digits and a unit.
pub(crate) fn timeout(head: &Head) -> Option<Duration> {
    let field = head.fields.iter().find(|field| field.name.eq_ignore_ascii_case(TIMEOUT))?;
    let (unit, digits) = field.value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(count * 3_600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// A reply of our own to a call: a status without content, in the head alone.
pub(crate) fn reply(cause: Cause) -> Head {
    let mut head = Head::response(200, Body::None);
    head.fields.append(b"content-type", CONTENT_TYPE);
    head.fields.append(STATUS, status_of(cause).to_string().as_bytes());
    head.fields.append(b"grpc-message", cause.text().as_bytes());
    head
}

/// What a cause is to a caller: whether another try may help is what it wants to know.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not told apart is told by the class of its status")]
fn status_of(cause: Cause) -> u8 {
    match cause {
        Cause::ResponseTimeout | Cause::IdleTimeout | Cause::RequestBodyTimeout | Cause::RequestHeadTimeout => 4,
        Cause::BodyTooLarge | Cause::HeadTooLarge | Cause::TargetTooLong => 8,
        Cause::NoRoute | Cause::NotImplemented => 12,
        Cause::Internal => 13,
        _ if matches!(cause.status(), 502..=504) => 14,
        _ if cause.status() >= 500 => 2,
        _ => 13,
    }
}

/// The status that an answer's head or trailers tell.
pub(crate) fn status_in(fields: &Fields) -> Option<u8> {
    let value = fields.iter().find(|field| field.name.eq_ignore_ascii_case(STATUS))?.value;
    core::str::from_utf8(value).ok()?.parse().ok().filter(|status| *status <= STATUS_MAX)
}

/// Counts a call that is over, by method and status.
pub(crate) fn count(page: &Page, head: &Head, record: &Record) {
    let status = match (record.grpc_status, record.cause) {
        (Some(status), _) => STATUSES.get(usize::from(status)).copied().unwrap_or("unknown"),
        // Nobody was told.
        (None, Some(_)) => "cancelled",
        (None, None) => "unknown",
    };
    let path = head.request().map(|line| &line.path[..]).unwrap_or_default();
    let method = core::str::from_utf8(path).unwrap_or_default();
    let route = record.route.as_deref().unwrap_or_default();
    page.counter(&metrics::GRPC_CALLS, &[("route", route), ("method", method), ("status", status)]).increment();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, value: &str) -> Head {
        let mut head = Head::response(200, Body::None);
        head.fields.append(name.as_bytes(), value.as_bytes());
        head
    }

    #[test]
    fn calls_are_known_by_their_content() {
        for (value, expect) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_call(&head("Content-Type", value)), expect, "{value}");
        }
    }

    #[test]
    fn timeouts() {
        for (value, expect) in [
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("20m", Some(Duration::from_millis(20))),
            ("5u", Some(Duration::from_micros(5))),
            ("7n", Some(Duration::from_nanos(7))),
            ("100000000S", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("", None),
        ] {
            assert_eq!(timeout(&head("grpc-timeout", value)), expect, "{value}");
        }
    }

    #[test]
    fn every_cause_has_a_status() {
        for cause in Cause::ALL {
            let head = reply(*cause);
            assert!(head.end && status_in(&head.fields).is_some_and(|status| status > 0), "{cause:?}");
        }
        assert_eq!(status_in(&head("grpc-status", "17").fields), None);
    }
}
