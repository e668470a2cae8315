//! What is drawn, and how often.

use bytes::Bytes;
use spice_proto::channel::display::draw::{CopyBits, DisplayBase, DrawCopy, DrawFill, QMask};
use spice_proto::channel::display::image::{BitmapData, Image, ImageDescriptor, PaletteSource, Payload};
use spice_proto::channel::display::shape::{Brush, Clip, Point, Rect};
use spice_proto::channel::display::{InvalList, ResourceId, StreamData};
use spice_proto::channel::{ClientMessage, ServerMessage, common, cursor, display, inputs, main};
use spice_proto::ids::{
    BitmapFlags, BitmapFormat, ClipType, CursorFlags, CursorType, ImageFlags, ImageScaleMode, ImageType,
    KeyboardModifiers, MaskFlags, MouseButton, MouseButtons, MouseModes, NotifySeverity, NotifyVisibility,
    RopDescriptor,
};

use super::{Draw, Mixed};

impl Draw {
    /// One message, in the proportions that are written here.
    pub(super) fn message(&mut self) -> Mixed {
        match self.below(100) {
            0..=37 => Mixed::Server(ServerMessage::Display(self.display())),
            38..=77 => Mixed::Client(ClientMessage::Inputs(self.inputs())),
            78..=81 => Mixed::Server(ServerMessage::Inputs(inputs::ServerMessage::MouseMotionAck)),
            82..=87 => Mixed::Server(ServerMessage::Cursor(self.cursor())),
            _ => Mixed::Server(ServerMessage::Main(self.main(2048))),
        }
    }

    fn rect(&mut self) -> Rect {
        let (top, left) = (self.below(1000) as i32, self.below(1800) as i32);
        Rect {
            top,
            left,
            bottom: top + 1 + self.below(80) as i32,
            right: left + 1 + self.below(120) as i32,
        }
    }

    fn base(&mut self) -> DisplayBase {
        let clip = match self.below(8) {
            0 => Clip::Rects((0..1 + self.below(4)).map(|_| self.rect()).collect()),
            _ => Clip::Whole(ClipType::NONE),
        };
        DisplayBase {
            surface_id: 0,
            r#box: self.rect(),
            clip,
        }
    }

    fn mask() -> QMask {
        QMask {
            flags: MaskFlags(0),
            pos: Point { x: 0, y: 0 },
            bitmap: None,
        }
    }

    fn image(&mut self) -> Image {
        let (width, height) = (1 + self.below(120), 1 + self.below(80));
        let (kind, payload) = match self.below(10) {
            0..=2 => (ImageType::QUIC, Payload::Packed(self.picture_bytes())),
            3 => (ImageType::LZ_RGB, Payload::Packed(self.picture_bytes())),
            4 | 5 => (ImageType::GLZ_RGB, Payload::Packed(self.picture_bytes())),
            6 => (ImageType::JPEG, Payload::Packed(self.picture_bytes())),
            7 => {
                let data = self.picture_bytes();
                let glz_data_size = data.len() as u32 * 2;
                (ImageType::ZLIB_GLZ_RGB, Payload::ZlibGlz { glz_data_size, data })
            }
            8 => (ImageType::BITMAP, Payload::Bitmap(self.bitmap())),
            _ => (ImageType::FROM_CACHE, Payload::Nothing),
        };
        Image {
            descriptor: ImageDescriptor {
                id: self.next(),
                r#type: kind,
                flags: ImageFlags(self.below(2) as u8),
                width,
                height,
            },
            payload,
        }
    }

    fn bitmap(&mut self) -> BitmapData {
        let (x, y) = (1 + self.below(48), 1 + self.below(16));
        BitmapData {
            format: BitmapFormat(8),
            flags: BitmapFlags(4),
            x,
            y,
            stride: x * 4,
            palette: PaletteSource::Here(None),
            data: self.bytes(x * y * 4),
        }
    }

    fn picture_bytes(&mut self) -> Bytes {
        let len = self.picture();
        self.bytes(len)
    }

