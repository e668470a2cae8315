//! JPEG, which ends where its own end marker says (ITU-T T.81, annex B).
//!
//! ```text
//! FF D8, then segments: FF, u8 marker, u16 length (itself included), content; then FF D9
//! behind a segment DA lie entropy data: in them FF is followed by 00, or by D0 to D7
//! ```
//!
//! There need not be any tables in it: a client keeps those of the rectangle before.

use super::step::{Fault, Jpeg, Next, Step};

impl Jpeg {
    pub(super) fn step(self, src: &[u8]) -> Result<Step, Fault> {
        let skip = |control, opaque, next| {
            let field = "segment";
            Ok(Step::Skip {
                control,
                opaque,
                field,
                next,
            })
        };
        if let Self::Entropy = self {
            let end = entropy(src);
            return match end {
                Ok(end) => skip(end, 0, Next::Jpeg(Self::Marker)),
                Err(0) => Ok(Step::need(2_usize.saturating_sub(src.len()), "entropy data")),
                Err(taken) => skip(taken, 0, Next::Jpeg(Self::Entropy)),
            };
        }
        let marker = match (self, src) {
            (_, []) => return Ok(Step::need(2, "marker")),
            (_, [0xff]) => return Ok(Step::need(1, "marker")),
            (Self::Start, [0xff, 0xd8, ..]) => return skip(2, 0, Next::Jpeg(Self::Marker)),
            (Self::Start, _) | (_, [0..=0xfe, ..] | [0xff, 0, ..]) => {
                return Err(Fault::invalid("marker", 0, "no marker of JPEG"));
            }
            // Any number of these may stand in front of a marker.
            (_, [0xff, 0xff, ..]) => return skip(1, 0, Next::Jpeg(self)),
            (_, [_, marker, ..]) => *marker,
        };
        match marker {
            0xd9 => skip(2, 0, Next::End),
            // Markers without a segment.
            0x01 | 0xd0..=0xd8 => skip(2, 0, Next::Jpeg(self)),
            _ => {
                let Some([_, _, high, low]) = src.first_chunk::<4>() else {
                    return Ok(Step::need(4_usize.saturating_sub(src.len()), "length"));
                };
                let Some(opaque) = u16::from_be_bytes([*high, *low]).checked_sub(2) else {
                    return Err(Fault::invalid("length", 2, "shorter than itself"));
                };
                let next = if marker == 0xda { Self::Entropy } else { Self::Marker };
                skip(4, opaque.into(), Next::Jpeg(next))
            }
        }
    }
}

/// Where entropy data end, or how many of them there are so far.
fn entropy(src: &[u8]) -> Result<usize, usize> {
    let mut at: usize = 0;
    loop {
        let left = src.get(at..).unwrap_or_default();
        let Some(next) = left.iter().position(|&byte| byte == 0xff) else {
            return Err(src.len());
        };
        at = at.saturating_add(next);
        match left.get(next.saturating_add(1)) {
            None => return Err(at),
            Some(0 | 0xd0..=0xd7) => at = at.saturating_add(2),
            Some(0xff) => at = at.saturating_add(1),
            Some(_) => return Ok(at),
        }
    }
}
