//! What `RST_STREAM` and GOAWAY say (RFC 9113 §7), and what that means to those who know no HTTP/2.

use model::{Blame, Cause, Fault};

/// Declares [`ErrorCode`] and its numbers.
macro_rules! codes {
    ($($variant:ident = $number:literal $text:literal),* $(,)?) => {
        /// An HTTP/2 error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode { $(#[doc = $text] $variant),* }

        impl ErrorCode {
            /// The code of that number; unknown ones mean no more than an internal error does (RFC 9113 §7).
            pub fn from_number(number: u32) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    _ => Self::InternalError,
                }
            }

            /// As it is written on the wire.
            pub fn number(self) -> u32 {
                match self { $(Self::$variant => $number),* }
            }
        }
    };
}

codes! {
    NoError = 0 "Nothing is wrong.",
    ProtocolError = 1 "The peer broke a rule that has no code of its own.",
    InternalError = 2 "We broke one.",
    FlowControlError = 3 "A window was exceeded.",
    SettingsTimeout = 4 "Settings were not acknowledged in time.",
    StreamClosed = 5 "A frame came for a stream that was closed.",
    FrameSizeError = 6 "A frame had a size it cannot have.",
    RefusedStream = 7 "The stream was refused before anything was done about it.",
    Cancel = 8 "The stream is not needed any more.",
    CompressionError = 9 "The compression's state is lost.",
    ConnectError = 10 "A tunnel's other end was reset.",
    EnhanceYourCalm = 11 "The peer does too much of something.",
    InadequateSecurity = 12 "The transport is not safe enough.",
    Http11Required = 13 "Use HTTP/1.1 for this.",
}

impl ErrorCode {
    /// How a stream is reset because of what happened on the other side of the proxy.
    pub fn of(fault: &Fault) -> Self {
        match (fault.cause, fault.blame) {
            (Cause::StreamRefused | Cause::Overflow | Cause::Draining, _) => Self::RefusedStream,
            (Cause::DownstreamReset, _) => Self::Cancel,
            (_, Blame::Client) => Self::ProtocolError,
            (_, Blame::Origin | Blame::Us) => Self::InternalError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for number in 0..14 {
            assert_eq!(ErrorCode::from_number(number).number(), number);
        }
        assert_eq!(ErrorCode::from_number(14), ErrorCode::InternalError);
        assert_eq!(ErrorCode::of(&Fault::us(Cause::Overflow)), ErrorCode::RefusedStream);
        assert_eq!(ErrorCode::of(&Fault::client(Cause::DownstreamReset)), ErrorCode::Cancel);
        assert_eq!(ErrorCode::of(&Fault::origin(Cause::UpstreamReset)), ErrorCode::InternalError);
    }
}
