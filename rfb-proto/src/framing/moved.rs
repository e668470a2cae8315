//! What a relay knows of its client, so that the client can go on with another server.
//!
//! A client is not told that its server is another one, so the new server has to go on where the one before stopped. What
//! of the state of a connection can be carried over, and how:
//!
//! | state | what becomes of it |
//! |---|---|
//! | format of pixels, encodings | set again, as the client has set them |
//! | picture | asked for as a whole |
//! | size of the desktop | told by DesktopSize or ExtendedDesktopSize, if the client can; else there is no going on |
//! | zlib streams of zlib, ZRLE, ZYWRLE, Tight and TightPNG | go on: those of the new server lose their header |
//! | streams of ZlibHex, XZ and zstd | cannot go on: what the client has received once is not asked for again |
//! | fences | what the server before has not answered is answered; what the client answers late does not reach the new one |
//! | continuous updates | enabled again when the new server announces them; if it does not, updates are asked for |
//! | extensions that the new server has not announced | keys of QEMU become plain ones, as far as they have a keysym; the events of other buttons too; other messages are withheld |
//! | extended clipboard | each side announces anew what it takes |
//! | a message or an update that is half sent | is finished by the server before, or its missing rectangles are left empty; not so for a rectangle that is half sent |

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::Message;
use super::splice::Streams;
use super::watch::Verdict;
use crate::encoding::{Encoding, Rectangle};
use crate::error::{DecodeError, EncodeError};
use crate::init::ServerInit;
use crate::limits::Limits;
use crate::message::pseudo::ExtendedDesktopSize;
use crate::message::{
    ClientFence, ClientMessage, EnableContinuousUpdates, Extension, Extensions, FenceFlags, FramebufferUpdate,
    FramebufferUpdateRequest, KeyEvent, PointerEvent, QemuClientMessage, Screen, ServerFence, ServerMessage,
    SetEncodings, SetPixelFormat,
};
use crate::pixel_format::PixelFormat;

/// Fences of a client that are remembered until they are answered. No client has more than two under way.
const FENCES: usize = 16;
/// Answers in the relay's own name wait up to so many bytes; a client that asks for more gets none.
const OWN_WORDS: usize = 4096;

/// Why a client cannot go on with another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoveFault {
    /// The relay was not made for it: [`Relay::with_moves`](super::Relay::with_moves).
    #[error("the relay does not remember what its client wants")]
    NotKept,
    /// The server stopped inside of a rectangle.
    #[error("the server stopped inside of a rectangle")]
    InsideRectangle,
    /// The server stopped inside of a message.
    #[error("the server stopped inside of a message")]
    InsideMessage,
    /// The desktop has another size, and the client cannot be told.
    #[error("the desktop is {width} by {height} now, and the client cannot change its size")]
    Size {
        /// Width of the new server's framebuffer, in pixels.
        width: u16,
        /// Its height, in pixels.
        height: u16,
    },
    /// What the client has set cannot be set again.
    #[error(transparent)]
    Client(#[from] DecodeError),
    /// What is to be told to one of the sides has no wire form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What is known of the client.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    /// The format that the client counts on.
    format: PixelFormat,
    /// What it asked for last.
    asked: Option<SetEncodings>,
    /// Encodings from 0 to 31 that it has received, a bit each; and those that it had received from servers before.
    pub(super) used: u32,
    worn: u32,
    /// Its zlib streams.
    pub(super) streams: Streams,
    /// Where continuous updates are enabled.
    continuous: Option<EnableContinuousUpdates>,
    /// What its fences are to be answered with, the oldest first.
    unanswered: Vec<ServerFence>,
    /// Fences of the server that it has not answered.
    server_fences: u32,
    /// Answers of it to fences of servers before.
    orphans: u32,
    /// There was another server before this one.
    moved: bool,
    /// What was announced by servers before.
    announced: Extensions,
    /// The server has announced its continuous updates since.
    greeted: bool,
    /// What is sent in the relay's own name, when a message ends.
    pub(super) to_client: BytesMut,
    pub(super) to_server: [Option<Bytes>; 2],
}

