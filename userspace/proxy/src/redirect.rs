//! Bytes that the kernel carries, for clusters that ask for it.
//!
//! Both sides' sockets are joined as soon as nothing is between them. A direction comes back to userspace when its receiver is too slow, for what is
//! joined has no back-pressure, and stays there; and at its end, which userspace passes on once all that the kernel took over has been sent.

use exchange::Transport;
use io::{Joined, Refused};
use model::Fault;

use crate::{Cluster, House, tcp};

/// How often it is tried to find nothing between the two.
const JOIN_TRIES: u32 = 16;

/// A connection's two sides, joined.
pub(crate) struct Redirected<'a> {
    joined: Joined,
    cluster: &'a Cluster,
}

/// One direction: from where to where, what it has moved, and whose fault a break is.
pub(crate) struct Direction<'a> {
    pub(crate) from: &'a Transport,
    pub(crate) to: &'a Transport,
    pub(crate) progress: tcp::Progress<'a>,
    pub(crate) from_fault: Fault,
    pub(crate) to_fault: Fault,
}

/// Joins both sides, if their cluster asks for it and the kernel does it. What came before is handed on first.
pub(crate) async fn join<'a>(house: &House, cluster: &'a Cluster, there: &Direction<'_>, back: &Direction<'_>) -> Option<Redirected<'a>> {
    let backlog_max = cluster.config().redirect?;
    let outcome = match (there.from.plain(), back.from.plain()) {
        (Some(down), Some(up)) => {
            let mut outcome = Err(Refused::Unsettled);
            for _ in 0..JOIN_TRIES {
                there.hand_on().await;
                back.hand_on().await;
                outcome = down.join(up, backlog_max);
                match outcome {
                    Err(Refused::Unsettled) => {}
                    Err(Refused::Unread) => {
                        down.arm();
                        up.arm();
                    }
                    Ok(_) | Err(Refused::Without | Refused::Over | Refused::Kernel(_)) => break,
                }
                house.ring().yield_now().await;
            }
            outcome.map_err(|refused| match refused {
                Refused::Without => "without",
                Refused::Over => "over",
                Refused::Unsettled | Refused::Unread => "busy",
                Refused::Kernel(_errno) => "refused",
            })
        }
        (_, None) | (None, _) => Err("encrypted"),
    };
    cluster.count_redirect(house, outcome.as_ref().err().copied().unwrap_or("joined"));
    let joined = outcome.ok()?;
    Some(Redirected { joined, cluster })
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

    fn push(&self, chunk: buf::Chunk) {
        let (count, moved_at) = self.progress;
        count.set(count.get() + chunk.len() as u64);
        moved_at.set(self.from.ring().now());
        self.to.write(|output| output.push(chunk));
    }
}

impl Redirected<'_> {
    /// Carries the direction that begins at side `from` (0: the client's) to its end.
    pub(crate) async fn half(&self, house: &House, from: usize, direction: Direction<'_>) -> Result<(), Fault> {
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
    pub(crate) fn moved(&self) -> u64 {
        [0, 1].map(|from| self.joined.moved(from)).iter().map(|moved| moved.redirected + moved.kept).sum()
    }
}
