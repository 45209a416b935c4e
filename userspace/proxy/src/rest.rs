//! The rest of a request that was answered before it was complete. What has come already is taken in, so that the connection need not end
//! because of it; where others share the connection, what is on its way is listened to for a while, so that it still means what it says
//! and no reset crosses it. It is thrown away, and never more of it than a named limit.

use core::{task::Poll, time::Duration};
use exchange::Exchange;
use model::Part;

use crate::scope::Scope;

/// Bytes of content thrown away before the rest is refused.
const REST_BYTES_MAX: usize = 64 * 1024;
/// How long it is listened to.
const REST_TIME: Duration = Duration::from_secs(1);
/// Its name in counters.
const LIMIT: &str = "request_rest";

/// Takes what is there, before the answer is given.
pub(crate) fn take(down: &Exchange) {
    let mut bytes = 0;
    while bytes < REST_BYTES_MAX
        && !down.received()
        && let Poll::Ready(Ok(part)) = down.poll_next()
    {
        bytes += length(&part);
    }
}

/// Listens to it, where the connection goes on whatever becomes of this exchange. What is not complete then is refused.
pub(crate) async fn listen(down: Exchange, scope: &Scope<'_>) {
    if down.received() || !down.conn().can_accept() {
        return;
    }
    let until = scope.house.ring().now() + REST_TIME;
    let taken = scope.house.within((scope.listener, scope.timer), until, throw_away(&down)).await;
    if taken != Some(true) {
        scope.listener.count_limit(LIMIT, scope.house.page());
    }
}

/// Whether it ended, by whichever end, within the limit.
async fn throw_away(down: &Exchange) -> bool {
    let mut bytes = 0;
    while bytes < REST_BYTES_MAX {
        match down.next().await {
            Ok(part) if part.is_end() => return true,
            Ok(part) => bytes += length(&part),
            Err(_over) => return true,
        }
    }
    false
}

fn length(part: &Part) -> usize {
    if let Part::Data(data) = part { data.len() } else { 0 }
}
