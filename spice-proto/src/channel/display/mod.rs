//! The display channel: surfaces, drawings, video streams.
//!
//! [`draw`] has the drawing commands, [`image`] the pictures in them, [`shape`] what they draw with.

pub mod draw;
pub mod head;
pub mod image;
mod images;
pub mod shape;

use alloc::vec::Vec;
use bytes::BytesMut;

use crate::channel::{common, messages};
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Reader, layout, length, put_array};
use crate::ids::{
    ChannelType, GlScanoutFlags, ImageCompression, StreamFlags, SurfaceFlags, SurfaceFormat, VideoCodecType,
};
use crate::parts::{Part, Targets, parts, put_fixed};
use draw::{
    CopyBits, DrawAlphaBlend, DrawComposite, DrawCopy, DrawFill, DrawMask, DrawOpaque, DrawRop3, DrawStroke, DrawText,
    DrawTransparent,
};
use shape::{Clip, Rect};

messages! {
    /// Messages of the display channel from server to client.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_DISPLAY_MODE`: not in use any more.
        101 MODE => Mode(Mode),
        /// `SPICE_MSG_DISPLAY_MARK`: what was drawn so far may be shown.
        102 MARK => Mark,
        /// `SPICE_MSG_DISPLAY_RESET`.
        103 RESET => Reset,
        /// `SPICE_MSG_DISPLAY_COPY_BITS`.
        104 COPY_BITS => CopyBits(CopyBits),
        /// `SPICE_MSG_DISPLAY_INVAL_LIST`.
        105 INVAL_LIST => InvalList(InvalList),
        /// `SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS`.
        106 INVAL_ALL_PIXMAPS => InvalAllPixmaps(InvalAllPixmaps),
        /// `SPICE_MSG_DISPLAY_INVAL_PALETTE`.
        107 INVAL_PALETTE => InvalPalette(InvalPalette),
        /// `SPICE_MSG_DISPLAY_INVAL_ALL_PALETTES`.
        108 INVAL_ALL_PALETTES => InvalAllPalettes,
        /// `SPICE_MSG_DISPLAY_STREAM_CREATE`.
        122 STREAM_CREATE => StreamCreate(StreamCreate),
        /// `SPICE_MSG_DISPLAY_STREAM_DATA`.
        123 STREAM_DATA => StreamData(StreamData),
        /// `SPICE_MSG_DISPLAY_STREAM_CLIP`.
        124 STREAM_CLIP => StreamClip(StreamClip),
        /// `SPICE_MSG_DISPLAY_STREAM_DESTROY`.
        125 STREAM_DESTROY => StreamDestroy(StreamDestroy),
        /// `SPICE_MSG_DISPLAY_STREAM_DESTROY_ALL`.
        126 STREAM_DESTROY_ALL => StreamDestroyAll,
        /// `SPICE_MSG_DISPLAY_DRAW_FILL`.
        302 DRAW_FILL => DrawFill(DrawFill),
        /// `SPICE_MSG_DISPLAY_DRAW_OPAQUE`.
        303 DRAW_OPAQUE => DrawOpaque(DrawOpaque),
        /// `SPICE_MSG_DISPLAY_DRAW_COPY`.
        304 DRAW_COPY => DrawCopy(DrawCopy, shared),
        /// `SPICE_MSG_DISPLAY_DRAW_BLEND`.
        305 DRAW_BLEND => DrawBlend(DrawCopy, shared),
        /// `SPICE_MSG_DISPLAY_DRAW_BLACKNESS`.
        306 DRAW_BLACKNESS => DrawBlackness(DrawMask, shared),
        /// `SPICE_MSG_DISPLAY_DRAW_WHITENESS`.
        307 DRAW_WHITENESS => DrawWhiteness(DrawMask, shared),
        /// `SPICE_MSG_DISPLAY_DRAW_INVERS`.
        308 DRAW_INVERS => DrawInvers(DrawMask, shared),
        /// `SPICE_MSG_DISPLAY_DRAW_ROP3`.
        309 DRAW_ROP3 => DrawRop3(DrawRop3),
        /// `SPICE_MSG_DISPLAY_DRAW_STROKE`.
        310 DRAW_STROKE => DrawStroke(DrawStroke),
        /// `SPICE_MSG_DISPLAY_DRAW_TEXT`.
        311 DRAW_TEXT => DrawText(DrawText),
        /// `SPICE_MSG_DISPLAY_DRAW_TRANSPARENT`.
        312 DRAW_TRANSPARENT => DrawTransparent(DrawTransparent),
        /// `SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND`.
        313 DRAW_ALPHA_BLEND => DrawAlphaBlend(DrawAlphaBlend),
        /// `SPICE_MSG_DISPLAY_SURFACE_CREATE`.
        314 SURFACE_CREATE => SurfaceCreate(SurfaceCreate),
        /// `SPICE_MSG_DISPLAY_SURFACE_DESTROY`.
        315 SURFACE_DESTROY => SurfaceDestroy(SurfaceDestroy),
        /// `SPICE_MSG_DISPLAY_STREAM_DATA_SIZED`.
        316 STREAM_DATA_SIZED => StreamDataSized(StreamDataSized),
        /// `SPICE_MSG_DISPLAY_MONITORS_CONFIG`.
        317 MONITORS_CONFIG => MonitorsConfig(MonitorsConfig),
        /// `SPICE_MSG_DISPLAY_DRAW_COMPOSITE`.
        318 DRAW_COMPOSITE => DrawComposite(DrawComposite),
        /// `SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT`.
        319 STREAM_ACTIVATE_REPORT => StreamActivateReport(StreamActivateReport),
        /// `SPICE_MSG_DISPLAY_GL_SCANOUT_UNIX`.
        320 GL_SCANOUT_UNIX => GlScanoutUnix(GlScanoutUnix),
        /// `SPICE_MSG_DISPLAY_GL_DRAW`.
        321 GL_DRAW => GlDraw(GlDraw),
        /// `SPICE_MSG_DISPLAY_QUALITY_INDICATOR`: not in use.
        322 QUALITY_INDICATOR => QualityIndicator(QualityIndicator),
        /// `SPICE_MSG_DISPLAY_GL_SCANOUT2_UNIX`.
        323 GL_SCANOUT2_UNIX => GlScanout2Unix(GlScanout2Unix),
    }
}

