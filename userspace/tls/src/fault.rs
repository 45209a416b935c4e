//! From what rustls says to whose fault it was.

use model::{Cause, Fault};
use rustls::{AlertDescription, Error};

/// Which side of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// Why a handshake failed. Nothing was asked of an origin yet, so that another may be tried.
pub(crate) fn of_handshake(side: Side, error: &Error) -> Fault {
    match side {
        Side::Server => Fault::client(server_cause(error)),
        Side::Client => Fault::origin(client_cause(error)).safe(),
    }
}

/// The peer broke the rules or gave up.
pub(crate) fn of_breach(side: Side, in_handshake: bool) -> Fault {
    match (side, in_handshake) {
        (Side::Server, true) => Fault::client(Cause::TlsHandshake),
        (Side::Server, false) => Fault::client(Cause::TlsProtocol),
        (Side::Client, true) => Fault::origin(Cause::UpstreamTlsHandshake).safe(),
        (Side::Client, false) => Fault::origin(Cause::UpstreamTlsProtocol),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not told apart is a failed handshake")]
fn server_cause(error: &Error) -> Cause {
    match error {
        Error::NoCertificatesPresented => Cause::TlsClientCertificateMissing,
        Error::InvalidCertificate(_) => Cause::TlsClientCertificateRefused,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Cause::TlsNothingShared,
        Error::AlertReceived(alert) if is_about_certificate(*alert) => Cause::TlsCertificateRejected,
        _ => Cause::TlsHandshake,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not told apart is a failed handshake")]
fn client_cause(error: &Error) -> Cause {
    match error {
        Error::InvalidCertificate(_) => Cause::UpstreamTlsVerification,
        _ => Cause::UpstreamTlsHandshake,
    }
}

/// The peer does not trust what we showed.
fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
    )
}
