//! How a bit mask is shown, for a person and as JSON.

use core::fmt;

/// A value, and the names of its bits, lowest first.
#[derive(Clone, Copy)]
pub(crate) struct Mask {
    value: u32,
    bits: &'static [(u32, &'static str)],
}

impl Mask {
    pub(crate) const fn new(value: u32, bits: &'static [(u32, &'static str)]) -> Self {
        Self { value, bits }
    }

    /// The names of the bits that are set.
    fn names(self) -> impl Iterator<Item = &'static str> {
        let set = self.bits.iter().filter(move |(bit, _)| self.value & bit != 0);
        set.map(|(_, name)| *name)
    }

    /// The bits that are set and have no name.
    fn rest(self) -> Option<u32> {
        let named = self.bits.iter().fold(0, |named, (bit, _)| named | bit);
        Some(self.value & !named).filter(|rest| *rest != 0)
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value == 0 {
            return f.write_str("none");
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

/// Buttons of the mouse (RFC 6143 section 7.5.5; those from the eighth on by the community specification).
#[cfg(feature = "serde")]
const BUTTONS: &[(u32, &str)] = &[
    (1, "left"),
    (2, "middle"),
    (4, "right"),
    (8, "wheel up"),
    (0x10, "wheel down"),
    (0x20, "wheel left"),
    (0x40, "wheel right"),
    (0x80, "back"),
    (0x100, "forward"),
];

/// A mask of buttons.
#[cfg(feature = "serde")]
pub(crate) fn buttons<S: serde::Serializer>(mask: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    by_bits(mask, BUTTONS, serializer)
}

/// A mask whose bits have no names.
#[cfg(feature = "serde")]
pub(crate) fn unnamed<S: serde::Serializer>(
    mask: &(impl Copy + Into<u32> + serde::Serialize),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    by_bits(mask, &[], serializer)
}

#[cfg(feature = "serde")]
fn by_bits<S: serde::Serializer>(
    mask: &(impl Copy + Into<u32> + serde::Serialize),
    bits: &'static [(u32, &'static str)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match serializer.is_human_readable() {
        true => serde::Serialize::serialize(&Mask::new((*mask).into(), bits), serializer),
        false => mask.serialize(serializer),
    }
}

/// Reads what a mask is written as, or its number.
#[cfg(feature = "serde")]
pub(crate) struct ArrayOrNumber(pub(crate) &'static [(u32, &'static str)]);

#[cfg(feature = "serde")]
impl<'de> serde::de::Visitor<'de> for ArrayOrNumber {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of names and hexadecimal numbers, or a number")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u32, E> {
        u32::try_from(number).map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut array: A) -> Result<u32, A::Error> {
        let mut mask = 0;
        while let Some(text) = array.next_element::<alloc::borrow::Cow<'de, str>>()? {
            let named = self.0.iter().find(|(_, name)| *name == text).map(|(bit, _)| *bit);
            let digits = || {
                text.strip_prefix("0x")
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            };
            mask |= named
                .or_else(digits)
                .ok_or_else(|| serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &self))?;
        }
        Ok(mask)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use crate::message::pseudo::LedState;
    use crate::message::{ClipboardFlags, FenceFlags};

    #[test]
    fn each_name_is_one_bit_and_the_lowest_is_first() {
        for bits in [FenceFlags::BITS, ClipboardFlags::BITS, LedState::BITS] {
            assert!(!bits.is_empty());
            assert!(bits.iter().all(|(bit, _)| bit.is_power_of_two()), "{bits:?}");
            assert!(bits.is_sorted_by(|(one, _), (next, _)| one < next), "{bits:?}");
        }
    }

    #[test]
    fn bits_are_shown_by_name_and_the_others_as_one_number() {
        for (mask, shown) in [
            (LedState(0), "none (0x0)"),
            (LedState::NUM, "num (0x2)"),
            (LedState(7), "scroll|num|caps (0x7)"),
            (LedState(0x52), "num|0x50 (0x52)"),
            (LedState(0x80), "0x80 (0x80)"),
        ] {
            assert_eq!(mask.to_string(), shown);
        }
    }
}