    fn display(&mut self) -> display::ServerMessage {
        use display::ServerMessage as M;
        match self.below(20) {
            0..=10 => M::DrawCopy(DrawCopy {
                base: self.base(),
                src_bitmap: Some(self.image()),
                src_area: self.rect(),
                rop_descriptor: RopDescriptor(8),
                scale_mode: ImageScaleMode(0),
                mask: Self::mask(),
            }),
            11..=14 => M::DrawFill(DrawFill {
                base: self.base(),
                brush: Brush::Solid(self.next() as u32),
                rop_descriptor: RopDescriptor(8),
                mask: Self::mask(),
            }),
            15 => M::CopyBits(CopyBits {
                base: self.base(),
                src_pos: Point { x: 5, y: 90 },
            }),
            16 => M::InvalList(InvalList {
                resources: (0..1 + self.below(5))
                    .map(|_| ResourceId {
                        r#type: 1,
                        id: self.next(),
                    })
                    .collect(),
            }),
            17 | 18 => M::StreamData(StreamData {
                id: self.below(4),
                multi_media_time: self.next() as u32,
                data: self.picture_bytes(),
            }),
            _ => M::Common(self.ping()),
        }
    }

    fn ping(&mut self) -> common::ServerMessage {
        common::ServerMessage::Ping(common::Ping {
            id: self.next() as u32,
            timestamp: self.next(),
            data: Bytes::new(),
        })
    }

    fn inputs(&mut self) -> inputs::ClientMessage {
        use inputs::ClientMessage as M;
        let buttons_state = MouseButtons(self.below(4) as u16);
        match self.below(20) {
            0..=9 => M::MousePosition(inputs::MousePosition {
                x: self.below(1920),
                y: self.below(1080),
                buttons_state,
                display_id: 0,
            }),
            10..=12 => M::MouseMotion(inputs::MouseMotion {
                dx: self.below(9) as i32 - 4,
                dy: self.below(9) as i32 - 4,
                buttons_state,
            }),
            13 | 14 => M::KeyDown(inputs::Key { code: self.below(128) }),
            15 | 16 => M::KeyUp(inputs::Key {
                code: 128 + self.below(128),
            }),
            17 => M::KeyModifiers(inputs::KeyModifiers {
                modifiers: KeyboardModifiers(self.below(8) as u16),
            }),
            n => {
                let click = inputs::MouseClick {
                    button: MouseButton(1 + self.below(3) as u8),
                    buttons_state,
                };
                if n == 18 {
                    M::MousePress(click)
                } else {
                    M::MouseRelease(click)
                }
            }
        }
    }

    fn cursor(&mut self) -> cursor::ServerMessage {
        use cursor::ServerMessage as M;
        let position = cursor::Point16 {
            x: self.below(1920) as i16,
            y: self.below(1080) as i16,
        };
        match self.below(3) {
            0 => M::Move(cursor::Move { position }),
            _ => M::Set(cursor::Set {
                position,
                visible: 1,
                cursor: cursor::Cursor {
                    flags: CursorFlags(0),
                    header: Some(cursor::CursorHeader {
                        unique: self.next(),
                        r#type: CursorType(0),
                        width: 24,
                        height: 24,
                        hot_spot_x: 3,
                        hot_spot_y: 2,
                    }),
                    data: self.bytes(24 * 24 * 4),
                },
            }),
        }
    }

    /// `agent`: most bytes of agent data.
    pub(super) fn main(&mut self, agent: u32) -> main::ServerMessage {
        use main::ServerMessage as M;
        match self.below(12) {
            0..=3 => {
                let len = 20 + self.below(agent - 20);
                M::AgentData(main::AgentData { data: self.bytes(len) })
            }
            4 | 5 => M::AgentToken(main::AgentToken { num_tokens: 1 }),
            6 | 7 => M::MultiMediaTime(main::MultiMediaTime {
                time: self.next() as u32,
            }),
            8 => M::MouseMode(main::MouseMode {
                supported_modes: MouseModes(3),
                current_mode: MouseModes(2),
            }),
            9 => {
                let len = 10 + self.below(60);
                M::Common(common::ServerMessage::Notify(common::Notify {
                    time_stamp: self.next(),
                    severity: NotifySeverity(1),
                    visibility: NotifyVisibility(0),
                    what: 0,
                    message: self.bytes(len),
                }))
            }
            _ => M::Common(self.ping()),
        }
    }
}
