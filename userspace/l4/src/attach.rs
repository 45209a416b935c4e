//! Attaching to interfaces, and saying truly how.
//!
//! Native means inside the driver, before the kernel makes anything of a packet; generic is after that, several times slower, and for trying
//! things out. An interface never becomes generic in silence. Attachments are links that stay with the interface until their pin is removed.
//!
//! What comes is attached to before what leaves is let go, so that packets always meet the program somewhere. One case cannot be so: the kernel takes no
//! program below an interface that has one. There what leaves makes way, and for some milliseconds its packets go to the stack.

use crate::hooks::hooks;
use crate::pin::Folder;
use crate::stack::above;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp};
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io, thread};

/// How often, and how many times, it is looked whether what made way is gone.
const UNCOVERED_LOOK_EVERY: Duration = Duration::from_millis(5);
const UNCOVERED_LOOKS_MAX: u32 = 200;

/// How an interface is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the kernel's ordinary path.
    Generic,
}

/// How an interface is wished to be attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Wish {
    /// Native where the driver can, else generic; which of them, is told.
    #[default]
    Auto,
    /// Native or not at all.
    Native,
    /// Generic.
    Generic,
}

/// One interface that packets come to the balancer by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface's name.
    pub interface: String,
    /// How it truly is attached.
    pub mode: Mode,
    /// Whether the attachment of an earlier process was taken over, without a packet lost.
    pub adopted: bool,
}

/// Why an interface could not be attached to.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is none of the name.
    #[error("there is no interface {interface}")]
    Unknown {
        /// Its name.
        interface: String,
    },
    /// Another program has it.
    #[error("{holder} holds the XDP hook of {interface}")]
    Held {
        /// Its name.
        interface: String,
        /// Which one.
        holder: String,
    },
    /// One on top of it has a program.
    #[error("an interface on top of {interface} has an XDP program, and the kernel takes none below one")]
    Covered {
        /// Its name.
        interface: String,
    },
    /// Its driver has no native mode.
    #[error("the driver of {interface} has no native mode for this program: {why} (`mode: generic` or `auto` would do)")]
    NotNative {
        /// Its name.
        interface: String,
        /// What the kernel said.
        why: String,
    },
    /// It could not be attached to, and what had made way for it could not come back.
    #[error("{why}; and then, again to {interface}: {again}")]
    Lost {
        /// What had made way.
        interface: String,
        /// Why the other could not be attached to.
        why: Box<Self>,
        /// Why this could not be.
        again: Box<Self>,
    },
    /// What is no longer wanted stays attached to.
    #[error("cannot detach: {0}")]
    Detach(io::Error),
    /// Anything else.
    #[error("cannot attach to {interface}: {why}")]
    Other {
        /// Its name.
        interface: String,
        /// What the kernel said.
        why: String,
    },
}

impl Mode {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    fn wish(self) -> Wish {
        match self {
            Self::Native => Wish::Native,
            Self::Generic => Wish::Generic,
        }
    }

