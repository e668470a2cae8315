//! Rules for USB devices, as spice-gtk and usbredir read them.
//!
//! ```text
//! filter = *"|" [ rule *( 1*"|" rule ) ] *"|"
//! rule   = class "," vendor "," product "," version "," allow
//! number = "-1" / 1*DIGIT / "0x" 1*HEXDIG
//! ```
//! The first rule that fits a device decides. `-1` stands for any class, vendor, product or version.

use alloc::vec::Vec;
use core::fmt;

use nom::{
    Finish, IResult, Parser,
    branch::alt,
    bytes::complete::{tag, tag_no_case, take_while1},
    character::complete::{digit1, space0},
    combinator::{all_consuming, map_opt, value},
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
    let class = map_opt(number, |number| number.map(u8::try_from).transpose().ok());
    let wide = || map_opt(number, |number| number.map(u16::try_from).transpose().ok());
    let allow = map_opt(number, |number| Some(number? != 0));
    (
        terminated(class, tag(",")),
        terminated(wide(), tag(",")),
        terminated(wide(), tag(",")),
        terminated(wide(), tag(",")),
        allow,
    )
        .map(|(class, vendor, product, version, allow)| UsbRule {
            class,
            vendor,
            product,
            version,
            allow,
        })
        .parse(input)
}

/// A number, or `None` for `-1`.
fn number(input: &str) -> IResult<&str, Option<u32>> {
    let hex = preceded(
        tag_no_case("0x"),
        map_opt(take_while1(|character: char| character.is_ascii_hexdigit()), |digits| {
            u32::from_str_radix(digits, 16).ok()
        }),
    );
    let decimal = map_opt(digit1, |digits: &str| digits.parse().ok());
    preceded(space0, alt((value(None, tag("-1")), hex.map(Some), decimal.map(Some)))).parse(input)
}
