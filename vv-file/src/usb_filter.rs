//! Rules for USB devices, as spice-gtk and usbredir read them.
//!
//! ```text
//! filter = *"|" [ rule *( 1*"|" rule ) ] *"|"
//! rule   = *"," class 1*"," vendor 1*"," product 1*"," version 1*"," allow *","
//! number = *blank [ "+" / "-" ] ( "0x" 1*HEXDIG / "0" *OCTDIGIT / 1*DIGIT )
//! ```
//! The first rule that fits a device decides. `-1` stands for any class, vendor, product or version; an `allow` is
//! on for any number but 0. As in C, a zero in front makes a number octal: `010` is 8, and `08` is none.

use alloc::vec::Vec;
use core::fmt;

use nom::{
    Finish, IResult, Parser,
    branch::alt,
    bytes::complete::{tag, tag_no_case, take_while, take_while1},
    character::complete::{digit1, hex_digit1, multispace0, one_of},
    combinator::{all_consuming, map, map_opt, opt, recognize},
    multi::{many0_count, many1_count, separated_list1},
    sequence::{delimited, preceded, terminated},
};

use crate::error::UsbFilterError;

/// One rule; `None` stands for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsbRule {
    /// Class of the device or of one of its interfaces, up to 255.
    pub class: Option<u8>,
    /// Vendor.
    pub vendor: Option<u16>,
    /// Product.
    pub product: Option<u16>,
    /// Version of the device (`bcdDevice`).
    pub version: Option<u16>,
    /// Whether a device that fits is shared.
    pub allow: bool,
}

impl UsbRule {
    /// A rule that fits every device.
    pub fn any(allow: bool) -> Self {
        Self {
            class: None,
            vendor: None,
            product: None,
            version: None,
            allow,
        }
    }
}

/// The rules of the key `usb-filter`.
///
/// ```
/// use vv_file::usb_filter::{UsbFilter, UsbRule};
/// let filter = UsbFilter::parse("0x08,-1,-1,-1,1|-1,-1,-1,-1,0")?;
/// assert_eq!(filter.0[0].class, Some(8));
/// assert_eq!(filter.0[1], UsbRule::any(false));
/// assert_eq!(filter.to_string(), "0x08,-1,-1,-1,1|-1,-1,-1,-1,0");
/// # Ok::<(), vv_file::error::UsbFilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsbFilter(pub Vec<UsbRule>);

impl UsbFilter {
    /// Reads the text of the key.
    ///
    /// # Errors
    /// Where the grammar above ends, or a number is out of range.
    pub fn parse(text: &str) -> Result<Self, UsbFilterError> {
        let separators = |input| many0_count(tag("|")).parse(input);
        let rules = separated_list1(many1_count(tag("|")), rule);
        let whole = delimited(separators, rules, separators);
        if text.chars().all(|character| character == '|') {
            return Ok(Self::default());
        }
        match all_consuming(whole).parse(text).finish() {
            Ok((_, rules)) => Ok(Self(rules)),
            Err(nom::error::Error { input, .. }) => Err(UsbFilterError {
                column: text.len().saturating_sub(input.len()).saturating_add(1),
            }),
        }
    }
}

impl fmt::Display for UsbFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("|")?;
            }
            match rule.class {
                Some(class) => write!(f, "0x{class:02x},")?,
                None => f.write_str("-1,")?,
            }
            for number in [rule.vendor, rule.product, rule.version] {
                match number {
                    Some(number) => write!(f, "0x{number:04x},")?,
                    None => f.write_str("-1,")?,
                }
            }
            write!(f, "{}", u8::from(rule.allow))?;
        }
        Ok(())
    }
}

fn rule(input: &str) -> IResult<&str, UsbRule> {
    // -1 is any, and all else has to fit.
    let class = map_opt(number, |number| optional(number, u8::try_from));
    let wide = || map_opt(number, |number| optional(number, u16::try_from));
    let commas = || take_while1(|character| character == ',');
    let numbers = (
        terminated(class, commas()),
        terminated(wide(), commas()),
        terminated(wide(), commas()),
        terminated(wide(), commas()),
        number,
    );
    // Empty places count for nothing, as with the bars.
    delimited(opt(commas()), numbers, opt(commas()))
        .map(|(class, vendor, product, version, allow)| UsbRule {
            class,
            vendor,
            product,
            version,
            allow: allow != 0,
        })
        .parse(input)
}

fn optional<T, E>(number: i32, convert: impl Fn(i32) -> Result<T, E>) -> Option<Option<T>> {
    match number {
        -1 => Some(None),
        number => convert(number).ok().map(Some),
    }
}

/// What C's `strtol` takes without a base, in 32 bits: usbredir lets larger ones wrap, here they are refused.
fn number(input: &str) -> IResult<&str, i32> {
    let is_octal = |character: char| character.is_digit(8);
    let radix = |radix| move |digits: &str| i64::from_str_radix(digits, radix).ok();
    let hex = preceded(tag_no_case("0x"), map_opt(hex_digit1, radix(16)));
    let octal = map_opt(recognize((tag("0"), take_while(is_octal))), radix(8));
    let decimal = map_opt(digit1, radix(10));
    let sign = map(opt(one_of("+-")), |sign| if sign == Some('-') { -1 } else { 1 });
    let signed = (sign, alt((hex, octal, decimal)));
    let number = map_opt(signed, |(sign, number): (i64, i64)| {
        i32::try_from(sign.checked_mul(number)?).ok()
    });
    preceded(multispace0, number).parse(input)
}
