//! Where a token travels, and how it is found and written there.
//!
//! | place | text | used by |
//! |---|---|---|
//! | query | `?token=` | Nova, libvirt-console-proxy, websockify, Kerbside |
//! | cookie | `Cookie: token=` | noVNC behind Nova's proxy; KubeVirt's design |
//! | header | `Authorization: Bearer` (RFC 6750) | programs other than browsers |
//! | proxy's header | `Proxy-Authorization: Basic`, the password (RFC 7617) | native clients of an HTTP CONNECT proxy |
//! | sub-protocol | `Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.` | browsers at Kubernetes and KubeVirt |
//! | CONNECT host | `CONNECT <token>:<port>` | Proxmox VE |
//! | SPICE password | at most 60 bytes | Kerbside |
//! | VNC password | at most 8 bytes: never | |
//!
//! A place with two tokens counts as a place without one, since readers differ in which of the two they take. Only
//! [`nova`] takes the last, because Nova does.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::{fmt, num::NonZeroU16};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nom::{
    IResult, Parser,
    bytes::complete::{tag, tag_no_case, take_while, take_while1},
    character::complete::space0,
    combinator::{all_consuming, recognize},
    multi::separated_list0,
    sequence::{delimited, pair, preceded, separated_pair, terminated},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::host::{HostName, parse_port};
use crate::{Refusal, Secret, SignedToken};

/// The name of the parameter and of the cookie: that of all systems above.
pub const NAME: &str = "token";

/// What a sub-protocol that is a token begins with; behind it is the token in base64url, without padding.
pub const SUB_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The most bytes that one byte becomes when it is percent-encoded, as `%2F`.
const ENCODED: usize = 3;

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A place where a token can travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// The parameter [`NAME`] of a URL's query.
    Query,
    /// The cookie [`NAME`].
    Cookie,
    /// `Authorization: Bearer`.
    Header,
    /// The password of `Proxy-Authorization: Basic`.
    ProxyHeader,
    /// A WebSocket's sub-protocol.
    SubProtocol,
    /// The host of an HTTP `CONNECT`.
    ConnectHost,
    /// The password of a SPICE connection.
    SpicePassword,
    /// The password of VNC authentication.
    VncPassword,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Query,
        Self::Cookie,
        Self::Header,
        Self::ProxyHeader,
        Self::SubProtocol,
        Self::ConnectHost,
        Self::SpicePassword,
        Self::VncPassword,
    ];

    /// Whether a token can be written there and read back unchanged: readers do not unescape characters that the place
    /// does not allow, host names lose their case, and passwords are cut.
    #[must_use]
    pub fn carries(self, token: &str) -> bool {
        let is_text =
            (1..=Presented::MAX_LEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_text
            && match self {
                Self::Query | Self::SubProtocol | Self::ProxyHeader => true,
                Self::Cookie => token.chars().all(is_cookie_octet),
                Self::Header => all_consuming(token68).parse(token).is_ok(),
                // Neither an address nor what a resolver would take for one.
                Self::ConnectHost => HostName::read(token).is_some_and(|name| name.as_str() == token),
                Self::SpicePassword => token.len() <= Secret::SPICE_PASSWORD_MAX,
                Self::VncPassword => token.len() <= Secret::VNC_PASSWORD_MAX,
            }
    }

    /// Whether what is there ends up in histories, logs of proxies and `Referer` headers. Such a token should be good
    /// for one exchange ([`Scope::Exchange`](crate::Scope::Exchange)) or for seconds, and its page be served with
    /// `Referrer-Policy: no-referrer` and `Cache-Control: no-store`.
    #[must_use]
    pub const fn is_written_down(self) -> bool {
        matches!(self, Self::Query | Self::ConnectHost)
    }

    /// The token as it stands there: `token=...` for a query or a cookie, the value of a header, the name of a
    /// sub-protocol, a host, a password. `None` if the place does not [carry](Self::carries) it.
    #[must_use]
    pub fn write(self, token: &str) -> Option<Zeroizing<String>> {
        if !self.carries(token) {
            return None;
        }
        let text = match self {
            Self::Query => {
                // One buffer that does not grow, so that no stale copy stays in the heap.
                let most = token.len().saturating_mul(ENCODED).saturating_add("token=".len());
                let mut text = String::with_capacity(most);
                text.push_str("token=");
                text.extend(utf8_percent_encode(token, RESERVED));
                text
            }
            Self::Cookie => format!("{NAME}={token}"),
            Self::Header => format!("Bearer {token}"),
            Self::ProxyHeader => {
                let pair = Zeroizing::new(format!(":{token}"));
                format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes())))
            }
            Self::SubProtocol => format!("{SUB_PROTOCOL}{}", *Zeroizing::new(URL_SAFE_NO_PAD.encode(token))),
            Self::ConnectHost | Self::SpicePassword | Self::VncPassword => token.into(),
        };
        Some(Zeroizing::new(text))
    }
}

