//! Errors of reading and of writing connection files.
//!
//! Errors contain no text of a file or field, which could be a password or hostile.

use crate::lint::Finding;

/// GLib's code for an error of a key file (`GKeyFileError`), for comparison with GLib.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// `G_KEY_FILE_ERROR_UNKNOWN_ENCODING`
    UnknownEncoding,
    /// `G_KEY_FILE_ERROR_PARSE`
    Parse,
    /// `G_KEY_FILE_ERROR_NOT_FOUND`
    NotFound,
    /// `G_KEY_FILE_ERROR_KEY_NOT_FOUND`
    KeyNotFound,
    /// `G_KEY_FILE_ERROR_GROUP_NOT_FOUND`
    GroupNotFound,
    /// `G_KEY_FILE_ERROR_INVALID_VALUE`
    InvalidValue,
}

/// Why a key file was refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
#[non_exhaustive]
pub struct ParseError {
    /// Line of the file, from 1.
    pub line: usize,
    /// Byte of the line at which it went wrong, from 1.
    pub column: usize,
    /// What went wrong.
    pub kind: ParseErrorKind,
}

/// What a [`ParseError`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The line is none of the three kinds. A byte order mark, a line of a certificate that was
    /// not escaped and a saved error page end here.
    #[error("neither a group, nor a key, nor a comment")]
    UnknownLine,
    /// A group name is empty or has a `[`, a `]` or a control character.
    #[error("invalid group name")]
    GroupName,
    /// A key ends with a blank before its locale, or its locale suffix is malformed.
    #[error("invalid key name")]
    KeyName,
    /// A key stands before the first group.
    #[error("key before the first group")]
    KeyBeforeGroup,
    /// The key `Encoding` of the first group says something else than UTF-8.
    #[error("encoding is not utf-8")]
    Encoding,
    /// The file is in UTF-16, of either byte order, with or without a byte order mark. GLib reads its NULs as ends of
    /// lines, and refuses the first line.
    #[error("utf-16 instead of utf-8")]
    Utf16,
    /// The file is larger than [`Limits::size`](crate::key_file::Limits::size).
    #[error("file larger than {limit} bytes")]
    TooLarge {
        /// The limit in force.
        limit: usize,
    },
    /// There are more lines than [`Limits::lines`](crate::key_file::Limits::lines).
    #[error("more than {limit} lines")]
    TooManyLines {
        /// The limit in force.
        limit: usize,
    },
    /// There are more keys than [`Limits::keys`](crate::key_file::Limits::keys).
    #[error("more than {limit} keys")]
    TooManyKeys {
        /// The limit in force.
        limit: usize,
    },
}

impl ParseErrorKind {
    /// GLib's code for it; `None` for the limits, which GLib does not have.
    pub fn code(self) -> Option<ErrorCode> {
        match self {
            Self::UnknownLine | Self::GroupName | Self::KeyName | Self::Utf16 => Some(ErrorCode::Parse),
            Self::KeyBeforeGroup => Some(ErrorCode::GroupNotFound),
            Self::Encoding => Some(ErrorCode::UnknownEncoding),
            Self::TooLarge { .. } | Self::TooManyLines { .. } | Self::TooManyKeys { .. } => None,
        }
    }
}

/// Why a value could not be read as what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The bytes are not UTF-8.
    #[error("not utf-8")]
    Encoding,
    /// A backslash is followed by something that is no escape, or by nothing.
    #[error("invalid escape sequence")]
    Escape,
    /// The value is none of `true`, `false`, `1` and `0`.
    #[error("not a boolean")]
    NotBoolean,
    /// The value is not a decimal integer.
    #[error("not an integer")]
    NotInteger,
    /// The integer does not fit 32 bits.
    #[error("integer out of range")]
    OutOfRange,
}

impl ValueError {
    /// GLib's code for it.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Encoding => ErrorCode::UnknownEncoding,
            Self::Escape | Self::NotBoolean | Self::NotInteger | Self::OutOfRange => ErrorCode::InvalidValue,
        }
    }
}

