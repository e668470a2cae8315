//! The URL that a tenant opens to see a console: a base of the configuration, with the token in it.
//!
//! ```text
//! base = scheme "://" [ user-info "@" ] host [ ":" port ] path [ "?" query ] [ "#" fragment ]     RFC 3986
//! scheme = "http" / "https" / "ws" / "wss"                                                        in any case
//! ```
//! Where the token goes depends on the page that is opened. noVNC takes the URL of its WebSocket from the
//! parameter `path`, so the token is a parameter inside of that; everywhere else it is a parameter of the query.

use alloc::{borrow::Cow, string::String};
use core::{fmt, net::Ipv6Addr};

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag, tag_no_case, take_while1},
    character::complete::{digit1, satisfy},
    combinator::{all_consuming, opt, recognize, verify},
    multi::many0_count,
    sequence::{delimited, pair, preceded, terminated},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};
use thiserror::Error;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{ConsoleType, Secret};

/// The most bytes that one byte becomes when it is percent-encoded, as `%2F`.
const ENCODED: usize = 3;

/// The same, if that is percent-encoded again, as `%252F`.
const TWICE_ENCODED: usize = 5;

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL with a token in it: as secret as the token.
///
/// `Debug` shows nothing of it, and its memory is overwritten when it is dropped.
pub struct AccessUrl(Zeroizing<String>);

impl AccessUrl {
    /// Puts the token into the base, which is otherwise kept byte for byte.
    ///
    /// - [`ConsoleType::NoVnc`]: into the parameter `path`, which is extended, or else added at the end
    ///   of the query; as `?token=`, or `&token=` if that path has a query already.
    /// - Every other type: as the parameter `token`, at the end of the query and before the fragment.
    ///
    /// The token is percent-encoded for where it goes; those made here need none of it.
    ///
    /// ```
    /// use console_token::{AccessUrl, ConsoleType, Secret};
    ///
    /// let token = Secret::uuid4(&[0x5a; 16]);
    /// let url = AccessUrl::new(ConsoleType::SpiceDirect, "https://console.example/nova?region=a#top", &token)?;
    /// assert_eq!(
    ///     url.expose(),
    ///     "https://console.example/nova?region=a&token=5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a#top"
    /// );
    /// # Ok::<(), console_token::AccessUrlError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AccessUrlError`] for a base that is no such URL, or that leaves open which token counts.
    pub fn new(console: ConsoleType, base: &str, token: &Secret) -> Result<Self, AccessUrlError> {
        let (_, base) = base_url(base).map_err(|_| AccessUrlError::Malformed)?;
        let mut url = with_capacity(
            base.whole_len()
                .saturating_add(token.expose().len().saturating_mul(TWICE_ENCODED)),
        );
        url.push_str(base.before_query);
        url.push('?');
        match console {
            ConsoleType::NoVnc => put_in_path(base.query, token, &mut url)?,
            _ if parameters(base.query).any(|parameter| parameter.is_named("token")) => {
                return Err(AccessUrlError::HasToken);
            }
            _ => {
                put_before(base.query, &mut url);
                url.push_str("token=");
                url.extend(escaped(token.expose()));
            }
        }
        if let Some(fragment) = base.fragment {
            url.push('#');
            url.push_str(fragment);
        }
        Ok(Self(url))
    }

    /// Puts the token into the base exactly as Nova does (`ConsoleAuthToken.access_url`), for clients and
    /// tests that compare. Take [`new`](Self::new) for everything else.
    ///
    /// - `novnc`: the query is decoded as a form and encoded again, without parameters that are blank, with those
    ///   of one name together; `?token=` is appended to the first `path`, also if that has a query.
    /// - Every other type: `?token=` and the token are appended to the text as they are, also behind a query or
    ///   a fragment.
    ///
    /// Nova takes any text for a token and for a base, so `token` is text.
    ///
    /// # Errors
    ///
    /// [`AccessUrlError::Malformed`] where Python's `urllib.parse` refuses the base of a `novnc` console: brackets
    /// that hold no IPv6 address. (Hosts that are not ASCII are not looked at, which Python does.)
    pub fn nova(console: ConsoleType, base: &str, token: &str) -> Result<Self, AccessUrlError> {
        let most = base.len().saturating_add(token.len()).saturating_mul(ENCODED);
        let mut url = with_capacity(most);
        if console == ConsoleType::NoVnc {
            python::access_url(base, token, &mut url)?;
        } else {
            url.push_str(base);
            url.push_str("?token=");
            url.push_str(token);
        }
        Ok(Self(url))
    }

