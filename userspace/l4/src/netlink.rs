//! Questions to the kernel by netlink, and their answers.

use alloc::{vec, vec::Vec};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with};
use std::io;
use std::os::fd::OwnedFd;

/// Bytes of one answer; the kernel makes them no larger.
const ANSWER_BYTES: usize = 32 << 10;

/// A socket to ask on.
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    /// For routes, links and what belongs to them.
    pub(crate) fn route() -> io::Result<Self> {
        Self::open(None)
    }

    /// For families that are known by name.
    pub(crate) fn generic() -> io::Result<Self> {
        Self::open(Some(netlink::GENERIC))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// One question; `each` sees every part of the answer. With `NLM_F_DUMP` the answer has an end, with `NLM_F_ACK` it is said whether all went well.
    pub(crate) fn ask<T>(&self, question: T, flags: u16, mut each: impl FnMut(&T)) -> io::Result<()>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
        NetlinkPayload<T>: From<T>,
    {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        sendto(&self.0, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = vec![0; ANSWER_BYTES];
        loop {
            let (read, _whole) = recv(&self.0, &mut answer[..], RecvFlags::empty())?;
            let mut rest = &answer[..read];
            while !rest.is_empty() {
                let message = NetlinkMessage::<T>::deserialize(rest).map_err(io::Error::other)?;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                if let NetlinkPayload::InnerMessage(part) = &message.payload {
                    each(part);
                } else if let NetlinkPayload::Error(error) = message.payload {
                    // An acknowledgement is an error without a code.
                    return if error.code.is_none() { Ok(()) } else { Err(error.to_io()) };
                } else if let NetlinkPayload::Done(_) = message.payload {
                    return Ok(());
                }
            }
        }
    }
}

/// A message of a family that is known by name: its number, and what it says.
pub(crate) struct Generic {
    pub(crate) family: u16,
    /// A command, a version, two bytes of nothing, then attributes.
    pub(crate) bytes: Vec<u8>,
}

impl From<Generic> for NetlinkPayload<Generic> {
    fn from(message: Generic) -> Self {
        Self::InnerMessage(message)
    }
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        self.bytes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.bytes);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = core::convert::Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self { family: header.message_type, bytes: payload.to_vec() })
    }
}