/// What the relay sends to a new server, and what it sends to the client about it.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    pub(super) to_server: Vec<Bytes>,
    pub(super) to_client: BytesMut,
}

impl Carried {
    pub(super) fn new(format: PixelFormat) -> Self {
        Self {
            format,
            asked: None,
            used: 0,
            worn: 0,
            streams: Streams::default(),
            continuous: None,
            unanswered: Vec::new(),
            server_fences: 0,
            orphans: 0,
            moved: false,
            announced: Extensions::NONE,
            greeted: false,
            to_client: BytesMut::new(),
            to_server: [None, None],
        }
    }

    /// There was another server before this one.
    #[inline]
    pub(super) const fn has_moved(&self) -> bool {
        self.moved
    }

    /// What servers before have announced to the client.
    pub(super) const fn announced(&self) -> &Extensions {
        &self.announced
    }

    /// Whether the client has asked for this.
    pub(super) fn asks(&self, encoding: Encoding) -> bool {
        self.asked.as_ref().is_some_and(|set| set.encodings.contains(&encoding))
    }

    /// A whole message of the client goes on.
    #[inline]
    pub(super) fn client_sent(&mut self, message: &[u8], limits: &Limits) {
        match message.first() {
            Some(&(ClientMessage::SET_PIXEL_FORMAT | ClientMessage::SET_ENCODINGS)) => self.note(message, limits),
            Some(&(ClientMessage::ENABLE_CONTINUOUS_UPDATES | ClientMessage::CLIENT_FENCE)) => {
                self.note(message, limits);
            }
            _ => {}
        }
    }

    #[cold]
    fn note(&mut self, message: &[u8], limits: &Limits) {
        match ClientMessage::decode_slice(message, &Extensions::ALL, limits) {
            Ok(ClientMessage::SetPixelFormat(set)) => self.format = set.format,
            Ok(ClientMessage::SetEncodings(set)) => self.asked = Some(set),
            Ok(ClientMessage::EnableContinuousUpdates(enable)) => {
                self.continuous = (enable.enable != 0).then_some(enable);
            }
            Ok(ClientMessage::ClientFence(fence)) if !fence.flags.contains(FenceFlags::REQUEST) => {
                self.server_fences = self.server_fences.saturating_sub(1);
            }
            Ok(ClientMessage::ClientFence(fence)) => {
                if self.unanswered.len() == FENCES {
                    self.unanswered.remove(0);
                }
                self.unanswered.extend(fence.answer());
            }
            _ => {}
        }
    }

    /// A whole message of the server. `true`: it does not go on.
    #[inline]
    pub(super) fn server_sent(&mut self, message: &Message<'_>) -> bool {
        match message.bytes {
            [ServerMessage::SERVER_FENCE, _, _, _, a, b, c, d, ..] => {
                let flags = FenceFlags(u32::from_be_bytes([*a, *b, *c, *d]));
                if flags.contains(FenceFlags::REQUEST) {
                    self.server_fences = self.server_fences.saturating_add(1);
                } else if !self.unanswered.is_empty() {
                    self.unanswered.remove(0);
                }
                false
            }
            [ServerMessage::END_OF_CONTINUOUS_UPDATES] if self.moved => self.goes_on(),
            _ => false,
        }
    }

    /// The new server has continuous updates. `true`: the client need not know, since it has them already.
    fn goes_on(&mut self) -> bool {
        let Some(enable) = self.continuous.filter(|_| !self.greeted) else {
            return false;
        };
        self.greeted = true;
        let [first, _] = &mut self.to_server;
        *first = encoded(&enable.into()).ok();
        true
    }

