//! What the encoders are held against: the recorded messages encoded by hand, each block of fixed fields as
//! one array that is filled and appended once. No value is checked.

use bytes::BytesMut;
use spice_proto::channel::display::draw::{DisplayBase, DrawCopy, DrawFill, QMask};
use spice_proto::channel::display::image::{Image, PaletteSource, Payload};
use spice_proto::channel::display::shape::{Brush, Clip, Rect};
use spice_proto::channel::{common, cursor, display, inputs, main};

/// Fills one array and appends it.
macro_rules! put {
    ($dst:expr, $size:literal; $($value:expr),*) => {{
        let mut block = [0; $size];
        let mut _at = 0;
        $(
            let bytes = $value.to_le_bytes();
            block[_at.._at + bytes.len()].copy_from_slice(&bytes);
            _at += bytes.len();
        )*
        $dst.extend_from_slice(&block);
    }};
}

pub(crate) fn common_server(message: &common::ServerMessage, dst: &mut BytesMut) {
    use common::ServerMessage as M;
    match message {
        M::SetAck(m) => put!(dst, 8; m.generation, m.window),
        M::Ping(m) => {
            put!(dst, 12; m.id, m.timestamp);
            dst.extend_from_slice(&m.data);
        }
        M::Notify(m) => {
            put!(dst, 24; m.time_stamp, m.severity.0, m.visibility.0, m.what, (m.message.len() as u32));
            dst.extend_from_slice(&m.message);
            dst.extend_from_slice(&[0]);
        }
        _ => unreachable!("not recorded: {message:?}"),
    }
}

pub(crate) fn common_client(message: &common::ClientMessage, dst: &mut BytesMut) {
    use common::ClientMessage as M;
    match message {
        M::AckSync(m) => put!(dst, 4; m.generation),
        M::Pong(m) => put!(dst, 12; m.id, m.timestamp),
        _ => unreachable!("not recorded: {message:?}"),
    }
}

fn destination(m: &main::Destination, dst: &mut BytesMut) {
    let (host, subject) = (m.host.len() as u32, m.cert_subject.len() as u32);
    let subject_at = if subject == 0 { 0 } else { 20 + host };
    put!(dst, 20; m.port, m.sport, host, 20_u32, subject, subject_at);
    dst.extend_from_slice(&m.host);
    dst.extend_from_slice(&m.cert_subject);
}

pub(crate) fn main_server(message: &main::ServerMessage, dst: &mut BytesMut) {
    use main::ServerMessage as M;
    match message {
        M::Init(m) => put!(dst, 32; m.session_id, m.display_channels_hint, m.supported_mouse_modes.0,
            m.current_mouse_mode.0, m.agent_connected, m.agent_tokens, m.multi_media_time, m.ram_hint),
        M::ChannelsList(m) => {
            put!(dst, 4; (m.channels.len() as u32));
            for channel in &m.channels {
                put!(dst, 2; channel.channel_type.0, channel.id);
            }
        }
        M::MouseMode(m) => put!(dst, 4; (m.supported_modes.0 as u16), (m.current_mode.0 as u16)),
        M::MultiMediaTime(m) => put!(dst, 4; m.time),
        M::AgentData(m) => dst.extend_from_slice(&m.data),
        M::AgentToken(m) => put!(dst, 4; m.num_tokens),
        M::Name(m) => {
            put!(dst, 4; (m.name.len() as u32));
            dst.extend_from_slice(&m.name);
        }
        M::Uuid(m) => dst.extend_from_slice(&m.uuid),
        M::MigrateBegin(m) => destination(&m.destination, dst),
        M::MigrateSwitchHost(m) => destination(&m.destination, dst),
        M::MigrateCancel | M::MigrateEnd => {}
        M::Common(m) => common_server(m, dst),
        _ => unreachable!("not recorded: {message:?}"),
    }
}

