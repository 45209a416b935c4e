//! The kernel's maps as [`Maps`]: where a plan is written, and what an earlier process left there.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use abi::{PoolAddress, limits};
use aya::maps::MapError;
use hashbrown::HashMap;

use crate::identity::Identity;
use crate::load::Balancer;
use crate::plan::{Held, Kind};
use crate::{Maps, Write};

impl Maps for Balancer {
    type Error = MapError;

    fn write(&mut self, write: &Write<'_>) -> Result<(), MapError> {
        match write {
            Write::Settings(settings) => self.put_settings(*settings),
            Write::Identity(kind, number, identity) => self.hash("IDENTITIES")?.insert(identity_key(*kind, *number), identity.0, 0),
            Write::Backend(number, backend) => self.put_backend(*number, *backend),
            Write::Away(key, Some(record)) => self.put_away(*key, *record),
            Write::Away(key, None) => self.remove_away(*key),
            Write::Table(number, Some(words)) => self.put_table(*number, words),
            // No service leads to it any more; its number's next holder replaces it.
            Write::Table(_, None) => Ok(()),
            // Finding a table that is in force takes rights that are given up after the start.
            Write::Slots(number, slots, words) => self.put_slots(*number, slots).or_else(|_| self.put_table(*number, words)),
            Write::Pool(number, address) => self.put_pool(*number, *address),
            Write::Origin(key, Some(origin)) => self.put_origin(*key, *origin),
            Write::Origin(key, None) => self.remove_origin(*key),
            Write::Service(number, service) => self.put_service(*number, *service),
            Write::Address(key, Some(ports)) => self.put_address(*key, *ports),
            Write::Address(key, None) => self.remove_address(*key),
            Write::Port(key, Some(service)) => self.put_port(*key, *service),
            Write::Port(key, None) => self.remove_port(*key),
        }
    }
}

impl Balancer {
    /// Notes that the states of backends were last true in this second since boot.
    pub fn put_probed_s(&mut self, second: u32) -> Result<(), MapError> {
        self.hash("IDENTITIES")?.insert(PROBED, u64::from(second), 0)
    }

    /// When the states of backends were last true, in seconds since boot; `None` when nobody probes.
    pub fn probed_s(&mut self) -> Result<Option<u32>, MapError> {
        match self.hash::<u64, u64>("IDENTITIES")?.get(&PROBED, 0) {
            Ok(second) => Ok(u32::try_from(second).ok()),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything that the maps hold: nothing in new ones, all of an earlier process's in those that were taken over.
    pub fn held(&mut self) -> Result<Held, MapError> {
        let settings = self.settings()?;
        let identities: Vec<(u64, u64)> = self.hash("IDENTITIES")?.iter().collect::<Result<_, _>>()?;
        let identities: Vec<(Kind, u32, Identity)> = identities.into_iter().filter_map(identity_of).collect();
        let of = |wanted: Kind| identities.iter().filter(move |(kind, ..)| *kind == wanted).map(|(_, number, _)| *number);
        let mut tables = BTreeMap::new();
        for number in of(Kind::Table) {
            if let Some(words) = written(self.table(number))? {
                tables.insert(number, words.into_iter().take(settings.slots as usize).collect::<Box<[_]>>());
            }
        }
        let services = self.array("SERVICES")?;
        let services = of(Kind::Service).map(|number| Ok((number, services.get(&number, 0)?))).collect::<Result<_, MapError>>()?;
        let backends = self.array("BACKENDS")?;
        let backends = of(Kind::Backend).map(|number| Ok((number, backends.get(&number, 0)?))).collect::<Result<_, MapError>>()?;
        Ok(Held {
            settings,
            services,
            ports: self.hash("PORTS")?.iter().collect::<Result<HashMap<_, _>, _>>()?,
            addresses: self.hash("ADDRESSES")?.iter().collect::<Result<HashMap<_, _>, _>>()?,
            backends,
            origins: self.hash("ORIGINS")?.iter().collect::<Result<HashMap<_, _>, _>>()?,
            pool: self.pool()?,
            tables,
            away: self.away()?,
            identities,
        })
    }

    fn pool(&mut self) -> Result<Vec<PoolAddress>, MapError> {
        let pool = self.array("POOL")?;
        let all = (0..limits::POOL_ADDRESSES).map(|number| pool.get(&number, 0)).collect::<Result<Vec<PoolAddress>, _>>()?;
        let count = all.iter().rposition(|address| *address != PoolAddress::default()).map_or(0, |last| last + 1);
        Ok(all.into_iter().take(count).collect())
    }
}

/// A table whose process died before it wrote it is none.
fn written<T>(table: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Beside the identities, whose kinds are smaller, and no number: when backends were last probed.
const PROBED: u64 = u64::MAX;

fn identity_key(kind: Kind, number: u32) -> u64 {
    (kind as u64) << 32 | u64::from(number)
}

/// What this version does not know is nobody's.
fn identity_of((key, name): (u64, u64)) -> Option<(Kind, u32, Identity)> {
    let kind = [Kind::Backend, Kind::Table, Kind::Service].into_iter().find(|kind| *kind as u64 == key >> 32)?;
    Some((kind, u32::try_from(key & u64::from(u32::MAX)).ok()?, Identity(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_identities_can_be_read_again() {
        for (kind, number) in [(Kind::Backend, 1), (Kind::Table, u32::MAX), (Kind::Service, 0)] {
            assert_eq!(identity_of((identity_key(kind, number), 9)), Some((kind, number, Identity(9))));
        }
        assert_eq!(identity_of((7 << 32, 9)), None);
    }
}
