//! A program of the demo: started until it listens, asked to end when dropped.

use anyhow::{Context, Result, bail};
use core::net::SocketAddr;
use core::time::Duration;
use rustix::process::{Pid, Signal};
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

/// A child that ends with this value.
pub(super) struct Running {
    child: Child,
}

const STARTING: Duration = Duration::from_secs(10);
/// How long it may drain before it is killed.
const ENDING: Duration = Duration::from_secs(5);
const SLICE: Duration = Duration::from_millis(20);

impl Running {
    /// Start it, with its output in `log`, and wait until somebody listens on `address`.
    ///
    /// It gets a process group of its own: Ctrl-C is for the demo, which then ends it in order.
    pub(super) fn start(mut command: Command, log: &Path, address: SocketAddr) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let errors = out.try_clone().context("cannot share the log")?;
        let child = command.stdout(out).stderr(errors).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut running = Self { child };
        if let Err(error) = running.wait_until_listening(address) {
            let said = fs::read_to_string(log).unwrap_or_default();
            return Err(error.context(format!("it said:\n{said}")));
        }
        Ok(running)
    }

    fn wait_until_listening(&mut self, address: SocketAddr) -> Result<()> {
        let end = Instant::now() + STARTING;
        while TcpStream::connect(address).is_err() {
            if self.ended() {
                bail!("it ended before it listened on {address}");
            }
            if Instant::now() > end {
                bail!("nobody listens on {address} after {} s", STARTING.as_secs());
            }
            thread::sleep(SLICE);
        }
        Ok(())
    }

    fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let asked = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM);
        let end = Instant::now() + ENDING;
        while asked.is_ok() && Instant::now() < end {
            if self.ended() {
                return;
            }
            thread::sleep(SLICE);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
