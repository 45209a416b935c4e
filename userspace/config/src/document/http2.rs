//! HTTP/2 in the document: what peers may do on one connection.

use crate::record::record;
use crate::scalars::{Number, Size};

const WINDOW_MAX: u64 = (1 << 31) - 1;
const TABLE_MAX: u64 = 65_535;

record! {
    /// HTTP/2 on one connection.
    struct Http2 [default] {
        /// Streams open at once.
        streams: Number<1, 100_000> = Number(h2::Settings::default().streams_max),
        /// Bytes that may come on one stream before anybody has taken them.
        stream_window: Size<WINDOW_MAX> = Size(h2::Settings::default().stream_window.into()),
        /// Bytes that may come on the whole connection before anybody has taken them; 64KiB at least.
        connection_window: Size<WINDOW_MAX> = Size(h2::Settings::default().connection_window.into()),
        /// Bytes of fields that each side remembers of the other's.
        header_table: Size<TABLE_MAX> = Size(h2::Settings::default().decoder_table_bytes.into()),
        /// How often peers may do what is allowed but of no use; beyond it their connection ends.
        floods: Floods = Floods::default(),
    }
}

record! {
    /// How often peers may do what is allowed but of no use.
    struct Floods [default] {
        /// Requests that they cancel.
        resets: Rate = rate(h2::Rates::default().resets),
        /// Streams that we have to reset for what they do.
        provoked_resets: Rate = rate(h2::Rates::default().provoked_resets),
        /// Pings.
        pings: Rate = rate(h2::Rates::default().pings),
        /// Settings.
        settings: Rate = rate(h2::Rates::default().settings),
        /// Frames of data without any.
        empty_data: Rate = rate(h2::Rates::default().empty_data),
        /// Other frames that move nothing.
        chatter: Rate = rate(h2::Rates::default().chatter),
    }
}

record! {
    /// How often something may happen.
    struct Rate {
        /// At once.
        burst: Number<1, 65_535>,
        /// And again every second.
        per_second: Number<1, 65_535>,
    }
}

fn rate(rate: h2::Rate) -> Rate {
    Rate { burst: Number(rate.burst.into()), per_second: Number(rate.per_second.into()) }
}

impl Http2 {
    /// As the codec takes it; heads are limited elsewhere.
    pub(crate) fn compiled(&self) -> h2::Settings {
        let bytes = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        let count = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let rate = |rate: &Rate| h2::Rate { burst: count(rate.burst.0), per_second: count(rate.per_second.0) };
        h2::Settings {
            streams_max: self.streams.0,
            stream_window: bytes(self.stream_window.0),
            connection_window: bytes(self.connection_window.0),
            decoder_table_bytes: bytes(self.header_table.0),
            encoder_table_bytes: bytes(self.header_table.0),
            rates: h2::Rates {
                resets: rate(&self.floods.resets),
                provoked_resets: rate(&self.floods.provoked_resets),
                pings: rate(&self.floods.pings),
                settings: rate(&self.floods.settings),
                empty_data: rate(&self.floods.empty_data),
                chatter: rate(&self.floods.chatter),
            },
            ..h2::Settings::default()
        }
    }
}
