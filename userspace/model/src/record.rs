//! What one connection and one exchange leave behind: the only thing, with the `Head`, that access logs, counters and matching read.

use alloc::rc::Rc;

use crate::{Address, Cause, Fault, Instant};

/// A downstream connection, shared by its exchanges.
#[derive(Debug)]
pub struct ConnectionRecord {
    /// Unique in this process.
    pub id: u64,
    /// The listener it came in by.
    pub listener: Rc<str>,
    /// Who connected: the PROXY header's source when one was accepted.
    pub client: Address,
    /// The peer of the socket itself.
    pub peer: Address,
    /// Whether the peer may speak for others (`trusted` of the listener).
    pub trusted: bool,
    /// When it was accepted.
    pub accepted: Instant,
}

/// A request's identity, `x-request-id` when it is ours: 128 random bits, the higher half first. (Not a `u128`, whose alignment would send every
/// allocation of a request down the allocator's slower path.)
pub type RecordId = [u64; 2];

/// When each phase of an exchange was reached; `NEVER` when it was not.
#[derive(Clone, Copy, Debug)]
pub struct Phases {
    /// The first byte of the head was seen.
    pub started: Instant,
    /// The upstream connection was ready.
    pub connected: Instant,
    /// The response's head was there.
    pub responded: Instant,
}

/// One try of one endpoint.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who was tried.
    pub endpoint: Rc<str>,
    /// Whether the connection had served before.
    pub reused: bool,
    /// How it failed, if it did.
    pub fault: Option<Fault>,
}

/// One exchange, in being before anything decides about it. Its end writes log and counters.
#[derive(Debug)]
pub struct Record {
    /// The connection it came on.
    pub connection: Rc<ConnectionRecord>,
    /// Which exchange of the connection, from 0.
    pub sequence: u64,
    /// The request's identity.
    pub id: RecordId,
    /// When what was reached.
    pub phases: Phases,
    /// The route's name, once one matched.
    pub route: Option<Rc<str>>,
    /// The cluster's name, once one was chosen.
    pub cluster: Option<Rc<str>>,
    /// The last attempt.
    pub attempt: Option<Attempt>,
    /// How many attempts there were.
    pub attempts: u32,
    /// The final status sent to the client; 0 when none was.
    pub status: u16,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    /// Why it ended other than well.
    pub cause: Option<Cause>,
    /// It is a gRPC call.
    pub is_call: bool,
    /// Of a call: the status that the client was told.
    pub grpc_status: Option<u8>,
    /// The configuration it was handled by.
    pub generation: u64,
}

impl Record {
    /// Of an exchange that begins: nothing has been decided about it.
    pub fn begin(connection: Rc<ConnectionRecord>, sequence: u64, id: RecordId, started: Instant, generation: u64) -> Self {
        Self {
            connection,
            sequence,
            id,
            phases: Phases { started, connected: Instant::NEVER, responded: Instant::NEVER },
            route: None,
            cluster: None,
            attempt: None,
            attempts: 0,
            status: 0,
            request_bytes: 0,
            response_bytes: 0,
            cause: None,
            is_call: false,
            grpc_status: None,
            generation,
        }
    }
}
