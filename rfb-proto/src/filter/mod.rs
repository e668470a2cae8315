//! What a proxy lets through: rules over messages, without a connection and without a clock.
//!
//! [`Filter`] is what is allowed, and judges one message at a time; [`InputRate`] bounds how fast keys and the mouse
//! may come, with the time as an argument. [`Guard`] puts both into a [`Relay`](crate::framing::Relay).
//!
//! A session goes on whatever is withheld: requests for updates, fences, formats and the negotiation of the extended
//! clipboard always pass. What the server would send unasked is not taken out of its stream, but out of what the client
//! asks for ([`Filter::encodings`]): so it never comes, and both ends keep the same idea of the connection.

mod guard;
mod rate;

pub use guard::Guard;
pub use rate::InputRate;

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::encoding::{Encoding, Rectangle};
use crate::error::EncodeError;
use crate::framing::Verdict;
use crate::limits::Limits;
use crate::message::pseudo::{ExtendedDesktopSize, ResizeReason, ResizeStatus};
use crate::message::{
    ClientMessage, ExtendedClipboard, Extension, FramebufferUpdate, GiiSubtype, Provide, QemuClientMessage, Screen,
    ServerMessage, SetEncodings,
};

/// What becomes of the clipboard in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Clipboard {
    /// It passes.
    #[default]
    Pass,
    /// It passes up to so many bytes, counted when they are unpacked; what is longer is withheld as a whole.
    AtMost(u32),
    /// It is withheld.
    Withhold,
}

/// What is let through. By default everything is, but for UltraVNC's files: a connection that transfers some cannot
/// be followed safely.
///
/// ```
/// use rfb_proto::Limits;
/// use rfb_proto::filter::Filter;
/// use rfb_proto::framing::Verdict;
/// use rfb_proto::message::KeyEvent;
///
/// let key = KeyEvent { down: 1, padding: [0; 2], keysym: 0x61 }.into();
/// assert_eq!(Filter::default().client(&key, &Limits::default()), Verdict::Pass);
/// assert_eq!(Filter::view_only().client(&key, &Limits::default()), Verdict::Withhold);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Keys pass.
    pub keyboard: bool,
    /// The mouse and other devices pass.
    pub pointer: bool,
    /// The client's clipboard.
    pub clipboard_to_server: Clipboard,
    /// The server's clipboard.
    pub clipboard_to_client: Clipboard,
    /// The client may change the size of the desktop. If it may not, it should be told: [`resize_refused`].
    pub resize: bool,
    /// The client may shut the machine down and restart it (xvp).
    pub power: bool,
    /// UltraVNC's files pass, in both directions.
    pub files: bool,
    /// UltraVNC's chat passes, in both directions.
    pub chat: bool,
    /// Encodings and extensions that the server is not asked for. Messages of such an extension are withheld too.
    pub withheld: Vec<Encoding>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            keyboard: true,
            pointer: true,
            clipboard_to_server: Clipboard::Pass,
            clipboard_to_client: Clipboard::Pass,
            resize: true,
            power: true,
            files: false,
            chat: true,
            withheld: Vec::new(),
        }
    }
}

impl Filter {
    /// The client sees everything, the server's clipboard too, and can do nothing.
    #[must_use]
    pub fn view_only() -> Self {
        Self {
            keyboard: false,
            pointer: false,
            clipboard_to_server: Clipboard::Withhold,
            resize: false,
            power: false,
            chat: false,
            ..Self::default()
        }
    }

    /// Sets [`Filter::keyboard`].
    #[must_use]
    pub fn with_keyboard(mut self, passes: bool) -> Self {
        self.keyboard = passes;
        self
    }

    /// Sets [`Filter::pointer`].
    #[must_use]
    pub fn with_pointer(mut self, passes: bool) -> Self {
        self.pointer = passes;
        self
    }

