//! All workers of the process, as the control side holds them.

use config::{Look, Name, Snapshot};
use core::time::Duration;
use crossbeam::channel::{Receiver, Sender, bounded};
use io::{
    Descriptor, ListenError, Post, Ring, mailbox,
    uring::{Features, Forced, Refusal, Uring, UringOptions},
};
use model::Address;
use proxy::{HouseOptions, Shared};
use stats::{Hub, Lines, metrics};
use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{Change, Opened, Pulse, Sockets, Worker, pulse::RingCounters};

/// How often a worker shows its pulse.
const BEAT_EVERY: Duration = Duration::from_millis(100);
/// How often, and how many times, an address in use is looked at again.
const IN_USE_LOOK_EVERY: Duration = Duration::from_millis(25);
const IN_USE_LOOKS_MAX: u32 = 40;
/// So many connections are worth giving their memory back for.
const CROWD: usize = 1024;
/// How long a worker may take to answer a letter; it answers within a turn.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Letters that a worker may have unread and still be asked to look at an endpoint: there is always room for a configuration.
pub const LOOKS_UNREAD_MAX: usize = 128;

/// How to start.
pub struct FleetOptions {
    /// Whose counters.
    pub hub: Hub,
    /// One end of a queue of log lines for each worker: so many workers there are.
    pub lines: Vec<Lines>,
    /// Engine features to do without.
    pub forced: Forced,
    /// Means to join sockets in the kernel: one for each worker, or none.
    pub redirects: Vec<Box<dyn io::Redirect + Send>>,
    /// Gives memory that the calling thread has freed back to the kernel; called by a worker when most of its connections have gone.
    pub give_back: fn(),
}

/// Why the workers could not start, or could not take a change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The kernel gives no ring.
    #[error(transparent)]
    Ring(#[from] Refusal),
    /// A thread could not be started, or a socket has no second handle.
    #[error("a worker could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// A worker does not answer.
    #[error("worker {0} does not answer")]
    Silent(usize),
}

/// All workers.
pub struct Fleet {
    workers: Vec<Hand>,
    sockets: Sockets,
    features: Features,
    shared: Arc<Shared>,
    cpus: Vec<Option<usize>>,
    listening: Listening,
}

/// The listening sockets in use, by listener and address; each worker's in their order. Those that are being emptied are not among them.
pub type Listening = BTreeMap<(Name, Address), Vec<OwnedFd>>;

/// One worker, from outside.
struct Hand {
    post: Post<Letter>,
    answers: Receiver<Answer>,
    pulse: Arc<Pulse>,
    /// It took no letter any more when it was told to drain.
    is_deaf: bool,
}

enum Letter {
    Change(Change),
    Drain(Duration),
    Look(Look),
}

/// Has workers look at endpoints, one after another.
pub struct Lookers {
    posts: Vec<Post<Letter>>,
    next: AtomicUsize,
}

impl Lookers {
    /// Has one of them look. One that has not read its mail is not asked: then nobody answers.
    pub fn look(&self, look: Look) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let post = self.posts.get(next % self.posts.len().max(1));
        if let Some(post) = post.filter(|post| post.unread() < LOOKS_UNREAD_MAX) {
            // When it is full all the same the look is dropped, and with it whoever would be told.
            let _sent = post.send(Letter::Look(look));
        }
    }
}

/// A worker's word: started, or the configuration it gave up, to be freed here.
enum Answer {
    Started(Features),
    Refused(Refusal),
    Taken(Arc<Snapshot>),
}

impl Fleet {
    /// Starts the workers and lets them listen.
    pub fn start(snapshot: &Arc<Snapshot>, options: FleetOptions) -> Result<Self, StartError> {
        let count = options.lines.len();
        let sockets = Sockets::default();
        let opened = open_patiently(&sockets, snapshot, count)?;
        let shared = Arc::new(Shared::default());
        shared.offer_redirects(options.redirects);
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let mut workers = Vec::with_capacity(count);
        for (index, lines) in options.lines.into_iter().enumerate() {
            let (answer, answers) = bounded(4);
            let (post_to, post) = bounded(1);
            let pulse = Arc::new(Pulse::default());
            let start = Start {
                index,
                count,
                core: cores.get(index % cores.len().max(1)).copied(),
                forced: options.forced,
                give_back: options.give_back,
                snapshot: Arc::clone(snapshot),
                hub: options.hub.clone(),
                shared: Arc::clone(&shared),
                lines,
                pulse: Arc::clone(&pulse),
                answer,
                post: post_to,
            };
            thread::Builder::new().name(format!("worker-{index}")).spawn(move || start.run())?;
            let Ok(Answer::Started(features)) = expect_start(&answers, index)? else { return Err(StartError::Silent(index)) };
            let post = post.recv_timeout(ANSWER_TIMEOUT).map_err(|_silent| StartError::Silent(index))?;
            workers.push((Hand { post, answers, pulse, is_deaf: false }, features));
        }
        let features = workers.first().map(|(_, features)| *features).ok_or(StartError::Silent(0))?;
        let workers = workers.into_iter().map(|(hand, _)| hand).collect();
        let cpus = (0..count).map(|index| cores.get(index % cores.len().max(1)).map(|core| core.id)).collect();
        let mut fleet = Self { workers, sockets, features, shared, cpus, listening: Listening::new() };
        fleet.commit(snapshot, opened)?;
        Ok(fleet)
    }

