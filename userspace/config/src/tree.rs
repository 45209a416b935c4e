//! A document as a tree that remembers where everything stood: nodes in reading order, each with the place of its end.
//!
//! Scalars stay text; what type a text has is the reader's question, so that `off`, `0644` and `1e3` mean what the field
//! says and not what a YAML library thinks. Texts are slices of the source wherever possible.

use alloc::sync::Arc;
use core::ops::Range;

use hashbrown::HashSet;

/// Nodes of one document, aliases expanded.
pub(crate) const NODES_MAX: usize = 4_000_000;
/// Nodes that aliases may add to one document: a dozen lines of anchors on anchors would else fill the memory.
pub(crate) const ALIAS_NODES_MAX: usize = 100_000;
/// Maps and lists inside one another.
pub(crate) const DEPTH_MAX: usize = 64;
/// Bytes of one document: offsets are kept in 31 bits.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A scalar without quotes.
    Plain,
    /// A scalar in quotes or in a block of lines: never null.
    Quoted,
    /// Keys and values.
    Map,
    /// Values in order.
    List,
}

/// A text: in the source, or among those that could not stay there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slice {
    start: u32,
    length: u32,
}

impl Slice {
    const EXTRA: u32 = 1 << 31;

    /// A slice of the source; the source is never longer than `DOCUMENT_BYTES_MAX`.
    pub(crate) fn of_source(range: Range<usize>) -> Self {
        Self { start: offset(range.start), length: offset(range.len()) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    key: Slice,
    value: Slice,
    /// Byte offset of the key in the source; of the value where there is no key.
    key_at: u32,
    /// Byte offset of the value in the source.
    at: u32,
    parent: u32,
    /// The node after the last one below this one.
    end: u32,
}

/// One document.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    source: Arc<str>,
    extra: String,
    nodes: Vec<Node>,
}

/// One node of a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    tree: &'a Tree,
    node: u32,
}

impl Tree {
    /// The root; every finished tree has one.
    pub(crate) fn root(&self) -> Place<'_> {
        Place { tree: self, node: 0 }
    }

    /// The node with this index, which must come from this tree.
    pub(crate) fn place(&self, node: u32) -> Place<'_> {
        Place { tree: self, node }
    }

    /// The text it was read from.
    pub(crate) fn source(&self) -> &Arc<str> {
        &self.source
    }

    fn text(&self, slice: Slice) -> &str {
        let (text, start) = match slice.start & Slice::EXTRA {
            0 => (&*self.source, slice.start as usize),
            _ => (&*self.extra, (slice.start & !Slice::EXTRA) as usize),
        };
        text.get(start..start + slice.length as usize).unwrap_or_default()
    }
}

impl<'a> Place<'a> {
    fn data(self) -> &'a Node {
        &self.tree.nodes[self.node as usize]
    }

    /// Its index in the tree.
    pub(crate) fn index(self) -> u32 {
        self.node
    }

    /// What it is.
    pub(crate) fn kind(self) -> Kind {
        self.data().kind
    }

    /// The text of a scalar; empty for maps and lists.
    pub(crate) fn text(self) -> &'a str {
        self.tree.text(self.data().value)
    }

    /// Whether it stands for no value at all.
    pub(crate) fn is_null(self) -> bool {
        self.kind() == Kind::Plain && matches!(self.text(), "" | "~" | "null")
    }

    /// The key it stands under; empty in a list.
    pub(crate) fn key(self) -> &'a str {
        self.tree.text(self.data().key)
    }

    /// What it holds, in order.
    pub(crate) fn children(self) -> impl Iterator<Item = Place<'a>> {
        let end = self.data().end;
        let mut next = self.node + 1;
        core::iter::from_fn(move || {
            let child = (next < end).then_some(Place { tree: self.tree, node: next })?;
            next = child.data().end;
            Some(child)
        })
    }

    /// Byte offset of its value.
    pub(crate) fn value_offset(self) -> usize {
        self.data().at as usize
    }

    /// Byte offset of its key, or of its value where there is no key.
    pub(crate) fn key_offset(self) -> usize {
        self.data().key_at as usize
    }

    /// Whether the other says just the same, wherever and however it is written.
    pub(crate) fn is_same_as(self, other: Place<'_>) -> bool {
        let nodes = |place: Place<'a>| &place.tree.nodes[place.node as usize..place.data().end as usize];
        let (ours, theirs) = (nodes(self), &other.tree.nodes[other.node as usize..other.data().end as usize]);
        ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(|(our, their)| {
                our.kind == their.kind
                    && our.end.wrapping_sub(self.node) == their.end.wrapping_sub(other.node)
                    && self.tree.text(our.value) == other.tree.text(their.value)
                    && self.tree.text(our.key) == other.tree.text(their.key)
            })
    }

    /// The way to it from the root: `listeners.web.bind[0]`.
    pub(crate) fn path(self) -> String {
        let mut steps = Vec::new();
        let mut place = self;
        while place.node != 0 {
            let parent = Place { tree: self.tree, node: place.data().parent };
            steps.push(if parent.kind() == Kind::List {
                let index = parent.children().take_while(|child| child.node != place.node).count();
                format!("[{index}]")
            } else {
                let is_word = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
                if is_word(place.key()) { format!(".{}", place.key()) } else { format!(".{:?}", place.key()) }
            });
            place = parent;
        }
        let path: String = steps.into_iter().rev().collect();
        path.strip_prefix('.').map(str::to_owned).unwrap_or(path)
    }
}