    /// A URL that somebody else has put a token into: by RFC 3986, and of one of the four schemes.
    #[cfg(feature = "serde")]
    pub(crate) fn presented(url: Zeroizing<String>) -> Option<Self> {
        base_url(&url).is_ok().then(|| Self(url))
    }

    /// The URL itself, for the holder of the token only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for AccessUrl {}

impl fmt::Debug for AccessUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessUrl(redacted)")
    }
}

/// Why a token cannot be put into the base of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessUrlError {
    /// It is not a URL with one of the four schemes and a host, by RFC 3986.
    #[error("the base is not a URL of http, https, ws or wss")]
    Malformed,
    /// The base has a parameter `token` already.
    #[error("the base has a token already")]
    HasToken,
    /// The base has the parameter `path` more than once; noVNC takes the last, Nova the first.
    #[error("the base has the parameter path more than once")]
    RepeatedPath,
    /// The parameter `path` has a fragment, behind which a token would not be sent.
    #[error("the parameter path of the base has a fragment")]
    FragmentInPath,
}

/// One buffer that holds everything, so that no stale copy of the token stays in the heap.
fn with_capacity(len: usize) -> Zeroizing<String> {
    const NAMES: usize = ":///?&path=%3Ftoken%3D#".len();
    Zeroizing::new(String::with_capacity(len.saturating_add(NAMES)))
}

fn escaped(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// A base, taken apart.
struct Base<'a> {
    before_query: &'a str,
    query: &'a str,
    fragment: Option<&'a str>,
}

impl Base<'_> {
    fn whole_len(&self) -> usize {
        [self.before_query, self.query, self.fragment.unwrap_or_default()]
            .iter()
            .fold(0, |sum, part| sum.saturating_add(part.len()))
    }
}

/// A parameter of a query, as it stands there.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    text: &'a str,
}

impl<'a> Parameter<'a> {
    fn is_named(self, name: &str) -> bool {
        let own = self.text.split_once('=').map_or(self.text, |(own, _)| own);
        percent_decode_str(own).eq(name.bytes())
    }

    fn value(self) -> Cow<'a, [u8]> {
        percent_decode_str(self.text.split_once('=').map_or("", |(_, value)| value)).into()
    }
}

fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query.split('&').map(|text| Parameter { text })
}

/// Writes what stands in front of a parameter that is added at the end of a query.
fn put_before(query: &str, url: &mut String) {
    url.push_str(query);
    if !query.is_empty() && !query.ends_with('&') {
        url.push('&');
    }
}

/// Writes the query with the token inside of the parameter `path`.
fn put_in_path(query: &str, token: &Secret, url: &mut String) -> Result<(), AccessUrlError> {
    let mut paths = parameters(query)
        .enumerate()
        .filter(|(_, parameter)| parameter.is_named("path"));
    let (path, None) = (paths.next(), paths.next()) else {
        return Err(AccessUrlError::RepeatedPath);
    };
    let value = path.map(|(_, parameter)| parameter.value()).unwrap_or_default();
    if value.contains(&b'#') {
        return Err(AccessUrlError::FragmentInPath);
    }
    // The query of the WebSocket's URL: what is behind the first `?` of the value.
    let inner = value
        .iter()
        .position(|byte| *byte == b'?')
        .and_then(|at| value.get(at.saturating_add(1)..));
    let inner = inner.map(String::from_utf8_lossy);
    let joint = match &inner {
        None => "%3F",
        Some(inner) if parameters(inner).any(|parameter| parameter.is_named("token")) => {
            return Err(AccessUrlError::HasToken);
        }
        Some(inner) if inner.is_empty() || inner.ends_with('&') => "",
        Some(_) => "%26",
    };
    let put_token = |url: &mut String| {
        url.push_str(joint);
        url.push_str("token%3D");
        // Once for the query of the WebSocket's URL, once more for the parameter that this is in.
        url.extend(escaped(token.expose()).flat_map(escaped));
    };
    match path {
        None => {
            put_before(query, url);
            url.push_str("path=");
            put_token(url);
        }
        Some((at, _)) => {
            for (index, parameter) in parameters(query).enumerate() {
                if index != 0 {
                    url.push('&');
                }
                url.push_str(parameter.text);
                if index == at {
                    if !parameter.text.contains('=') {
                        url.push('=');
                    }
                    put_token(url);
                }
            }
        }
    }
    Ok(())
}