pub(crate) fn main_client(message: &main::ClientMessage, dst: &mut BytesMut) {
    use main::ClientMessage as M;
    match message {
        M::AgentStart(m) => put!(dst, 4; m.num_tokens),
        M::AgentData(m) => dst.extend_from_slice(&m.data),
        M::MouseModeRequest(m) => put!(dst, 2; (m.mode.0 as u16)),
        M::AttachChannels | M::MigrateConnected | M::MigrateEnd => {}
        M::Common(m) => common_client(m, dst),
        _ => unreachable!("not recorded: {message:?}"),
    }
}

pub(crate) fn inputs_server(message: &inputs::ServerMessage, dst: &mut BytesMut) {
    use inputs::ServerMessage as M;
    match message {
        M::Init(m) => put!(dst, 2; m.keyboard_modifiers.0),
        M::KeyModifiers(m) => put!(dst, 2; m.modifiers.0),
        M::MouseMotionAck => {}
        M::Common(m) => common_server(m, dst),
        _ => unreachable!("not recorded: {message:?}"),
    }
}

pub(crate) fn inputs_client(message: &inputs::ClientMessage, dst: &mut BytesMut) {
    use inputs::ClientMessage as M;
    match message {
        M::KeyDown(m) | M::KeyUp(m) => put!(dst, 4; m.code),
        M::KeyModifiers(m) => put!(dst, 2; m.modifiers.0),
        M::KeyScancode(m) => dst.extend_from_slice(&m.data),
        M::MouseMotion(m) => put!(dst, 10; m.dx, m.dy, m.buttons_state.0),
        M::MousePosition(m) => put!(dst, 11; m.x, m.y, m.buttons_state.0, m.display_id),
        M::MousePress(m) | M::MouseRelease(m) => put!(dst, 3; m.button.0, m.buttons_state.0),
        M::Common(m) => common_client(m, dst),
        _ => unreachable!("not recorded: {message:?}"),
    }
}

pub(crate) fn cursor_server(message: &cursor::ServerMessage, dst: &mut BytesMut) {
    use cursor::ServerMessage as M;
    match message {
        M::Init(m) => {
            assert!(m.cursor.header.is_none(), "not recorded: {m:?}");
            put!(dst, 11; m.position.x, m.position.y, m.trail_length, m.trail_frequency, m.visible, m.cursor.flags.0);
            dst.extend_from_slice(&m.cursor.data);
        }
        M::Set(m) => {
            let Some(header) = &m.cursor.header else {
                unreachable!("not recorded: {m:?}");
            };
            put!(dst, 24; m.position.x, m.position.y, m.visible, m.cursor.flags.0, header.unique, header.r#type.0,
                header.width, header.height, header.hot_spot_x, header.hot_spot_y);
            dst.extend_from_slice(&m.cursor.data);
        }
        M::Move(m) => put!(dst, 4; m.position.x, m.position.y),
        M::InvalAll | M::Reset => {}
        M::Common(m) => common_server(m, dst),
        _ => unreachable!("not recorded: {message:?}"),
    }
}

fn base(m: &DisplayBase, dst: &mut BytesMut) {
    let Rect {
        top,
        left,
        bottom,
        right,
    } = m.r#box;
    match &m.clip {
        Clip::Rects(rects) => {
            put!(dst, 25; m.surface_id, top, left, bottom, right, 1_u8, (rects.len() as u32));
            for rect in rects {
                put!(dst, 16; rect.top, rect.left, rect.bottom, rect.right);
            }
        }
        _ => put!(dst, 21; m.surface_id, top, left, bottom, right, 0_u8),
    }
}

