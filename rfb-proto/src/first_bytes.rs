//! What a stream begins with, in words: for peers that speak something else.

use core::fmt::{self, Write as _};

/// The first bytes of a stream, for the log of a program that expected something else.
///
/// Displayed it says what they look like, if that is known, and shows them, but no more than twelve: what follows may be
/// a secret. A machine refuses a peer at its first byte that is not RFB's and leaves what came in `rx`; the drivers of the
/// feature `tokio` put this into their errors.
///
/// ```
/// use rfb_proto::FirstBytes;
///
/// let came = FirstBytes::of(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
/// assert_eq!(came.to_string(), "a TLS ClientHello (16 03 01 02 00 01 00 01 fc 03 03)");
/// assert_eq!(FirstBytes::of(b"HELLO\r\n").to_string(), r#""HELLO\r\n""#);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FirstBytes {
    bytes: [u8; Self::SHOWN],
    len: usize,
    looks_like: Option<&'static str>,
}

impl FirstBytes {
    /// Bytes that are shown at most.
    pub const SHOWN: usize = 12;

    /// Of a stream that begins like this. The more there is of it, the more can be told.
    #[must_use]
    pub fn of(stream: &[u8]) -> Self {
        let (looks_like, shown) = match stream.strip_prefix(REPEATER_ID) {
            // It is all that a repeater asks for.
            Some(_) => (Some("an identifier for an UltraVNC repeater"), REPEATER_ID),
            None => (looks_like(stream), stream),
        };
        let mut bytes = [0; Self::SHOWN];
        for (byte, came) in bytes.iter_mut().zip(shown) {
            *byte = *came;
        }
        Self {
            bytes,
            len: shown.len().min(Self::SHOWN),
            looks_like,
        }
    }

    /// The bytes, at most [`FirstBytes::SHOWN`] of them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What they look like: `a TLS ClientHello`, `SPICE`, `an HTTP request` and so on.
    #[must_use]
    pub fn looks_like(&self) -> Option<&'static str> {
        self.looks_like
    }
}

const REPEATER_ID: &[u8] = b"ID:";

/// What a stream that begins like this is. Nothing that RFB itself could be.
fn looks_like(stream: &[u8]) -> Option<&'static str> {
    let texts: [(&[u8], &str); 21] = [
        (b"REDQ", "SPICE"),
        (b"SSH-", "SSH"),
        (b"HTTP/", "an HTTP response"),
        (b"PRI * HTTP/2", "HTTP/2"),
        (b"GET ", "an HTTP request"),
        (b"HEAD ", "an HTTP request"),
        (b"POST ", "an HTTP request"),
        (b"PUT ", "an HTTP request"),
        (b"OPTIONS ", "an HTTP request"),
        (b"CONNECT ", "an HTTP request"),
        (b"DELETE ", "an HTTP request"),
        (b"PATCH ", "an HTTP request"),
        (b"PROXY ", "a header of the PROXY protocol, which is not spoken here"),
        (
            b"\r\n\r\n\0\r\nQUIT\n",
            "a header of the PROXY protocol, which is not spoken here",
        ),
        (b"{\"QMP\"", "QMP, the monitor of QEMU"),
        (b"QEMU ", "the monitor of QEMU"),
        (b"RFB 000.000\n", "an UltraVNC repeater"),
        (b"RFB ", "RFB"),
        (b"220 ", "FTP or SMTP"),
        (b"* OK", "IMAP"),
        (b"-ERR", "a text protocol"),
    ];
    let text = texts.into_iter().find(|(text, _)| stream.starts_with(text));
    if let Some((_, name)) = text {
        return Some(name);
    }
    Some(match *stream {
        [0x16, 3, _, _, _, 1, ..] => "a TLS ClientHello",
        [0x16, 3, _, _, _, 2, ..] => "a TLS ServerHello",
        [0x16, 3, ..] | [0x16] => "a TLS handshake",
        [0x15, 3, ..] | [0x15] => "a TLS alert",
        [0x14 | 0x17, 3, ..] => "TLS",
        [0x80..=0xff, _, 1, 3 | 0, ..] => "a ClientHello of SSL 2",
        [3, 0, _, _, _, 0xe0 | 0xd0, ..] | [3, 0, _, _] => "RDP",
        [5, 1..=3, 0..=2, ..] => "SOCKS 5",
        [4, 1 | 2, _, _, _, _, _, _, ..] => "SOCKS 4",
        [0xff, 0xfb..=0xfe, ..] => "Telnet",
        [0x81 | 0x82, ..] => "a WebSocket frame",
        _ => return None,
    })
}

/// As text, if it is one, else in hexadecimal.
impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let is_text = bytes
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
        if let Some(name) = self.looks_like {
            write!(f, "{name} (")?;
        }
        match bytes {
            [] => f.write_str("nothing")?,
            text if is_text => write!(f, "\"{}\"", text.escape_ascii())?,
            [first, others @ ..] => {
                write!(f, "{first:02x}")?;
                others.iter().try_for_each(|byte| write!(f, " {byte:02x}"))?;
            }
        }
        match self.looks_like {
            Some(_) => f.write_char(')'),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstBytes({self})")
    }
}
