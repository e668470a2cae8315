//! The least that a decoder of these messages can do: bounds are checked once a block, every field is read, and no
//! message is built but what a register or the stack holds.

use spice_proto::ids::ChannelType;

use crate::keep;

/// Takes a value off the front.
macro_rules! take {
    ($src:ident, $ty:ty) => {{
        let (bytes, rest) = $src.split_first_chunk::<{ size_of::<$ty>() }>()?;
        let value = <$ty>::from_le_bytes(*bytes);
        $src = rest;
        let _ = $src;
        value
    }};
}

/// Reads the body of a message. `None`: it does not hold its fields, or is none of the mix.
pub(super) fn body(channel: ChannelType, from_server: bool, number: u16, body: &[u8]) -> Option<()> {
    match (channel, from_server) {
        (ChannelType::DISPLAY, _) => display(number, body),
        (ChannelType::CURSOR, _) => cursor(number, body),
        (ChannelType::INPUTS, true) => (number == 111).then_some(()),
        (ChannelType::INPUTS, false) => inputs(number, body),
        _ => main(number, body),
    }
}

fn rect(block: &[u8; 16]) -> [i32; 4] {
    let [a, b, c, d] =
        [0, 4, 8, 12].map(|at| i32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]));
    [a, b, c, d]
}

/// `DisplayBase`; gives what lies behind it.
fn base(src: &[u8]) -> Option<&[u8]> {
    let (block, mut src) = src.split_first_chunk::<21>()?;
    let surface = u32::from_le_bytes(*block.first_chunk()?);
    let area = rect(block.get(4..20)?.first_chunk()?);
    let mut rects: &[u8] = &[];
    if block[20] == 1 {
        let count = take!(src, u32);
        (rects, src) = src.split_at_checked(usize::try_from(count).ok()?.checked_mul(16)?)?;
    }
    keep((surface, area, rects));
    Some(src)
}

fn mask(block: &[u8; 13]) -> Option<()> {
    let (flags, pointer) = (block[0], u32::from_le_bytes(*block.last_chunk()?));
    let x = i32::from_le_bytes(*block.get(1..5)?.first_chunk()?);
    let y = i32::from_le_bytes(*block.get(5..9)?.first_chunk()?);
    keep((flags, x, y, pointer));
    (pointer == 0).then_some(())
}

fn counted(src: &[u8]) -> Option<&[u8]> {
    let (size, data) = src.split_first_chunk()?;
    data.get(..usize::try_from(u32::from_le_bytes(*size)).ok()?)
}

fn image(src: &[u8]) -> Option<()> {
    let (block, mut src) = src.split_first_chunk::<18>()?;
    let (id, kind, flags) = (u64::from_le_bytes(*block.first_chunk()?), block[8], block[9]);
    let width = u32::from_le_bytes(*block.get(10..14)?.first_chunk()?);
    let height = u32::from_le_bytes(*block.last_chunk()?);
    let data = match kind {
        0 => {
            let (block, src) = src.split_first_chunk::<18>()?;
            let number = |at: usize| Some(u32::from_le_bytes(*block.get(at..at + 4)?.first_chunk()?));
            let (format, flags, x, y, stride) = (block[0], block[1], number(2)?, number(6)?, number(10)?);
            keep((format, flags, x, number(14)?));
            src.get(..usize::try_from(u64::from(stride) * u64::from(y)).ok()?)?
        }
        1 | 101 | 102 | 105 => counted(src)?,
        107 => {
            keep(take!(src, u32));
            counted(src)?
        }
        103 => &[],
        _ => return None,
    };
    keep((id, kind, flags, width, height, data));
    Some(())
}