/// Why a key file was not changed. It is then as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The name cannot stand in square brackets.
    #[error("invalid group name")]
    GroupName,
    /// The name cannot stand before an `=`.
    #[error("invalid key name")]
    KeyName,
    /// The value would not read back as it is: it holds a line end, a NUL, or blanks in front that are not escaped.
    #[error("value that no line can hold")]
    Value,
    /// The changed file would be refused, by a limit or for its `Encoding`.
    #[error(transparent)]
    File(#[from] ParseError),
}

/// Why virt-viewer would not take a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The file is no key file.
    #[error(transparent)]
    KeyFile(#[from] ParseError),
    /// There is no group `[virt-viewer]`.
    #[error("no group [virt-viewer]")]
    NoGroup,
    /// The file is in UTF-16, and its NULs make every line a blank one, so that there is no group.
    #[error("no group [virt-viewer]: utf-16 instead of utf-8")]
    Utf16,
    /// The group has no key `type`.
    #[error("no key type in [virt-viewer]")]
    NoType,
}

impl ConnectionError {
    /// GLib's code for it; `None` for the limits, which GLib does not have.
    pub fn code(self) -> Option<ErrorCode> {
        match self {
            Self::KeyFile(error) => error.kind.code(),
            Self::NoGroup | Self::Utf16 | Self::NoType => Some(ErrorCode::NotFound),
        }
    }
}

