//! Where the rooms of one connection stand.

use io::Timer;
use model::ConnectionRecord;
use std::rc::Rc;

use crate::{House, Listener};

/// Bytes thrown away of a client that still sends when its connection is closed.
pub(crate) const LINGER_BYTES_MAX: usize = 1 << 20;

/// Where the rooms of one connection stand.
pub(crate) struct Scope<'a> {
    pub(crate) house: &'a Rc<House>,
    pub(crate) listener: &'a Rc<Listener>,
    pub(crate) client: &'a Rc<ConnectionRecord>,
    pub(crate) timer: &'a Timer,
}