fn display(number: u16, body: &[u8]) -> Option<()> {
    let mut src = body;
    match number {
        304 => {
            let (block, _) = base(src)?.split_first_chunk::<36>()?;
            let pointer = u32::from_le_bytes(*block.first_chunk()?);
            let area = rect(block.get(4..20)?.first_chunk()?);
            let rop = u16::from_le_bytes([block[20], block[21]]);
            keep((area, rop, block[22]));
            mask(block.last_chunk()?)?;
            image(body.get(usize::try_from(pointer).ok().filter(|pointer| *pointer != 0)?..)?)?;
        }
        302 => {
            let (block, _) = base(src)?.split_first_chunk::<20>()?;
            let color = u32::from_le_bytes(*block.get(1..5)?.first_chunk()?);
            let rop = u16::from_le_bytes([block[5], block[6]]);
            keep((block[0], color, rop));
            mask(block.last_chunk()?)?;
        }
        104 => {
            src = base(src)?;
            keep((take!(src, i32), take!(src, i32)));
        }
        105 => {
            let count = take!(src, u16);
            keep(src.get(..usize::from(count) * 9)?);
        }
        123 => {
            keep((take!(src, u32), take!(src, u32)));
            keep(counted(src)?);
        }
        _ => common(number, src)?,
    }
    Some(())
}

fn cursor(number: u16, body: &[u8]) -> Option<()> {
    let mut src = body;
    match number {
        103 => {
            let (block, data) = src.split_first_chunk::<24>()?;
            let (x, y) = (
                i16::from_le_bytes([block[0], block[1]]),
                i16::from_le_bytes([block[2], block[3]]),
            );
            let flags = u16::from_le_bytes([block[5], block[6]]);
            let unique = u64::from_le_bytes(*block.get(7..15)?.first_chunk()?);
            let numbers = [16, 18, 20, 22].map(|at| u16::from_le_bytes([block[at], block[at + 1]]));
            keep((x, y, block[4], flags, unique, block[15], numbers, data));
            (flags & 1 == 0).then_some(())?;
        }
        104 => keep((take!(src, i16), take!(src, i16))),
        _ => common(number, src)?,
    }
    Some(())
}

fn inputs(number: u16, body: &[u8]) -> Option<()> {
    let mut src = body;
    match number {
        101 | 102 => keep(take!(src, u32)),
        103 => keep(take!(src, u16)),
        111 => {
            let (block, _) = src.split_first_chunk::<10>()?;
            keep((
                i32::from_le_bytes(*block.first_chunk()?),
                i32::from_le_bytes(*block.get(4..8)?.first_chunk()?),
                u16::from_le_bytes(*block.last_chunk()?),
            ));
        }
        112 => {
            let (block, _) = src.split_first_chunk::<11>()?;
            keep((
                u32::from_le_bytes(*block.first_chunk()?),
                u32::from_le_bytes(*block.get(4..8)?.first_chunk()?),
                u16::from_le_bytes([block[8], block[9]]),
                block[10],
            ));
        }
        113 | 114 => {
            let (block, _) = src.split_first_chunk::<3>()?;
            keep((block[0], u16::from_le_bytes([block[1], block[2]])));
        }
        _ => return None,
    }
    Some(())
}

fn main(number: u16, body: &[u8]) -> Option<()> {
    let mut src = body;
    match number {
        109 => keep(src),
        106 | 110 => keep(take!(src, u32)),
        105 => keep((take!(src, u16), take!(src, u16))),
        _ => common(number, src)?,
    }
    Some(())
}

fn common(number: u16, body: &[u8]) -> Option<()> {
    let mut src = body;
    match number {
        4 => keep((take!(src, u32), take!(src, u64), src)),
        7 => {
            let (block, _) = src.split_first_chunk::<20>()?;
            let number = |at: usize| Some(u32::from_le_bytes(*block.get(at..at + 4)?.first_chunk()?));
            keep((
                u64::from_le_bytes(*block.first_chunk()?),
                number(8)?,
                number(12)?,
                number(16)?,
            ));
            src = src.get(20..)?;
            keep(counted(src)?);
        }
        _ => return None,
    }
    Some(())
}