/// The value of a `Set-Cookie` header: for this path and so many seconds, over TLS only, out of reach for scripts,
/// and never sent from another site (RFC 6265bis section 4.1.2).
///
/// `None` if a cookie does not [carry](Place::carries) the token, or the path has a character that ends it.
#[must_use]
pub fn set_cookie(token: &str, path: &str, max_age: u64) -> Option<Zeroizing<String>> {
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
    let pair = Place::Cookie.write(token).filter(|_| is_path)?;
    let text = format!(
        "{}; Path={path}; Max-Age={max_age}; Secure; HttpOnly; SameSite=Strict",
        *pair
    );
    Some(Zeroizing::new(text))
}

/// What stands where a token should be: any bytes, at most [`MAX_LEN`](Self::MAX_LEN), and as secret as a token.
pub struct Presented(Zeroizing<Vec<u8>>);

impl Presented {
    /// The most bytes: those of the longest token, a signed one.
    pub const MAX_LEN: usize = SignedToken::MAX_LEN;

    fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Option<Self>, PlaceError> {
        match bytes.len() {
            0 => Ok(None),
            1..=Self::MAX_LEN => Ok(Some(Self(bytes))),
            _ => Err(PlaceError::TooLong),
        }
    }

    fn text(text: &str) -> Result<Option<Self>, PlaceError> {
        Self::new(Zeroizing::new(text.into()))
    }

    /// The token, if it has the form of one that is kept in a store.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`].
    pub fn secret(&self) -> Result<Secret, Refusal> {
        Secret::presented(&self.0)
    }

    /// The token, if it has the form of a signed one.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`].
    pub fn signed(&self) -> Result<SignedToken, Refusal> {
        SignedToken::presented(&self.0)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl ZeroizeOnDrop for Presented {}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(redacted)")
    }
}

/// Why no token was taken from a place. To be answered like a token that is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// There are two.
    #[error("more than one token in one place")]
    Repeated,
    /// It is longer than any token.
    #[error("too long for a token")]
    TooLong,
    /// It is not written as it has to be there.
    #[error("not the text of such a place")]
    Malformed,
}

/// The only one of several, if there is one. A second one counts also when one of them is empty.
fn single<T>(mut found: impl Iterator<Item = T>) -> Result<Option<T>, PlaceError> {
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        _ => Err(PlaceError::Repeated),
    }
}

/// The token in the target of a request, or in a URL: `/websockify?token=...`.
///
/// An empty one is none, as for Nova.
///
/// # Errors
///
/// [`PlaceError`]; `Malformed` for percent-encoding that is broken.
pub fn query(target: &str) -> Result<Option<Presented>, PlaceError> {
    let target = target.split('#').next().unwrap_or_default();
    let Some((_, query)) = target.split_once('?') else {
        return Ok(None);
    };
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = single(pairs.filter(|(name, _)| form_decoded(name).eq(NAME.bytes())))?;
    let Some((_, value)) = named else { return Ok(None) };
    let is_encoded = |(at, _): (usize, &str)| {
        let digits = at.checked_add(1).and_then(|from| value.get(from..from.checked_add(2)?));
        digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    if !value.match_indices('%').all(is_encoded) {
        return Err(PlaceError::Malformed);
    }
    let mut decoded = Zeroizing::new(Vec::with_capacity(value.len()));
    decoded.extend(form_decoded(value));
    Presented::new(decoded)
}

/// Text of a form: `+` is a space (URL Standard, `application/x-www-form-urlencoded`).
fn form_decoded(text: &str) -> impl Iterator<Item = u8> {
    let decoded = text.split('+').enumerate().map(|(index, part)| {
        let space = (index != 0).then_some(b' ');
        space.into_iter().chain(percent_decode_str(part))
    });
    decoded.flatten()
}

/// RFC 6265 section 4.1.1, without the quotes around a value.
fn is_cookie_octet(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '"' | ',' | ';' | '\\')
}

