//! When a request that failed is tried again.

use model::{Cause, Fault, Head, Instant, Record};

/// How often a request may still be tried.
pub(crate) struct Tries {
    /// Ordinary tries, the next one included.
    pub(crate) left: u32,
    /// Tries after an idle connection turned out to be dead.
    stale_left: u32,
    /// The member that failed last.
    pub(crate) avoid: Option<usize>,
}

impl Tries {
    pub(crate) fn new(left: u32) -> Self {
        Self { left, stale_left: 1, avoid: None }
    }

    /// Whether the next try must open a connection: after an idle one was dead, the others may be too.
    pub(crate) fn wants_fresh(&self) -> bool {
        self.stale_left == 0
    }

    /// Whether a request may be sent again after `fault`: never once any of the response was given down, or what came of its body is not
    /// kept whole.
    pub(crate) fn allows(&mut self, fault: Fault, head: &Head, record: &Record, is_whole: bool) -> bool {
        if fault.blame != model::Blame::Origin || record.phases.responded != Instant::NEVER || !is_whole {
            return false;
        }
        if fault.retry == model::Retry::Safe {
            // The origin cannot have seen it: any method may go to another endpoint.
            self.left = self.left.saturating_sub(1);
            return self.left > 0;
        }
        // An idle connection was dead: only what may be repeated is repeated, and once (RFC 9110 §9.2.2).
        let stale = fault.cause == Cause::UpstreamReset && record.attempt.as_ref().is_some_and(|attempt| attempt.reused);
        let idempotent = head.request().is_some_and(|line| line.method.is_idempotent());
        let allowed = stale && idempotent && self.stale_left > 0;
        self.stale_left = 0;
        allowed
    }
}
