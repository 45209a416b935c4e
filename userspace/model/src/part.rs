//! What a message is made of, in every HTTP version.

use buf::Chunk;

use crate::{Fields, Head};

/// One step of a message. Each direction speaks `Info* Head Data* Trailers? End`; a [`Head`] whose `end` is set is the End too.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// An interim response (1xx). Never ends anything.
    Info(Head),
    /// The request's head, or the final response's.
    Head(Head),
    /// Some of the body: never empty.
    Data(Chunk),
    /// Fields after the body; `End` follows.
    Trailers(Fields),
    /// The message is complete.
    End,
}

impl Part {
    /// Whether nothing follows in this direction.
    pub fn is_end(&self) -> bool {
        match self {
            Self::Head(head) => head.end,
            Self::End => true,
            Self::Info(_) | Self::Data(_) | Self::Trailers(_) => false,
        }
    }
}

/// An exchange on its connection. Allotted by the codec; for HTTP/1 a count of the exchanges before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);
