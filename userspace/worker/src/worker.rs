//! One worker on its ring: accepts, serves, takes changes. The same over the kernel and in the simulation.

use config::{Name, Snapshot};
use core::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use io::{Descriptor, Errno, Ring, Stream};
use model::{Address, Instant};
use proxy::{House, HouseOptions, Listener};
use std::{collections::HashMap, rc::Rc, sync::Arc};

/// How long accepting pauses when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a listening socket that is to be closed waits for handshakes under way: a round trip of nearly everybody's.
const HANDSHAKES_MAX: Duration = Duration::from_millis(200);
/// How often idle upstream connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A configuration on its way to a worker.
#[derive(Debug)]
pub struct Change {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// This worker's share of the listening sockets that it opens.
    pub opened: Vec<(Name, Address, Descriptor)>,
    /// The addresses that are listened on no longer.
    pub closed: Vec<(Name, Address)>,
}

/// A worker.
pub struct Worker {
    house: Rc<House>,
    doors: RefCell<HashMap<(Name, Address), Rc<Door>>>,
    /// Listening sockets, those included that are being emptied.
    accepting: Rc<Cell<usize>>,
    serving: Rc<Cell<usize>>,
    draining: Cell<bool>,
}

/// A listening socket's task, which ends when it is told to.
#[derive(Default)]
struct Door {
    closing: Cell<bool>,
}

impl Worker {
    /// A worker on `ring`, not listening yet.
    pub fn new(ring: Ring, options: HouseOptions) -> Rc<Self> {
        let house = House::new(ring, options);
        let worker = Rc::new(Self {
            house,
            doors: RefCell::default(),
            accepting: Rc::default(),
            serving: Rc::default(),
            draining: Cell::new(false),
        });
        let house = Rc::clone(&worker.house);
        worker.house.ring().spawn(async move {
            loop {
                house.ring().sleep(SWEEP_EVERY).await;
                house.sweep();
            }
        });
        worker.house.check_health();
        worker
    }

    /// What its rooms may touch.
    pub fn house(&self) -> &Rc<House> {
        &self.house
    }

    /// Takes a change; gives the old configuration back.
    pub fn take(self: &Rc<Self>, change: Change) -> Arc<Snapshot> {
        for key in change.closed {
            self.close(&key);
        }
        let old = self.house.take(Arc::clone(&change.snapshot));
        self.house.check_health();
        for (name, address, descriptor) in change.opened {
            if let Some(config) = change.snapshot.listeners.get(&name) {
                let listener = self.house.listener(config);
                self.open((name, address), listener, descriptor);
            }
        }
        old
    }

    /// Accepts no more; every response is its connection's last; what is left at `until` is cut.
    pub fn drain(&self, until: Instant) {
        let keys: Vec<_> = self.doors.borrow().keys().cloned().collect();
        for key in keys {
            self.close(&key);
        }
        self.house.drain(until);
        self.draining.set(true);
    }

    /// Whether it was told to drain and has: nobody is served, nobody waits to be accepted.
    pub fn is_drained(&self) -> bool {
        self.draining.get() && self.accepting.get() == 0 && self.serving.get() == 0
    }

    /// Connections being served.
    pub fn serving(&self) -> usize {
        self.serving.get()
    }

    fn open(self: &Rc<Self>, key: (Name, Address), listener: Rc<Listener>, descriptor: Descriptor) {
        let door = Rc::new(Door::default());
        self.doors.borrow_mut().insert(key, Rc::clone(&door));
        let (worker, accepting) = (Rc::clone(self), Counted::begin(&self.accepting));
        self.house.ring().spawn(async move {
            worker.accept(&door, &listener, descriptor).await;
            drop(accepting);
        });
    }

    fn close(&self, key: &(Name, Address)) {
        if let Some(door) = self.doors.borrow_mut().remove(key) {
            door.closing.set(true);
            self.house.ring().wake_all();
        }
    }

    /// Accepts until the door closes. Then nobody begins to connect any more, who has begun gets in, and only an empty socket is closed.
    async fn accept(&self, door: &Door, listener: &Rc<Listener>, descriptor: Descriptor) {
        let ring = self.house.ring();
        let socket = ring.listen(descriptor);
        let closing = poll_fn(|_| if door.closing.get() { Poll::Ready(()) } else { Poll::Pending });
        self.accept_until(closing, &socket, listener).await;
        socket.refuse_handshakes();
        self.accept_until(ring.sleep(HANDSHAKES_MAX), &socket, listener).await;
        socket.stop();
        self.accept_until(pending(), &socket, listener).await;
    }

    /// Accepts until `end`, or until a socket that was stopped is empty.
    async fn accept_until(&self, end: impl Future<Output = ()>, socket: &io::Listener, listener: &Rc<Listener>) {
        let mut end = pin!(end);
        while let Some(accepted) = before(end.as_mut(), socket.accept()).await {
            match accepted {
                Ok(stream) => self.serve(stream, listener),
                Err(Errno::CANCELED) => return,
                // Descriptors or memory have run out: existing traffic goes on, and accepting is tried again when some may have come back.
                Err(_errno) => self.house.ring().sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn serve(&self, stream: Stream, listener: &Rc<Listener>) {
        let serving = Counted::begin(&self.serving);
        let (house, listener) = (Rc::clone(&self.house), Rc::clone(listener));
        self.house.ring().spawn(async move {
            proxy::serve(house, listener, stream).await;
            drop(serving);
        });
    }
}

/// Awaits `future`, but not beyond `end`.
async fn before<T>(mut end: Pin<&mut impl Future<Output = ()>>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| if end.as_mut().poll(context).is_ready() { Poll::Ready(None) } else { future.as_mut().poll(context).map(Some) }).await
}

/// A place in a count, given back even by a panic.
struct Counted {
    count: Rc<Cell<usize>>,
}

impl Counted {
    fn begin(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self { count: Rc::clone(count) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.set(self.count.get() - 1);
    }
}
