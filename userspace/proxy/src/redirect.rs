//! Bytes that the kernel carries, for clusters that ask for it.
//!
//! Both sides' sockets are joined as soon as nothing is between them: at the beginning, and where bytes are always under way then, later, in
//! moments made for it. A direction comes back to userspace when its receiver is too slow, for what is joined has no back-pressure, and stays
//! there; and at its end, which userspace passes on once all that the kernel took over has been sent.

use core::{
    cell::Cell,
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};
use exchange::Transport;
use io::{Joined, Refused};
use model::{Fault, Instant};

use crate::{
    Cluster, House,
    scope::Scope,
    tcp::{self, Limits},
};

/// How often it is tried to join two sockets in the life of a connection.
const TRIES: u32 = 10;
/// How long userspace carries the bytes before the second try; twice as long before each further one.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// How often each time, at most, that what waits at either is given to the other.
const ROUNDS: u32 = 16;
/// How long a round waits, at most, for the kernel to take what is to be sent.
const ROUND: Duration = Duration::from_millis(10);
/// How long it is left to receivers whose acknowledgements are behind.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// There was no moment for it: it may go better later.
const BUSY: &str = "busy";
/// Looks at what the kernel has moved, in the time in which nothing may.
const LOOKS_UNTIL_IDLE: u32 = 4;

/// A connection's two sides, joined.
struct Redirected<'a> {
    joined: Joined,
    cluster: &'a Cluster,
}

/// One direction: from where to where, what it has moved, and whose fault a break is.
#[derive(Clone, Copy)]
pub(crate) struct Direction<'a> {
    pub(crate) from: &'a Transport,
    pub(crate) to: &'a Transport,
    pub(crate) progress: tcp::Progress<'a>,
    pub(crate) from_fault: Fault,
    pub(crate) to_fault: Fault,
}

/// Both directions of a connection.
pub(crate) type Both<'a> = [Direction<'a>; 2];

/// How the joining went.
enum Joining {
    Joined(Joined),
    /// Userspace carries everything.
    Never,
    /// The connection came to its end before.
    Over(Result<(), Fault>),
}

/// Carries a connection to its end, in the kernel if that does it. What came before is handed on first.
pub(crate) async fn carry(scope: &Scope<'_>, cluster: &Cluster, both: Both<'_>, limits: Limits<'_>, backlog_max: u64) -> Result<(), Fault> {
    let joining = Box::pin(joining(scope, cluster, both, limits, backlog_max)).await;
    match joining {
        Joining::Joined(joined) => Box::pin(Redirected { joined, cluster }.carry(scope, both, limits)).await,
        Joining::Never => Box::pin(tcp::both(scope, tcp::half(both[0]), tcp::half(both[1]), limits)).await,
        Joining::Over(outcome) => outcome,
    }
}

/// Tries to join both sides; in between userspace carries the bytes.
async fn joining(scope: &Scope<'_>, cluster: &Cluster, both: Both<'_>, limits: Limits<'_>, backlog_max: u64) -> Joining {
    let house = scope.house;
    let (timer, mut wait) = (house.ring().timer(), RETRY_AFTER);
    for left in (0..TRIES).rev() {
        let refused = match join(house, both, backlog_max).await {
            Ok(joined) => {
                cluster.count_redirect(house, "joined");
                return Joining::Joined(joined);
            }
            Err(refused) => refused,
        };
        if refused != BUSY || left == 0 {
            cluster.count_redirect(house, refused);
            break;
        }
        let until = house.ring().now() + wait;
        // (The splice of a lane must not be broken off.)
        let by_hand = tcp::both(scope, tcp::by_hand(both[0]), tcp::by_hand(both[1]), limits);
        if let Some(outcome) = timer.within(until, by_hand).await {
            cluster.count_redirect(house, BUSY);
            return Joining::Over(outcome);
        }
        cluster.count_redirect(house, "again");
        wait *= 2;
    }
    Joining::Never
}