    /// Sets [`Filter::clipboard_to_server`].
    #[must_use]
    pub fn with_clipboard_to_server(mut self, clipboard: Clipboard) -> Self {
        self.clipboard_to_server = clipboard;
        self
    }

    /// Sets [`Filter::clipboard_to_client`].
    #[must_use]
    pub fn with_clipboard_to_client(mut self, clipboard: Clipboard) -> Self {
        self.clipboard_to_client = clipboard;
        self
    }

    /// Sets [`Filter::resize`].
    #[must_use]
    pub fn with_resize(mut self, passes: bool) -> Self {
        self.resize = passes;
        self
    }

    /// Sets [`Filter::power`].
    #[must_use]
    pub fn with_power(mut self, passes: bool) -> Self {
        self.power = passes;
        self
    }

    /// Sets [`Filter::files`].
    #[must_use]
    pub fn with_files(mut self, passes: bool) -> Self {
        self.files = passes;
        self
    }

    /// Sets [`Filter::chat`].
    #[must_use]
    pub fn with_chat(mut self, passes: bool) -> Self {
        self.chat = passes;
        self
    }

    /// Sets [`Filter::withheld`].
    #[must_use]
    pub fn with_withheld(mut self, encodings: &[Encoding]) -> Self {
        self.withheld = encodings.into();
        self
    }

    /// Judges a message of the client.
    #[must_use]
    pub fn client(&self, message: &ClientMessage, limits: &Limits) -> Verdict {
        if Extension::of_message(message).is_some_and(|extension| self.withheld.contains(&extension.encoding())) {
            return Verdict::Withhold;
        }
        let passes = match message {
            ClientMessage::SetEncodings(set) => return self.set_encodings(set),
            ClientMessage::ClientCutText(text) => match text.extended(limits) {
                None => self.clipboard_to_server.takes(text.text.len() as u64),
                Some(Ok(extended)) => {
                    extended_passes(&extended, self.clipboard_to_server, self.clipboard_to_client, limits)
                }
                // What makes no sense here might to the server.
                Some(Err(_)) => {
                    self.clipboard_to_server == Clipboard::Pass && self.clipboard_to_client == Clipboard::Pass
                }
            },
            ClientMessage::KeyEvent(_) | ClientMessage::QemuClientMessage(QemuClientMessage::ExtendedKeyEvent(_)) => {
                self.keyboard
            }
            ClientMessage::PointerEvent(_) => self.pointer,
            ClientMessage::Gii(gii) if gii.subtype() == GiiSubtype::EVENTS => self.keyboard && self.pointer,
            // The server's own user is locked out, or another window is shown.
            ClientMessage::SetServerInput(_) | ClientMessage::SetSw(_) | ClientMessage::SetMonitor(_) => {
                self.keyboard && self.pointer
            }
            ClientMessage::SetDesktopSize(_) => self.resize,
            ClientMessage::Xvp(_) => self.power,
            ClientMessage::FileTransfer(_) => self.files,
            ClientMessage::TextChat(_) => self.chat,
            _ => true,
        };
        Verdict::of(passes)
    }

    /// Judges a message of the server.
    #[must_use]
    pub fn server(&self, message: &ServerMessage, limits: &Limits) -> Verdict {
        let passes = match message {
            ServerMessage::ServerCutText(text) => match text.extended(limits) {
                None => self.clipboard_to_client.takes(text.text.len() as u64),
                Some(Ok(extended)) => {
                    extended_passes(&extended, self.clipboard_to_client, self.clipboard_to_server, limits)
                }
                Some(Err(_)) => {
                    self.clipboard_to_server == Clipboard::Pass && self.clipboard_to_client == Clipboard::Pass
                }
            },
            ServerMessage::FileTransfer(_) => self.files,
            ServerMessage::TextChat(_) => self.chat,
            _ => true,
        };
        Verdict::of(passes)
    }

