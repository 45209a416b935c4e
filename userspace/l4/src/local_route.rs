//! Local routes: what makes this machine take packets of an address that no interface has, so that a listener of ours can have them.
//!
//! Each is marked as ours and as this instance's, so that a later process finds those of an earlier one: they stay when a process dies, and go with
//! their VIP or with `sluice l4 unload`. Spoken to the kernel by rtnetlink; nothing here touches a route that is not marked so.

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::net::IpAddr;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with};
use std::io;
use std::os::fd::OwnedFd;

/// The local routes of one instance.
pub struct LocalRoutes {
    socket: OwnedFd,
    /// The routes' metric: whose they are.
    mark: u32,
}

/// Who made a route, as `ip route` shows it: a number that nobody else has in `rt_protos`.
const PROTOCOL: u8 = 83;
/// The loopback interface's number, in every namespace.
const LOOPBACK: u32 = 1;
/// Bytes of one answer; the kernel makes them no larger.
const ANSWER_BYTES: usize = 32 << 10;

const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const ERROR: u16 = 2;
const DONE: u16 = 3;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE_OR_REPLACE: u16 = 0x500;

const HEADER_BYTES: usize = 16;
const ROUTE_BYTES: usize = 12;
const DESTINATION: u16 = 1;
const INTERFACE: u16 = 4;
const METRIC: u16 = 6;

const TABLE_LOCAL: u8 = 255;
const SCOPE_HOST: u8 = 254;
const KIND_LOCAL: u8 = 2;
const FAMILIES: [u8; 2] = [2, 10];

impl LocalRoutes {
    /// Those of the instance of this name, in this network namespace. Changing them takes `CAP_NET_ADMIN`.
    pub fn open(instance: &str) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        // The sign bit stays clear: tools show metrics as signed numbers.
        let mark = instance.bytes().fold(0x811c_9dc5_u32, |mark, byte| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193)) >> 1 | 1;
        Ok(Self { socket, mark })
    }

    /// Makes these the instance's routes: adds what is missing, removes what is too much.
    pub fn set(&mut self, wanted: &BTreeSet<IpAddr>) -> io::Result<()> {
        let there = self.list()?;
        for address in there.difference(wanted) {
            self.change(DELETE_ROUTE, 0, *address)?;
        }
        wanted.difference(&there).try_for_each(|address| self.change(NEW_ROUTE, CREATE_OR_REPLACE, *address))
    }

    /// The instance's routes.
    pub fn list(&mut self) -> io::Result<BTreeSet<IpAddr>> {
        let mut all = BTreeSet::new();
        for family in FAMILIES {
            let route = [family, 0, 0, 0, TABLE_LOCAL, 0, 0, 0, 0, 0, 0, 0];
            self.ask(GET_ROUTE, DUMP, &route, |message| all.extend(ours(message, self.mark)))?;
        }
        Ok(all)
    }

    fn change(&self, kind: u16, flags: u16, address: IpAddr) -> io::Result<()> {
        let (family, bits, bytes) = match address {
            IpAddr::V4(address) => (FAMILIES[0], 32, address.octets().to_vec()),
            IpAddr::V6(address) => (FAMILIES[1], 128, address.octets().to_vec()),
        };
        let mut route = vec![family, bits, 0, 0, TABLE_LOCAL, PROTOCOL, SCOPE_HOST, KIND_LOCAL, 0, 0, 0, 0];
        attribute(&mut route, DESTINATION, &bytes);
        attribute(&mut route, INTERFACE, &LOOPBACK.to_ne_bytes());
        attribute(&mut route, METRIC, &self.mark.to_ne_bytes());
        match self.ask(kind, flags | ACKNOWLEDGE, &route, |_| ()) {
            // Gone already: somebody was quicker.
            Err(error) if kind == DELETE_ROUTE && error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            done => done,
        }
    }

    /// One question; `each` sees every message of the answer.
    fn ask(&self, kind: u16, flags: u16, body: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((flags | REQUEST).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = vec![0; ANSWER_BYTES];
        loop {
            let (read, _whole) = recv(&self.socket, &mut answer[..], RecvFlags::empty())?;
            let mut rest = &answer[..read];
            while let Some((kind, message, next)) = message_of(rest) {
                rest = next;
                match kind {
                    DONE => return Ok(()),
                    ERROR => return result(message),
                    _ => each(message),
                }
            }
        }
    }
}

/// The first message: its kind and body, and what follows it.
fn message_of(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER_BYTES..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// An acknowledgement is an error of the number 0.
fn result(message: &[u8]) -> io::Result<()> {
    let number = message.first_chunk().map_or(-libc::EBADMSG, |number| i32::from_ne_bytes(*number));
    if number == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-number)) }
}

/// The address of a route that is ours.
fn ours(message: &[u8], mark: u32) -> Option<IpAddr> {
    let route: &[u8; ROUTE_BYTES] = message.first_chunk()?;
    if route[4] != TABLE_LOCAL || route[5] != PROTOCOL || route[7] != KIND_LOCAL {
        return None;
    }
    let mut rest = message.get(ROUTE_BYTES..)?;
    let (mut address, mut is_marked) = (None, false);
    while let Some((kind, value, next)) = attribute_of(rest) {
        rest = next;
        match kind {
            DESTINATION => address = address_of(value),
            METRIC => is_marked = value == mark.to_ne_bytes(),
            _ => {}
        }
    }
    address.filter(|_| is_marked)
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

fn attribute_of(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
    Some((kind, bytes.get(4..length)?, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_ends_the_answer() {
        for bytes in [&[][..], &[1], &[0; 16], &[255; 16], &[15, 0, 0, 0, 3, 0]] {
            assert!(message_of(bytes).is_none(), "{bytes:?}");
        }
        assert!(result(&[]).is_err());
        assert!(ours(&[0; 5], 1).is_none());
    }

    #[test]
    fn only_marked_routes_are_ours() {
        let route = |protocol: u8, mark: u32| {
            let mut route = vec![2, 32, 0, 0, TABLE_LOCAL, protocol, SCOPE_HOST, KIND_LOCAL, 0, 0, 0, 0];
            attribute(&mut route, DESTINATION, &[203, 0, 113, 9]);
            attribute(&mut route, METRIC, &mark.to_ne_bytes());
            route
        };
        assert_eq!(ours(&route(PROTOCOL, 7), 7), Some([203, 0, 113, 9].into()));
        assert_eq!(ours(&route(PROTOCOL, 7), 8), None);
        assert_eq!(ours(&route(2, 7), 7), None);
    }
}