messages! {
    /// Messages of the display channel from client to server.
    pub enum ClientMessage: common common::ClientMessage {
        /// `SPICE_MSGC_DISPLAY_INIT`: the first message, but on the target of a seamless migration.
        101 INIT => Init(Init),
        /// `SPICE_MSGC_DISPLAY_STREAM_REPORT`.
        102 STREAM_REPORT => StreamReport(StreamReport),
        /// `SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION`.
        103 PREFERRED_COMPRESSION => PreferredCompression(PreferredCompression),
        /// `SPICE_MSGC_DISPLAY_GL_DRAW_DONE`.
        104 GL_DRAW_DONE => GlDrawDone,
        /// `SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE`.
        105 PREFERRED_VIDEO_CODEC_TYPE => PreferredVideoCodecType(PreferredVideoCodecType),
    }
}

layout! {
    /// Size of the display; replaced by [`SurfaceCreate`].
    pub struct Mode {
        /// Pixels.
        x_res: u32,
        /// Pixels.
        y_res: u32,
        /// Bits of a pixel.
        bits: u32,
    }
}

layout! {
    /// Something that is kept (`SpiceResourceID`).
    pub struct ResourceId {
        /// 1: a picture.
        r#type: u8,
        /// Its number.
        id: u64,
    }
}

layout! {
    /// Forget these.
    pub struct InvalList {
        ;
        count: u16,
        /// What.
        resources: [ResourceId],
    }
}

layout! {
    /// How far another channel must have got.
    pub struct WaitForChannel {
        /// Kind of that channel.
        channel_type: ChannelType,
        /// Its number among those of its kind.
        channel_id: u8,
        /// Serial of the message that it must have processed.
        message_serial: u64,
    }
}

