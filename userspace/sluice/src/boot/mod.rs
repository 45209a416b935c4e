//! What a process does to itself before it serves: names itself, takes what descriptors it may, gives up every right it does not need.

pub(crate) mod core_dumps;
pub(crate) mod descriptors;
mod instance;
pub(crate) mod reaper;
pub(crate) mod rights;

pub(crate) use instance::Instance;
pub(crate) use rights::Rights;
