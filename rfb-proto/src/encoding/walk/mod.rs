//! Where a payload ends.
//!
//! A payload is a run of opaque bytes, then a few control bytes that tell how long the next run is, and so on. A
//! [`Walk`] is always between the two: so many bytes to skip, and what lies behind them. Control bytes are taken
//! together or not at all, and never more than 16; whatever else has come is taken at once. So a walk goes on at any
//! byte, holds nothing and looks at no opaque byte, JPEG's entropy data excepted.

mod deflated;
mod jpeg;
mod step;
mod tight;
mod tiles;

pub(crate) use deflated::{Deflated, ZLIB_HEADER, deflated, put_length};
pub(crate) use step::{Context, Fault, Need, PixelSizes, Progress};

use super::{Encoding, Rectangle};
use crate::error::DecodeErrorKind;

use step::{Count, Hextile, Jpeg, Next, Step, Tight, Trle};

/// The length of a payload that lies in `src` as a whole, in the encodings that most rectangles have. It is what a
/// [`Walk`] finds, without one. `None`: that has to look.
#[inline(always)]
pub(crate) fn whole(rectangle: &Rectangle, src: &[u8], context: &Context) -> Option<usize> {
    let len = match rectangle.encoding {
        // At most 2^16 * 2^16 * 4: this does not wrap.
        Encoding::RAW => area(rectangle).wrapping_mul(context.sizes.pixel.into()),
        Encoding::COPY_RECT => 4,
        _ => whole_counted(rectangle, src, context)?,
    };
    if u64::from(context.limit) < len || (src.len() as u64) < len {
        return None;
    }
    usize::try_from(len).ok()
}

/// The same for Hextile, whose tiles are gone through: not for a caller's loop.
pub(crate) fn whole_tiles(rectangle: &Rectangle, src: &[u8], context: &Context) -> Option<usize> {
    let len = match rectangle.encoding {
        Encoding::HEXTILE => Hextile::whole(rectangle, src, context.sizes.pixel)?,
        _ => return None,
    };
    (len <= context.limit as usize).then_some(len)
}

/// The same for those that have their length in the payload; only as the payload says it.
#[inline(always)]
fn whole_counted(rectangle: &Rectangle, src: &[u8], context: &Context) -> Option<u64> {
    match rectangle.encoding {
        Encoding::ZRLE | Encoding::ZLIB | Encoding::ZYWRLE | Encoding::ULTRA => {
            Some(u64::from(u32::from_be_bytes(*src.first_chunk()?)).wrapping_add(4))
        }
        Encoding::TIGHT => tight::whole(src, rectangle, &context.sizes, context),
        _ => None,
    }
}

/// At most 2^32.
#[inline(always)]
fn area(rectangle: &Rectangle) -> u64 {
    u64::from(rectangle.width).wrapping_mul(rectangle.height.into())
}

/// The way through the payload of one rectangle.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// Opaque bytes that come first, and what they are.
    skip: u64,
    field: &'static str,
    next: Next,
    /// Inside of a cursor with transparency.
    nested: bool,
}

impl Walk {
    /// Nowhere.
    pub(crate) const END: Self = Self {
        skip: 0,
        field: "payload",
        next: Next::End,
        nested: false,
    };

    /// To the end of so many bytes.
    #[inline]
    const fn fixed(skip: u64, field: &'static str) -> Self {
        Self {
            skip,
            field,
            next: Next::End,
            nested: false,
        }
    }

    #[inline]
    const fn behind(next: Next) -> Self {
        Self {
            skip: 0,
            field: "payload",
            next,
            nested: false,
        }
    }

    /// At the first byte of the payload of `rectangle`.
    #[inline]
    pub(crate) fn start(rectangle: &Rectangle, context: &Context) -> Result<Self, Fault> {
        let sizes = &context.sizes;
        match rectangle.encoding {
            Encoding::RAW => Self::pixels(rectangle, sizes.pixel.into(), 0, context),
            Encoding::COPY_RECT => Ok(Self::fixed(4, "source")),
            Encoding::ZRLE | Encoding::ZLIB | Encoding::ZYWRLE | Encoding::ULTRA => Ok(Self::behind(DATA)),
            Encoding::TIGHT => Self::tight(rectangle, context),
            Encoding::HEXTILE => Ok(Self::behind(Hextile::start(rectangle, false))),
            _ => Self::start_other(rectangle, context),
        }
    }