layout! {
    /// Forget all pictures, once these channels have got so far.
    pub struct InvalAllPixmaps {
        ;
        wait_count: u8,
        /// What to wait for.
        wait_list: [WaitForChannel],
    }
}

layout! {
    /// Forget this palette.
    pub struct InvalPalette {
        /// Its number.
        id: u64,
    }
}

parts! { message
    /// A video begins.
    pub struct StreamCreate {
        block {
            /// Where it is shown.
            surface_id: u32,
            /// Its number, below 64.
            id: u32,
            /// How its pictures lie.
            flags: StreamFlags,
            /// How they are packed.
            codec_type: VideoCodecType,
            /// A clock, not in use.
            stamp: u64,
            /// Pixels of a picture.
            stream_width: u32,
            /// Pixels of a picture.
            stream_height: u32,
            /// Pixels of it in the guest.
            src_width: u32,
            /// Pixels of it in the guest.
            src_height: u32,
            /// Where on the surface.
            dest: Rect,
        },
        /// What of it is seen.
        clip: Clip,
    }
}

layout! {
    /// A picture of a video, in the size of [`StreamCreate`].
    pub struct StreamData {
        /// The video.
        id: u32,
        /// When to show it: multimedia clock in milliseconds.
        multi_media_time: u32;
        data_size: u32,
        /// The packed picture.
        data: [u8],
    }
}

layout! {
    /// A picture of a video, in a size of its own.
    pub struct StreamDataSized {
        /// The video.
        id: u32,
        /// When to show it: multimedia clock in milliseconds.
        multi_media_time: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Where on the surface.
        dest: Rect;
        data_size: u32,
        /// The packed picture.
        data: [u8],
    }
}

parts! { message
    /// What of a video is seen.
    pub struct StreamClip {
        /// The video.
        id: u32,
        /// What of it.
        clip: Clip,
    }
}

layout! {
    /// A video has ended.
    pub struct StreamDestroy {
        /// The video.
        id: u32,
    }
}

layout! {
    /// Something to draw on.
    pub struct SurfaceCreate {
        /// Its number; 0 is what the guest shows.
        surface_id: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Form of its pixels.
        format: SurfaceFormat,
        /// What it is.
        flags: SurfaceFlags,
    }
}

layout! {
    /// A surface is gone.
    pub struct SurfaceDestroy {
        /// Its number.
        surface_id: u32,
    }
}

layout! {
    /// One monitor of the guest.
    pub struct Head {
        /// Its number.
        monitor_id: u32,
        /// The surface that it shows.
        surface_id: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pixels from the left of the surface.
        x: u32,
        /// Pixels from its top.
        y: u32,
        /// Not in use.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::ids::mask::unnamed"))]
        flags: u32,
    }
}

/// The monitors of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Monitors {
    /// How many there can be.
    pub max_allowed: u16,
    /// Those that there are.
    pub heads: Vec<Head>,
}

impl Part for Monitors {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let count: u16 = r.fixed("count")?;
        Ok(Self {
            max_allowed: r.fixed("max_allowed")?,
            heads: r.array(count.into(), "heads")?,
        })
    }

    fn bytes(&self) -> usize {
        self.heads.len().saturating_mul(28).saturating_add(4)
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        put_fixed(&length(self.heads.len(), "MonitorsConfig", "count", u16::MAX)?, dst);
        put_fixed(&self.max_allowed, dst);
        put_array(dst, &self.heads);
        Ok(())
    }
}

parts! { message
    /// The monitors of the guest have changed.
    pub struct MonitorsConfig {
        /// How they are now.
        monitors: Monitors,
    }
}

layout! {
    /// Asks for a [`StreamReport`] from time to time.
    pub struct StreamActivateReport {
        /// The video.
        stream_id: u32,
        /// To be repeated in the report.
        unique_id: u32,
        /// After so many pictures at the latest.
        max_window_size: u32,
        /// After so many milliseconds at the latest.
        timeout_ms: u32,
    }
}

