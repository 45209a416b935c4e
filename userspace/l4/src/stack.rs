//! Which interfaces stand on top of which, as the kernel tells: VLANs on what they are of, bonds and bridges on their members.

use alloc::string::String;
use alloc::vec::Vec;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use std::io;

use crate::netlink::Netlink;

/// An interface, and what it names of others.
struct Link {
    index: u32,
    name: String,
    /// The one that it is of. (The ends of a wire name each other so: of those each counts as on top of the other, which costs nothing but a detour.)
    of: Option<u32>,
    /// The one that it is a member of.
    member_of: Option<u32>,
}

/// All that stand on an interface, each after what it stands on.
pub(crate) fn above(interface: &str) -> io::Result<Vec<String>> {
    let mut links = Vec::new();
    Netlink::route()?.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP, |answer| {
        if let RouteNetlinkMessage::NewLink(link) = answer {
            links.extend(read(link));
        }
    })?;
    Ok(on_top(&links, interface).into_iter().skip(1).map(|link| link.name.clone()).collect())
}

/// It and all that stand on it.
fn on_top<'a>(links: &'a [Link], interface: &str) -> Vec<&'a Link> {
    let mut found: Vec<&Link> = links.iter().filter(|link| link.name == interface).collect();
    let mut at = 0;
    while let Some(&below) = found.get(at) {
        let is_on = |link: &&Link| link.of == Some(below.index) || below.member_of == Some(link.index);
        for link in links.iter().filter(is_on) {
            if !found.iter().any(|known| known.index == link.index) {
                found.push(link);
            }
        }
        at += 1;
    }
    found
}

fn read(link: &LinkMessage) -> Option<Link> {
    let mut read = Link { index: link.header.index, name: String::new(), of: None, member_of: None };
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            read.name.clone_from(name);
        } else if let LinkAttribute::Link(of) = attribute {
            read.of = Some(*of);
        } else if let LinkAttribute::Controller(of) = attribute {
            read.member_of = Some(*of);
        }
    }
    (!read.name.is_empty()).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_on_what() {
        let link = |index, name: &str, of, member_of| Link { index, name: name.to_owned(), of, member_of };
        let links = [
            link(9, "bond", None, None),
            link(2, "eth0", None, Some(9)),
            link(3, "eth1", None, Some(9)),
            link(12, "bond.7.8", Some(11), None),
            link(11, "bond.7", Some(9), None),
            link(4, "here", Some(5), None),
            link(5, "there", Some(4), None),
        ];
        for (interface, expect) in [
            ("eth0", &["eth0", "bond", "bond.7", "bond.7.8"][..]),
            ("bond.7", &["bond.7", "bond.7.8"]),
            ("bond.7.8", &["bond.7.8"]),
            ("here", &["here", "there"]),
            ("nowhere", &[]),
        ] {
            assert_eq!(on_top(&links, interface).iter().map(|link| &*link.name).collect::<Vec<_>>(), expect, "{interface}");
        }
    }
}