    /// The rarer encodings.
    fn start_other(rectangle: &Rectangle, context: &Context) -> Result<Self, Fault> {
        let (width, height) = (u64::from(rectangle.width), u64::from(rectangle.height));
        let mask = width.div_ceil(8).saturating_mul(height);
        let pixel = context.sizes.pixel;
        Ok(match rectangle.encoding {
            Encoding::RRE => Self::behind(words(pixel, pixel.saturating_add(8), "subrectangles")),
            Encoding::CORRE => Self::behind(words(pixel, pixel.saturating_add(4), "subrectangles")),
            Encoding::ZSTD
            | Encoding::ZSTD_RLE
            | Encoding::ZSTD_YWRLE
            | Encoding::QUEUE_ZIP
            | Encoding::ULTRA_ZIP
            | Encoding::QUEUE_ZSTD => Self::behind(DATA),
            Encoding::TIGHT_ZSTD => return Self::tight(rectangle, context),
            Encoding::ZLIB_HEX | Encoding::ZSTD_HEX => Self::behind(Hextile::start(rectangle, true)),
            Encoding::XZ | Encoding::XZYW => return Self::bulk(rectangle, context),
            Encoding::PTS => Self::fixed(8, "time"),
            Encoding::TRLE => Self::behind(Trle::start(rectangle)),
            Encoding::TIGHT_PNG => Self::behind(Next::Tight(Tight::PngControl)),
            Encoding::JPEG => Self::behind(Next::Jpeg(Jpeg::Start)),
            Encoding::OPEN_H264 => Self::behind(words(4, 1, "data")),
            Encoding::CURSOR_WITH_ALPHA => Self::behind(Next::Inner),
            Encoding::CURSOR => return Self::pixels(rectangle, pixel.into(), mask, context),
            Encoding::X_CURSOR if mask == 0 => Self::END,
            Encoding::X_CURSOR => return Self::pixels(rectangle, 0, mask.saturating_mul(2).saturating_add(6), context),
            Encoding::QEMU_LED_STATE => Self::fixed(1, "state"),
            Encoding::VMWARE_CURSOR_STATE | Encoding::VMWARE_STATE => Self::fixed(2, "state"),
            Encoding::VMWARE_LED_STATE => Self::fixed(4, "state"),
            Encoding::VMWARE_KEY_REPEAT => Self::fixed(10, "repeat"),
            Encoding::VMWARE_DISPLAY_MODE => Self::fixed(16, "format"),
            Encoding::SUPPORTED_MESSAGES | Encoding::SUPPORTED_ENCODINGS | Encoding::SERVER_IDENTITY => {
                Self::fixed(width, "information")
            }
            // UltraVNC's ExtViewSize has the same number, and says all in its head.
            Encoding::DESKTOP_NAME if rectangle.width != 0 || rectangle.height != 0 => Self::END,
            Encoding::DESKTOP_NAME => Self::behind(Next::Count(Count::Name)),
            Encoding::EXTENDED_DESKTOP_SIZE => Self::behind(Next::Count(Count::Screens)),
            Encoding::VMWARE_CURSOR => Self::behind(Next::Count(Count::VmwareCursor)),
            Encoding::CLIENT_REDIRECT => Self {
                skip: 2,
                field: "port",
                next: Next::Count(Count::Host),
                nested: false,
            },
            encoding if encoding.extent() == super::Extent::None => Self::END,
            encoding => {
                let kind = DecodeErrorKind::Unframeable { encoding };
                let field = "encoding";
                return Err(Fault { field, at: 8, kind });
            }
        })
    }

    #[inline(always)]
    fn tight(rectangle: &Rectangle, context: &Context) -> Result<Self, Fault> {
        if context.strict && 2048 < rectangle.width {
            return Err(Fault::too_large("width", 4, rectangle.width.into(), 2048));
        }
        Ok(Self::behind(Next::Tight(Tight::Control)))
    }

    /// Many rectangles at once, whose data have their length in place of the size.
    fn bulk(rectangle: &Rectangle, context: &Context) -> Result<Self, Fault> {
        let bytes = u64::from(rectangle.width) << 16 | u64::from(rectangle.height);
        if u64::from(context.limit) < bytes {
            return Err(Fault::too_large("length", 4, bytes, context.limit));
        }
        Ok(Self::fixed(bytes, "data"))
    }

    /// So many bytes for each pixel, and `more`.
    #[inline]
    fn pixels(rectangle: &Rectangle, size: u64, more: u64, context: &Context) -> Result<Self, Fault> {
        // At most 2^16 * 2^16 * 4 and less than that: this does not saturate.
        let bytes = area(rectangle).saturating_mul(size).saturating_add(more);
        if u64::from(context.limit) < bytes {
            return Err(Fault::too_large("size", 4, bytes, context.limit));
        }
        Ok(Self::fixed(bytes, "pixels"))
    }

