//! Messages, and where rectangles end.
//!
//! # Messages
//!
//! All messages of RFC 6143 and of the community's specification, in both directions: [`ClientMessage`](crate::message::ClientMessage)
//! and [`ServerMessage`](crate::message::ServerMessage). Those of QEMU, UltraVNC, PalmVNC, xvp and gii are among them, fences, continuous
//! updates, ExtendedDesktopSize, more than eight mouse buttons, and the extended clipboard, whose data are unpacked on request.
//! What rectangles hold that are no pictures is in [`message::pseudo`](crate::message::pseudo). Not known, and an error, are the messages of VMware, of
//! TightVNC's file transfer and of MirrorLink: nothing published tells how long they are.
//!
//! What the two sides have agreed on changes the form of two messages. [`Extensions`](crate::message::Extensions) learns it from what
//! goes by:
//!
//! ```rust
//! use rfb_proto::Limits;
//! use rfb_proto::message::{ClientMessage, ClientMessages, Extensions};
//!
//! // A button above the eighth: seven bytes where it was agreed on. Then a key of which only the beginning is there.
//! let rx = b"\x05\x80\0\x0a\0\x14\x02\x04\x01";
//! let (mut extensions, limits) = (Extensions::ALL, Limits::default());
//! let mut messages = ClientMessages::new(rx, &mut extensions, &limits);
//! let Some(ClientMessage::PointerEvent(event)) = messages.next() else { panic!() };
//! assert_eq!((event.buttons, event.x, event.y), (0x100, 10, 20));
//! assert_eq!((messages.next(), messages.finish()?), (None, 7));
//! # Ok::<(), rfb_proto::DecodeError>(())
//! ```
//!
//! Every message has `decode`, `decode_slice`, `missing`, `encode` and `encoded_len`. RFB has no frames, so a driver asks
//! `missing` how many more bytes to read, decodes when the answer is 0, and drops `encoded_len` bytes from its buffer. The
//! version line, always 12 bytes, has `from_bytes`, `missing` and `to_bytes`. What decodes encodes to the same bytes again.
//!
//! # Where rectangles end
//!
//! An update is as long as its rectangles, and no rectangle says how long it is. A
//! [`ServerFramer`](crate::framing::ServerFramer) finds their ends by control bytes alone: nothing is inflated, copied or allocated,
//! and it goes on at any byte. Payloads come out as they lie in the buffer.
//!
//! | found by | encodings |
//! |---|---|
//! | nothing: no payload | DesktopSize, LastRect, PointerPos, the marks of QEMU's extensions, ExtendedMouseButtons, ExtViewSize, NTP, and others |
//! | the size of the rectangle | Raw, CopyRect, XZ, XZYW, Cursor, X Cursor, LED states, PTS, VMware's notices, libvncserver's |
//! | a length or a count | RRE, CoRRE, zlib, ZRLE, ZYWRLE, Zstd, ZSTDRLE, ZSTDYWRLE, Ultra, UltraVNC's queues, Open H.264, DesktopName, ExtendedDesktopSize, VMware Cursor, ClientRedirect |
//! | control bytes, part by part | Hextile, ZlibHex, ZstdHex, TRLE, Tight, TightZstd, Tight without zlib, TightPNG |
//! | the encoding inside | Cursor With Alpha |
//! | an end marker | JPEG |
//! | nothing that is known | VA H.264, RealVNC's 10, 20 and 22, Apple's, UltraVNC's cache: an error that names them |
//!
//! ```rust
//! use bytes::BytesMut;
//! use rfb_proto::framing::{Ends, Piece, Relay, Watch};
//! use rfb_proto::{Limits, PixelFormat, ServerInit};
//!
//! #[derive(Default)]
//! struct Counter { rectangles: usize, bytes: usize }
//!
//! impl Watch for Counter {
//!     fn rectangle(&mut self, piece: &Piece<'_>) {
//!         self.bytes += piece.payload.len();
//!         self.rectangles += usize::from(piece.ends != Ends::Nothing);
//!     }
//! }
//!
//! // Behind the handshake: what the server showed there, and both streams.
//! let init = ServerInit { width: 640, height: 480, format: PixelFormat::RGB888, name: Default::default() };
//! let mut relay = Relay::new(&init, &Limits::default());
//! let mut counter = Counter::default();
//! let (mut from_server, mut to_client) = (BytesMut::new(), BytesMut::new());
//! // An update of one rectangle, ZRLE, 3 bytes of data; they come in two reads.
//! for read in [&b"\0\0\0\x01\0\0\0\0\0\x10\0\x10\0\0\0\x10\0\0"[..], b"\0\x03abc"] {
//!     from_server.extend_from_slice(read);
//!     relay.from_server(&mut from_server, &mut to_client, &mut counter)?;
//! }
//! assert_eq!((counter.rectangles, counter.bytes), (1, 7));
//! assert_eq!(to_client.len(), 23); // all of it goes on, unchanged
//! # Ok::<(), rfb_proto::framing::FramingError>(())
//! ```
//!
//! A [`Relay`](crate::framing::Relay) sees the client too, so it knows the format of pixels, also while it changes, and takes out of
//! what a client asks for what could not be framed. A watch that looks at a few messages only says so
//! ([`Watch::bypass`](crate::framing::Watch::bypass)): requests, keys, pointer events and pictures that it names pass a whole
//! buffer at a time, at half the cost and less.
//!
//! How many bytes a colour of Tight has depends on the server: at 32 bits a pixel QEMU packs colours into 3 bytes whatever
//! the depth, all others do so at depth 24 only. A framer recognises QEMU by the name of the desktop, or by the caller's word
//! ([`PixelRules`](crate::PixelRules)); a relay can also write depth 24 into what a client sets, where the client does not go by the depth
//! itself.
