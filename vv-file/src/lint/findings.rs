//! The kinds of findings: one table with the code, the meaning and the remedy of each.

use core::fmt;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Information; nothing goes wrong.
    Note,
    /// The viewer ignores something, or some viewers do.
    Warning,
    /// The viewer does something else than the file says, or fails.
    Error,
}

impl Severity {
    /// In lower case, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A problem in a file, with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Kind of the problem.
    pub kind: FindingKind,
    /// Severity at this place.
    pub severity: Severity,
    /// The group, if it is one that virt-viewer knows; the group that is meant where the file spells it otherwise.
    pub group: Option<&'static str>,
    /// The key, if it is one that virt-viewer knows; the key that is meant where the file spells it otherwise.
    pub key: Option<&'static str>,
    /// Line of the file, from 1.
    pub line: usize,
    /// Byte of the line, from 1.
    pub column: usize,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if let Some(key) = self.key {
            write!(f, "{key}: ")?;
        }
        write!(
            f,
            "{}: {} ({})",
            self.severity.name(),
            self.kind.meaning(),
            self.kind.remedy()
        )
    }
}

impl core::error::Error for Finding {}

macro_rules! findings {
    ($( $variant:ident $code:literal $meaning:literal $remedy:literal )*) => {
        /// Kind of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FindingKind {
            $( #[doc = $meaning] $variant, )*
        }

        impl FindingKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// A stable identifier for programs.
            pub fn code(self) -> &'static str {
                match self { $( Self::$variant => $code, )* }
            }

            /// Description of what a viewer does.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$variant => $meaning, )* }
            }

            /// What to change.
            pub fn remedy(self) -> &'static str {
                match self { $( Self::$variant => $remedy, )* }
            }
        }
    };
}

