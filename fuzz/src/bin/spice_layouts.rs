#![cfg_attr(fuzzing, no_main)]
//! Each layout of SPICE by itself, by its own public methods.
//!
//! ```text
//! | the body, for all of them |
//! ```
//!
//! From a shared buffer and from borrowed bytes the same is decoded; it encodes to as many bytes as it says, and comes back.
//!
//! Not searched in CI: see LAWS.md.

use bytes::{Bytes, BytesMut};
use spice_proto::agent::caps::Agreed;
use spice_proto::channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
use spice_proto::{DecodeError, EncodeError, Limits, agent, link, session};

use fuzz::shown::{logged, shown};

fuzz::target!(check);

fn hold<T: PartialEq + std::fmt::Debug>(
    body: &Bytes,
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
    borrowed: impl Fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(&T, &mut BytesMut) -> Result<(), EncodeError>,
    len: impl Fn(&T) -> usize,
) {
    let value = decode(body);
    assert_eq!(borrowed(body), value);
    let Ok(value) = value else { return };
    logged(&value, body.len());
    let mut wire = BytesMut::from(&b"in front"[..]);
    encode(&value, &mut wire).expect("it was decoded");
    assert_eq!(wire.len() - 8, len(&value));
    assert_eq!(decode(&wire.split_off(8).freeze()), Ok(value));
}

macro_rules! one {
    ($body:ident, $ty:ty, ($($more:expr)?)) => {
        hold(
            $body,
            |body| <$ty>::decode(body $(, $more)?),
            |body| <$ty>::decode_slice(body $(, $more)?),
            <$ty>::encode,
            <$ty>::encoded_len,
        );
    };
}

macro_rules! layouts {
    ($body:ident, $more:tt: $($ty:ty),* $(,)?) => { $(one!($body, $ty, $more);)* };
}

fn check(data: &[u8]) {
    let body = &Bytes::copy_from_slice(data);
    layouts!(body, ():
        agent::AudioVolumeSync, agent::DisplayConfig, agent::FileXferData, agent::FileXferStart,
        agent::FileXferStatus, agent::GraphicsDeviceInfo, agent::MaxClipboard, agent::MessageHeader,
        agent::MonConfig, agent::MonitorMm, agent::MonitorsConfig, agent::MouseState, agent::Reply, agent::Selection,
        agent::caps::AnnounceCapabilities, agent::chunk::ChunkHeader, common::AckSync, common::ChannelWait,
        common::Disconnecting, common::List, common::Migrate, common::MigrateData, common::Notify, common::Ping,
        common::Pong, common::SetAck, common::WaitForChannels, cursor::CursorHeader, cursor::Init, cursor::InvalOne,
        cursor::Move, cursor::Point16, cursor::Set, cursor::Trail, display::GlDraw, display::GlPlane,
        display::GlScanout2Unix, display::GlScanoutUnix, display::Head, display::Init, display::InvalAllPixmaps,
        display::InvalList, display::InvalPalette, display::Mode, display::MonitorsConfig,
        display::PreferredCompression, display::PreferredVideoCodecType, display::QualityIndicator,
        display::ResourceId, display::StreamActivateReport, display::StreamClip, display::StreamCreate,
        display::StreamData, display::StreamDataSized, display::StreamDestroy, display::StreamReport,
        display::SurfaceCreate, display::SurfaceDestroy, display::WaitForChannel, display::draw::CopyBits,
        display::draw::DrawAlphaBlend, display::draw::DrawComposite, display::draw::DrawCopy,
        display::draw::DrawFill, display::draw::DrawMask, display::draw::DrawOpaque, display::draw::DrawRop3,
        display::draw::DrawStroke, display::draw::DrawText, display::draw::DrawTransparent, display::draw::Transform,
        display::image::ImageDescriptor, display::image::Palette, display::shape::PathSegment, display::shape::Point,
        display::shape::PointFix, display::shape::Rect, inputs::Init, inputs::Key, inputs::KeyModifiers,
        inputs::KeyScancode, inputs::MouseClick, inputs::MouseMotion, inputs::MousePosition, main::AgentData,
        main::AgentDisconnected, main::AgentToken, main::ChannelId, main::ChannelsList, main::ClientInfo, main::Init,
        main::MigrateBegin, main::MigrateBeginSeamless, main::MigrateDstDoSeamless, main::MigrateSwitchHost,
        main::MouseMode, main::MouseModeRequest, main::MultiMediaTime, main::Name, main::QualityIndicator,
        main::Uuid, playback::Data, playback::Latency, playback::Mode, playback::Mute, playback::Start,
        playback::Volume, port::Event, port::Init, record::Start, record::StartMark, smartcard::Data,
        vmc::CompressedData, vmc::Data, link::messages::LinkHeader, session::Snapshot,
    );
    let limits = Limits::default();
    let request = link::LinkMess::decode(body, &limits);
    assert_eq!(request, link::LinkMess::decode_slice(body, &limits));
    if let Ok(request) = request {
        shown(&request, body.len());
    }
    let reply = link::LinkReply::decode(body, &limits);
    assert_eq!(reply, link::LinkReply::decode_slice(body, &limits));
    layouts!(body, (Agreed::NOTHING):
        agent::Clipboard, agent::ClipboardGrab, agent::ClipboardRelease, agent::ClipboardRequest,
    );
}