fn image(m: &Image, dst: &mut BytesMut) {
    let d = &m.descriptor;
    put!(dst, 18; d.id, d.r#type.0, d.flags.0, d.width, d.height);
    match &m.payload {
        Payload::Bitmap(b) => {
            let PaletteSource::Here(None) = b.palette else {
                unreachable!("not recorded: {b:?}");
            };
            put!(dst, 18; b.format.0, b.flags.0, b.x, b.y, b.stride, 0_u32);
            dst.extend_from_slice(&b.data);
        }
        Payload::Packed(data) => {
            put!(dst, 4; (data.len() as u32));
            dst.extend_from_slice(data);
        }
        Payload::ZlibGlz { glz_data_size, data } => {
            put!(dst, 8; glz_data_size, (data.len() as u32));
            dst.extend_from_slice(data);
        }
        Payload::Nothing => {}
        other => unreachable!("not recorded: {other:?}"),
    }
}

fn draw_copy(m: &DrawCopy, dst: &mut BytesMut) {
    let start = dst.len();
    base(&m.base, dst);
    let (
        Some(picture),
        QMask {
            flags,
            pos,
            bitmap: None,
        },
    ) = (&m.src_bitmap, &m.mask)
    else {
        unreachable!("not recorded: {m:?}");
    };
    let at = (dst.len() - start + 36) as u32;
    let Rect {
        top,
        left,
        bottom,
        right,
    } = m.src_area;
    put!(dst, 36; at, top, left, bottom, right, m.rop_descriptor.0, m.scale_mode.0, flags.0, pos.x, pos.y, 0_u32);
    image(picture, dst);
}

fn draw_fill(m: &DrawFill, dst: &mut BytesMut) {
    base(&m.base, dst);
    let (
        Brush::Solid(color),
        QMask {
            flags,
            pos,
            bitmap: None,
        },
    ) = (&m.brush, &m.mask)
    else {
        unreachable!("not recorded: {m:?}");
    };
    put!(dst, 20; 1_u8, color, m.rop_descriptor.0, flags.0, pos.x, pos.y, 0_u32);
}

pub(crate) fn display_server(message: &display::ServerMessage, dst: &mut BytesMut) {
    use display::ServerMessage as M;
    match message {
        M::DrawCopy(m) => draw_copy(m, dst),
        M::DrawFill(m) => draw_fill(m, dst),
        M::MonitorsConfig(m) => {
            put!(dst, 4; (m.monitors.heads.len() as u16), m.monitors.max_allowed);
            for h in &m.monitors.heads {
                put!(dst, 28; h.monitor_id, h.surface_id, h.width, h.height, h.x, h.y, h.flags);
            }
        }
        M::SurfaceCreate(m) => put!(dst, 20; m.surface_id, m.width, m.height, m.format.0, m.flags.0),
        M::CopyBits(m) => {
            base(&m.base, dst);
            put!(dst, 8; m.src_pos.x, m.src_pos.y);
        }
        M::InvalList(m) => {
            put!(dst, 2; (m.resources.len() as u16));
            for resource in &m.resources {
                put!(dst, 9; resource.r#type, resource.id);
            }
        }
        M::StreamData(m) => {
            put!(dst, 12; m.id, m.multi_media_time, (m.data.len() as u32));
            dst.extend_from_slice(&m.data);
        }
        M::InvalAllPalettes | M::Mark => {}
        M::Common(m) => common_server(m, dst),
        _ => unreachable!("not recorded: {message:?}"),
    }
}

pub(crate) fn display_client(message: &display::ClientMessage, dst: &mut BytesMut) {
    use display::ClientMessage as M;
    match message {
        M::Init(m) => put!(dst, 14; m.pixmap_cache_id, m.pixmap_cache_size, m.glz_dictionary_id,
            m.glz_dictionary_window_size),
        M::StreamReport(m) => put!(dst, 32; m.stream_id, m.unique_id, m.start_frame_mm_time, m.end_frame_mm_time,
            m.num_frames, m.num_drops, m.last_frame_delay, m.audio_delay),
        M::Common(m) => common_client(m, dst),
        _ => unreachable!("not recorded: {message:?}"),
    }
}