    /// What the engine uses of this kernel.
    pub fn features(&self) -> Features {
        self.features
    }

    /// What the workers share: what they know of endpoints' health, and lines for the process's log.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The workers, for those who want endpoints looked at.
    pub fn lookers(&self) -> Lookers {
        Lookers { posts: self.workers.iter().map(|hand| hand.post.clone()).collect(), next: AtomicUsize::new(0) }
    }

    /// The CPU that each worker is pinned to.
    pub fn cpus(&self) -> &[Option<usize>] {
        &self.cpus
    }

    /// What is listened on.
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// The workers' signs of life.
    pub fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.workers.iter().map(|hand| Arc::clone(&hand.pulse)).collect()
    }

    /// Opens what `snapshot` needs, then lets all workers take it; when a socket cannot be opened, none does.
    pub fn apply(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), StartError> {
        let opened = open_patiently(&self.sockets, snapshot, self.workers.len())?;
        self.commit(snapshot, opened)
    }

    fn commit(&mut self, snapshot: &Arc<Snapshot>, opened: Opened) -> Result<(), StartError> {
        let fresh = second_handles(&opened)?;
        let Opened { workers: shares, closed, wanted } = opened;
        for (index, (hand, opened)) in self.workers.iter().zip(shares).enumerate() {
            let change = Change { snapshot: Arc::clone(snapshot), opened, closed: closed.clone() };
            hand.post.send(Letter::Change(change)).map_err(|_full| StartError::Silent(index))?;
        }
        for (index, hand) in self.workers.iter().enumerate() {
            match hand.answers.recv_timeout(ANSWER_TIMEOUT) {
                Ok(Answer::Taken(old)) => drop(old),
                Ok(Answer::Started(_) | Answer::Refused(_)) | Err(_) => return Err(StartError::Silent(index)),
            }
        }
        self.sockets.commit(wanted);
        // A handle here would keep a socket open that its worker has closed.
        for key in &closed {
            drop(self.listening.remove(key));
        }
        self.listening.extend(fresh);
        Ok(())
    }

    /// Lets all workers drain; what is left after `timeout` is cut.
    pub fn drain(&mut self, timeout: Duration) {
        self.listening.clear();
        for hand in &mut self.workers {
            hand.is_deaf = hand.post.send(Letter::Drain(timeout)).is_err();
        }
    }

    /// Whether every worker says that it was told to drain and has. One that could not be told is beyond draining; the process ends all the same.
    pub fn is_drained(&self) -> bool {
        self.workers.iter().all(|hand| hand.is_deaf || hand.pulse.is_drained())
    }
}

/// A second handle of every socket that is opened.
fn second_handles(opened: &Opened) -> Result<Listening, StartError> {
    let mut fresh = Listening::new();
    for (name, address, descriptor) in opened.workers.iter().flatten() {
        if let Descriptor::Kernel(socket) = descriptor {
            fresh.entry((Name::clone(name), address.clone())).or_default().push(socket.try_clone()?);
        }
    }
    Ok(fresh)
}

/// An address may be in use for a moment more: the kernel ends the rings of a process that is gone, which hold its sockets, by and by, and a
/// listener that was removed just now is still being emptied.
#[expect(clippy::disallowed_methods, reason = "on the thread that starts or changes the workers, which serves nobody")]
fn open_patiently(sockets: &Sockets, snapshot: &Snapshot, count: usize) -> Result<Opened, ListenError> {
    for _ in 0..IN_USE_LOOKS_MAX {
        match sockets.open(snapshot, count) {
            Err(error) if error.error.kind() == std::io::ErrorKind::AddrInUse => thread::sleep(IN_USE_LOOK_EVERY),
            opened => return opened,
        }
    }
    sockets.open(snapshot, count)
}

