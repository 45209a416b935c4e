//! The whole table of a listener: hosts to sites, sites to rules.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::host::{self, HOST_BYTES_MAX};
use crate::site::SiteIndex;
use crate::{HostPattern, Site};

/// The routes of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable<T> {
    sites: Vec<SiteIndex<T>>,
    exact: HashMap<Box<[u8]>, u32>,
    /// Keyed with the leading dot.
    suffix: HashMap<Box<[u8]>, u32>,
    default: Option<u32>,
}

/// What a lookup found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a, T> {
    /// The rule's value.
    Route(&'a T),
    /// The host has a site, but none of its rules matched.
    NoRoute,
    /// No site has this host.
    NoSite,
}

impl<'a, T> Found<'a, T> {
    /// The rule's value, when there is one.
    pub fn route(self) -> Option<&'a T> {
        match self {
            Self::Route(value) => Some(value),
            Self::NoRoute | Self::NoSite => None,
        }
    }
}

/// Why sites do not make a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Two sites (or one site twice) have the same host.
    #[error("the host {host:?} is already site number {first}'s")]
    HostTwice {
        /// The host that two sites have.
        host: HostPattern,
        /// The site that had it first, counted from 0.
        first: usize,
    },
}

impl<T> RouteTable<T> {
    /// Builds the index.
    pub fn build(sites: Vec<Site<T>>) -> Result<Self, BuildError> {
        let mut table = Self { sites: Vec::with_capacity(sites.len()), exact: HashMap::new(), suffix: HashMap::new(), default: None };
        for (place, site) in (0..).zip(sites) {
            for host in site.hosts {
                if let Some(first) = table.claim(&host, place) {
                    return Err(BuildError::HostTwice { host, first: first as usize });
                }
            }
            table.sites.push(SiteIndex::build(site.rules));
        }
        Ok(table)
    }

    /// The first rule in file order that matches in the site of `host`.
    ///
    /// `host` is the Host field or authority as received (port, trailing dot and case do not matter); the site is that
    /// of the exact name, else of the longest wildcard, else the default. `path` is what stands before `?`.
    pub fn find(&self, host: &[u8], path: &[u8], method: &[u8]) -> Found<'_, T> {
        match self.site_of(host).and_then(|place| self.sites.get(place as usize)) {
            None => Found::NoSite,
            Some(site) => site.find(path, method).map_or(Found::NoRoute, Found::Route),
        }
    }

    /// Gives `host` to the site at `place`, or says whose it already is.
    fn claim(&mut self, host: &HostPattern, place: u32) -> Option<u32> {
        match host {
            HostPattern::Exact(name) => self.exact.insert(name.as_bytes().into(), place),
            HostPattern::Suffix(suffix) => self.suffix.insert(suffix.as_bytes().into(), place),
            HostPattern::Any => self.default.replace(place),
        }
    }

    fn site_of(&self, host: &[u8]) -> Option<u32> {
        let mut room = [0; HOST_BYTES_MAX];
        let Some(name) = host::lower(host::name_of(host), &mut room) else {
            return self.default;
        };
        if let Some(place) = self.exact.get(name) {
            return Some(*place);
        }
        if !self.suffix.is_empty() {
            // A wildcard stands for at least one byte, so a name that begins with the dot is not below the suffix.
            for dot in (1..name.len()).filter(|at| name[*at] == b'.') {
                if let Some(place) = self.suffix.get(&name[dot..]) {
                    return Some(*place);
                }
            }
        }
        self.default
    }
}