/// Characters of RFC 3986 section 3.3, `pchar`, without percent-encoding.
fn is_pchar(character: char) -> bool {
    let is_mark = matches!(
        character,
        '-' | '.' | '_' | '~' | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' | ':' | '@'
    );
    character.is_ascii_alphanumeric() || is_mark
}

/// Any run of the characters that are allowed, or of bytes that are percent-encoded.
fn encoded<'a>(
    allowed: impl Fn(char) -> bool,
) -> impl Parser<&'a str, Output = &'a str, Error = nom::error::Error<&'a str>> {
    let hex_digit = || satisfy(|character| character.is_ascii_hexdigit());
    recognize(many0_count(alt((
        take_while1(allowed),
        recognize((tag("%"), hex_digit(), hex_digit())),
    ))))
}

fn host(input: &str) -> IResult<&str, &str> {
    let address = verify(delimited(tag("["), is_not("[]"), tag("]")), |text: &str| {
        text.parse::<Ipv6Addr>().is_ok()
    });
    let name = verify(
        encoded(|character| is_pchar(character) && character != ':' && character != '@'),
        |name: &str| !name.is_empty(),
    );
    alt((address, name)).parse(input)
}

fn base_url(input: &str) -> IResult<&str, Base<'_>> {
    let scheme = alt((
        tag_no_case("https"),
        tag_no_case("http"),
        tag_no_case("wss"),
        tag_no_case("ws"),
    ));
    let user_info = terminated(encoded(|character| is_pchar(character) && character != '@'), tag("@"));
    let port = verify(digit1, |digits: &str| digits.parse::<u16>().is_ok_and(|port| port != 0));
    let authority = (opt(user_info), host, opt(preceded(tag(":"), port)));
    let path = opt(pair(
        tag("/"),
        encoded(|character| is_pchar(character) || character == '/'),
    ));
    let tail = || encoded(|character| is_pchar(character) || character == '/' || character == '?');
    all_consuming((
        recognize((scheme, tag("://"), authority, path)),
        opt(preceded(tag("?"), tail())),
        opt(preceded(tag("#"), tail())),
    ))
    .map(
        |(before_query, query, fragment): (&str, Option<&str>, Option<&str>)| Base {
            before_query,
            query: query.unwrap_or_default(),
            fragment,
        },
    )
    .parse(input)
}

/// What Nova's code makes of the base for noVNC, through `urllib.parse` of Python 3.11.
mod python {
    use alloc::{borrow::ToOwned as _, collections::BTreeMap, string::String, vec::Vec};
    use core::net::Ipv6Addr;

    use percent_encoding::percent_decode_str;

    use super::{AccessUrlError, RESERVED};

    /// Schemes whose path may end in parameters behind a `;` (`uses_params`).
    const WITH_PARAMETERS: [&str; 16] = [
        "", "ftp", "hdl", "prospero", "http", "imap", "https", "shttp", "rtsp", "rtsps", "rtspu", "sip", "sips", "mms",
        "sftp", "tel",
    ];

    /// Schemes that are followed by `//` also without an authority (`uses_netloc`).
    const WITH_AUTHORITY: [&str; 25] = [
        "ftp", "http", "gopher", "nntp", "telnet", "imap", "wais", "file", "mms", "https", "shttp", "snews",
        "prospero", "rtsp", "rtsps", "rtspu", "rsync", "svn", "svn+ssh", "sftp", "nfs", "git", "git+ssh", "ws", "wss",
    ];

