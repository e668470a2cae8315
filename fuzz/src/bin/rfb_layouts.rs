#![cfg_attr(fuzzing, no_main)]
//! Each layout of RFB by itself, by its own public methods.
//!
//! ```text
//! | the bytes, for all of them |
//! ```
//!
//! From a shared buffer and from borrowed bytes the same is decoded; it encodes to as many bytes as it says, and comes back. What
//! is whole lacks nothing, and what lacks something is not decoded.
//!
//! Not searched in CI: see LAWS.md.

use bytes::{Bytes, BytesMut};
use rfb_proto::message::{self, Extensions};
use rfb_proto::{DecodeError, EncodeError, Limits, encoding, security};

use fuzz::shown::logged;

fuzz::target!(check);

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default()
        .with_cut_text(1024)
        .with_name(256)
        .with_reason(256)
        .with_clipboard(1024)
        .with_text_chat(1024)
        .with_file_transfer(1024)
        .with_audio(1024)
}

struct Methods<D, B, M> {
    decode: D,
    borrowed: B,
    missing: M,
}

fn hold<T: PartialEq + std::fmt::Debug>(
    bytes: &Bytes,
    methods: Methods<
        impl Fn(&Bytes) -> Result<T, DecodeError>,
        impl Fn(&[u8]) -> Result<T, DecodeError>,
        impl Fn(&[u8]) -> Result<usize, DecodeError>,
    >,
    encode: impl Fn(&T, &mut BytesMut) -> Result<(), EncodeError>,
    len: impl Fn(&T) -> usize,
) {
    let value = (methods.decode)(bytes);
    assert_eq!((methods.borrowed)(bytes), value);
    let missing = (methods.missing)(bytes);
    if let Ok(1..) = missing {
        assert!(value.is_err(), "{value:?} lacks {missing:?}");
    }
    let Ok(value) = value else { return };
    logged(&value, bytes.len());
    assert_eq!(missing, Ok(0));
    let mut wire = BytesMut::from(&b"in front"[..]);
    encode(&value, &mut wire).expect("it was decoded");
    assert_eq!(wire.len() - 8, len(&value));
    assert_eq!((methods.decode)(&wire.split_off(8).freeze()), Ok(value));
}

macro_rules! one {
    ($bytes:ident, $ty:ty, ($($more:expr),*)) => {
        hold(
            $bytes,
            Methods {
                decode: |bytes: &Bytes| <$ty>::decode(bytes, $($more),*),
                borrowed: |bytes: &[u8]| <$ty>::decode_slice(bytes, $($more),*),
                missing: |bytes: &[u8]| <$ty>::missing(bytes, $($more),*),
            },
            <$ty>::encode,
            <$ty>::encoded_len,
        );
    };
}

macro_rules! layouts {
    ($bytes:ident, $more:tt: $($ty:ty),* $(,)?) => { $(one!($bytes, $ty, $more);)* };
}

fn check(data: &[u8]) {
    let (bytes, limits) = (&Bytes::copy_from_slice(data), &limits());
    layouts!(bytes, (limits):
        rfb_proto::ClientInit, rfb_proto::PixelFormat, rfb_proto::ServerInit, encoding::Rectangle, message::Bell,
        message::ClientFence, message::Colour, message::EnableContinuousUpdates, message::EndOfContinuousUpdates,
        message::ExtendedClipboard, message::FileTransfer, message::FixColourMapEntries, message::FramebufferUpdate,
        message::FramebufferUpdateRequest, message::Gii, message::KeepAlive, message::KeyEvent,
        message::NotifyPluginStreaming, message::Ntp, message::PalmResizeFrameBuffer, message::QemuAudioFormat,
        message::QemuClientMessage, message::QemuExtendedKeyEvent, message::QemuServerMessage,
        message::RequestSession, message::ResizeFrameBuffer, message::Screen, message::ServerFence,
        message::ServerState, message::SetColourMapEntries, message::SetDesktopSize, message::SetEncodings,
        message::SetPixelFormat, message::SetScale, message::SetScaleFactor, message::SetServerInput,
        message::SetSession, message::SetSw, message::TextChat, message::Xvp, message::pseudo::ClientRedirect,
        message::pseudo::DesktopName, message::pseudo::ExtendedDesktopSize, security::Reason,
        security::SecurityChoice, security::SecurityResult, security::SecurityTypeWord, security::SecurityTypes,
        security::ard::ArdParameters, security::ms_logon::MsLogonParameters, security::plain::Credentials,
        security::plain::Ident, security::rsa_aes::PublicKey, security::sasl::Mechanism, security::sasl::Mechanisms,
        security::sasl::SaslData, security::tight::Capabilities, security::tight::Capability,
        security::tight::CapabilityChoice, security::tight::InteractionCapabilities,
        security::vencrypt::SubtypeChoice, security::vencrypt::Subtypes, security::vencrypt::VeNCryptVersion,
    );
    layouts!(bytes, (&Extensions::ALL, limits):
        message::ClientCutText, message::ClientMessage, message::MonitorInfo, message::PointerEvent,
        message::ServerCutText, message::ServerMessage, message::SetMonitor,
    );
}
