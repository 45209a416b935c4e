//! A question that takes a connection: who asks it, and what came of it.
//!
//! What is asked, and how an answer is judged, is the engine's: the same client asks the endpoints of listeners' clusters. Here is only by which
//! way it comes to the origin.

use alloc::borrow::Cow;
use core::net::SocketAddr;
use std::sync::mpsc;

use config::{ClusterSlot, HealthCheck, Look};

use crate::probes::Target;
use crate::streams::{Ends, State, Streams};

/// Why an origin is not well.
pub(crate) type Why = Cow<'static, str>;

/// What is known of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The origin is well, or it is not.
    Answer(Result<(), Why>),
    /// Nobody could ask: that says nothing of the origin.
    Unasked,
}

impl Heard {
    pub(crate) fn not(why: &'static str) -> Self {
        Self::Answer(Err(why.into()))
    }
}

/// A question under way.
pub(crate) struct Question {
    /// The connection along the way of packets; `None`: a plain one, that whoever looks makes.
    stream: Option<Ends>,
    /// What is to be asked as soon as it is open.
    look: Option<Look>,
    answer: mpsc::Receiver<Result<(), String>>,
}

impl Question {
    pub(crate) fn new(target: &Target, (cluster, check): (ClusterSlot, &HealthCheck), to: SocketAddr, stream: Option<Ends>) -> Self {
        let (told, answer) = mpsc::channel();
        let look = Look { cluster, endpoint: target.endpoint.clone(), check: check.clone(), to, over: None, answer: told };
        Self { stream, look: Some(look), answer }
    }

    /// What is known of it; has the engine look as soon as that can be.
    pub(crate) fn heard(&mut self, streams: &mut Streams, engine: &dyn Fn(Look), is_late: bool) -> Option<Heard> {
        if let Some(ends) = self.stream
            && self.look.is_some()
        {
            match streams.state(ends) {
                State::Opening if is_late => return Some(Heard::not("it does not answer")),
                State::Opening => return None,
                State::Refused => return Some(Heard::not("it refuses connections")),
                State::NoWay => return Some(Heard::not("there is no way to it")),
                State::Open => {}
            }
        }
        if let Some(mut look) = self.look.take() {
            if let Some(ends) = self.stream {
                match streams.hand_over(ends) {
                    Ok(over) => look.over = Some(over),
                    Err(_) => return Some(Heard::Unasked),
                }
            }
            engine(look);
        }
        match self.answer.try_recv() {
            Ok(answer) => Some(Heard::Answer(answer.map_err(Cow::Owned))),
            Err(mpsc::TryRecvError::Disconnected) => Some(Heard::Unasked),
            Err(mpsc::TryRecvError::Empty) => is_late.then(|| Heard::not("it did not answer in time")),
        }
    }

    /// Nobody waits any more.
    pub(crate) fn end(&self, streams: &mut Streams) {
        if let Some(ends) = self.stream {
            streams.close(ends);
        }
    }
}
