//! What each side saw of each request, for the judge.

use core::{cell::RefCell, fmt};
use std::{collections::BTreeMap, rc::Rc};

use crate::wire::{Ended, Head};

/// What the client got for one request.
#[derive(Clone)]
pub enum Answer {
    /// A whole response.
    Whole(Head, Vec<u8>),
    /// A head and part of a body.
    Cut(Head, Vec<u8>, Ended),
    /// Nothing.
    None(Ended),
}

impl fmt::Debug for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(head, body) => write!(out, "whole: {head:?}, {} bytes", body.len()),
            Self::Cut(head, body, ended) => write!(out, "cut by {ended:?}: {head:?}, {} bytes", body.len()),
            Self::None(ended) => write!(out, "nothing: {ended:?}"),
        }
    }
}

/// One request's entry.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a hidden state machine")]
pub struct Entry {
    /// Whether the client's connection got as far as sending its last byte.
    pub sent: bool,
    /// Whether any byte of it was sent.
    pub begun: bool,
    /// What the client got.
    pub answer: Option<Answer>,
    /// Whether the client gave up before the answer, of its own will.
    pub aborted: bool,
    /// Whether chaos broke the client's connection.
    pub broken: bool,
    /// Whether a response before it on the same connection was the connection's last.
    pub orphaned: bool,
    /// Whether the connection may be closed before it: a response before it overtook its request's body, or idle connections are closed.
    pub may_be_closed: bool,
    /// How often an origin saw its head.
    pub heads_seen: usize,
    /// How often an origin saw the whole of it.
    pub wholes_seen: usize,
    /// How often an origin said that it did not look at it.
    pub refused: usize,
}

/// All requests of a run, and what must never have happened.
#[derive(Clone, Default)]
pub struct Ledger(Rc<RefCell<Book>>);

/// What a ledger holds.
#[derive(Default)]
pub struct Book {
    /// By request.
    pub entries: BTreeMap<u64, Entry>,
    /// What must never have happened, as text.
    pub wrongs: Vec<String>,
    /// How often an origin broke a connection off that carries many requests: whose, nobody can tell.
    pub severed: usize,
    /// Attackers that were cut off: which limits may have ended each of them.
    pub cut_off: Vec<&'static [&'static str]>,
    /// Requests of attackers that were refused as too large.
    pub too_large: u64,
    /// Attackers whose connection broke of itself: which limits may have ended each of them before.
    pub lost: Vec<&'static [&'static str]>,
}

impl Ledger {
    /// Changes an entry.
    pub fn note(&self, id: u64, change: impl FnOnce(&mut Entry)) {
        change(self.0.borrow_mut().entries.entry(id).or_default());
    }

    /// Something that must never happen has happened.
    pub fn wrong(&self, what: String) {
        self.0.borrow_mut().wrongs.push(what);
    }

    /// Reads or changes the book.
    pub fn with<R>(&self, act: impl FnOnce(&mut Book) -> R) -> R {
        act(&mut self.0.borrow_mut())
    }
}