/// Something wrong with a document, at a byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Where.
    pub(crate) offset: usize,
    /// The way to it from the root, as far as it is known.
    pub(crate) field: String,
    /// What.
    pub(crate) message: String,
}

/// Puts a tree together from what a parser meets, in order.
pub(crate) struct Builder {
    tree: Tree,
    /// The maps and lists that are open.
    open: Vec<Open>,
    alias_nodes: usize,
    flaws: Vec<Flaw>,
}

struct Open {
    node: u32,
    is_map: bool,
    /// The key whose value comes next, and where it stood.
    key: Option<(Slice, u32)>,
    /// How many keys there were.
    keys: usize,
}

impl Builder {
    /// For a document of at most `DOCUMENT_BYTES_MAX` bytes.
    pub(crate) fn new(source: &Arc<str>) -> Self {
        let nodes = Vec::with_capacity(source.len() / 10);
        let tree = Tree { source: source.clone(), extra: String::new(), nodes };
        Self { tree, open: Vec::new(), alias_nodes: 0, flaws: Vec::new() }
    }

    /// The tree, or what is wrong with it.
    pub(crate) fn finish(mut self) -> Result<Tree, Vec<Flaw>> {
        self.flaws.sort_by_key(|flaw| flaw.offset);
        if self.flaws.is_empty() { Ok(self.tree) } else { Err(self.flaws) }
    }

    /// Notes a flaw; building may go on.
    pub(crate) fn flaw(&mut self, offset: usize, message: impl Into<String>) {
        self.flaws.push(Flaw { offset, field: String::new(), message: message.into() });
    }

    /// Keeps a text that does not stand in the source as it is.
    pub(crate) fn keep(&mut self, text: &str) -> Slice {
        let start = offset(self.tree.extra.len()) | Slice::EXTRA;
        self.tree.extra.push_str(text);
        Slice { start, length: offset(text.len()) }
    }

