//! One line for each exchange, as text or JSON, with the fields that the configuration chose.

use config::{AccessLog, LogField, LogFormat, Snapshot};
use core::time::Duration;
use io::Ring;
use model::{Head, Name, Record};
use std::{io::Write as _, sync::Arc};

use crate::request::format_id;

/// How lines are written; made when a configuration is taken.
pub(crate) struct Log {
    config: Arc<AccessLog>,
}

impl Log {
    pub(crate) fn new(snapshot: &Snapshot) -> Option<Self> {
        snapshot.access_log.as_ref().map(|config| Self { config: Arc::clone(config) })
    }

    /// Writes the line of `record`, without its newline.
    pub(crate) fn line(&self, out: &mut Vec<u8>, record: &Record, head: Option<&Head>, ring: &Ring) {
        let json = self.config.format == LogFormat::Json;
        if json {
            out.push(b'{');
        }
        for (at, field) in self.config.fields.iter().enumerate() {
            if at > 0 {
                out.push(if json { b',' } else { b' ' });
            }
            if json {
                out.push(b'"');
                out.extend_from_slice(field.as_str().as_bytes());
                out.extend_from_slice(b"\":");
            }
            self.value(out, *field, (record, head), ring);
        }
        if json {
            out.push(b'}');
        }
    }

    fn value(&self, out: &mut Vec<u8>, field: LogField, (record, head): (&Record, Option<&Head>), ring: &Ring) {
        let line = head.and_then(Head::request);
        let named = |name: Name| head.and_then(|head| head.fields.get(name));
        match field {
            LogField::Time => {
                let ago = ring.now().since(record.phases.started);
                self.text(out, Some(rfc3339(ring.wall_clock().saturating_sub(ago)).as_bytes()));
            }
            LogField::Duration => number(out, micros(ring.now().since(record.phases.started))),
            LogField::Client => self.text(out, Some(record.connection.client.to_string().as_bytes())),
            LogField::Listener => self.text(out, Some(record.connection.listener.as_bytes())),
            LogField::Route => self.text(out, record.route.as_ref().map(|name| name.as_bytes())),
            LogField::Cluster => self.text(out, record.cluster.as_ref().map(|name| name.as_bytes())),
            LogField::Endpoint => self.text(out, record.attempt.as_ref().map(|attempt| attempt.endpoint.as_bytes())),
            LogField::Protocol => self.text(out, Some(if head.is_some() { b"HTTP/1.1" } else { b"tcp" })),
            LogField::Method => self.text(out, line.map(|line| line.method.as_bytes())),
            LogField::Host => self.text(out, line.map(|line| &*line.authority)),
            LogField::Path => self.text(out, line.map(|line| &*line.path)),
            LogField::Status => number(out, u64::from(record.status)),
            LogField::Reason => self.text(out, record.cause.map(|cause| cause.reason().as_bytes())),
            LogField::Attempts => number(out, u64::from(record.attempts)),
            LogField::RequestBytes => number(out, record.request_bytes),
            LogField::ResponseBytes => number(out, record.response_bytes),
            LogField::RequestId => match named(Name::XRequestId) {
                Some(id) => self.text(out, Some(id)),
                None => self.text(out, Some(&format_id(record.id))),
            },
            LogField::UserAgent => self.text(out, named(Name::UserAgent)),
            LogField::Referer => self.text(out, named(Name::Referer)),
        }
    }

    /// A value, quoted where the form needs it. What is not there is `null` in JSON and `-` in text.
    fn text(&self, out: &mut Vec<u8>, value: Option<&[u8]>) {
        let json = self.config.format == LogFormat::Json;
        let Some(value) = value else {
            out.extend_from_slice(if json { b"null" } else { b"-" });
            return;
        };
        let quoted = json || value.is_empty() || value.iter().any(|byte| !(b'!'..=b'~').contains(byte) || matches!(byte, b'"' | b'\\'));
        if !quoted {
            out.extend_from_slice(value);
            return;
        }
        out.push(b'"');
        for byte in value {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                b' '..=b'~' => out.push(*byte),
                // Written to a Vec, which cannot fail. Bytes above ASCII are told as the code points of Latin-1, so that JSON stays valid.
                _ => drop(write!(out, "\\u{byte:04x}")),
            }
        }
        out.push(b'"');
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    drop(write!(out, "{number}"));
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A moment since 1970 in UTC with milliseconds (RFC 3339); the calendar is Howard Hinnant's days-from-civil, inverted.
fn rfc3339(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since_1970.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        let check = |seconds: u64, millis: u32, text: &str| assert_eq!(rfc3339(Duration::new(seconds, millis * 1_000_000)), text);
        check(0, 0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, 999, "2000-02-28T23:59:59.999Z");
        check(951_782_400, 1, "2000-02-29T00:00:00.001Z");
        check(1_795_219_200, 0, "2026-11-21T00:00:00.000Z");
        check(4_107_542_399, 0, "2100-02-28T23:59:59.000Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00.000Z");
    }
}
