//! `sluice top`: a running process in numbers, refreshed each second from its admin API.
//!
//! [`frame`] turns two readings into what is shown, [`plain`] and [`screen`] show it. All rates are what came between the two readings.

mod frame;
mod plain;
mod screen;

use core::time::Duration;
use std::{process::ExitCode, thread, time::Instant};

use anyhow::Result;
use clap::Args;
use control::{Client, ClientError};
use frame::Frame;
use stats::View;

use crate::{commands::Admin, say};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// What to show.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    admin: Admin,
    /// Print one reading as text and end
    #[arg(long)]
    once: bool,
}

/// Shows it until the user has seen enough.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut readings = Readings { client: options.admin.client(), last: None };
    if options.once {
        readings.next()?;
        #[expect(clippy::disallowed_methods, reason = "a rate takes two readings and nothing else runs in this process")]
        thread::sleep(INTERVAL);
        say(plain::text(&readings.next()?).trim_end());
    } else {
        screen::show(&mut readings)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Readings, one after the other.
struct Readings {
    client: Client,
    last: Option<(Instant, View)>,
}

impl Readings {
    /// What happened since the last reading.
    fn next(&mut self) -> Result<Frame, ClientError> {
        let view = self.client.stats()?;
        #[expect(clippy::disallowed_methods, reason = "no ring in this process, and nothing to simulate")]
        let now = Instant::now();
        let frame = match &self.last {
            Some((since, before)) => Frame::between(before, &view, now.duration_since(*since)),
            // Of the first one only the levels mean something.
            None => Frame::between(&view, &view, INTERVAL),
        };
        self.last = Some((now, view));
        Ok(frame)
    }
}
