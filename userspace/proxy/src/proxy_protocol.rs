//! The PROXY protocol, versions 1 and 2, as HAProxy's `doc/proxy-protocol.txt` has it: read from trusted peers, written to origins that ask.

use config::ProxyProtocol;
use model::Address;
use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A version 1 header with its line end (§2.1).
const V1_BYTES_MAX: usize = 107;
/// A version 2 header that we read, with what it says beyond the addresses.
const V2_BYTES_MAX: usize = 16 + 4096;
/// How version 2 begins (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More are needed.
    Partial,
    /// No header.
    Malformed,
    /// A header.
    Whole {
        /// Bytes of it.
        length: usize,
        /// Whom the peer speaks for; `None` when it speaks for itself, or for something without an IP address.
        source: Option<SocketAddr>,
    },
}

/// Looks for a header at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let shared = bytes.len().min(SIGNATURE.len());
    if bytes.get(..shared) == SIGNATURE.get(..shared) {
        return parse_v2(bytes);
    }
    let prefix = b"PROXY ";
    let shared = bytes.len().min(prefix.len());
    if bytes.get(..shared) == prefix.get(..shared) {
        return parse_v1(bytes);
    }
    Parsed::Malformed
}

fn parse_v1(bytes: &[u8]) -> Parsed {
    let Some(end) = bytes.windows(2).take(V1_BYTES_MAX - 1).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= V1_BYTES_MAX { Parsed::Malformed } else { Parsed::Partial };
    };
    let line = bytes.get(..end).and_then(|line| str::from_utf8(line).ok());
    let length = end + 2;
    match line.map(parse_v1_line) {
        Some(Ok(source)) => Parsed::Whole { length, source },
        Some(Err(())) | None => Parsed::Malformed,
    }
}

fn parse_v1_line(line: &str) -> Result<Option<SocketAddr>, ()> {
    let mut words = line.split(' ');
    words.next();
    let family = words.next().ok_or(())?;
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let source: IpAddr = words.next().ok_or(())?.parse().map_err(drop)?;
    let target: IpAddr = words.next().ok_or(())?.parse().map_err(drop)?;
    let mut port = || {
        let word = words.next().ok_or(())?;
        let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        if plain { word.parse::<u16>().map_err(drop) } else { Err(()) }
    };
    let (source_port, _target_port) = (port()?, port()?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    if fits && words.next().is_none() { Ok(Some(SocketAddr::new(source, source_port))) } else { Err(()) }
}

fn parse_v2(bytes: &[u8]) -> Parsed {
    let Some((header, rest)) = bytes.split_first_chunk::<16>() else { return Parsed::Partial };
    let [.., version, family, high, low] = *header;
    let body = usize::from(u16::from_be_bytes([high, low]));
    let length = 16 + body;
    if version >> 4 != 2 || length > V2_BYTES_MAX {
        return Parsed::Malformed;
    }
    let Some(body) = rest.get(..body) else { return Parsed::Partial };
    let source = match (version & 0xf, family) {
        (1, 0x11) => v4(body).map(Some),
        (1, 0x21) => v6(body).map(Some),
        // LOCAL speaks for itself; UNSPEC, datagrams and UNIX sockets say nothing we could use, and must be skipped (§2.2).
        (0, _) | (1, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Ok(None),
        _ => Err(()),
    };
    match source {
        Ok(source) => Parsed::Whole { length, source },
        Err(()) => Parsed::Malformed,
    }
}

fn v4(body: &[u8]) -> Result<SocketAddr, ()> {
    let (addresses, _) = body.split_first_chunk::<12>().ok_or(())?;
    let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
    Ok(SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))))
}

fn v6(body: &[u8]) -> Result<SocketAddr, ()> {
    let (source, rest) = body.split_first_chunk::<16>().ok_or(())?;
    let (ports, _) = rest.get(16..).and_then(<[u8]>::split_first_chunk::<4>).ok_or(())?;
    let [high, low, _, _] = *ports;
    Ok(SocketAddr::from((Ipv6Addr::from(*source), u16::from_be_bytes([high, low]))))
}

/// Writes the header that tells an origin whom we speak for; `ours` is the address that we reach the origin at.
pub(crate) fn write(version: ProxyProtocol, client: &Address, target: Option<&Address>, out: &mut Vec<u8>) {
    let pair = match (client, target) {
        (Address::Tcp(client), Some(Address::Tcp(target))) => Some(same_family(*client, *target)),
        _ => None,
    };
    match version {
        // Written to a Vec, which cannot fail.
        ProxyProtocol::V1 => match pair {
            Some((client, target)) => {
                let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
                drop(write!(out, "PROXY {family} {} {} {} {}\r\n", client.ip(), target.ip(), client.port(), target.port()));
            }
            None => out.extend_from_slice(b"PROXY UNKNOWN\r\n"),
        },
        ProxyProtocol::V2 => write_v2(pair, out),
    }
}

