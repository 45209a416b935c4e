//! From one plan to the next: what has to be written into the kernel's maps, and in which order.
//!
//! Whatever leads to something is written after it and taken away before it, so that a packet sees the old or the new and never half of
//! either: backends, then the records of slots that are away, then tables, services, and last the ports that lead to them.

use alloc::vec::Vec;

use abi::{Away, AwayKey, Backend, Origin, OriginKey, PoolAddress, PortKey, Ports, Service, Settings, Slot};

use crate::identity::Identity;
use crate::plan::{Kind, Plan};
use crate::slots::Slots;

/// One write into a map; `None` takes the entry away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write<'a> {
    /// `SETTINGS`.
    Settings(Settings),
    /// `IDENTITIES`: whose number it is.
    Identity(Kind, u32, Identity),
    /// `BACKENDS`.
    Backend(u32, Backend),
    /// `AWAY`.
    Away(AwayKey, Option<Away>),
    /// `TABLES`: the whole table at once.
    Table(u32, Option<&'a [Slot]>),
    /// Some slots of a table that is in force: each packet looks at one, and each is right at any time. The whole table, for whoever cannot.
    Slots(u32, Vec<(u32, Slot)>, &'a [Slot]),
    /// `POOL`.
    Pool(u32, PoolAddress),
    /// `ORIGINS`.
    Origin(OriginKey, Option<Origin>),
    /// `SERVICES`; one that is gone is all zero.
    Service(u32, Service),
    /// `ADDRESSES`.
    Address(PortKey, Option<Ports>),
    /// `PORTS`.
    Port(PortKey, Option<u32>),
}

/// The kernel's maps, or something that plays them.
pub trait Maps {
    /// Why a write failed.
    type Error;

    /// Writes one entry.
    fn write(&mut self, write: &Write<'_>) -> Result<(), Self::Error>;
}

/// Makes the maps hold what `new` says, where they hold what `old` says. What fails leaves them between the two, each packet's way whole.
pub fn apply<M: Maps>(maps: &mut M, old: &Plan, new: &Plan) -> Result<(), M::Error> {
    diff(old, new).iter().try_for_each(|write| maps.write(write))
}

/// What has to be written, in order; nothing that is there already.
pub fn diff<'a>(old: &'a Plan, new: &'a Plan) -> Vec<Write<'a>> {
    let mut writes = Vec::new();
    if old.settings != new.settings {
        writes.push(Write::Settings(new.settings));
    }
    identities(&mut writes, old, new);
    changed(&mut writes, &old.backends, &new.backends, Write::Backend);
    tables(&mut writes, old, new);
    let pool = (0..).zip(&new.pool).filter(|(number, address)| old.pool.get(*number as usize) != Some(*address));
    writes.extend(pool.map(|(number, address)| Write::Pool(number, *address)));
    let origins = new.origins.iter().filter(|(key, (origin, _))| old.origins.get(*key).is_none_or(|(old, _)| old != origin));
    writes.extend(origins.map(|(key, (origin, _))| Write::Origin(*key, Some(*origin))));
    changed(&mut writes, &old.services, &new.services, Write::Service);
    let addresses = new.addresses.iter().filter(|(key, ports)| old.addresses.get(*key) != Some(*ports));
    writes.extend(addresses.map(|(key, ports)| Write::Address(*key, Some(*ports))));
    let ports = new.ports.iter().filter(|(key, service)| old.ports.get(*key) != Some(*service));
    writes.extend(ports.map(|(key, service)| Write::Port(*key, Some(*service))));
    removals(&mut writes, old, new);
    writes
}

fn changed<'a, T: Copy + PartialEq>(
    writes: &mut Vec<Write<'a>>,
    old: &alloc::collections::BTreeMap<u32, T>,
    new: &alloc::collections::BTreeMap<u32, T>,
    write: impl Fn(u32, T) -> Write<'a>,
) {
    let changed = new.iter().filter(|(number, value)| old.get(*number) != Some(*value));
    writes.extend(changed.map(|(number, value)| write(*number, *value)));
}

/// Numbers are noted before they are used: a process that dies in between leaves no number without a holder.
fn identities(writes: &mut Vec<Write<'_>>, old: &Plan, new: &Plan) {
    let (old, new) = (&old.numbers, &new.numbers);
    let kinds = [
        (Kind::Backend, &old.backends, &new.backends),
        (Kind::Table, &old.tables, &new.tables),
        (Kind::Service, &old.services, &new.services),
    ];
    for (kind, old, new) in kinds {
        let before = old.holders();
        let changed = new.holders().iter().filter(|(number, holder)| before.get(*number) != Some(*holder));
        writes.extend(changed.map(|(number, holder)| Write::Identity(kind, *number, *holder)));
    }
}

/// Records that are new or other, then the slots, then the records of slots that are at home again.
fn tables<'a>(writes: &mut Vec<Write<'a>>, old: &'a Plan, new: &'a Plan) {
    for (number, slots) in new.tables() {
        let before = old.tables.get(&number).map(|table| &*table.slots);
        let key = |slot: u32| AwayKey { table: number, slot };
        let had = |slot: u32| before.and_then(|before| before.away().get(&slot));
        let records = slots.away().iter().filter(|(slot, record)| had(**slot) != Some(*record));
        writes.extend(records.map(|(slot, record)| Write::Away(key(*slot), Some(*record))));
        writes.extend(words(number, before, slots));
        let stale = before.into_iter().flat_map(|before| before.away().keys()).filter(|slot| !slots.away().contains_key(*slot));
        writes.extend(stale.map(|slot| Write::Away(key(*slot), None)));
    }
}

/// Changed slots from which on the whole table is replaced.
const SLOTS_WRITTEN_MAX: usize = 8_192;

fn words<'a>(number: u32, before: Option<&Slots>, slots: &'a Slots) -> Option<Write<'a>> {
    let whole = Write::Table(number, Some(slots.words()));
    let Some(before) = before.filter(|before| before.len() == slots.len()) else { return Some(whole) };
    let changed = (0..).zip(before.words().iter().zip(slots.words())).filter(|(_, (before, after))| before != after);
    let changed: Vec<(u32, Slot)> = changed.map(|(slot, (_, after))| (slot, *after)).collect();
    match changed.len() {
        0 => None,
        1..SLOTS_WRITTEN_MAX => Some(Write::Slots(number, changed, slots.words())),
        _ => Some(whole),
    }
}

/// What nothing leads to any more, the way there first.
fn removals<'a>(writes: &mut Vec<Write<'a>>, old: &'a Plan, new: &'a Plan) {
    writes.extend(old.ports.keys().filter(|key| !new.ports.contains_key(*key)).map(|key| Write::Port(*key, None)));
    writes.extend(old.addresses.keys().filter(|key| !new.addresses.contains_key(*key)).map(|key| Write::Address(*key, None)));
    let services = old.services.keys().filter(|number| !new.services.contains_key(*number));
    writes.extend(services.map(|number| Write::Service(*number, Service::default())));
    for (number, slots) in old.tables().filter(|(number, _)| !new.tables.contains_key(number)) {
        writes.push(Write::Table(number, None));
        writes.extend(slots.away().keys().map(|slot| Write::Away(AwayKey { table: number, slot: *slot }, None)));
    }
    writes.extend(old.origins.keys().filter(|key| !new.origins.contains_key(*key)).map(|key| Write::Origin(*key, None)));
}
