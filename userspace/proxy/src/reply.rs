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
    edits::apply(&route.response_edits, &mut head.fields);
    rest::take(down);
    if !down.received() {
        down.conn().close_after();
    }
    answer(down, head, &reply.body, record)
}

/// Tells the client why its request failed, if it can still be told; else the connection is left unfit and closes.
pub(crate) fn fault(down: &Exchange, fault: Fault, record: &mut Record) {
    record.cause = Some(fault.cause);
    let begun = record.phases.responded != Instant::NEVER;
    if begun || fault.cause.status() == 0 {
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
