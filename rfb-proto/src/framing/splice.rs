//! The zlib streams of a client whose server is another one.
//!
//! A server begins its streams with the header of zlib, and the client is in the middle of those of the server before. But
//! servers flush each rectangle to a whole byte (`Z_SYNC_FLUSH`: QEMU, TigerVNC and libvncserver do), so the blocks of
//! one stream can follow those of another; what they refer back to is their own. So the header of the new stream is
//! all that has to go, two bytes of the first rectangle that uses it, and its length is two less.
//!
//! Tight has bits that reset a stream, and they are not used for it: noVNC, up to the one of today, cannot inflate what
//! refers back once a stream was reset (its inflater keeps no window from then on).

use bytes::BytesMut;

use super::watch::Verdict;
use crate::encoding::walk::{Context, Deflated, ZLIB_HEADER, deflated, put_length};
use crate::encoding::{Encoding, Rectangle};
use crate::fields::Fixed;

/// Bytes of a rectangle's head.
const HEAD: usize = <Rectangle as Fixed>::SIZE;
/// What is cut out, as a length on the wire: [`ZLIB_HEADER`].
const CUT_LEN: u32 = 2;
/// The streams of a client: four of Tight, four of TightPNG, one of zlib, one of ZRLE and ZYWRLE.
const STREAMS: usize = 10;
const ZLIB: u16 = 0x100;
const ZRLE: u16 = 0x200;

/// Which of them have begun.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams {
    /// They have begun, and go on as they come.
    running: u16,
    /// Of Tight and TightPNG: a bit for each upper half of a first byte that uses none of those that have not.
    usual: [u16; 2],
    /// They have begun, with a server before.
    spliced: u16,
    /// The first byte of the header that each has begun with.
    headers: [u8; STREAMS],
}

/// What becomes of a rectangle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Splice {
    Pass,
    /// More of it has to be there.
    Wait,
    /// Its header is to be cut out.
    Cut(Cut),
    /// It cannot be: the stream does not begin as one of zlib does, or needs a larger window.
    Fault,
}

/// Where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    length: core::ops::Range<usize>,
    len: u32,
}

impl Streams {
    /// The server is another one.
    pub(super) fn moved(&mut self) {
        self.spliced |= self.running;
        self.run(0);
    }

    /// So these run.
    fn run(&mut self, running: u16) {
        self.running = running;
        // The two bits of the stream, with and without a filter; all others use none.
        let usual = |tight: u16| 0xff00 | tight.wrapping_mul(0x11);
        self.usual = [usual(running & 0x0f), usual(running >> 4 & 0x0f)];
    }

    /// Whether a rectangle has to be [looked at](Self::look): it uses a stream that has not begun, or begins it anew.
    /// `used`: the encodings from 0 to 31 that have come.
    #[inline(always)]
    pub(super) fn concern(&self, rectangle: &Rectangle, rest: &[u8], used: &mut u32) -> bool {
        match rectangle.encoding {
            Encoding::RAW | Encoding::COPY_RECT | Encoding::HEXTILE => false,
            Encoding::TIGHT => rest.first().is_none_or(|control| is_new(*control, self.usual[0])),
            Encoding::TIGHT_PNG => rest.first().is_none_or(|control| is_new(*control, self.usual[1])),
            Encoding::ZLIB => self.running & ZLIB == 0,
            Encoding::ZRLE | Encoding::ZYWRLE => self.running & ZRLE == 0,
            Encoding(number) => {
                if let Ok(number @ 0..=31) = u32::try_from(number) {
                    *used |= 1_u32.wrapping_shl(number);
                }
                false
            }
        }
    }

    /// Looks at the rectangle at the front of `src`, whose head is there.
    #[cold]
    pub(super) fn look(&mut self, rectangle: &Rectangle, src: &[u8], context: &Context) -> Splice {
        let payload = src.get(HEAD..).unwrap_or_default();
        let Some(control) = payload.first() else {
            return Splice::Wait;
        };
        let (stream, resets) = match rectangle.encoding {
            Encoding::TIGHT => (control >> 4 & 3, u16::from(control & 0x0f)),
            Encoding::TIGHT_PNG => (
                (control >> 4 & 3).wrapping_add(4),
                u16::from(control & 0x0f).wrapping_shl(4),
            ),
            Encoding::ZLIB => (8, 0),
            _ => (9, 0),
        };
        self.run(self.running & !resets);
        self.spliced &= !resets;
        let (length, len) = match deflated(rectangle, payload, context) {
            Deflated::Nothing => return Splice::Pass,
            Deflated::Unknown => return Splice::Wait,
            Deflated::Data { length, len } => (length, len),
        };
        let bit = 1_u16.wrapping_shl(stream.into());
        let header = payload
            .get(length.end..)
            .and_then(|data| data.first_chunk::<ZLIB_HEADER>());
        let (Some(header), Some(begun)) = (header, self.headers.get_mut(usize::from(stream))) else {
            return Splice::Wait;
        };
        if self.running & bit != 0 {
            return Splice::Pass;
        }
        if self.spliced & bit == 0 {
            [*begun, _] = *header;
            self.run(self.running | bit);
            return Splice::Pass;
        }
        let [first, _] = *header;
        // The method and the size of the window, that it is a header at all, and that it has no dictionary.
        let fits = first & 0x0f == 8 && first >> 4 <= *begun >> 4;
        if !fits || u16::from_be_bytes(*header) % 31 != 0 || header[1] & 0x20 != 0 || len < CUT_LEN {
            return Splice::Fault;
        }
        self.run(self.running | bit);
        self.spliced &= !bit;
        Splice::Cut(Cut { length, len })
    }
}

/// Whether a rectangle of Tight with this first byte resets a stream, or uses one that has not begun.
#[inline(always)]
fn is_new(control: u8, usual: u16) -> bool {
    control & 0x0f != 0 || usual.wrapping_shr(u32::from(control >> 4)) & 1 == 0
}

impl Cut {
    /// The rectangle without the header of its stream. `bytes`: what there is of it, from its head on.
    pub(super) fn apply(&self, encoding: Encoding, bytes: &[u8]) -> Verdict {
        let (start, end) = (
            self.length.start.saturating_add(HEAD),
            self.length.end.saturating_add(HEAD),
        );
        let mut cut = BytesMut::with_capacity(bytes.len());
        cut.extend_from_slice(bytes.get(..start).unwrap_or_default());
        put_length(encoding, self.len.saturating_sub(CUT_LEN), &mut cut);
        cut.extend_from_slice(bytes.get(end.saturating_add(ZLIB_HEADER)..).unwrap_or_default());
        Verdict::Replace(cut.freeze())
    }
}
