//! What a debug build says of each packet: who sent it to whom, what became of it and why.
//!
//! `sluice run --log-level debug` shows the lines. Built with the feature `log` alone, which what is shipped has not; at any other level the
//! loader writes another number into the program's constants, and the verifier takes the lines out again. It reads the frame by itself, so that
//! no room has to hand it anything.

pub(crate) use lines::{came, went};

#[cfg(not(feature = "log"))]
mod lines {
    use prog::packet::Packet;
    use prog::verdict::Verdict;

    #[inline(always)]
    pub(crate) fn came(_: &Packet) {}

    #[inline(always)]
    pub(crate) fn went(_: &Packet, _: Verdict) {}
}

#[cfg(feature = "log")]
#[expect(unsafe_code, reason = "a length that is not known when it is built is none that the kernel takes, and a checked string has one")]
mod lines {
    use crate::maps::{self, Line};
    use abi::{FlowKey, REASONS_MAX, Reason};
    use aya_ebpf::bindings::xdp_md;
    use aya_log_ebpf::debug;
    use aya_log_ebpf::macro_support::{Level, level_enabled};
    use core::str;
    use prog::packet::Packet;
    use prog::parse;
    use prog::verdict::Verdict;

    /// Bytes of a name; shorter ones end in spaces, since a length that is not known is hard on the verifier.
    const NAME: usize = 24;

    /// What the kernel calls its actions, by their numbers.
    const ACTIONS: [&str; 5] = ["aborted", "dropped", "to_stack", "transmitted", "redirected"];

    /// What a line calls an end: the reason that is counted, by its number, and after those the action. Rows of bytes: constants hold no pointers.
    static NAMES: [[u8; NAME]; REASONS_MAX as usize + ACTIONS.len()] = names();

    /// To be asked before anything is changed.
    #[inline(always)]
    pub(crate) fn came(packet: &Packet) {
        if level_enabled(Level::Debug) {
            read(packet.context());
        }
    }

    /// The end of its way.
    #[inline(always)]
    pub(crate) fn went(packet: &Packet, verdict: Verdict) {
        if level_enabled(Level::Debug)
            && let Some(line) = maps::line()
        {
            line.verdict = verdict;
            say(packet.context());
        }
    }

    #[inline(never)]
    fn read(context: *mut xdp_md) {
        let Some(line) = maps::line() else { return };
        let packet = Packet::new(context);
        line.flow = parse::parse(&packet).map_or_else(
            |_no_ip| FlowKey::default(),
            |mut parsed| {
                // What breaks off has no ports.
                let _broken = parse::transport(&packet, &mut parsed);
                parsed.flow
            },
        );
    }

    #[inline(never)]
    fn say(context: *mut xdp_md) {
        let Some(Line { flow, verdict }) = maps::line() else { return };
        let at = verdict.reason().unwrap_or_else(|| REASONS_MAX + verdict.action()) as usize;
        // SAFETY: whole strings and spaces.
        let name = unsafe { str::from_utf8_unchecked(&NAMES[at.min(NAMES.len() - 1)]) };
        debug!(
            context,
            "{} protocol {} from {:i} port {} to {:i} port {} at interface {}",
            name,
            flow.protocol,
            flow.source.bytes(),
            u16::from_be(flow.source_port),
            flow.destination.bytes(),
            u16::from_be(flow.destination_port),
            Packet::new(context).interface()
        );
    }

    const fn names() -> [[u8; NAME]; REASONS_MAX as usize + ACTIONS.len()] {
        let mut names = [[b' '; NAME]; REASONS_MAX as usize + ACTIONS.len()];
        let mut at = 0;
        while at < Reason::ALL.len() {
            names[at] = name(Reason::ALL[at].name());
            at += 1;
        }
        at = 0;
        while at < ACTIONS.len() {
            names[REASONS_MAX as usize + at] = name(ACTIONS[at]);
            at += 1;
        }
        names
    }

    const fn name(text: &str) -> [u8; NAME] {
        let mut name = [b' '; NAME];
        let mut at = 0;
        while at < text.len() {
            name[at] = text.as_bytes()[at];
            at += 1;
        }
        name
    }
}
