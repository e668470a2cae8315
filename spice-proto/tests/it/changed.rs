//! Bytes that are not what they were.

use crate::link_values::random;

/// All changed forms of some bytes: prefixes, single bytes in every value, and random changes.
pub(crate) fn changed(bytes: &[u8], every_value: bool, random_count: usize, mut each: impl FnMut(&str, &[u8])) {
    for end in 0..=bytes.len() {
        each("prefix", &bytes[..end]);
    }
    let mut copy = bytes.to_vec();
    for at in 0..bytes.len() {
        let deltas = if every_value { 1..=255_u8 } else { 0..=7 };
        for delta in deltas {
            copy[at] = bytes[at] ^ if every_value { delta } else { 1 << delta };
            each("mutation", &copy);
        }
        copy[at] = bytes[at];
    }
    let mut source = random(bytes.len() as u64);
    let mut draw = || {
        let mut out = [0; 4];
        source(&mut out);
        u32::from_le_bytes(out) as usize
    };
    for _ in 0..random_count {
        let mut copy = bytes.to_vec();
        for _ in 0..=draw() % 6 {
            let at = draw() % (copy.len() + 1);
            match draw() % 4 {
                0 => copy.insert(at, draw() as u8),
                1 if at < copy.len() => drop(copy.remove(at)),
                2 if at < copy.len() => copy[at] = [0, 1, 0x7f, 0x80, 0xff][draw() % 5],
                _ if at < copy.len() => copy[at] = draw() as u8,
                _ => copy.truncate(draw() % (copy.len() + 1)),
            }
        }
        each("random", &copy);
    }
}