    fn flags(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

/// Attach `program` to these interfaces, and detach from all others; on an error, to those that it was attached to before.
pub(crate) fn attach_all(program: &mut Xdp, folder: &Folder, interfaces: &[(&str, Wish)]) -> Result<Vec<Attachment>, AttachError> {
    let kept: Vec<&str> = interfaces.iter().map(|(interface, _wish)| *interface).collect();
    let before = attached(folder).map_err(AttachError::Detach)?;
    let (mut attachments, mut left) = (Vec::new(), Vec::new());
    for (interface, wish) in interfaces {
        let mut attached = attach(program, folder, interface, *wish);
        if matches!(attached, Err(AttachError::Covered { .. })) {
            let made = make_way(folder, &kept, interface).map_err(AttachError::Detach)?;
            if !made.is_empty() {
                attached = attach_uncovered(program, folder, interface, *wish);
            }
            left.extend(made);
        }
        match attached {
            Ok(attachment) => attachments.push(attachment),
            Err(why) => {
                let old: Vec<&str> = before.iter().map(|(interface, _mode)| interface.as_str()).collect();
                detach_others(folder, &old).map_err(AttachError::Detach)?;
                return Err(put_back(program, folder, &left, why));
            }
        }
    }
    detach_others(folder, &kept).map_err(AttachError::Detach)?;
    Ok(attachments)
}

/// Detach from what stands on an interface and is not among `kept`; returns what was let go, each after what it stands on.
fn make_way(folder: &Folder, kept: &[&str], interface: &str) -> io::Result<Vec<(String, Mode)>> {
    let others = attached(folder)?;
    let leaving = above(interface)?.into_iter().filter(|above| !kept.contains(&above.as_str()));
    let left: Vec<_> = leaving.filter_map(|above| others.iter().find(|(other, _mode)| *other == above).cloned()).collect();
    left.iter().try_for_each(|(interface, mode)| remove(folder, interface, *mode))?;
    Ok(left)
}

/// The same as [`attach`], as soon as what was on top is gone: the kernel detaches in its own time.
fn attach_uncovered(program: &mut Xdp, folder: &Folder, interface: &str, wish: Wish) -> Result<Attachment, AttachError> {
    for _ in 0..UNCOVERED_LOOKS_MAX {
        let attached = attach(program, folder, interface, wish);
        if !matches!(attached, Err(AttachError::Covered { .. })) {
            return attached;
        }
        #[expect(clippy::disallowed_methods, reason = "the kernel says nowhere when it is done")]
        thread::sleep(UNCOVERED_LOOK_EVERY);
    }
    attach(program, folder, interface, wish)
}

/// What made way for nothing is attached to again; returns why it was for nothing.
fn put_back(program: &mut Xdp, folder: &Folder, left: &[(String, Mode)], why: AttachError) -> AttachError {
    left.iter().fold(why, |why, (interface, mode)| match attach_uncovered(program, folder, interface, mode.wish()) {
        Ok(_) => why,
        Err(again) => AttachError::Lost { interface: interface.clone(), why: Box::new(why), again: Box::new(again) },
    })
}

/// Attach `program` to an interface, or give it the attachment that an earlier process left there.
fn attach(program: &mut Xdp, folder: &Folder, interface: &str, wish: Wish) -> Result<Attachment, AttachError> {
    for mode in modes(wish) {
        let Some(link) = pinned(folder, interface, mode) else { continue };
        match take_over(program, link) {
            Ok(()) => return Ok(Attachment { interface: interface.to_owned(), mode, adopted: true }),
            // It was attached to an interface of that name that is gone.
            Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOLINK) => {}
            Err(error) => return Err(other(interface, &error)),
        }
    }
    // An attachment of a mode that is no longer wished for holds the hook.
    for mode in [Mode::Native, Mode::Generic] {
        remove(folder, interface, mode).map_err(|error| other(interface, &error))?;
    }
    let mut refused = None;
    for mode in modes(wish) {
        match program.attach(interface, mode.flags()) {
            Ok(id) => {
                let link = program.take_link(id).map_err(|error| other(interface, &error))?;
                let link = FdLink::try_from(link).map_err(|error| other(interface, &error))?;
                link.pin(path(folder, interface, mode)).map_err(|error| other(interface, &error))?;
                return Ok(Attachment { interface: interface.to_owned(), mode, adopted: false });
            }
            Err(error) => match why_not(interface, mode, &error) {
                why @ (AttachError::NotNative { .. } | AttachError::Other { .. }) => refused = refused.or(Some(why)),
                why @ (AttachError::Held { .. }
                | AttachError::Covered { .. }
                | AttachError::Unknown { .. }
                | AttachError::Lost { .. }
                | AttachError::Detach(_)) => return Err(why),
            },
        }
    }
    Err(refused.unwrap_or_else(|| other(interface, &"no mode was tried")))
}

/// Detach from every interface that is not among `kept`.
fn detach_others(folder: &Folder, kept: &[&str]) -> io::Result<()> {
    let mut others = attached(folder)?;
    others.retain(|(interface, _mode)| !kept.contains(&interface.as_str()));
    others.iter().try_for_each(|(interface, mode)| remove(folder, interface, *mode))
}

/// All that is attached to, by whichever process.
fn attached(folder: &Folder) -> io::Result<Vec<(String, Mode)>> {
    let named = |pin: io::Result<fs::DirEntry>| {
        let name = pin?.file_name().to_string_lossy().into_owned();
        let (interface, mode) = name.rsplit_once(SEPARATOR).unwrap_or((&name, ""));
        Ok((interface.replace(DOT, "."), if mode == Mode::Native.name() { Mode::Native } else { Mode::Generic }))
    };
    fs::read_dir(folder.links())?.map(named).collect()
}

/// Between interface and mode in a pin's name. The BPF filesystem takes no dots, which VLAN interfaces have.
const SEPARATOR: char = '@';

/// Stands for a dot.
const DOT: char = '%';

fn path(folder: &Folder, interface: &str, mode: Mode) -> PathBuf {
    folder.links().join(format!("{}{SEPARATOR}{}", interface.replace('.', &DOT.to_string()), mode.name()))
}

fn modes(wish: Wish) -> Vec<Mode> {
    match wish {
        Wish::Auto => vec![Mode::Native, Mode::Generic],
        Wish::Native => vec![Mode::Native],
        Wish::Generic => vec![Mode::Generic],
    }
}

fn pinned(folder: &Folder, interface: &str, mode: Mode) -> Option<XdpLink> {
    let link = PinnedLink::from_pin(path(folder, interface, mode)).ok()?;
    XdpLink::try_from(FdLink::from(link)).ok()
}

/// The kernel exchanges the programs between two packets. The pin stays, so the attachment outlives this process too.
fn take_over(program: &mut Xdp, link: XdpLink) -> Result<(), ProgramError> {
    let id = program.attach_to_link(link)?;
    drop(program.take_link(id)?);
    Ok(())
}

fn remove(folder: &Folder, interface: &str, mode: Mode) -> io::Result<()> {
    match fs::remove_file(path(folder, interface, mode)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn why_not(interface: &str, mode: Mode, error: &ProgramError) -> AttachError {
    let interface = interface.to_owned();
    let code = if let ProgramError::SyscallError(error) = error { error.io_error.raw_os_error() } else { None };
    match (error, code) {
        (ProgramError::UnknownInterface { .. }, _) => AttachError::Unknown { interface },
        (_, Some(libc::EBUSY | libc::EEXIST)) => match holder(&interface) {
            Some(holder) => AttachError::Held { holder, interface },
            None => AttachError::Covered { interface },
        },
        _ if mode == Mode::Native => AttachError::NotNative { interface, why: deepest(error) },
        _ => AttachError::Other { interface, why: deepest(error) },
    }
}

/// The program at an interface's hook, as far as the kernel tells; `None`: there is none, so one on top is in the way.
fn holder(interface: &str) -> Option<String> {
    let hooks = hooks().unwrap_or_default();
    let number = hooks.into_iter().find_map(|hook| if hook.interface == interface { hook.program } else { None })?;
    let programs = aya::programs::loaded_programs().filter_map(Result::ok);
    let name = programs.into_iter().find(|program| program.id() == number).and_then(|program| program.name_as_str().map(str::to_owned));
    Some(format!(
        "the program {} (number {number}, `bpftool prog show id {number}` tells more)",
        name.as_deref().unwrap_or("without a name")
    ))
}

fn other(interface: &str, error: &dyn std::fmt::Display) -> AttachError {
    AttachError::Other { interface: interface.to_owned(), why: error.to_string() }
}

/// What the kernel said, below what the library says.
fn deepest(error: &ProgramError) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
