//! `sluice l4 drops`: samples of the packets that the kernel layer dropped, a line each.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fs, process::ExitCode, thread, time::Duration};

use abi::{DropSample, Reason, protocols};
use anyhow::Result;
use l4::{Folder, Samples};
use rustix::time::{ClockId, clock_gettime};

use crate::say;

/// How often to look for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Prints what there is, oldest first; with `follow` goes on until it is ended.
pub(crate) fn run(folder: &Folder, follow: bool) -> Result<ExitCode> {
    let mut samples = Samples::open(folder)?;
    loop {
        while let Some(sample) = samples.next_sample() {
            say(line(&sample, now_ns()));
        }
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        #[expect(clippy::disallowed_methods, reason = "nothing else runs in this process")]
        thread::sleep(LOOK_EVERY);
    }
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn line(sample: &DropSample, now_ns: u64) -> String {
    let reason = usize::try_from(sample.reason).ok().and_then(|number| Reason::ALL.get(number)).map_or("?", |reason| reason.name());
    let ago_ms = now_ns.saturating_sub(sample.at_ns) / 1_000_000;
    let (seconds, tenths) = (ago_ms / 1_000, ago_ms % 1_000 / 100);
    let packet = packet(&sample.bytes).unwrap_or_else(|| "not IP".to_owned());
    format!("{seconds:>6}.{tenths} s ago  {reason:<20} {:<12} {:>5} B  {packet}", interface(sample.interface), sample.length)
}

/// An interface's name; its number when it is gone, or of another namespace.
fn interface(number: u32) -> String {
    let is_it = |path: &std::path::Path| fs::read_to_string(path.join("ifindex")).is_ok_and(|text| text.trim() == number.to_string());
    let mut all = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    all.find(|entry| is_it(&entry.path())).map_or_else(|| number.to_string(), |entry| entry.file_name().to_string_lossy().into_owned())
}

/// Who sent what to whom, as far as the first bytes of a frame say.
fn packet(frame: &[u8]) -> Option<String> {
    let mut at = 12;
    let mut kind = half(frame, at)?;
    while matches!(kind, 0x8100 | 0x88a8) {
        at += 4;
        kind = half(frame, at)?;
    }
    let ip = frame.get(at + 2..)?;
    let (source, destination, protocol, header): (IpAddr, IpAddr, u8, usize) = match kind {
        0x0800 => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
            (address(12)?.into(), address(16)?.into(), *ip.get(9)?, usize::from(ip.first()? & 15) * 4)
        }
        0x86dd => {
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?));
            (address(8)?.into(), address(24)?.into(), *ip.get(6)?, 40)
        }
        _ => return None,
    };
    let name = match protocol {
        protocols::TCP => "tcp".to_owned(),
        protocols::UDP => "udp".to_owned(),
        protocols::ICMP | protocols::ICMPV6 => "icmp".to_owned(),
        other => format!("protocol {other}"),
    };
    let ports = if matches!(protocol, protocols::TCP | protocols::UDP) { half(ip, header).zip(half(ip, header + 2)) } else { None };
    Some(match ports {
        Some((from, to)) => format!("{name} {source} port {from} > {destination} port {to}"),
        None => format!("{name} {source} > {destination}"),
    })
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told() {
        let v4 = [&[0; 12][..], &[8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9, 0x10, 0, 1, 187]].concat();
        let tagged = [&v4[..12], &[0x81, 0, 0, 7], &v4[12..]].concat();
        let v6 = [&[0; 12][..], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 64], &[0; 15], &[1], &[0; 15], &[2]].concat();
        for (frame, expect) in [
            (&v4, Some("tcp 192.0.2.1 port 4096 > 203.0.113.9 port 443")),
            (&tagged, Some("tcp 192.0.2.1 port 4096 > 203.0.113.9 port 443")),
            (&v4[..34].to_vec(), Some("tcp 192.0.2.1 > 203.0.113.9")),
            (&v6, Some("icmp ::1 > ::2")),
            (&v4[..20].to_vec(), None),
            (&vec![0; 64], None),
        ] {
            assert_eq!(packet(frame).as_deref(), expect);
        }
    }

    #[test]
    fn a_line_says_when_and_why() {
        let sample = DropSample { at_ns: 1_000_000_000, reason: 2, interface: u32::MAX, length: 60, padding: 0, bytes: [0; 64] };
        assert_eq!(line(&sample, 3_500_000_000), "     2.5 s ago  denied               4294967295      60 B  not IP");
    }
}