/// Joins both sides, or says why not.
async fn join(house: &House, [there, back]: Both<'_>, backlog_max: u64) -> Result<Joined, &'static str> {
    let (Some(down), Some(up)) = (there.from.plain(), back.from.plain()) else { return Err("encrypted") };
    there.hand_on().await;
    back.hand_on().await;
    for _ in 0..ROUNDS {
        if !is_flushed(house, [there, back]).await {
            break;
        }
        let (joined, passed) = down.join(up, backlog_max);
        there.count(passed[0]);
        back.count(passed[1]);
        match joined {
            Ok(joined) => return Ok(joined),
            Err(Refused::Without) => return Err("without"),
            Err(Refused::Over) => return Err("over"),
            Err(Refused::Kernel(_errno)) => return Err("refused"),
            // Whoever sends does not rest either.
            Err(Refused::Unsettled) if passed != [0, 0] => house.ring().yield_now().await,
            Err(Refused::Unsettled) => house.ring().sleep(LOOK_EVERY).await,
        }
    }
    Err(BUSY)
}

/// Waits until all that was written is in the kernel's hands; whether that was in time. (Who cannot be sent to is found out by the others.)
async fn is_flushed(house: &House, both: Both<'_>) -> bool {
    let timer = house.ring().timer();
    let flushed = async {
        for direction in both {
            let _broken = direction.to.flushed().await;
        }
    };
    timer.within(house.ring().now() + ROUND, flushed).await.is_some()
}

impl Direction<'_> {
    /// Hands on what has been received; afterwards nothing is armed. An end stays where it is.
    async fn hand_on(&self) {
        self.from.disarm().await;
        while self.from.has_received() {
            match self.from.receive().await {
                Ok(chunk) if !chunk.is_empty() => self.push(chunk),
                Ok(_) | Err(_) => return,
            }
        }
    }

    pub(crate) fn push(&self, chunk: buf::Chunk) {
        self.count(chunk.len() as u64);
        self.to.write(|output| output.push(chunk));
    }

    fn count(&self, bytes: u64) {
        let (count, moved_at) = self.progress;
        if bytes > 0 {
            count.set(count.get() + bytes);
            moved_at.set(self.from.ring().now());
        }
    }
}

impl Redirected<'_> {
    /// Carries both directions to their ends.
    async fn carry(&self, scope: &Scope<'_>, [there, back]: Both<'_>, limits: Limits<'_>) -> Result<(), Fault> {
        let house = scope.house;
        let seen_moving = self.seen_moving(house, (limits.moved_at, limits.idle));
        let halves = tcp::both(scope, self.half(house, 0, there), self.half(house, 1, back), limits);
        let (mut halves, mut seen_moving) = (pin!(halves), pin!(seen_moving));
        poll_fn(|context| {
            let _never: Poll<()> = seen_moving.as_mut().poll(context);
            halves.as_mut().poll(context)
        })
        .await
    }

    /// Notes when the kernel has moved something.
    async fn seen_moving(&self, house: &House, (moved_at, idle): (&Cell<Instant>, Option<Duration>)) {
        let Some(idle) = idle else { return pending().await };
        let mut before = 0;
        loop {
            house.ring().sleep(idle / LOOKS_UNTIL_IDLE).await;
            let moved = self.moved();
            if core::mem::replace(&mut before, moved) != moved {
                moved_at.set(house.ring().now());
            }
        }
    }

    /// Carries the direction that begins at side `from` (0: the client's) to its end.
    async fn half(&self, house: &House, from: usize, direction: Direction<'_>) -> Result<(), Fault> {
        let (from_fault, to_fault) = (direction.from_fault, direction.to_fault);
        let plain = direction.from.plain().ok_or(from_fault)?;
        self.joined.ended(from).await;
        let mut chunk = self.joined.receive(from, plain).await.map_err(|_errno| from_fault)?;
        // It may wait for long.
        chunk.move_to_heap();
        let moved = self.joined.moved(from);
        if moved.kept > 0 {
            self.cluster.count_redirect(house, "full");
        }
        self.cluster.redirected_bytes.add(moved.redirected);
        let (count, _) = direction.progress;
        count.set(count.get() + moved.redirected);
        // What the kernel took over goes first.
        self.joined.drained(from).await.map_err(|_errno| to_fault)?;
        while !chunk.is_empty() {
            direction.push(chunk);
            direction.to.room().await.map_err(|_errno| to_fault)?;
            chunk = self.joined.receive(from, plain).await.map_err(|_errno| from_fault)?;
        }
        tcp::finish(&direction).await
    }

    /// Bytes that the kernel has carried so far in both directions.
    fn moved(&self) -> u64 {
        [0, 1].map(|from| self.joined.moved(from)).iter().map(|moved| moved.redirected + moved.kept).sum()
    }
}
