//! Which interfaces have an XDP program and how it is attached, as the kernel tells: whoever attached it, and whatever was asked for.

use alloc::string::String;
use alloc::{vec, vec::Vec};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with};
use std::io;

/// Bytes of one answer; the kernel makes them no larger.
const ANSWER_BYTES: usize = 32 << 10;

/// An interface's XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The interface's name.
    pub interface: String,
    /// Where packets meet the program.
    pub place: Place,
}

/// Where packets meet an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the driver, before the kernel has made anything of them.
    Native,
    /// In the kernel's stack, after all that native spares.
    Generic,
    /// In the card itself.
    Hardware,
    /// In several of these.
    Several,
}

/// Those of all interfaces of this network namespace that have one.
pub fn hooks() -> io::Result<Vec<Hook>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut question = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetLink(LinkMessage::default())));
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    sendto(&socket, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let (mut hooks, mut answer) = (Vec::new(), vec![0; ANSWER_BYTES]);
    loop {
        let (read, _whole) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
        let mut rest = &answer[..read];
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = &message.payload {
                hooks.extend(hook(link));
            } else if let NetlinkPayload::Error(error) = message.payload {
                return Err(error.to_io());
            } else if let NetlinkPayload::Done(_) = message.payload {
                return Ok(hooks);
            }
        }
    }
}

fn hook(link: &LinkMessage) -> Option<Hook> {
    let name = |attribute: &LinkAttribute| if let LinkAttribute::IfName(name) = attribute { Some(name.clone()) } else { None };
    let places = |attribute: &LinkAttribute| if let LinkAttribute::Xdp(all) = attribute { all.iter().find_map(place) } else { None };
    Some(Hook { interface: link.attributes.iter().find_map(name)?, place: link.attributes.iter().find_map(places)? })
}

fn place(of: &LinkXdp) -> Option<Place> {
    let LinkXdp::Attached(attached) = of else { return None };
    match attached {
        XdpAttached::Driver => Some(Place::Native),
        XdpAttached::SocketBuffer => Some(Place::Generic),
        XdpAttached::Hardware => Some(Place::Hardware),
        XdpAttached::Multiple => Some(Place::Several),
        XdpAttached::None | XdpAttached::Other(_) | _ => None,
    }
}
