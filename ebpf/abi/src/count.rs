//! Counters: per service, per backend, per reason; and samples of what was dropped.
//!
//! `SERVICE_COUNTERS` and `BACKEND_COUNTERS` (per-CPU arrays of [`Counters`]) and `REASONS` (per-CPU array of `u64` by [`Reason`]).

/// What went to a service or a backend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes of IP, without envelopes.
    pub bytes: u64,
}

/// Declares [`Reason`] and its table.
macro_rules! reasons {
    ($($variant:ident $drop:literal $name:literal $text:literal),* $(,)?) => {
        /// Why a packet went another way than straight to a backend, or something noteworthy happened to it.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $text] $variant),* }

        impl Reason {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The counter's label.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name),* } }

            /// Was the packet dropped for it?
            pub const fn drops(self) -> bool { match self { $(Self::$variant => $drop),* } }

            /// What a person is told.
            pub const fn text(self) -> &'static str { match self { $(Self::$variant => $text),* } }
        }
    };
}

reasons! {
    Truncated true "truncated" "A header ends beyond the packet.",
    BadHeader true "bad_header" "A header says what cannot be: version, length, a chain of extension headers that is too long.",
    Denied true "denied" "The source is on the deny list.",
    SourcePackets true "source_packets" "The source sent more packets than one may.",
    SourceConnections true "source_connections" "The source began more connections than one may.",
    NoBackend true "no_backend" "No backend of the service lives.",
    NoSource true "no_source" "There is no own address of the envelope's family.",
    NoNeighbour true "no_neighbour" "The next hop's MAC is not known yet, and the packet cannot go to the stack.",
    NoFirstFragment true "no_first_fragment" "A fragment came before its packet's first, or the first was not written down.",
    FragmentInNat true "fragment_in_nat" "Full NAT takes no fragments.",
    PortsExhausted true "ports_exhausted" "No port of the pool was free.",
    NatBudget true "nat_budget" "More flows of full NAT were begun than may be written, or their map is full.",
    NoNatFlow true "no_nat_flow" "A packet of full NAT that belongs to no flow.",
    TooBig true "too_big" "The packet does not fit into its envelope's way; its sender was told.",
    TooBigSilent true "too_big_silent" "The same, over the limit of ICMP errors.",
    EchoLimit true "echo_limit" "More echo requests than are answered.",
    EchoDown true "echo_down" "An echo request while no backend lives.",
    NoHeadroom true "no_headroom" "The kernel gave no room for the envelope.",
    BadCookie true "bad_cookie" "Under flood: an acknowledgement that belongs to no connection and is no cookie.",
    BadEnvelope true "bad_envelope" "An envelope that our decapsulation does not accept.",
    Broken true "broken" "A map says what cannot be.",
    Pinned false "pinned" "A pin was written.",
    Unpinned false "unpinned" "A new connection in an away slot got no pin: over the budget, or the map is full.",
    FragmentUnwritten false "fragment_unwritten" "A first fragment was not written down: over the budget.",
    Fragmented false "to_stack_fragmentable" "An IPv4 packet that may be fragmented and does not fit: the stack has it.",
    Unresolved false "to_stack_unresolved" "The next hop is not known yet: the stack has the packet and will ask.",
    Echoed false "echo_answered" "An echo request was answered.",
    Reset false "reset_answered" "A TCP packet was answered by a reset, since nobody lives.",
    CookieSent false "cookie_sent" "A SYN was answered by a cookie.",
    CookieAccepted false "cookie_accepted" "A cookie came back.",
    CookieTrickle false "cookie_trickle" "A SYN that was let through to the listener under flood.",
    PassedOn false "passed_on" "An origin without a socket passed a packet on.",
    Decapsulated false "decapsulated" "An envelope was opened.",
    Allowed false "allowed" "The source is on the allow list.",
    Steered false "quic_steered" "A QUIC packet went by its connection id.",
    TranslatedBack false "translated_back" "A packet of an origin was translated back to its VIP.",
    ByRoutes false "by_routes" "The next hop to a backend was not written down: the kernel's routes were asked for the packet.",
    AnswersFull true "probe_answers_full" "An origin's answer to a probe found no room: they are not read fast enough.",
    AnswerLong true "probe_answer_long" "An origin's answer to a probe is longer than any that it was let send.",
}

/// The size of `REASONS`: room for more without a new layout.
pub const REASONS_MAX: u32 = 64;

/// The packet's first bytes that a sample holds.
pub const SAMPLE_BYTES: usize = 64;

/// One sampled drop, in the ring `SAMPLES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropSample {
    /// Nanoseconds since boot.
    pub at_ns: u64,
    /// A [`Reason`].
    pub reason: u32,
    /// The interface it came by.
    pub interface: u32,
    /// The frame's whole length.
    pub length: u32,
    /// Zero.
    pub padding: u32,
    /// The frame's first bytes, zero beyond its end.
    pub bytes: [u8; SAMPLE_BYTES],
}

const _: () = assert!(size_of::<Counters>() == 16 && size_of::<DropSample>() == 88 && Reason::ALL.len() <= REASONS_MAX as usize);

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn names_are_unique_and_numbers_in_order() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at);
            assert!(Reason::ALL[..at].iter().all(|earlier| earlier.name() != reason.name()), "{reason:?}");
        }
    }
}
