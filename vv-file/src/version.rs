//! Versions of the viewer, compared as virt-viewer compares them.
//!
//! ```text
//! version  = numbers [ "-" numbers ]
//! numbers  = *( number "." ) number
//! number   = [ "+" / "-" ] 1*DIGIT
//! ```
//! Of two versions with a common beginning the shorter is smaller: `11` is older than `11.0`. The comparison stops as
//! equal at text behind a number, so that `1.0rc1` equals `1.0`. Numbers have any length; those of virt-viewer
//! overflow.

use core::cmp::Ordering;

use nom::{
    IResult, Parser,
    bytes::complete::take_while,
    character::complete::{digit0, one_of},
    combinator::opt,
    sequence::preceded,
};

/// Compares two versions.
///
/// ```
/// use core::cmp::Ordering;
/// use vv_file::version::compare;
/// assert_eq!(compare("2.0-256", "2.0-160"), Ordering::Greater);
/// assert_eq!(compare("11", "11.0"), Ordering::Less);
/// ```
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_version, a_build) = split(a);
    let (b_version, b_build) = split(b);
    let order = numbers(a_version, b_version);
    if a.is_empty() || b.is_empty() {
        // Nothing has no build either.
        return order;
    }
    order.then_with(|| numbers(a_build, b_build))
}

/// Whether a viewer of version `own` takes a file that asks for `required`.
pub fn satisfies(own: &str, required: &str) -> bool {
    compare(required, own).is_le()
}

/// Whether a text is a version in the documented form, with a number wherever one can stand.
pub fn is_well_formed(text: &str) -> bool {
    let whole = |numbers: &str| {
        numbers.split('.').all(|number| {
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            digits && !number.is_empty()
        })
    };
    match text.split_once('-') {
        Some((version, build)) => whole(version) && whole(build),
        None => whole(text),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once('-').unwrap_or((text, ""))
}

fn numbers(a: &str, b: &str) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return b.is_empty().cmp(&a.is_empty());
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let (a, b) = match (left.next(), right.next()) {
            (Some(a), Some(b)) => (number(a), number(b)),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        };
        let order = a.cmp_value(&b);
        if order.is_ne() || a.has_suffix || b.has_suffix {
            return order;
        }
    }
}

struct Number<'a> {
    /// Without leading zeros.
    digits: &'a str,
    is_negative: bool,
    has_suffix: bool,
}

impl Number<'_> {
    fn cmp_value(&self, other: &Self) -> Ordering {
        // Without leading zeros the longer number is the larger one.
        let by_size = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        match (self.is_negative, other.is_negative) {
            (false, false) => by_size(self.digits, other.digits),
            (true, true) => by_size(other.digits, self.digits),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

fn number(text: &str) -> Number<'_> {
    let blanks = take_while(|character: char| character.is_ascii_whitespace());
    let parsed: IResult<_, _> = (preceded(blanks, opt(one_of("+-"))), digit0).parse(text);
    let (suffix, (sign, all)) = parsed.unwrap_or((text, (None, "")));
    let digits = all.trim_start_matches('0');
    Number {
        digits,
        is_negative: sign == Some('-') && !digits.is_empty(),
        // What is no number at all is as much text as what follows one.
        has_suffix: !suffix.is_empty() || (all.is_empty() && !text.is_empty()),
    }
}
