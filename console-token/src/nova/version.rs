//! Versions of the API.

use core::{fmt, str::FromStr};

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_while_m_n},
    character::complete::space0,
    combinator::{all_consuming, map_opt, verify},
    multi::separated_list1,
    sequence::{preceded, separated_pair},
};
use thiserror::Error;

use crate::web::place;

/// A microversion of Nova's API: 2 and the number behind the dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Microversion(pub u16);

impl Microversion {
    /// 2.1: the first, and the one of a request that names none.
    pub const V2_1: Self = Self(1);
    /// 2.6: `remote-consoles` in place of the actions.
    pub const V2_6: Self = Self(6);
    /// 2.8: protocol mks.
    pub const V2_8: Self = Self(8);
    /// 2.31: tokens of all consoles are shown.
    pub const V2_31: Self = Self(31);
    /// 2.99: type spice-direct, with its TLS port.
    pub const V2_99: Self = Self(99);

    /// The version that a request asks for, by the value of its header `OpenStack-API-Version`: a list of services
    /// with their versions, as `compute 2.99`. `latest` is what the server gives here.
    ///
    /// # Errors
    ///
    /// [`VersionError`]: 400.
    pub fn requested(header: &str, latest: Self) -> Result<Self, VersionError> {
        let version = alt((tag("latest").map(|_| latest), number));
        let other =
            nom::bytes::complete::take_while1(|character: char| character.is_ascii_graphic() && character != ',');
        let compute = separated_pair(tag("compute"), tag(" "), version).map(|(_, version)| Some(version));
        let service = separated_pair(
            verify(place::field_token, |name: &str| name != "compute"),
            tag(" "),
            other,
        )
        .map(|_| None);
        let entry = alt((compute, service));
        let comma = (space0, tag(","), space0);
        let (_, entries) = all_consuming(separated_list1(comma, entry))
            .parse(header)
            .map_err(|_: nom::Err<nom::error::Error<&str>>| VersionError)?;
        let mut versions = entries.into_iter().flatten();
        match (versions.next(), versions.next()) {
            (version, None) => Ok(version.unwrap_or(Self::V2_1)),
            _ => Err(VersionError),
        }
    }
}

/// Nova's `^([1-9]\d*)\.([1-9]\d*|0)$`, of version 2.
fn number(input: &str) -> IResult<&str, Microversion> {
    /// As many as the largest number of the type has.
    const MAX_DIGITS: usize = 5;
    let digits = take_while_m_n(1, MAX_DIGITS, |character: char| character.is_ascii_digit());
    let minor = map_opt(digits, |digits: &str| {
        let is_number = digits != "0" && !digits.starts_with('0');
        digits.parse().ok().filter(|_| is_number)
    });
    preceded(tag("2."), minor).map(Microversion).parse(input)
}

impl FromStr for Microversion {
    type Err = VersionError;

    /// Reads `2.99`.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (_, version) = all_consuming(number).parse(text).map_err(|_| VersionError)?;
        Ok(version)
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2.{}", self.0)
    }
}

/// The text names no version of Nova's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a microversion")]
pub struct VersionError;