    /// Goes as far as `src` reaches.
    ///
    /// Faults count from the first byte of `src`.
    pub(crate) fn run(&mut self, src: &[u8], rectangle: &Rectangle, context: &Context) -> Result<Progress, Fault> {
        let mut at: usize = 0;
        loop {
            let left = src.get(at..).unwrap_or_default();
            if (left.len() as u64) < self.skip {
                self.skip = self.skip.saturating_sub(left.len() as u64);
                let (bytes, field) = (self.skip, self.field);
                return Ok(Progress::Taken(src.len(), Need { bytes, field }));
            }
            // INVARIANT: at + skip <= src.len().
            let skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
            (at, self.skip) = (at.saturating_add(skip), 0);
            let left = left.get(skip..).unwrap_or_default();
            let sizes = if self.nested {
                &PixelSizes::ALPHA
            } else {
                &context.sizes
            };
            let step = match &mut self.next {
                Next::End => return Ok(Progress::Ended(at)),
                Next::Hextile(hextile) => hextile.step(left, sizes.pixel),
                Next::Tight(tight) => tight.step(left, rectangle, sizes, context),
                Next::Count(count) => count.step(left, rectangle, sizes, context),
                Next::Trle(trle) => trle.step(left, sizes.cpixel),
                Next::Jpeg(jpeg) => jpeg.step(left),
                Next::Inner => self.inner(left, rectangle, context),
            };
            let step = step.map_err(|fault| Fault {
                at: fault.at.saturating_add(at),
                ..fault
            })?;
            match step {
                Step::Need(need) => return Ok(Progress::Taken(at, need)),
                Step::Skip {
                    control,
                    opaque,
                    field,
                    next,
                } => {
                    at = at.saturating_add(control);
                    (self.skip, self.field, self.next) = (opaque, field, next);
                }
            }
        }
    }

    /// The encoding inside of a cursor with transparency.
    fn inner(&mut self, src: &[u8], rectangle: &Rectangle, context: &Context) -> Result<Step, Fault> {
        let field = "encoding";
        let Some(number) = src.first_chunk::<4>() else {
            return Ok(Step::need(4_usize.saturating_sub(src.len()), field));
        };
        let encoding = Encoding(i32::from_be_bytes(*number));
        self.nested = true;
        let empty = rectangle.width == 0 || rectangle.height == 0;
        let walk = match encoding {
            // No cursor at all.
            _ if empty => Self::END,
            // The length of many rectangles would be in the size of the cursor.
            _ if !encoding.is_picture() || encoding.is_bulk() => {
                return Err(Fault::invalid(field, 0, "a cursor is not made of this"));
            }
            _ => {
                let inner = Rectangle { encoding, ..*rectangle };
                let context = Context {
                    sizes: PixelSizes::ALPHA,
                    ..context.clone()
                };
                Self::start(&inner, &context).map_err(|fault| Fault { at: 0, ..fault })?
            }
        };
        Ok(Step::Skip {
            control: 4,
            opaque: walk.skip,
            field: walk.field,
            next: walk.next,
        })
    }
}

/// A `u32`, and so many bytes.
const DATA: Next = words(0, 1, "data");

const fn words(fixed: u32, each: u32, field: &'static str) -> Next {
    Next::Count(Count::Words { fixed, each, field })
}

impl Count {
    #[inline]
    fn step(self, src: &[u8], rectangle: &Rectangle, sizes: &PixelSizes, context: &Context) -> Result<Step, Fault> {
        let limited = |field, bytes: u64, limit: u32| match bytes <= limit.into() {
            true => Ok(bytes),
            false => Err(Fault::too_large(field, 0, bytes, limit)),
        };
        let end = |control, opaque, field| {
            let next = Next::End;
            Ok(Step::Skip {
                control,
                opaque,
                field,
                next,
            })
        };
        match self {
            Self::Words { fixed, each, field } => {
                let Some(count) = src.first_chunk::<4>() else {
                    return Ok(Step::need(4_usize.saturating_sub(src.len()), "length"));
                };
                // At most 2^32 * 12 and 4: this does not saturate.
                let bytes = u64::from(u32::from_be_bytes(*count))
                    .saturating_mul(each.into())
                    .saturating_add(fixed.into());
                end(4, limited("length", bytes, context.limit)?, field)
            }
            Self::Name | Self::Host => {
                let Some(length) = src.first_chunk::<4>() else {
                    return Ok(Step::need(4_usize.saturating_sub(src.len()), "length"));
                };
                let opaque = limited("length", u32::from_be_bytes(*length).into(), context.name)?;
                let (field, next) = match self {
                    Self::Host => ("host", Next::Count(Self::Name)),
                    _ => ("text", Next::End),
                };
                Ok(Step::Skip {
                    control: 4,
                    opaque,
                    field,
                    next,
                })
            }
            Self::Screens => match src.first() {
                Some(&count) => end(1, u64::from(count).saturating_mul(16).saturating_add(3), "screens"),
                None => Ok(Step::need(1, "count")),
            },
            Self::VmwareCursor => {
                let area = area(rectangle);
                let bytes = match src.first() {
                    Some(0) => area.saturating_mul(sizes.pixel.into()).saturating_mul(2),
                    Some(1) => area.saturating_mul(4),
                    Some(&kind) => return Err(Fault::unknown("kind", 0, kind)),
                    None => return Ok(Step::need(1, "kind")),
                };
                end(1, limited("kind", bytes, context.limit)?.saturating_add(1), "pixels")
            }
        }
    }
}
