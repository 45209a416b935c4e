//! One proxy as the machine sees it: a process group that can be stopped, woken and counted as a whole.

use crate::launch::raise_file_limit;
use anyhow::{Context, Result};
use core::time::Duration;
use rustix::process::{Pid, Signal};
use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;

/// A program and whatever it forked; ends when dropped.
pub(crate) struct Group {
    leader: Child,
    id: Pid,
}

/// How long a proxy may take to end after being asked.
const ENDING: Duration = Duration::from_secs(3);
const SLICE: Duration = Duration::from_millis(20);

impl Group {
    /// Start `command` on these CPUs; what it prints goes to `log`.
    pub(crate) fn start(cpus: &str, command: &[String], log: &Path) -> Result<Self> {
        raise_file_limit()?;
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let errors = out.try_clone().context("cannot share the log")?;
        let leader = Command::new(env::current_exe().context("cannot find this program")?)
            .args(["launch", "--cpus", cpus, "--"])
            .args(command)
            .stdout(out)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command[0]))?;
        let id = Pid::from_child(&leader);
        Ok(Self { leader, id })
    }

    /// The group's processes that are alive now.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let wanted = self.leader.id().to_string();
        all_processes().filter(|process| process_group(*process).is_some_and(|group| group == wanted)).collect()
    }

    /// It must not run while another one is measured.
    pub(crate) fn pause(&self) -> Result<()> {
        self.signal_all(Signal::STOP)
    }

    pub(crate) fn resume(&self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    /// Signal the first process only: a reload is asked from the master.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process(self.id, signal).context("cannot signal the proxy")
    }

    /// Whether the first process has ended.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.leader.try_wait(), Ok(None))
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process_group(self.id, signal).context("cannot signal the proxy")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group that is gone cannot be signalled, which is what is wanted.
        drop(self.resume());
        drop(self.signal_all(Signal::TERM));
        for _ in 0..ENDING.as_millis() / SLICE.as_millis() {
            if self.ended() && self.processes().is_empty() {
                return;
            }
            thread::sleep(SLICE);
        }
        drop(self.signal_all(Signal::KILL));
        drop(self.leader.wait());
    }
}

/// The ids of all processes of the machine.
pub(crate) fn all_processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn process_group(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; state, parent and group follow it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(2).map(str::to_owned)
}