    pub(super) fn access_url(base: &str, token: &str, url: &mut String) -> Result<(), AccessUrlError> {
        let base: String = base
            .trim_start_matches(|character| character <= ' ')
            .chars()
            .filter(|character| !matches!(character, '\t' | '\r' | '\n'))
            .collect();
        let (scheme, rest) = scheme(&base);
        let (authority, rest) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        check_brackets(authority)?;
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (mut path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // Parameters behind the last segment are kept, but not the `;` of empty ones.
        if WITH_PARAMETERS.contains(&scheme.as_str()) {
            let last = path.rfind('/').and_then(|slash| path.get(slash..)).unwrap_or(path);
            if last.find(';').is_some_and(|at| at.saturating_add(1) == last.len()) {
                path = path.strip_suffix(';').unwrap_or(path);
            }
        }

        if !scheme.is_empty() {
            url.push_str(&scheme);
            url.push(':');
        }
        if !authority.is_empty() || (WITH_AUTHORITY.contains(&scheme.as_str()) && !path.starts_with("//")) {
            url.push_str("//");
            url.push_str(authority);
            if !path.is_empty() && !path.starts_with('/') {
                url.push('/');
            }
        }
        url.push_str(path);
        url.push('?');
        put_query(query, token, url);
        if !fragment.is_empty() {
            url.push('#');
            url.push_str(fragment);
        }
        Ok(())
    }

    /// The scheme in lower case, and what is behind it.
    fn scheme(url: &str) -> (String, &str) {
        let is_scheme = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
        };
        match url.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ => (String::new(), url),
        }
    }

    /// What is in brackets must be an IPv6 address, with or without a zone, or of a future version.
    fn check_brackets(authority: &str) -> Result<(), AccessUrlError> {
        let Some((_, opened)) = authority.split_once('[') else {
            return if authority.contains(']') {
                Err(AccessUrlError::Malformed)
            } else {
                Ok(())
            };
        };
        let address = opened.split_once(']').map_or(opened, |(address, _)| address);
        let is_address = match address.strip_prefix('v') {
            Some(future) => future.split_once('.').is_some_and(|(version, address)| {
                !version.is_empty() && !address.is_empty() && version.chars().all(|digit| digit.is_ascii_hexdigit())
            }),
            None => {
                let (address, zone) = address.split_once('%').unwrap_or((address, "0"));
                address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && !zone.contains('%')
            }
        };
        if is_address && authority.contains(']') {
            Ok(())
        } else {
            Err(AccessUrlError::Malformed)
        }
    }

    /// `parse_qs`, the token appended to the first `path`, `urlencode`.
    fn put_query(query: &str, token: &str, url: &mut String) {
        let mut names = BTreeMap::new();
        let mut parameters: Vec<(String, Vec<String>)> = Vec::new();
        for parameter in query.split('&') {
            let Some((name, value)) = parameter.split_once('=').filter(|(_, value)| !value.is_empty()) else {
                continue;
            };
            let name = decoded(name);
            let at = *names.entry(name.clone()).or_insert(parameters.len());
            match parameters.get_mut(at) {
                Some((_, values)) => values.push(decoded(value)),
                None => parameters.push((name, [decoded(value)].into())),
            }
        }
        if !names.contains_key("path") {
            parameters.push(("path".to_owned(), [String::new()].into()));
        }
        let mut first = true;
        for (name, values) in &parameters {
            let is_path = name == "path";
            for value in values.iter().take(if is_path { 1 } else { usize::MAX }) {
                if !core::mem::take(&mut first) {
                    url.push('&');
                }
                put_encoded(name, url);
                url.push('=');
                put_encoded(value, url);
                if is_path {
                    put_encoded("?token=", url);
                    put_encoded(token, url);
                }
            }
        }
    }

    fn decoded(text: &str) -> String {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    }

    /// As in a form: a space is a `+`.
    fn put_encoded(text: &str, url: &mut String) {
        for (index, words) in text.split(' ').enumerate() {
            if index != 0 {
                url.push('+');
            }
            url.extend(percent_encoding::utf8_percent_encode(words, RESERVED));
        }
    }
}