    /// An update has ended. A server without continuous updates is asked for the next one, for a client that counts on
    /// getting them.
    #[cold]
    pub(super) fn update_ended(&mut self, extensions: &Extensions) {
        if let (Some(area), false) = (self.continuous, extensions.agreed(Extension::ContinuousUpdates)) {
            let EnableContinuousUpdates {
                x, y, width, height, ..
            } = area;
            let incremental = 1;
            let request = FramebufferUpdateRequest {
                incremental,
                x,
                y,
                width,
                height,
            };
            let [_, second] = &mut self.to_server;
            *second = encoded(&request.into()).ok();
        }
    }

    /// What becomes of a message of the client, which counts on what servers before have announced. `own`: what it was
    /// read with.
    #[cold]
    pub(super) fn translated(
        &mut self,
        message: &[u8],
        verdict: Verdict,
        own: &Extensions,
        server: &Extensions,
        limits: &Limits,
    ) -> Verdict {
        let bytes = match &verdict {
            Verdict::Replace(bytes) => bytes,
            _ => message,
        };
        let Ok(decoded) = ClientMessage::decode_slice(bytes, own, limits) else {
            return verdict;
        };
        match decoded {
            ClientMessage::SetEncodings(mut set) => {
                let before = set.encodings.len();
                set.encodings.retain(|encoding| !self.is_worn(*encoding));
                if set.encodings.len() == before {
                    return verdict;
                }
                instead(&set.into())
            }
            ClientMessage::ClientFence(fence) => self.fence(&fence, verdict, server),
            ClientMessage::PointerEvent(event) if event.extended && !server.agreed(Extension::ExtendedMouseButtons) => {
                let PointerEvent { buttons, x, y, .. } = event;
                instead(&PointerEvent::new(buttons & 0x7f, x, y, server).into())
            }
            ClientMessage::QemuClientMessage(QemuClientMessage::ExtendedKeyEvent(event))
                if !server.agreed(Extension::QemuExtendedKeyEvent) =>
            {
                if event.keysym == 0 {
                    return Verdict::Withhold;
                }
                let key = KeyEvent {
                    down: u8::from(event.down != 0),
                    padding: [0; 2],
                    keysym: event.keysym,
                };
                instead(&key.into())
            }
            ClientMessage::EnableContinuousUpdates(enable) if !server.agreed(Extension::ContinuousUpdates) => {
                self.continuous = (enable.enable != 0).then_some(enable);
                Verdict::Withhold
            }
            other if !server.allow(&other) => Verdict::Withhold,
            _ => verdict,
        }
    }

    fn fence(&mut self, fence: &ClientFence, verdict: Verdict, server: &Extensions) -> Verdict {
        let asks = fence.flags.contains(FenceFlags::REQUEST);
        if !asks && 0 < self.orphans {
            self.orphans = self.orphans.saturating_sub(1);
            return Verdict::Withhold;
        }
        if server.agreed(Extension::Fence) {
            return verdict;
        }
        if let (Some(answer), true) = (fence.answer(), self.to_client.len() < OWN_WORDS) {
            // INVARIANT: its payload is that of a fence.
            let _ = answer.encode(&mut self.to_client);
        }
        Verdict::Withhold
    }

    /// Whether the client's decoder of this encoding cannot begin anew.
    fn is_worn(&self, encoding: Encoding) -> bool {
        match encoding {
            Encoding::QUEUE_ZIP | Encoding::ULTRA_ZIP | Encoding::QUEUE_ZSTD => true,
            Encoding::ZLIB_HEX
            | Encoding::XZ
            | Encoding::XZYW
            | Encoding::ZSTD
            | Encoding::TIGHT_ZSTD
            | Encoding::ZSTD_HEX
            | Encoding::ZSTD_RLE
            | Encoding::ZSTD_YWRLE => {
                u32::try_from(encoding.0).is_ok_and(|number| self.worn & 1_u32.wrapping_shl(number) != 0)
            }
            _ => false,
        }
    }