layout! {
    /// What the guest shows is in this buffer, whose file descriptor comes over a UNIX socket behind the
    /// body, with one byte that the size does not count.
    pub struct GlScanoutUnix {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes of a row.
        stride: u32,
        /// Form of a pixel, as DRM names it; 0: there is no buffer.
        drm_fourcc_format: u32,
        /// How it lies.
        flags: GlScanoutFlags,
    }
}

impl GlScanoutUnix {
    /// Whether the byte with the file descriptor follows the body: when there is a buffer. spice-gtk reads it by
    /// the same rule.
    #[must_use]
    pub const fn descriptor_follows(&self) -> bool {
        self.drm_fourcc_format != 0
    }
}

layout! {
    /// One plane of a [`GlScanout2Unix`], whose file descriptor comes behind the body.
    pub struct GlPlane {
        /// Where it begins in the buffer.
        offset: u32,
        /// Bytes of a row.
        stride: u32,
    }
}

/// What the guest shows is in these buffers, whose file descriptors come over a UNIX socket behind the body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Scanout {
    /// Form of a pixel that the driver chose.
    pub modifier: u64,
    /// The planes of a picture.
    pub planes: Vec<GlPlane>,
}

impl Part for Scanout {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let num_planes: u8 = r.fixed("num_planes")?;
        Ok(Self {
            modifier: r.fixed("modifier")?,
            planes: r.array(num_planes.into(), "planes")?,
        })
    }

    fn bytes(&self) -> usize {
        self.planes.len().saturating_mul(8).saturating_add(9)
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        put_fixed(
            &length(self.planes.len(), "GlScanout2Unix", "num_planes", u8::MAX)?,
            dst,
        );
        put_fixed(&self.modifier, dst);
        put_array(dst, &self.planes);
        Ok(())
    }
}

parts! { message
    /// As [`GlScanoutUnix`], with several planes.
    pub struct GlScanout2Unix {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Form of a pixel, as DRM names it; 0: there is no buffer.
        fourcc: u32,
        /// How it lies.
        flags: GlScanoutFlags,
        /// The buffers.
        scanout: Scanout,
    }
}

impl GlScanout2Unix {
    /// Whether the byte with the file descriptors follows the body: when there is a buffer.
    #[must_use]
    pub const fn descriptor_follows(&self) -> bool {
        self.fourcc != 0
    }
}

layout! {
    /// This part of the scanout has changed; answered by `GL_DRAW_DONE`.
    pub struct GlDraw {
        /// Pixels from the left.
        x: u32,
        /// Pixels from the top.
        y: u32,
        /// Pixels.
        w: u32,
        /// Pixels.
        h: u32,
    }
}

layout! {
    /// Not in use.
    pub struct QualityIndicator {
        ;
        /// Not specified.
        data: rest,
    }
}

layout! {
    /// What the client keeps.
    pub struct Init {
        /// Number of its cache of pictures, which the display channels of a session share.
        pixmap_cache_id: u8,
        /// Pixels that it holds.
        pixmap_cache_size: i64,
        /// Number of its GLZ dictionary.
        glz_dictionary_id: u8,
        /// Pixels that it holds.
        glz_dictionary_window_size: i32,
    }
}

layout! {
    /// How well a video plays.
    pub struct StreamReport {
        /// The video.
        stream_id: u32,
        /// As [`StreamActivateReport`] says.
        unique_id: u32,
        /// Multimedia clock of the first picture.
        start_frame_mm_time: u32,
        /// Multimedia clock of the last picture.
        end_frame_mm_time: u32,
        /// Pictures received.
        num_frames: u32,
        /// Pictures not shown.
        num_drops: u32,
        /// Milliseconds that the last one was too early; below 0 too late.
        last_frame_delay: i32,
        /// Milliseconds of sound that wait.
        audio_delay: u32,
    }
}

layout! {
    /// How pictures should be packed.
    pub struct PreferredCompression {
        /// The form.
        image_compression: ImageCompression,
    }
}

layout! {
    /// How videos should be packed.
    pub struct PreferredVideoCodecType {
        ;
        num_of_codecs: u8,
        /// Best first.
        codecs: [VideoCodecType],
    }
}
