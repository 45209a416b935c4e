//! `sluice decap`: what an origin behind `dsr: ipip` or `dsr: gue` runs, so that envelopes are opened before its stack sees them.
//!
//! The command puts the program at the interfaces, says truly how, and ends; the program stays until `--unload`, or the next command replaces
//! it between two packets.

use std::net::IpAddr;
use std::process::ExitCode;

use abi::Address;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use l4::{Folder, Mode, Origin, Wish};

use crate::kernel::addresses;
use crate::say;

/// Where envelopes are opened.
#[derive(Args)]
pub(crate) struct Options {
    /// An interface that envelopes come in by; may be given several times
    #[arg(long = "interface", value_name = "NAME", required_unless_present = "unload")]
    interfaces: Vec<Box<str>>,
    /// This origin's own address, one of each family at most: envelopes to it are opened [default: the first of the interfaces']
    #[arg(long = "address", value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
    /// How to attach: native or nothing, generic, or auto: native where the driver can
    #[arg(long, default_value = "auto")]
    attach: Attach,
    /// The name under which it outlives the command
    #[arg(long, value_name = "NAME", default_value = "decap", value_parser = name)]
    name: String,
    /// Open envelopes no more
    #[arg(long, conflicts_with_all = ["interfaces", "addresses"])]
    unload: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Attach {
    Auto,
    Native,
    Generic,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = Folder::of_instance(&format!("origin-{}", options.name))?;
    if options.unload {
        let was_there = folder.remove()?;
        say(if was_there { "envelopes are opened no more" } else { "no envelopes were opened" });
        return Ok(ExitCode::SUCCESS);
    }
    let (v4, v6) = own(options)?;
    let wish = match options.attach {
        Attach::Auto => Wish::Auto,
        Attach::Native => Wish::Native,
        Attach::Generic => Wish::Generic,
    };
    let wishes: Vec<(&str, Wish)> = options.interfaces.iter().map(|interface| (&**interface, wish)).collect();
    let of = |address: Option<IpAddr>| address.map(Address::from).unwrap_or_default();
    for attachment in Origin::open(folder, of(v4), of(v6))?.attach(&wishes)? {
        let slow = if attachment.mode == Mode::Generic { ": slow, for trying things out" } else { "" };
        say(format_args!("envelopes that come in by {} are opened ({}{slow})", attachment.interface, attachment.mode.name()));
    }
    for address in [v4, v6].into_iter().flatten() {
        say(format_args!("those to {address}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The addresses that envelopes come to, one of each family.
fn own(options: &Options) -> Result<(Option<IpAddr>, Option<IpAddr>)> {
    let given = |is_v4: bool| options.addresses.iter().copied().filter(move |address| address.is_ipv4() == is_v4);
    if given(true).count() > 1 || given(false).count() > 1 {
        bail!("--address: one of each family at most");
    }
    if !options.addresses.is_empty() {
        return Ok((given(true).next(), given(false).next()));
    }
    let (v4, v6) = addresses(&options.interfaces);
    if v4.is_none() && v6.is_none() {
        bail!("the interfaces have no address that envelopes could come to: name one with --address");
    }
    Ok((v4.map(IpAddr::from), v6.map(IpAddr::from)))
}

/// The BPF filesystem takes no dots, and a name is no path.
fn name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_name { Ok(text.to_owned()) } else { Err("letters, digits, - and _ are expected".to_owned()) }
}