findings! {
    Syntax "syntax"
        "the line is no group, key or comment, and the whole file is refused"
        "remove the line, or write it as key=value"
    ByteOrderMark "byte-order-mark"
        "the file begins with a byte order mark, and the whole file is refused"
        "save it as UTF-8 without a byte order mark"
    Utf16 "utf-16"
        "the file is in UTF-16, and the whole file is refused"
        "save it as UTF-8 without a byte order mark"
    SavedPage "saved-page"
        "this is a web page or an answer of an API that was saved as a connection file"
        "look into it for the error that the server reported, and download again"
    RawPem "raw-pem"
        "certificates stand on lines of their own, and the whole file is refused"
        "write ca on one line, with \\n for each line end"
    SemicolonComment "semicolon-comment"
        "a semicolon starts no comment: a line with = in it is a key, and one without is an error"
        "begin comments with #"
    Encoding "encoding"
        "the key Encoding of the first group says something else than UTF-8, and the whole file is refused"
        "remove it"
    Limit "limit"
        "the file is larger than any real one"
        "check where it comes from"
    NoGroup "no-group"
        "there is no group [virt-viewer], and the whole file is refused"
        "begin the file with [virt-viewer], in lower case"
    NoType "no-type"
        "there is no key type, and the whole file is refused"
        "add type=spice or type=vnc"
    UnknownType "unknown-type"
        "the type is none of spice, vnc and ovirt as they are written here, and the viewer fails when it connects"
        "write it in lower case, without blanks"
    NotUtf8 "not-utf-8"
        "the value is not UTF-8 and is read as none"
        "save the file as UTF-8"
    BadEscape "bad-escape"
        "a backslash starts no escape: GLib from 2.79 on reads no value at all, older ones keep the backslash"
        "double each backslash that is meant as one"
    NulByte "nul"
        "a NUL ends the value"
        "remove it"
    TrailingBlank "trailing-blank"
        "blanks at the end belong to the value"
        "remove them, unless they are meant"
    ControlCharacter "control-character"
        "a line end or control character in a field of one line"
        "remove it"
    BidiControl "bidi-control"
        "the text has a bidirectional control character: it looks different from what it says, and can reverse what is shown after it"
        "remove the characters U+061C, U+200E, U+200F, U+202A to U+202E and U+2066 to U+2069"
    SwitchReadsZero "switch-reads-zero"
        "switches are read as numbers: true, yes and on are 0"
        "write 1 or 0"
    TicketStays "ticket-stays"
        "delete-this-file reads 0 although it says something else: the file stays on the disk with its password"
        "write delete-this-file=1"
    NotDeleted "not-deleted"
        "the file holds a secret and stays on the disk after it was opened"
        "write delete-this-file=1"
    NumberReadsZero "number-reads-zero"
        "the value is no decimal number of 32 bits and is read as 0"
        "write decimal digits and nothing else"
    IgnoredText "ignored-text"
        "what follows the number is ignored"
        "write the number alone"
    PortRange "port-range"
        "no such port"
        "write a port from 1 to 65535, or leave the key out"
    CrashingKey "crashing-key"
        "virt-viewer 11.0 crashes when it reads this key"
        "remove it"
    DuplicateKey "duplicate-key"
        "the key stands there twice and the last one counts: a line end in a name can put keys into a file"
        "find out where the second comes from, and escape what is put into the file"
    DuplicateGroup "duplicate-group"
        "the group begins twice; the second continues the first"
        "put its keys together"
    UnknownKey "unknown-key"
        "the viewer does not know this key and ignores it"
        "check its spelling; extensions begin with x-"
    MisspelledKey "misspelled-key"
        "the file spells this key otherwise, so that the viewer does not know it and ignores it"
        "write the name of the key as it stands here"
    MisspelledGroup "misspelled-group"
        "the file spells the name of this group otherwise, so that the viewer does not know it and ignores its keys"
        "write [virt-viewer] or [ovirt]"
    LocalizedKey "localized-key"
        "a key with a language is another key, and ignored"
        "write it without the brackets"
    NoHost "no-host"
        "nothing says which host to connect to"
        "add host"
    NoPort "no-port"
        "nothing says which port to connect to"
        "add tls-port or port; VNC needs port"
    HostSyntax "host-syntax"
        "this is no host name or address, and the viewer finds no such host"
        "write the name or address alone, without scheme, port, path, quotes and blanks"
    HostPort "host-port"
        "the host has a port in it: viewers for SPICE connect to that one and not to port or tls-port, and viewers for VNC find no such host"
        "write the host alone, and its port as port or tls-port"
    HostBrackets "host-brackets"
        "viewers for VNC find no host in brackets"
        "write the address without them"
    HostIsUuid "host-is-uuid"
        "the host is an identifier of a machine or node, which no name server knows"
        "write the name or address of the node"
    ProxmoxTicket "proxmox-ticket"
        "the host is a ticket that only the proxy of Proxmox VE understands; it is no name to look up"
        "connect through the proxy of the file"
    ProxmoxTicketWithoutProxy "proxmox-ticket-without-proxy"
        "the host is a ticket for the proxy of Proxmox VE, and there is no proxy"
        "add proxy=http://NODE:3128"
    UnixPathAndHost "unix-path-and-host"
        "unix-path excludes host, port and tls-port"
        "keep one of the two"
    PasswordTooLong "password-too-long"
        "the password does not fit: SPICE takes 60 bytes, VNC 8"
        "use a shorter one"
    PasswordWithoutTls "password-without-tls"
        "there is a password and no tls-port: what follows goes over the network in the clear"
        "add tls-port and ca"
    SecureWithoutTls "secure-without-tls"
        "channels are to be secure and there is no tls-port for them"
        "add tls-port"
    OldChannelName "old-channel-name"
        "channel names with an s in front are those of old clients and match nothing"
        "write main instead of smain, and so on"
    UnknownChannel "unknown-channel"
        "no channel has this name"
        "use main, display, inputs, cursor, playback, record, smartcard, usbredir, webdav, port or all"
    CommaList "comma-list"
        "lists are separated by semicolons: this is one item, which matches nothing"
        "write ; instead of the comma, without blanks"
    ListBlank "list-blank"
        "blanks round an item belong to it, and it matches nothing"
        "remove them"
    ChannelsStay "channels-stay"
        "virt-viewer reads disable-channels and does not honour it"
        "close the channels on the server"
    UnknownEffect "unknown-effect"
        "no desktop effect has this name"
        "use wallpaper, font-smooth, animation or all"
    ColorDepth "color-depth"
        "the color depth is neither 16 nor 32"
        "write 16 or 32"
    HotkeyDoesNotBind "hotkey-does-not-bind"
        "the viewer does not know this hotkey, and binds none"
        "use shift, ctrl or alt with f1 to f12, a letter, a digit, ins, del, end, pgup, pgdn, enter or esc"
    CaUnreadable "ca-unreadable"
        "the certificates cannot be read; virt-viewer then leaves out what it sets up after them, proxy and subject among it"
        "write \\n for each line end and no other backslash"
    CaInvalid "ca-invalid"
        "the certificates are not in PEM, and no connection can be verified"
        "write whole blocks of -----BEGIN CERTIFICATE----- with \\n for each line end, without blank lines and without blanks before -----"
    CaDoublyEscaped "ca-doubly-escaped"
        "the line ends of the certificates are escaped twice, so that all is one useless line"
        "write one backslash before n"
    CaCarriageReturn "ca-carriage-return"
        "the certificates have line ends of Windows"
        "leave out \\r"
    CaPrivateKey "ca-private-key"
        "there is a block that is no certificate: a private key would be published with the file"
        "remove it, and replace the key"
    CaNotDer "ca-not-der"
        "what stands in the block is no certificate: it does not begin as one, or has another length"
        "copy the certificate again"
    SubjectComma "subject-comma"
        "a comma inside the subject has one backslash: GLib from 2.79 on reads no subject, and nothing is checked"
        "write two backslashes before the comma"
    SubjectSyntax "subject-syntax"
        "the subject cannot be read, and no certificate fits it"
        "write KEY=value,KEY=value in the order of the certificate, with a backslash before each comma and backslash inside"
    SubjectKey "subject-key"
        "OpenSSL knows no attribute of this name, and no certificate fits the subject: a blank before = belongs to the name, and case counts"
        "write the names that openssl x509 -noout -subject -nameopt sep_comma_plus,utf8 shows"
    SubjectValue "subject-value"
        "OpenSSL takes no such value for this attribute, and no certificate fits the subject: a C has two letters, a CN at most 64 characters"
        "write the value of the certificate"
    ProxyScheme "proxy-scheme"
        "the proxy is neither http nor https: the viewer ignores it, with a warning in its log, and connects directly"
        "write http://host:port; a host with a port and nothing before it is taken for a scheme"
    ProxySyntax "proxy-syntax"
        "the proxy cannot be read: the viewer ignores it, with a warning in its log, and connects directly"
        "write http://host:port with a port from 1 to 65535 and nothing behind it"
    ProxyUnusable "proxy-unusable"
        "the viewer cannot connect through the proxy: it finds no such host, or knows no protocol in upper case"
        "write http://host:port with the name or address of a host, and the scheme in lower case"
    ProxyMisread "proxy-misread"
        "the viewer reads another host, user or password than the text looks like"
        "write http://user:password@host:port, with :// and with no : and @ in user and password"
    ProxyIrregular "proxy-irregular"
        "the proxy is written in a way that not every viewer reads"
        "write http://host:port, without a blank or sign before the port and without brackets around a name"
    ProxyCrash "proxy-crash"
        "the viewer crashes when it reads this proxy"
        "write http://host:port"
    UsbFilter "usb-filter"
        "the rules for USB devices cannot be read"
        "write class,vendor,product,version,allow with | between rules, or leave the key out"
    VersionSyntax "version-syntax"
        "text where a number should be makes the comparison end as equal"
        "write numbers with dots, and a build behind a dash"
    VersionsItem "versions-item"
        "an item without a colon is skipped, and blanks belong to the name or version"
        "write os-id:version with ; between items"
    NotForVnc "not-for-vnc"
        "the viewer does not look at this key in a VNC file"
        "remove it; it protects nothing"
    EmptyValue "empty-value"
        "the key is set to nothing, which is not the same as leaving it out"
        "leave the key out"
}