    /// Whether the next scalar is a key.
    pub(crate) fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| open.is_map && open.key.is_none())
    }

    /// A scalar: a key where one is due, else a value. Gives the value's node.
    pub(crate) fn scalar(&mut self, text: Slice, quoted: bool, at: usize) -> Option<u32> {
        if self.expects_key() {
            if let Some(open) = self.open.last_mut() {
                open.key = Some((text, offset(at)));
                open.keys += 1;
            }
            return None;
        }
        let kind = if quoted { Kind::Quoted } else { Kind::Plain };
        Some(self.push(kind, text, at))
    }

    /// A map or list begins.
    pub(crate) fn open(&mut self, kind: Kind, at: usize) -> u32 {
        if self.expects_key() {
            self.flaw(at, "a key is a plain text; maps and lists cannot be keys");
            let nothing = Slice::default();
            self.scalar(nothing, true, at);
        }
        let node = self.push(kind, Slice::default(), at);
        if self.open.len() == DEPTH_MAX {
            self.flaw(at, format!("maps and lists are nested deeper than {DEPTH_MAX}"));
        }
        self.open.push(Open { node, is_map: kind == Kind::Map, key: None, keys: 0 });
        node
    }

    /// The innermost map or list ends.
    pub(crate) fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let end = offset(self.tree.nodes.len());
        self.tree.nodes[open.node as usize].end = end;
        if open.is_map {
            self.refuse_duplicates(open.node, open.keys);
        }
    }

    /// Puts a copy of an earlier node here.
    pub(crate) fn alias(&mut self, original: u32, at: usize) {
        if self.expects_key() {
            self.flaw(at, "an alias cannot be a key");
            self.scalar(Slice::default(), true, at);
            return;
        }
        let copied = self.tree.nodes[original as usize];
        let count = (copied.end - original) as usize;
        self.alias_nodes += count;
        if self.alias_nodes > ALIAS_NODES_MAX {
            self.flaw(at, format!("aliases add more than {ALIAS_NODES_MAX} values to this document"));
            return;
        }
        let root = self.push(copied.kind, copied.value, at);
        for node in original + 1..copied.end {
            let inner = self.tree.nodes[node as usize];
            self.tree.nodes.push(Node { parent: inner.parent - original + root, end: inner.end - original + root, ..inner });
        }
        self.tree.nodes[root as usize].end = offset(self.tree.nodes.len());
    }

    /// Whether it makes no sense to read on.
    pub(crate) fn is_overfull(&self) -> bool {
        self.open.len() > DEPTH_MAX || self.tree.nodes.len() > NODES_MAX || self.alias_nodes > ALIAS_NODES_MAX
    }

    /// The number of the node that is built next.
    pub(crate) fn next_node(&self) -> u32 {
        offset(self.tree.nodes.len())
    }

    /// Whether a node is still being built.
    pub(crate) fn is_open(&self, node: u32) -> bool {
        self.open.iter().any(|open| open.node == node)
    }

    fn push(&mut self, kind: Kind, value: Slice, at: usize) -> u32 {
        let node = offset(self.tree.nodes.len());
        if self.tree.nodes.len() == NODES_MAX {
            self.flaw(at, format!("the document has more than {NODES_MAX} values"));
        }
        let at = offset(at);
        let (parent, key) = match self.open.last_mut() {
            Some(open) => (open.node, open.key.take()),
            None => (0, None),
        };
        let (key, key_at) = key.unwrap_or_else(|| (Slice::default(), at));
        // Nothing stands nowhere: parsers differ about the place of an absent value.
        let at = if kind == Kind::Plain && value.length == 0 { key_at } else { at };
        self.tree.nodes.push(Node { kind, key, value, key_at, at, parent, end: node + 1 });
        node
    }

    fn refuse_duplicates(&mut self, map: u32, keys: usize) {
        /// Up to here comparing all with all is cheaper than hashing.
        const FEW: usize = 8;
        let tree = &self.tree;
        let mut few: [&str; FEW] = [""; FEW];
        let mut many: HashSet<&str> = HashSet::new();
        let mut flaws = Vec::new();
        for (count, child) in tree.place(map).children().enumerate() {
            let key = child.key();
            let seen = if count < FEW {
                let seen = few[..count].contains(&key);
                few[count] = key;
                seen
            } else {
                if count == FEW {
                    many.reserve(keys);
                    many.extend(few);
                }
                !many.insert(key)
            };
            if seen {
                let message = format!("the key {key:?} stands here twice; every key once");
                flaws.push(Flaw { offset: child.key_offset(), field: child.path(), message });
            }
        }
        self.flaws.append(&mut flaws);
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("documents are refused before offsets outgrow 31 bits")
}

#[cfg(test)]
impl Tree {
    /// All there is to know about it, to hold two trees against one another; where lists begin is left out, since
    /// saphyr takes the first item for the start of a list that is indented like its key.
    pub(crate) fn dump(&self) -> Vec<(Kind, &str, &str, usize, usize, u32)> {
        let places = (0..self.nodes.len()).map(|node| self.place(offset(node)));
        let start = |place: Place<'_>| if place.kind() == Kind::List { 0 } else { place.value_offset() };
        let key_start = |place: Place<'_>| if place.key().is_empty() { start(place) } else { place.key_offset() };
        places.map(|place| (place.kind(), place.key(), place.text(), key_start(place), start(place), place.data().end)).collect()
    }
}