/// The token in the values of the `Cookie` headers of a request.
///
/// # Errors
///
/// [`PlaceError::Repeated`] also for cookies of other paths or parent domains: a neighbour can set those.
/// `Malformed` for a value that is no cookie's; other cookies are not looked at.
pub fn cookie<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Option<Presented>, PlaceError> {
    let pairs = headers.into_iter().flat_map(|header| header.split(';'));
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = single(pairs.filter(|(name, _)| name.trim_matches([' ', '\t']) == NAME))? else {
        return Ok(None);
    };
    let value = value.trim_matches([' ', '\t']);
    let bare = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    if bare.chars().all(is_cookie_octet) {
        Presented::text(bare)
    } else {
        Err(PlaceError::Malformed)
    }
}

/// RFC 9110 section 11.2.
fn token68(input: &str) -> IResult<&str, &str> {
    let is_inner = |character: char| character.is_ascii_alphanumeric() || "-._~+/".contains(character);
    recognize(pair(take_while1(is_inner), take_while(|character| character == '='))).parse(input)
}

/// What is behind the name of a scheme, which has no case; `None` for another scheme.
fn credentials<'a>(scheme: &str, header: &'a str) -> Result<Option<&'a str>, PlaceError> {
    let mut name = terminated(tag_no_case::<_, _, nom::error::Error<&str>>(scheme), tag(" "));
    let Ok((rest, _)) = name.parse(header) else {
        return Ok(None);
    };
    let (_, text) = all_consuming(delimited(space0::<_, nom::error::Error<&str>>, token68, space0))
        .parse(rest)
        .map_err(|_| PlaceError::Malformed)?;
    Ok(Some(text))
}

/// The token in the values of the `Authorization` headers of a request: `Bearer ...`.
///
/// Another scheme is no token.
///
/// # Errors
///
/// [`PlaceError`]; `Repeated` for more than one header, whatever is in them.
pub fn bearer<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Option<Presented>, PlaceError> {
    let header = single(headers.into_iter())?.unwrap_or_default();
    match credentials("Bearer", header)? {
        Some(token) => Presented::text(token),
        None => Ok(None),
    }
}

/// The token in the values of the `Proxy-Authorization` headers of a request: the password of `Basic ...`. The user is not
/// looked at.
///
/// # Errors
///
/// [`PlaceError`]; `Repeated` for more than one header, whatever is in them.
pub fn basic<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Option<Presented>, PlaceError> {
    let header = single(headers.into_iter())?.unwrap_or_default();
    let Some(encoded) = credentials("Basic", header)? else {
        return Ok(None);
    };
    // Room for the user name too, which has no length of its own to be checked.
    if Presented::MAX_LEN.saturating_mul(2) < encoded.len() {
        return Err(PlaceError::TooLong);
    }
    let pair = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| PlaceError::Malformed)?);
    let colon = pair
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(PlaceError::Malformed)?;
    let password = colon
        .checked_add(1)
        .and_then(|from| pair.get(from..))
        .unwrap_or_default();
    Presented::new(Zeroizing::new(password.into()))
}

/// The sub-protocols that a WebSocket client offers.
#[derive(Debug)]
pub struct SubProtocols<'a> {
    /// The token, if one of them is one.
    pub token: Option<Presented>,
    /// The others, of which the answer names one. The token's must not be answered: it would be in logs, and scripts
    /// can read it.
    pub others: Vec<&'a str>,
}

