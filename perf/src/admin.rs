//! Sluice's own counters, asked from its admin socket.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The sum of all series of a counter; `None` when nothing was ever counted under that name.
pub(crate) fn counter(socket: &Path, name: &str) -> Result<Option<f64>> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("cannot ask {}", socket.display()))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").context("cannot ask for /metrics")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("cannot read /metrics")?;
    Ok(sum(&answer, name))
}

fn sum(metrics: &str, name: &str) -> Option<f64> {
    let value = |line: &str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    };
    metrics.lines().filter_map(value).reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn all_series_of_one_name_are_added() {
        let metrics = "# TYPE a_total counter\na_total{worker=\"0\"} 2\na_total{worker=\"1\"} 3\na_total_b 9\nc_total 4\n";
        assert_eq!(sum(metrics, "a_total"), Some(5.0));
        assert_eq!(sum(metrics, "c_total"), Some(4.0));
        assert_eq!(sum(metrics, "d_total"), None);
    }
}
