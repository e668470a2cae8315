//! The conversation between the client and the guest's agent, inside `AGENT_DATA` of the main channel.
//!
//! The bodies of all `AGENT_DATA` of one direction are one stream of agent messages (`VDAgentMessage`):
//!
//! ```text
//! | protocol u32 = 1 | type u32 | opaque u64 | size u32 | data: size bytes |     little-endian
//! ```
//!
//! A message may be spread over many `AGENT_DATA`; each of these costs the sender a token ([`Tokens`]).
//! What else a stream may look like depends on its reader ([`Receiver`]), so there are two ways to read
//! one: [`Stream`] shows the parts of messages as they come and holds no more than the beginning of a
//! head, [`Assembler`] gives whole messages as [`Frame`]s. [`Filter`] lets some messages of a stream pass
//! and drops others while they stream by. [`Pieces`] cuts a message for sending.
//!
//! A [`Frame`] decodes to a [`Message`]; the form of some depends on what both sides announced
//! ([`Agreed`]). A [`Conversation`] puts all this together for a program that sees both directions. Between the server
//! and the guest the same messages go over a serial port in [`chunk`]s.
//!
//! ```
//! use bytes::Bytes;
//! use spice_proto::Limits;
//! use spice_proto::agent::{Assembler, ClipboardGrab, Message, Pieces, Receiver, caps};
//! use spice_proto::ids::{ClipboardSelection, ClipboardType};
//!
//! let agreed = caps::Agreed::of(&[caps::CLIPBOARD_BY_DEMAND, caps::CLIPBOARD_SELECTION]);
//! let grab = Message::ClipboardGrab(ClipboardGrab {
//!     selection: agreed.selection(ClipboardSelection::PRIMARY),
//!     serial: agreed.serial(7), // none, as the bit is not agreed
//!     types: vec![ClipboardType::UTF8_TEXT],
//! });
//! let mut received = Assembler::new(Receiver::Server, &Limits::default());
//! for body in Pieces::new(&grab)? {
//!     assert!(body.len() <= 2048); // each is the body of one AGENT_DATA and takes a token
//!     for frame in received.frames(&body) {
//!         assert_eq!(Message::decode(&frame?, agreed)?, grab);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod caps;
pub mod chunk;
mod clipboard;
mod conversation;
mod file_xfer;
mod filter;
mod guest;
mod message;
mod pieces;
mod stream;
mod tokens;

pub use caps::{Agreed, AnnounceCapabilities, Announced};
pub use clipboard::{Clipboard, ClipboardGrab, ClipboardRelease, ClipboardRequest, Selection};
pub use conversation::{Conversation, ConversationError};
pub use file_xfer::{FileXferData, FileXferDetail, FileXferStart, FileXferStatus};
pub use filter::{Filter, FilterDecision, Passage};
pub use guest::{
    AudioVolumeSync, DeviceDisplayInfo, DisplayConfig, GraphicsDeviceInfo, MaxClipboard, MonConfig, MonitorMm,
    MonitorsConfig, MouseState, Reply,
};
pub use message::{Frame, Message, MessageHeader};
pub use pieces::Pieces;
pub use stream::{Assembler, Frames, Part, Parts, Receiver, Stream};
pub use tokens::{Delivery, TokenError, Tokens};

/// Most bytes that spice-server takes in one `AGENT_DATA`, and in one chunk (`VD_AGENT_MAX_DATA_SIZE`).
pub const MAX_DATA: usize = 2048;

/// The only protocol number there is (`VD_AGENT_PROTOCOL`).
pub const PROTOCOL: u32 = 1;
