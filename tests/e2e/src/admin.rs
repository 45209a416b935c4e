//! The admin API of a running process, asked as a stranger would.

use std::{
    io::{self, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use crate::{PATIENCE, Response, read_message};

/// An admin socket.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(crate) socket: PathBuf,
}

impl Admin {
    /// One request on a connection of its own; whatever the answer is.
    pub fn try_ask(&self, method: &str, path: &str, body: &str) -> io::Result<Response> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")?;
        read_message(&mut BufReader::new(stream), false)
    }

    /// One request.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Response {
        self.try_ask(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// All metrics of this moment.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let response = self.ask("GET", "/metrics", "");
        assert_eq!(response.status(), 200, "{}", response.text());
        Metrics { text: response.text() }
    }
}

/// Metrics, as Prometheus reads them.
#[derive(Clone, Debug)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// The sum of all series of a counter or gauge whose labels contain `labels`, each written `name="value"`.
    #[track_caller]
    pub fn sum(&self, name: &str, labels: &[&str]) -> i64 {
        let series = self.text.lines().filter(|line| !line.starts_with('#')).filter(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
            rest.is_some_and(|rest| labels.iter().all(|label| rest.contains(label)))
        });
        series.map(|line| value(line)).sum()
    }

    /// The `sluice_faults_total` of a reason.
    #[track_caller]
    pub fn faults(&self, reason: &str) -> i64 {
        self.sum("sluice_faults_total", &[&format!("reason=\"{reason}\"")])
    }
}

#[track_caller]
fn value(line: &str) -> i64 {
    let value = line.rsplit(' ').next().and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no value: {line:?}"))
}