/// Reads the values of the `Sec-WebSocket-Protocol` headers of a request (RFC 6455 section 4.1): lists of names.
///
/// # Errors
///
/// [`PlaceError`]; `Malformed` for what is no list of names or no base64url.
pub fn sub_protocols<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<SubProtocols<'a>, PlaceError> {
    let mut tokens = Vec::new();
    let mut others = Vec::new();
    for header in headers {
        let comma = (space0, tag(","), space0);
        let list = delimited(space0, separated_list0(comma, field_token), space0);
        let (_, names) = all_consuming(list).parse(header).map_err(|_| PlaceError::Malformed)?;
        for name in names {
            match name.strip_prefix(SUB_PROTOCOL) {
                Some(token) => tokens.push(token),
                None => others.push(name),
            }
        }
    }
    let token = match single(tokens.into_iter())? {
        None => None,
        Some(encoded) if Presented::MAX_LEN.saturating_mul(2) < encoded.len() => return Err(PlaceError::TooLong),
        Some(encoded) => {
            let decoded = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| PlaceError::Malformed)?;
            Presented::new(Zeroizing::new(decoded))?
        }
    };
    Ok(SubProtocols { token, others })
}

/// RFC 9110 section 5.6.2, `token`.
pub(crate) fn field_token(input: &str) -> IResult<&str, &str> {
    let is_tchar = |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    take_while1(is_tchar).parse(input)
}

/// The token that is the host of an HTTP `CONNECT`, and the port behind it: what is in front of the last colon, in lower
/// case, because clients fold host names.
///
/// # Errors
///
/// [`PlaceError::Malformed`] without a port, [`PlaceError::TooLong`].
pub fn connect_host(authority: &str) -> Result<Option<(Presented, NonZeroU16)>, PlaceError> {
    let (host, port) = authority.rsplit_once(':').ok_or(PlaceError::Malformed)?;
    let (_, port) = all_consuming(parse_port)
        .parse(port)
        .map_err(|_| PlaceError::Malformed)?;
    let mut token: Zeroizing<Vec<u8>> = Zeroizing::new(host.into());
    token.make_ascii_lowercase();
    Ok(Presented::new(token)?.map(|token| (token, port)))
}

/// The token that is a SPICE password, as it came out of the ticket.
///
/// # Errors
///
/// [`PlaceError::TooLong`] above [`Secret::SPICE_PASSWORD_MAX`].
pub fn spice_password(password: &[u8]) -> Result<Option<Presented>, PlaceError> {
    if Secret::SPICE_PASSWORD_MAX < password.len() {
        return Err(PlaceError::TooLong);
    }
    Presented::new(Zeroizing::new(password.into()))
}

/// The token that Nova's WebSocket proxy takes from the target and the `Cookie` header of a request: the last parameter
/// `token` that is not blank, or else the last cookie `token`. For gateways that stand in its place; take the other
/// functions for everything else.
#[must_use]
pub fn nova(target: &str, cookies: Option<&str>) -> Option<Zeroizing<String>> {
    let target = target.split('#').next().unwrap_or_default();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut of_query = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_token = !value.is_empty() && form_decoded(name).eq(NAME.bytes());
        is_token.then_some(value)
    });
    if let Some(value) = of_query.next_back() {
        let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(form_decoded(value).collect());
        return Some(Zeroizing::new(match String::from_utf8_lossy(&bytes) {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text,
        }));
    }
    let mut parts = cookies.unwrap_or_default().split(';');
    let value = parts.by_ref().rev().find_map(nova_cookie)?;
    (!value.is_empty()).then(|| Zeroizing::new(value.into()))
}

/// The value of one cookie by the name of [`NAME`].
fn nova_cookie(part: &str) -> Option<&str> {
    let value = take_while(is_cookie_octet);
    let quoted = |input| delimited(tag("\""), take_while(is_cookie_octet), tag("\"")).parse(input);
    let (_, (_, value)) = preceded(
        space0::<_, nom::error::Error<&str>>,
        separated_pair(tag(NAME), (space0, tag("="), space0), nom::branch::alt((quoted, value))),
    )
    .parse(part)
    .ok()?;
    Some(value)
}
