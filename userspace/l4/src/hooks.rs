//! Which interfaces have an XDP program and how it is attached, as the kernel tells: whoever attached it, and whatever was asked for.

use alloc::string::String;
use alloc::vec::Vec;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use std::io;

use crate::netlink::Netlink;

/// An interface's XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The interface's name.
    pub interface: String,
    /// Where packets meet the program.
    pub place: Place,
    /// The program's number; `None` where there are several.
    pub program: Option<u32>,
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
    let mut hooks = Vec::new();
    Netlink::route()?.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP, |answer| {
        if let RouteNetlinkMessage::NewLink(link) = answer {
            hooks.extend(hook(link));
        }
    })?;
    Ok(hooks)
}

fn hook(link: &LinkMessage) -> Option<Hook> {
    let name = |attribute: &LinkAttribute| if let LinkAttribute::IfName(name) = attribute { Some(name.clone()) } else { None };
    let xdp = |attribute: &LinkAttribute| if let LinkAttribute::Xdp(all) = attribute { Some(all.clone()) } else { None };
    let xdp = link.attributes.iter().find_map(xdp)?;
    let number = |one: &LinkXdp| if let LinkXdp::ProgId(number) = one { Some(*number) } else { None };
    Some(Hook {
        interface: link.attributes.iter().find_map(name)?,
        place: xdp.iter().find_map(place)?,
        program: xdp.iter().find_map(number),
    })
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