/// Why a file is not accepted strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StrictError {
    /// The first error that was found.
    #[error(transparent)]
    Finding(#[from] Finding),
    /// virt-viewer would not take the file.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Why a [`Builder`](crate::Builder) refuses to write a file.
///
/// Fields are named by their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A field of one line has a control character: with a newline it would add keys of its own.
    #[error("{0}: control character")]
    ControlCharacter(&'static str),
    /// A text that is shown has a bidirectional control character, which would reverse what is shown after it.
    #[error("{0}: bidirectional control character")]
    BidiControl(&'static str),
    /// A field was set to nothing, which virt-viewer reads as something else than an absent one.
    #[error("{0}: empty")]
    Empty(&'static str),
    /// A secret is not UTF-8: virt-viewer would read none at all.
    #[error("{0}: not utf-8")]
    NotUtf8(&'static str),
    /// The password is longer than the protocol takes.
    #[error("password: {length} bytes, the protocol takes {limit}")]
    PasswordTooLong {
        /// Bytes of the password.
        length: usize,
        /// 60 for SPICE, 8 for VNC.
        limit: usize,
    },
    /// Port 0 cannot be connected to.
    #[error("{0}: port 0")]
    PortZero(&'static str),
    /// Nothing says where to connect: SPICE needs a port or a TLS port, VNC a port.
    #[error("no port to connect to")]
    NoPort,
    /// Channels are to be secure and there is no TLS port that they could use.
    #[error("secure-channels without a tls-port")]
    NoTlsPort,
    /// The viewer takes this key for SPICE only; over VNC it would protect nothing, silently.
    #[error("{0}: not used for vnc")]
    SpiceOnly(&'static str),
    /// The viewer would ignore the proxy and connect directly, or could not connect through it.
    #[error("proxy: {0}")]
    Proxy(#[from] ProxyError),
    /// The viewer would not find the host, or would connect to another port.
    #[error("host: {0}")]
    Host(#[from] HostError),
    /// No certificate has the subject.
    #[error("host-subject: {0}")]
    Subject(#[from] SubjectError),
    /// The viewer would not understand the text: no filter, version or hotkey.
    #[error("{0}: malformed")]
    Malformed(&'static str),
    /// A socket has no ports.
    #[error("unix-path with a port")]
    SocketAndPort,
    /// The file as a whole would not do what it says.
    #[error(transparent)]
    Lint(Finding),
    /// The certificates are not what they have to be.
    #[error("ca: {0}")]
    Certificate(#[from] PemError),
    /// The file would be larger than a reader with default limits takes.
    #[error("file larger than {limit} bytes")]
    TooLarge {
        /// The limit in force.
        limit: usize,
    },
}

/// Why a text is no list of certificates in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// There is no block at all.
    #[error("no certificate")]
    NoCertificate,
    /// A block of another kind; a private key that was pasted along ends here.
    #[error("a pem block that is no certificate")]
    OtherBlock,
    /// A block does not end, or ends before it began.
    #[error("incomplete pem block")]
    Incomplete,
    /// A block is empty or not base64.
    #[error("invalid base64")]
    Base64,
}

/// Why a text is the subject of no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// The grammar ends here.
    #[error("malformed subject at {column}")]
    Grammar {
        /// Byte of the text, from 1.
        column: usize,
    },
    /// A key is neither a name that OpenSSL knows, in its case, nor an object identifier in numbers.
    #[error("entry {entry}: openssl knows no attribute of this name")]
    UnknownKey {
        /// Number of the entry, from 1.
        entry: usize,
    },
    /// A value has more or fewer characters than OpenSSL takes for its key, or other ones.
    #[error("entry {entry}: openssl takes no such value for this attribute")]
    Value {
        /// Number of the entry, from 1.
        entry: usize,
    },
    /// An entry cannot be written: its key or value is empty, or its key has a `=` in it or a space in front.
    #[error("entry {entry}: no text can hold it")]
    Entry {
        /// Number of the entry, from 1.
        entry: usize,
    },
    /// There are no entries.
    #[error("empty subject")]
    Empty,
}

/// Why a text is no list of rules for USB devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed rule at {column}")]
#[non_exhaustive]
pub struct UsbFilterError {
    /// Byte of the text at which it went wrong, from 1.
    pub column: usize,
}

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The text is no name or address, and viewers find no such host.
    #[error("malformed")]
    Malformed,
    /// There is a port behind the host. Viewers for SPICE connect to that port, whatever `port` and `tls-port` say;
    /// viewers for VNC find no such host.
    #[error("a port in it, which viewers use instead of port and tls-port, or look up as part of the name")]
    Port,
    /// There are brackets around the host. Viewers for VNC look them up with it and find no such host.
    #[error("brackets, which viewers for vnc look up as part of the name")]
    Brackets,
}

/// Why a text is no proxy, and what a viewer does instead.
///
/// virt-viewer reports none of it to its user. What it [cannot read](Self::is_bypassed) it leaves out: it writes a
/// warning to its log and connects to the host directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The scheme is another one, or what looks like one: a name with a colon behind it.
    #[error("scheme is neither http nor https: viewers ignore the proxy and connect directly")]
    Scheme,
    /// The host is missing, or its brackets do not close or have something behind them that is no port.
    #[error("malformed or missing host: viewers ignore the proxy and connect directly")]
    Malformed,
    /// The port is no number from 1 to 65535. A path, query, fragment or blank behind the port is read as part of it.
    #[error("port is no number from 1 to 65535: viewers ignore the proxy and connect directly")]
    Port,
    /// The host is no name or address: viewers look it up, find nothing and do not connect at all.
    #[error("host is no name or address: viewers cannot connect")]
    Host,
    /// The scheme has upper-case letters: viewers connect to the proxy and then know no protocol for it.
    #[error("scheme in upper case: viewers cannot connect")]
    UpperCase,
    /// The `//` behind the scheme is missing: viewers leave out two characters there, whichever they are.
    #[error("no // behind the scheme: viewers leave out the first two characters of the host")]
    Slashes,
    /// An empty user or password, or a colon or `@` too many: viewers take the password for the user, the user for the
    /// host, or a part for the whole.
    #[error("user and password would be read as others")]
    Credentials,
    /// There is nothing but `@` where the host should be: viewers crash.
    #[error("nothing around the @: viewers crash")]
    Crash,
    /// spice-gtk reads it as it is meant, and other programs do not: a blank or sign before the port, or brackets
    /// around a name.
    #[error("irregular: a blank or sign before the port, or brackets around a name")]
    Irregular,
}

impl ProxyError {
    /// Whether a viewer ignores such a proxy and connects to the host directly, without a word to its user.
    pub fn is_bypassed(self) -> bool {
        matches!(self, Self::Scheme | Self::Malformed | Self::Port)
    }
}