/// Writes the header of a connection that is our own: nobody is behind us.
pub(crate) fn write_own(version: ProxyProtocol, out: &mut Vec<u8>) {
    match version {
        ProxyProtocol::V1 => out.extend_from_slice(b"PROXY UNKNOWN\r\n"),
        ProxyProtocol::V2 => {
            out.extend_from_slice(SIGNATURE);
            // LOCAL, UNSPEC.
            out.extend_from_slice(&[0x20, 0, 0, 0]);
        }
    }
}

fn write_v2(pair: Option<(SocketAddr, SocketAddr)>, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    let Some((client, target)) = pair else {
        // PROXY, UNSPEC: somebody is behind us, but has no address.
        out.extend_from_slice(&[0x21, 0, 0, 0]);
        return;
    };
    match (client.ip(), target.ip()) {
        (IpAddr::V4(client), IpAddr::V4(target)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&client.octets());
            out.extend_from_slice(&target.octets());
        }
        (client, target) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            out.extend_from_slice(&as_v6(client).octets());
            out.extend_from_slice(&as_v6(target).octets());
        }
    }
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&target.port().to_be_bytes());
}

/// Both addresses in one family: IPv4 when both can be told so.
fn same_family(client: SocketAddr, target: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (from, to) = (client.ip().to_canonical(), target.ip().to_canonical());
    if from.is_ipv4() == to.is_ipv4() {
        return (SocketAddr::new(from, client.port()), SocketAddr::new(to, target.port()));
    }
    (SocketAddr::new(as_v6(from).into(), client.port()), SocketAddr::new(as_v6(to).into(), target.port()))
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(length: usize, source: Option<&str>) -> Parsed {
        Parsed::Whole { length, source: source.map(|source| source.parse().unwrap()) }
    }

    #[test]
    fn version_1() {
        let check = |text: &str, expected: Parsed| assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        check("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET", whole(45, Some("192.0.2.1:56324")));
        check("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", whole(40, Some("[2001:db8::1]:1")));
        check("PROXY UNKNOWN\r\n", whole(15, None));
        check("PROXY UNKNOWN whatever follows\r\n", whole(32, None));
        check("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", Parsed::Malformed);
        check("PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n", Parsed::Malformed);
        check("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", Parsed::Malformed);
        check("PROXY TCP4 192.0.2.1  198.51.100.2 1 443\r\n", Parsed::Malformed);
        check("PROXY TCP4 192.0.2.1 198.51.100.2 1 443 x\r\n", Parsed::Malformed);
        check("PROXY TCP4 192.0.2.1", Parsed::Partial);
        check("PRO", Parsed::Partial);
        check("GET / HTTP/1.1\r\n", Parsed::Malformed);
        assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'1'; 200]].concat()), Parsed::Malformed);
    }

    #[test]
    fn version_2_and_every_split() {
        let mut header = SIGNATURE.to_vec();
        header.extend_from_slice(&[0x21, 0x11, 0, 15, 192, 0, 2, 1, 198, 51, 100, 2, 0x10, 0x00, 0x01, 0xbb, 4, 0, 0]);
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Parsed::Partial, "{end}");
        }
        assert_eq!(parse(&header), whole(31, Some("192.0.2.1:4096")));
        header[12] = 0x20;
        assert_eq!(parse(&header), whole(31, None), "LOCAL");
        header[12] = 0x31;
        assert_eq!(parse(&header), Parsed::Malformed, "version 3");
        header[12] = 0x21;
        header[15] = 3;
        assert_eq!(parse(&header), Parsed::Malformed, "too short for its family");
        header[14] = 0xff;
        assert_eq!(parse(&header), Parsed::Malformed, "too long");
    }

    #[test]
    fn what_is_written_is_read() {
        let check = |client: &str, target: &str, read: &str| {
            let (client, target) = (Address::Tcp(client.parse().unwrap()), Address::Tcp(target.parse().unwrap()));
            for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
                let mut out = Vec::new();
                write(version, &client, Some(&target), &mut out);
                assert_eq!(parse(&out), whole(out.len(), Some(read)), "{version:?}");
            }
        };
        check("192.0.2.1:1", "198.51.100.2:2", "192.0.2.1:1");
        check("[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::1]:1");
        check("192.0.2.1:1", "[2001:db8::2]:2", "[::ffff:192.0.2.1]:1");
        for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
            let mut out = Vec::new();
            write(version, &Address::Unix("x".into()), None, &mut out);
            assert_eq!(parse(&out), whole(out.len(), None));
        }
    }
}
