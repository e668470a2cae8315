//! How a bit mask is shown, for a person and as JSON.

use core::fmt;

/// A value, and the names of its bits, lowest first.
#[derive(Clone, Copy)]
pub(crate) struct Mask {
    value: u64,
    bits: &'static [(u64, &'static str)],
}

impl Mask {
    pub(crate) const fn new(value: u64, bits: &'static [(u64, &'static str)]) -> Self {
        Self { value, bits }
    }

    /// The names of the bits that are set.
    fn names(self) -> impl Iterator<Item = &'static str> {
        let set = self.bits.iter().filter(move |(bit, _)| self.value & bit != 0);
        set.map(|(_, name)| *name)
    }

    /// The bits that are set and have no name.
    fn rest(self) -> Option<u64> {
        let named = self.bits.iter().fold(0, |named, (bit, _)| named | bit);
        Some(self.value & !named).filter(|rest| *rest != 0)
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value == 0 {
            return f.write_str("0");
        }
        let mut between = "";
        for name in self.names() {
            write!(f, "{between}{name}")?;
            between = "|";
        }
        match self.rest() {
            Some(rest) => write!(f, "{between}{rest:#x}"),
            None => Ok(()),
        }
    }
}

/// A string for each name, and one for the bits that have none.
#[cfg(feature = "serde")]
impl serde::Serialize for Mask {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let rest = self.rest();
        let count = self.names().count().saturating_add(usize::from(rest.is_some()));
        let mut array = serializer.serialize_seq(Some(count))?;
        for name in self.names() {
            array.serialize_element(name)?;
        }
        if let Some(rest) = rest {
            array.serialize_element(&format_args!("{rest:#x}"))?;
        }
        array.end()
    }
}

/// A mask whose bits have no names.
#[cfg(feature = "serde")]
pub(crate) fn unnamed<S: serde::Serializer>(mask: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::Serialize as _;
    match serializer.is_human_readable() {
        true => Mask::new((*mask).into(), &[]).serialize(serializer),
        false => mask.serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use crate::ids::{
        AgentMouseButtons, AlphaFlags, BitmapFlags, CompositeFlags, CursorFlags, DisplayConfigFlags, GlScanoutFlags,
        ImageFlags, JpegAlphaFlags, KeyboardModifiers, LineFlags, MaskFlags, MigrateFlags, MonitorsFlags, MouseButtons,
        MouseModes, PathFlags, RopDescriptor, StreamFlags, StringFlags, SurfaceFlags,
    };

    #[test]
    fn each_name_is_one_bit_and_the_lowest_is_first() {
        let all = [
            AgentMouseButtons::BITS,
            AlphaFlags::BITS,
            BitmapFlags::BITS,
            CompositeFlags::BITS,
            CursorFlags::BITS,
            DisplayConfigFlags::BITS,
            GlScanoutFlags::BITS,
            ImageFlags::BITS,
            JpegAlphaFlags::BITS,
            KeyboardModifiers::BITS,
            LineFlags::BITS,
            MaskFlags::BITS,
            MigrateFlags::BITS,
            MonitorsFlags::BITS,
            MouseButtons::BITS,
            MouseModes::BITS,
            PathFlags::BITS,
            RopDescriptor::BITS,
            StreamFlags::BITS,
            StringFlags::BITS,
            SurfaceFlags::BITS,
        ];
        for bits in all {
            assert!(!bits.is_empty());
            assert!(bits.iter().all(|(bit, _)| bit.is_power_of_two()), "{bits:?}");
            assert!(bits.is_sorted_by(|(one, _), (next, _)| one < next), "{bits:?}");
        }
    }

    #[test]
    fn bits_are_shown_by_name_and_the_others_as_one_number() {
        for (mask, shown) in [
            (KeyboardModifiers(0), "0"),
            (KeyboardModifiers::NUM_LOCK, "NUM_LOCK"),
            (KeyboardModifiers(7), "SCROLL_LOCK|NUM_LOCK|CAPS_LOCK"),
            (KeyboardModifiers(0x52), "NUM_LOCK|0x50"),
            (KeyboardModifiers(0x8000), "0x8000"),
        ] {
            assert_eq!(mask.to_string(), shown);
        }
    }
}
