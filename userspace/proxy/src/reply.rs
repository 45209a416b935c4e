//! Answers of our own: a route's fixed reply, and what a client is told when its request could not be served.

use buf::Chunk;
use exchange::Exchange;
use model::{Body, Cause, Fault, Head, Instant, Part, Record, Scope};

use config::Route;

use crate::{edits, grpc, rest};

/// The field that names the reason of a local reply.
const REASON_FIELD: &[u8] = b"x-sluice-reason";

/// Answers with a route's fixed reply.
pub(crate) fn fixed(down: &Exchange, reply: &config::Reply, route: &Route, record: &mut Record) -> Result<(), Fault> {
    let mut head = Head::response(reply.status, Body::Known(reply.body.len() as u64));
    head.fields.append(b"content-type", b"text/plain; charset=utf-8");
    of_route(down, (head, &reply.body), route, record)
}

/// Answers well, with nothing to say.
pub(crate) fn empty(down: &Exchange, route: &Route, record: &mut Record) -> Result<(), Fault> {
    of_route(down, (Head::response(200, Body::Known(0)), b""), route, record)
}

fn of_route(down: &Exchange, (mut head, body): (Head, &[u8]), route: &Route, record: &mut Record) -> Result<(), Fault> {
    edits::apply(&route.response_edits, &mut head.fields);
    rest::take(down);
    if !down.received() {
        down.conn().close_after();
    }
    answer(down, head, body, record)
}

/// Tells the client why its request failed, if it can still be told; else the connection is left unfit and closes.
pub(crate) fn fault(down: &Exchange, fault: Fault, record: &mut Record) {
    record.cause = Some(fault.cause);
    if record.phases.responded != Instant::NEVER {
        return complete(down, fault);
    }
    if fault.cause.status() == 0 {
        return;
    }
    if fault.scope == Scope::Connection && fault.blame == model::Blame::Client || closes(fault.cause) || !down.received() {
        down.conn().close_after();
    }
    if record.is_call {
        let mut head = grpc::reply(fault.cause);
        head.fields.append(REASON_FIELD, fault.cause.reason().as_bytes());
        record.grpc_status = grpc::status_in(&head.fields);
        record.status = head.status();
        // (As below.)
        let _told = down.send(Part::Head(head));
        return;
    }
    let text = format!("{}\n", fault.cause.text());
    let mut head = Head::response(fault.cause.status(), Body::Known(text.len() as u64));
    head.fields.append(b"content-type", b"text/plain; charset=utf-8");
    head.fields.append(REASON_FIELD, fault.cause.reason().as_bytes());
    // The client has broken the connection: then there is nobody to tell.
    let _told = answer(down, head, text.as_bytes(), record);
}

/// Ends a response whose origin never came to its end, where the client has all of it and nothing else could be told: then there is no reason to
/// close. What the length was reached of is not malformed (RFC 9113 §8.1.1); what went beyond it, or is wrong in another way, is left broken.
fn complete(down: &Exchange, fault: Fault) {
    if matches!(fault.cause, Cause::UpstreamReset | Cause::IdleTimeout) && down.owes_only_end() {
        // (As below.)
        let _ended = down.send(Part::End);
    }
}

/// Whether the connection ends with this reply although its framing is intact.
fn closes(cause: Cause) -> bool {
    matches!(cause, Cause::Draining | Cause::Internal)
}

fn answer(down: &Exchange, head: Head, body: &[u8], record: &mut Record) -> Result<(), Fault> {
    record.status = head.status();
    record.response_bytes = body.len() as u64;
    down.send(Part::Head(head))?;
    if !body.is_empty() {
        down.send(Part::Data(Chunk::copy_of(body)))?;
    }
    down.send(Part::End)
}
