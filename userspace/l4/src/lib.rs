//! The kernel layer, seen from userspace: from a Snapshot to what the kernel's maps must hold, and how they get there.
//!
//! Everything that decides is pure: tables ([`Maglev`]), what each slot remembers, the plan. Only the loader touches the kernel.
#![forbid(unsafe_code)]

extern crate alloc;

mod apply;
mod attach;
mod btf;
mod frame;
mod guard;
mod guard_file;
mod hooks;
mod hops;
mod identity;
mod kernel;
mod load;
mod local_route;
mod lro;
mod maglev;
mod maps;
mod mix;
mod neighbours;
mod netlink;
mod next;
mod numbers;
mod origin;
mod path;
mod pin;
mod plan;
mod prober;
mod probes;
pub mod programs;
mod question;
mod redirect;
mod samples;
mod services;
mod slots;
mod stack;
mod stale;
mod steer;
mod streams;
mod sysctl;
mod tables;

pub use apply::{Maps, Write, apply, diff};
pub use attach::{AttachError, Attachment, Mode, Wish};
pub use guard::{GuardList, Prefix};
pub use guard_file::{BadLine, prefixes};
pub use hooks::{Hook, Place, hooks};
pub use hops::{HOPS_AT_ONCE, Hop, Hops};
pub use identity::Identity;
pub use load::{Balancer, LoadError, MAPS};
pub use local_route::LocalRoutes;
pub use lro::merging;
pub use maglev::{Maglev, Member, TableSize};
pub use maps::Kept;
pub use neighbours::{NEIGHBOURS_AT_ONCE, Neighbours};
pub use origin::Origin;
pub use pin::{Folder, PinError, ROOT};
pub use plan::{Held, Kind, Machine, Plan, PlanFault, Wishes};
pub use prober::{PROBES_AT_ONCE, Prober, Turned};
pub use probes::{Door, Probes, Target};
pub use redirect::Redirect;
pub use samples::Samples;
pub use slots::Slots;
pub use stale::{stale_nat, stale_pins};
pub use steer::{Steering, full, steered};
pub use sysctl::SysctlError;
