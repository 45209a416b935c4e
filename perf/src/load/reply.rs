//! Just enough HTTP/1.1 to know where an answer ends, and whether it is the one that was asked for.

/// One answer as it comes in.
#[derive(Default)]
pub(super) struct Reply {
    /// Bytes of the head, while its end has not come.
    head: Vec<u8>,
    /// Bytes of the body that are still to come, once the head is whole.
    body_left: Option<u64>,
}

/// What a piece of the answer meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    More,
    /// So many answers are whole.
    Whole(u64),
    /// Not an answer we asked for.
    Wrong,
}

/// A head that is longer than this is none.
const HEAD_BYTES_MAX: usize = 16 << 10;

impl Reply {
    /// Take what was received. `version` is set from the header `x-version`.
    pub(super) fn take(&mut self, received: &[u8], version: &mut Option<u64>) -> Progress {
        let Some(left) = self.body_left else { return self.take_head(received, version) };
        match left.checked_sub(received.len() as u64) {
            Some(0) => self.end(),
            Some(left) => {
                self.body_left = Some(left);
                Progress::More
            }
            None => Progress::Wrong,
        }
    }

    fn take_head(&mut self, received: &[u8], version: &mut Option<u64>) -> Progress {
        if !self.head.is_empty() {
            self.head.extend_from_slice(received);
            let whole = core::mem::take(&mut self.head);
            return self.read_head(&whole, version);
        }
        self.read_head(received, version)
    }

    fn read_head(&mut self, bytes: &[u8], version: &mut Option<u64>) -> Progress {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            bytes.clone_into(&mut self.head);
            return if bytes.len() > HEAD_BYTES_MAX { Progress::Wrong } else { Progress::More };
        };
        let (head, body) = bytes.split_at(end + 4);
        let mut length = None;
        let mut lines = head.split(|byte| *byte == b'\n');
        if !lines.next().is_some_and(|line| line.starts_with(b"HTTP/1.1 200")) {
            return Progress::Wrong;
        }
        for line in lines {
            length = length.or_else(|| number(line, b"content-length:"));
            *version = version.or_else(|| number(line, b"x-version:"));
        }
        let Some(length) = length else { return Progress::Wrong };
        self.body_left = Some(length);
        if length == 0 { self.end() } else { self.take_body_start(body, version) }
    }

    fn take_body_start(&mut self, body: &[u8], version: &mut Option<u64>) -> Progress {
        if body.is_empty() { Progress::More } else { self.take(body, version) }
    }

    fn end(&mut self) -> Progress {
        *self = Self::default();
        Progress::Whole(1)
    }
}

/// The value of a header that is a number.
fn number(line: &[u8], name: &[u8]) -> Option<u64> {
    let (found, value) = line.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name) {
        return None;
    }
    core::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Progress, Reply};

    fn check(pieces: &[&str], expect: &Progress, expect_version: Option<u64>) {
        let mut reply = Reply::default();
        let mut version = None;
        let mut last = Progress::More;
        for piece in pieces {
            assert_eq!(last, Progress::More, "{pieces:?}");
            last = reply.take(piece.as_bytes(), &mut version);
        }
        assert_eq!((&last, version), (expect, expect_version), "{pieces:?}");
    }

    #[test]
    fn answers_end_where_they_say() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX-Version: 7\r\n\r\nabc";
        for split in 1..whole.len() {
            check(&[&whole[..split], &whole[split..]], &Progress::Whole(1), Some(7));
        }
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], &Progress::Whole(1), None);
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"], &Progress::More, None);
    }

    #[test]
    fn other_answers_are_wrong() {
        check(&["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"], &Progress::Wrong, None);
        check(&["HTTP/1.1 200 OK\r\n\r\n"], &Progress::Wrong, None);
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"], &Progress::Wrong, None);
        check(&["garbage\r\n\r\n"], &Progress::Wrong, None);
    }
}
