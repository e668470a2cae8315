//! What the end of a connection says about its hypervisor.

use rfb_proto::handshake::bridge::BridgeError;
use rfb_proto::handshake::{HandshakeError, Misbehaviour, Side, Stage};
use rfb_proto::session::relay::End;

/// Whether the hypervisor cannot have accepted: it was not reached, it refused, or nothing that it could accept was
/// sent to it.
pub(super) fn has_refused(end: &End) -> bool {
    match end {
        End::Unreachable | End::TooManyViewers => true,
        End::Handshake(BridgeError {
            side: Side::Hypervisor,
            error,
        })
        | End::NotRfb {
            error: BridgeError {
                side: Side::Hypervisor,
                error,
            },
            ..
        } => !may_have_accepted(error),
        _ => false,
    }
}

/// It was waited for when what it could accept was on its way.
fn may_have_accepted(error: &HandshakeError) -> bool {
    match error {
        HandshakeError::TimedOut(stage) | HandshakeError::Closed(stage) => !matches!(
            stage,
            Stage::Version
                | Stage::SecurityTypes
                | Stage::SecurityChoice
                | Stage::VeNCrypt
                | Stage::Tight
                | Stage::Tls
                | Stage::Vnc
                | Stage::Reason
        ),
        HandshakeError::PeerMisbehaved(Misbehaviour::UnknownResult(_)) | HandshakeError::Misuse(_) => true,
        _ => false,
    }
}