    /// The encodings that the server is asked for: those of the client without [`Filter::withheld`], in its order.
    pub fn encodings<'a>(&'a self, asked: &'a [Encoding]) -> impl Iterator<Item = Encoding> + 'a {
        let asked = asked.iter().copied();
        asked.filter(|encoding| !self.withheld.contains(encoding))
    }

    fn set_encodings(&self, set: &SetEncodings) -> Verdict {
        let encodings: Vec<Encoding> = self.encodings(&set.encodings).collect();
        if encodings.len() == set.encodings.len() {
            return Verdict::Pass;
        }
        let padding = set.padding;
        Verdict::instead(&SetEncodings { padding, encodings }.into())
    }
}

impl Clipboard {
    /// Whether so many bytes pass.
    #[must_use]
    pub const fn takes(self, bytes: u64) -> bool {
        match self {
            Self::Pass => true,
            Self::AtMost(limit) => bytes <= limit as u64,
            Self::Withhold => false,
        }
    }
}

impl Verdict {
    const fn of(passes: bool) -> Self {
        if passes { Self::Pass } else { Self::Withhold }
    }

    /// This message in place of the one that was judged.
    fn instead(message: &ClientMessage) -> Self {
        let mut bytes = BytesMut::with_capacity(message.encoded_len());
        match message.encode(&mut bytes) {
            Ok(()) => Self::Replace(bytes.freeze()),
            // Not with what came from the wire and got smaller.
            Err(_) => Self::Withhold,
        }
    }
}

/// Whether a message of the extended clipboard passes. `own` is the rule for what its sender has, `other` for what it
/// wants.
fn extended_passes(message: &ExtendedClipboard, own: Clipboard, other: Clipboard, limits: &Limits) -> bool {
    match message {
        // Negotiation: without it the peer might do without the clipboard for ever, or wait.
        ExtendedClipboard::Caps { .. } => true,
        ExtendedClipboard::Notify { .. } => own != Clipboard::Withhold,
        ExtendedClipboard::Provide(provide) => match own {
            Clipboard::Pass => true,
            Clipboard::AtMost(limit) => is_within(provide, limit, limits),
            Clipboard::Withhold => false,
        },
        ExtendedClipboard::Request { .. } | ExtendedClipboard::Peek { .. } => other != Clipboard::Withhold,
    }
}

/// Whether the data have at most so many bytes, all formats together. What does not unpack has too many.
fn is_within(provide: &Provide, limit: u32, limits: &Limits) -> bool {
    // Each has a length in front of it, which is not counted.
    let lengths = u32::try_from(provide.flags.formats().count().saturating_mul(size_of::<u32>())).unwrap_or(u32::MAX);
    let limits = limits
        .clone()
        .with_clipboard(limit.saturating_add(lengths).min(limits.clipboard));
    provide.unpack(&limits).is_ok()
}

/// The server's answer to a [`SetDesktopSize`](crate::message::SetDesktopSize) that it did not get: it is prohibited, and
/// the desktop is as it was. It can be sent to the client wherever a message of the server ends.
///
/// # Errors
/// More than 255 screens.
pub fn resize_refused(framebuffer: (u16, u16), screens: &[Screen]) -> Result<Bytes, EncodeError> {
    let (width, height) = framebuffer;
    let (padding, rectangles) = (0, 1);
    let rectangle = Rectangle {
        x: ResizeReason::THIS_CLIENT.0,
        y: ResizeStatus::PROHIBITED.0,
        width,
        height,
        encoding: Encoding::EXTENDED_DESKTOP_SIZE,
    };
    let size = ExtendedDesktopSize {
        padding: [0; 3],
        screens: screens.into(),
    };
    let mut answer = BytesMut::new();
    FramebufferUpdate { padding, rectangles }.encode(&mut answer)?;
    rectangle.encode(&mut answer)?;
    size.encode(&mut answer)?;
    Ok(answer.freeze())
}
