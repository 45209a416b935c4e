//! Giving up rights: another user, no way back to more, and of all capabilities the one that opens low ports.
//!
//! `CAP_NET_BIND_SERVICE` is kept for the whole life: a later configuration may listen on port 443, and its sockets are opened by the
//! process itself. With VIPs `CAP_BPF` and `CAP_NET_ADMIN` are kept too: tables and attachments change with the configuration.

use anyhow::{Context, Result, bail};
use caps::{CapSet, Capability, CapsHashSet, securebits};
use config::Process;
use nix::unistd::{Gid, Group, Uid, User, geteuid, setgroups, setresgid, setresuid};
use std::{ffi::CString, os::unix::fs::chown, path::Path};

/// A later configuration may listen on a low port.
const KEPT: &[Capability] = &[Capability::CAP_NET_BIND_SERVICE];
/// Also makes new tables of the kernel layer, and attaches to interfaces that a later configuration names.
const KEPT_WITH_KERNEL_LAYER: &[Capability] = &[Capability::CAP_NET_BIND_SERVICE, Capability::CAP_BPF, Capability::CAP_NET_ADMIN];

/// Who the process becomes.
pub(crate) struct Rights {
    become_user: Option<Identity>,
    kept: &'static [Capability],
}

struct Identity {
    name: Box<str>,
    user: Uid,
    group: Gid,
    groups: Vec<Gid>,
}

impl Rights {
    /// As the configuration says. Nothing has changed yet.
    pub(crate) fn of(process: &Process, has_kernel_layer: bool) -> Result<Self> {
        let kept = if has_kernel_layer { KEPT_WITH_KERNEL_LAYER } else { KEPT };
        let group = process.group.as_deref().map(find_group).transpose()?;
        let Some(name) = &process.user else {
            if group.is_some() {
                bail!("group: needs a user to belong to");
            }
            return Ok(Self { become_user: None, kept });
        };
        let user = User::from_name(name).context("users cannot be looked up")?;
        let user = user.with_context(|| format!("user: there is no user {name}"))?;
        let group = group.unwrap_or(user.gid);
        let name_as_c = CString::new(&**name).context("user: no name")?;
        let groups = nix::unistd::getgrouplist(&name_as_c, group).context("groups cannot be looked up")?;
        Ok(Self { become_user: Some(Identity { name: name.clone(), user: user.uid, group, groups }), kept })
    }

    /// Gives a file that had to be made before to whom the process becomes.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        let Some(identity) = &self.become_user else { return Ok(()) };
        let given = chown(path, Some(identity.user.as_raw()), Some(identity.group.as_raw()));
        given.with_context(|| format!("{} cannot be given to {}", path.display(), identity.name))
    }

    /// Keeps these and no others. Before any other thread runs: rights are each thread's own.
    pub(crate) fn drop_others(self) -> Result<()> {
        rustix::thread::set_no_new_privs(true).context("privileges could be gained by running other programs")?;
        match self.become_user {
            Some(identity) if identity.user == geteuid() => keep_only(self.kept),
            Some(identity) => {
                if !geteuid().is_root() {
                    bail!("user: only root can become {}; start as root, or as {0} and without `user`", identity.name);
                }
                // Else the kernel takes the capability away together with root.
                securebits::set_keepcaps(true).context("capabilities cannot be kept")?;
                setgroups(&identity.groups).context("groups cannot be set")?;
                setresgid(identity.group, identity.group, identity.group).context("the group cannot be set")?;
                setresuid(identity.user, identity.user, identity.user).context("the user cannot be set")?;
                keep_only(self.kept)?;
                securebits::set_keepcaps(false).context("capabilities cannot be settled")
            }
            None if geteuid().is_root() => {
                tracing::warn!("runs as root: name a user in the configuration to run as it once everything is open");
                Ok(())
            }
            None => keep_only(self.kept),
        }
    }
}

/// What the kernel layer needs and this process has not.
pub(crate) fn missing_for_kernel_layer() -> Result<Vec<String>> {
    let needed = [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];
    let has = caps::read(None, CapSet::Effective).context("capabilities cannot be read")?;
    Ok(needed.iter().filter(|capability| !has.contains(capability)).map(ToString::to_string).collect())
}

fn find_group(name: &str) -> Result<Gid> {
    let group = Group::from_name(name).context("groups cannot be looked up")?;
    Ok(group.with_context(|| format!("group: there is no group {name}"))?.gid)
}

/// Of what this thread has, these stay, if they are there.
fn keep_only(wanted: &[Capability]) -> Result<()> {
    let has = caps::read(None, CapSet::Permitted).context("capabilities cannot be read")?;
    let kept: CapsHashSet = has.into_iter().filter(|capability| wanted.contains(capability)).collect();
    let nothing = CapsHashSet::new();
    for (set, capabilities) in
        [(CapSet::Ambient, &nothing), (CapSet::Inheritable, &nothing), (CapSet::Effective, &kept), (CapSet::Permitted, &kept)]
    {
        caps::set(None, set, capabilities).with_context(|| format!("capabilities cannot be given up ({set:?})"))?;
    }
    Ok(())
}