fn expect_start(answers: &Receiver<Answer>, index: usize) -> Result<Result<Answer, ()>, StartError> {
    match answers.recv_timeout(ANSWER_TIMEOUT) {
        Ok(Answer::Refused(refusal)) => Err(refusal.into()),
        Ok(answer) => Ok(Ok(answer)),
        Err(_silent) => Err(StartError::Silent(index)),
    }
}

/// What a worker's thread begins with.
struct Start {
    index: usize,
    count: usize,
    core: Option<core_affinity::CoreId>,
    forced: Forced,
    give_back: fn(),
    snapshot: Arc<Snapshot>,
    hub: Hub,
    shared: Arc<Shared>,
    lines: Lines,
    pulse: Arc<Pulse>,
    answer: Sender<Answer>,
    post: Sender<Post<Letter>>,
}

impl Start {
    /// The thread's life: pinned before it touches any memory of its own.
    fn run(self) {
        if let Some(core) = self.core {
            // Refused where the affinity mask changed meanwhile: then it runs unpinned.
            let _pinned = core_affinity::set_for_current(core);
        }
        let uring = match Uring::new(UringOptions { forced: self.forced, ..UringOptions::default() }) {
            Ok(uring) => uring,
            Err(refusal) => {
                drop(self.answer.send(Answer::Refused(refusal)));
                return;
            }
        };
        let features = uring.features();
        let ring = Ring::uring(uring);
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let worker = Worker::new(
            ring.clone(),
            HouseOptions {
                snapshot: self.snapshot,
                page: self.hub.page(),
                shared: self.shared,
                worker: (number(self.index), number(self.count)),
                seed: fastrand::u64(..),
                lines: self.lines,
            },
        );
        let (letters, post) = match mailbox::<Letter>(&ring) {
            Ok(both) => both,
            Err(errno) => {
                let refusal = Refusal { cause: format!("no eventfd: {errno}"), remedy: "raise the file limit (ulimit -n)" };
                drop(self.answer.send(Answer::Refused(refusal)));
                return;
            }
        };
        let (inner, answer) = (Rc::clone(&worker), self.answer.clone());
        let mail = worker.house().page().counter(&metrics::WORKER_MAIL, &[("worker", &self.index.to_string())]);
        ring.spawn(async move {
            loop {
                let letter = letters.next().await;
                mail.increment();
                match letter {
                    Letter::Change(change) => drop(answer.send(Answer::Taken(inner.take(change)))),
                    Letter::Look(look) => {
                        let looking = Rc::clone(&inner);
                        inner.house().ring().spawn(async move { proxy::look_for(looking.house(), look).await });
                    }
                    Letter::Drain(timeout) => inner.drain(inner.house().ring().now() + timeout),
                }
            }
        });
        let (inner, pulse, index, give_back, post_here) = (Rc::clone(&worker), self.pulse, self.index, self.give_back, post.clone());
        ring.spawn(async move {
            let house = inner.house();
            let mut counters = RingCounters::new(house, number(index));
            let mut peak = 0;
            loop {
                counters.publish(house, post_here.refused());
                pulse.beat(inner.is_drained(), inner.serving());
                peak = inner.serving().max(peak);
                if peak >= CROWD && inner.serving() < peak / 4 {
                    peak = inner.serving();
                    give_back();
                }
                house.ring().sleep(BEAT_EVERY).await;
            }
        });
        drop(self.post.send(post));
        drop(self.answer.send(Answer::Started(features)));
        ring.run(|| {
            worker.house().end_turn();
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn who_has_much_mail_is_not_asked_to_look() {
        let ring = Ring::uring(Uring::new(UringOptions::default()).unwrap_or_else(|refusal| panic!("{refusal}")));
        let (_letters, post) = mailbox::<Letter>(&ring).unwrap();
        let lookers = Lookers { posts: vec![post.clone()], next: AtomicUsize::new(0) };
        let mut answers = Vec::new();
        for _ in 0..LOOKS_UNREAD_MAX + 3 {
            let (answer, told) = mpsc::channel();
            answers.push(told);
            let look = Look {
                cluster: config::ClusterSlot::default(),
                endpoint: "a".into(),
                check: config::HealthCheck {
                    kind: config::HealthKind::Tcp,
                    interval: Duration::ZERO,
                    timeout: Duration::ZERO,
                    rise: 1,
                    fall: 1,
                    jitter_percent: 0,
                    port: None,
                },
                to: ([192, 0, 2, 1], 80).into(),
                over: None,
                answer,
            };
            lookers.look(look);
        }
        let waiting = answers.iter().filter(|told| told.try_recv() == Err(mpsc::TryRecvError::Empty)).count();
        assert_eq!((post.unread(), waiting), (LOOKS_UNREAD_MAX, LOOKS_UNREAD_MAX), "the rest was let go");
    }
}
