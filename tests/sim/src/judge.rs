//! The judge: for every request, whether what the client got was right, given what client, origin and chaos did.

use crate::{
    ledger::{Answer, Entry, Ledger},
    plan::{Body, Conduct, Mood, Plan},
    wire::{Ended, Head},
};

/// What a run allowed to go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The run's.
    pub seed: u64,
    /// The origins'.
    pub mood: Mood,
    /// Chaos may break, refuse or lose connections between proxy and origin.
    pub upstream_breaks: bool,
    /// The proxy's timeouts are short enough to end anything.
    pub times_out: bool,
    /// Local replies that the run's set-up calls for (a limit reached, a drain), by reason.
    pub expected_reasons: &'static [&'static str],
    /// How often a request is taken up on its way, each time to be tried twice at most.
    pub hops: u32,
    /// Connections to origins carry many requests: where one breaks off, nobody can tell whose were on their way.
    pub multiplexed: bool,
}

/// Reasons of local replies that an origin's failure, or the network's, explains.
const ORIGIN_REASONS: &[&str] =
    &["upstream_reset", "malformed_response", "connect_failed", "connect_timeout", "response_timeout", "idle_timeout", "no_endpoint"];
/// Reasons that a slow client explains.
const CLIENT_REASONS: &[&str] = &["request_head_timeout", "request_body_timeout"];

/// What the proxy keeps of a body to send it again.
const REPLAY_BYTES: usize = 64 * 1024;

/// Everything that was wrong in a run.
pub fn judge(ledger: &Ledger, rules: Rules) -> Vec<String> {
    ledger.with(|book| {
        let rules = Rules { multiplexed: rules.multiplexed && book.severed > 0, ..rules };
        let mut wrongs = core::mem::take(&mut book.wrongs);
        for (id, entry) in &book.entries {
            let plan = Plan::new(rules.seed, *id, rules.mood);
            if let Err(wrong) = judge_entry(&plan, entry, rules) {
                wrongs.push(format!("request {id}: {wrong}\n  {plan:?}\n  {entry:?}"));
            }
        }
        wrongs
    })
}

fn judge_entry(plan: &Plan, entry: &Entry, rules: Rules) -> Result<(), String> {
    if entry.heads_seen > 1 && !plan.is_idempotent() {
        return Err(format!("a {} reached origins {} times", plan.method, entry.heads_seen));
    }
    if entry.heads_seen > 1 << rules.hops {
        return Err(format!("it reached origins {} times", entry.heads_seen));
    }
    if entry.heads_seen > 0 && !entry.begun {
        return Err("an origin saw what no client sent".to_owned());
    }
    match &entry.answer {
        Some(Answer::Whole(head, body)) => judge_whole(plan, entry, (head, body), rules),
        Some(Answer::Cut(head, body, ended)) => judge_cut(plan, entry, (head, body, *ended), rules),
        Some(Answer::None(Ended::Malformed)) => Err("its response is not HTTP".to_owned()),
        Some(Answer::None(_)) | None if entry.orphaned || entry.aborted || entry.broken || !entry.sent || rules.times_out => Ok(()),
        // A reply that comes before all of a request has come ends its connection; between two proxies it may be one's own that the other passes on.
        Some(Answer::None(ended)) if (entry.may_be_closed || rules.hops > 1 && rules.mood != Mood::Good) && *ended != Ended::Silent => {
            Ok(())
        }
        Some(Answer::None(ended)) => Err(format!("no answer, the connection ended: {ended:?}")),
        None => Err("no answer".to_owned()),
    }
}

fn judge_whole(plan: &Plan, entry: &Entry, (head, body): (&Head, &[u8]), rules: Rules) -> Result<(), String> {
    if !entry.begun {
        return Err("an answer to what was not sent".to_owned());
    }
    if head.field("x-id").is_none() {
        return judge_local(plan, entry, head, rules);
    }
    if head.field("x-id") != Some(plan.id.to_string()) {
        return Err(format!("the answer to another: {:?}", head.field("x-id")));
    }
    if head.word(1) != plan.status.to_string() {
        return Err(format!("status {} instead of {}", head.word(1), plan.status));
    }
    if entry.heads_seen == 0 {
        return Err("an answer that no origin gave".to_owned());
    }
    let expected = if plan.method == "HEAD" { Vec::new() } else { plan.response_whole() };
    let undetectable = matches!(plan.response, Body::Close(_)) && (plan.conduct != Conduct::Answer && plan.conduct != Conduct::Early);
    if body != expected && !(undetectable && expected.starts_with(body)) {
        return Err(format!("a wrong body of {} bytes instead of {}", body.len(), expected.len()));
    }
    Ok(())
}

fn judge_cut(plan: &Plan, entry: &Entry, (head, body, ended): (&Head, &[u8], Ended), rules: Rules) -> Result<(), String> {
    if ended == Ended::Malformed {
        return Err("its response is framed wrongly".to_owned());
    }
    let local = head.field("x-sluice-reason").is_some();
    if local && (entry.aborted || entry.broken || rules.times_out) {
        return judge_local(plan, entry, head, rules);
    }
    if head.field("x-id") != Some(plan.id.to_string()) {
        return Err(format!("part of the answer to another: {head:?}"));
    }
    if !plan.response_whole().starts_with(body) {
        return Err(format!("a wrong body, cut after {} bytes", body.len()));
    }
    if entry.aborted || entry.broken || may_fail(plan, rules) || !entry.sent || rules.times_out {
        return Ok(());
    }
    Err(format!("cut after {} bytes: {ended:?}", body.len()))
}

/// A reply of the proxy's own.
fn judge_local(plan: &Plan, entry: &Entry, head: &Head, rules: Rules) -> Result<(), String> {
    let reason = head.field("x-sluice-reason").unwrap_or_default();
    let explained = rules.expected_reasons.contains(&reason.as_str())
        || (reason == "stream_refused" && entry.heads_seen == 0 && may_be_refused(plan, rules))
        || (CLIENT_REASONS.contains(&reason.as_str()) && (entry.aborted || entry.broken))
        || (ORIGIN_REASONS.contains(&reason.as_str()) && (may_fail(plan, rules) || entry.aborted || entry.broken));
    if explained { Ok(()) } else { Err(format!("a local reply {} {reason:?} that nothing explains", head.word(1))) }
}

/// Whether the origin side may fail this request.
fn may_fail(plan: &Plan, rules: Rules) -> bool {
    let dies = !matches!(plan.conduct, Conduct::Answer | Conduct::Early);
    // A request with a body, or one that must not be repeated, is lost with the idle connection it was sent on: origins close such connections,
    // and so does the proxy itself, to the one before it, when it has answered before all of a request had come.
    let unrepeatable = !plan.is_idempotent() || plan.request != Body::None;
    dies || rules.upstream_breaks || rules.multiplexed || ((rules.mood != Mood::Good || rules.hops > 1) && unrepeatable)
}

/// Whether an origin that does not look at it may be the last one: some leave one after the other, and what is large is not kept to be sent again.
fn may_be_refused(plan: &Plan, rules: Rules) -> bool {
    rules.mood != Mood::Good || plan.request.length() > REPLAY_BYTES
}