    /// The server is another one from here on. `before`: what the one before announced, `framebuffer`: the size that
    /// the client knows.
    pub(super) fn moved(
        &mut self,
        init: &ServerInit,
        before: &Extensions,
        framebuffer: (u16, u16),
    ) -> Result<Greeting, MoveFault> {
        let mut greeting = Greeting::default();
        if framebuffer != (init.width, init.height) {
            self.tell_size(init, &mut greeting.to_client)?;
        }
        for answer in self.unanswered.drain(..) {
            answer.encode(&mut greeting.to_client)?;
        }
        self.worn |= self.used;
        let mut set = self.asked.clone().unwrap_or_else(|| SetEncodings::new(&[]));
        set.encodings.retain(|encoding| !self.is_worn(*encoding));
        greeting
            .to_server
            .push(encoded(&SetPixelFormat::new(self.format).into())?);
        if self.asked.is_some() {
            greeting.to_server.push(encoded(&set.into())?);
        }
        let request = FramebufferUpdateRequest {
            incremental: 0,
            x: 0,
            y: 0,
            width: init.width,
            height: init.height,
        };
        greeting.to_server.push(encoded(&request.into())?);
        self.announced = self.announced.announced_by(before);
        self.orphans = self.orphans.saturating_add(core::mem::take(&mut self.server_fences));
        self.moved = true;
        self.streams.moved();
        self.greeted = false;
        self.to_client.clear();
        self.to_server = [None, None];
        Ok(greeting)
    }

    /// An update that tells the client the new size.
    fn tell_size(&self, init: &ServerInit, to_client: &mut BytesMut) -> Result<(), MoveFault> {
        let (width, height) = (init.width, init.height);
        let known = [Encoding::DESKTOP_SIZE, Encoding::EXTENDED_DESKTOP_SIZE];
        let Some(encoding) = known.into_iter().find(|encoding| self.asks(*encoding)) else {
            return Err(MoveFault::Size { width, height });
        };
        let (padding, rectangles) = (0, 1);
        FramebufferUpdate { padding, rectangles }.encode(to_client)?;
        let (x, y) = (0, 0);
        let rectangle = Rectangle {
            x,
            y,
            width,
            height,
            encoding,
        };
        rectangle.encode(to_client)?;
        if encoding == Encoding::EXTENDED_DESKTOP_SIZE {
            let (id, flags) = (0, 0);
            let screen = Screen {
                id,
                x,
                y,
                width,
                height,
                flags,
            };
            let size = ExtendedDesktopSize {
                padding: [0; 3],
                screens: [screen].into(),
            };
            size.encode(to_client)?;
        }
        Ok(())
    }
}

fn encoded(message: &ClientMessage) -> Result<Bytes, EncodeError> {
    let mut bytes = BytesMut::with_capacity(message.encoded_len());
    message.encode(&mut bytes)?;
    Ok(bytes.freeze())
}

/// This message in place of another one.
fn instead(message: &ClientMessage) -> Verdict {
    // INVARIANT: it was made of what came from the wire.
    encoded(message).map_or(Verdict::Withhold, Verdict::Replace)
}

/// Rectangles that are made up at most, for a client that does not know the mark. TigerVNC says 65,535 and means an end
/// that is marked; no server says thousands and does not send them.
const FILLED: u32 = 4096;

/// The rest of an update whose server is gone: rectangles without pixels, or the mark that no more follow.
pub(super) fn fill(rectangles: u32, has_last: bool, to_client: &mut BytesMut) -> Result<(), MoveFault> {
    if !has_last && FILLED < rectangles {
        return Err(MoveFault::InsideMessage);
    }
    let encoding = if has_last { Encoding::LAST_RECT } else { Encoding::RAW };
    let (x, y, width, height) = (0, 0, 0, 0);
    let empty = Rectangle {
        x,
        y,
        width,
        height,
        encoding,
    };
    for _ in 0..(if has_last { 1 } else { rectangles }) {
        empty.encode(to_client)?;
    }
    Ok(())
}

/// Remembers nothing, or what is needed.
pub(super) type Kept = Option<Box<Carried>>;
