//! Each error: cause, remedy, and what a viewer does with such a file. No error holds text out of a file.
//!
//! A viewer that refuses a file shows a dialogue and ends. What it *ignores* is in no dialogue, at most in its log.
//!
//! # Reading: `ConnectionFile`, `KeyFile`
//!
//! | Error | Cause | Remedy | The viewer |
//! |---|---|---|---|
//! | `ConnectionError::KeyFile` | the file is no key file: see `ParseErrorKind` | as there | refuses the file |
//! | `ConnectionError::NoGroup` | no group `[virt-viewer]` | begin the file with it, in lower case | refuses the file |
//! | `ConnectionError::Utf16` | the file is in UTF-16 | save it as UTF-8 | refuses the file |
//! | `ConnectionError::NoType` | no key `type` | add `type=spice` or `type=vnc` | refuses the file |
//! | `StrictError::Finding` | a viewer would misread the file without a word | do what the finding's remedy says | misreads it |
//! | `StrictError::Connection` | as `ConnectionError` | as there | refuses the file |
//!
//! `ParseError` has the line and the column, and the kind:
//!
//! | `ParseErrorKind` | Cause | Remedy | The viewer |
//! |---|---|---|---|
//! | `ParseErrorKind::UnknownLine` | neither group, key nor comment: a certificate on lines of its own, a byte order mark, a saved web page | write `ca` on one line with `\n`; look into the file | refuses the file |
//! | `ParseErrorKind::GroupName` | a group name is empty or has a bracket or control character | mend the name | refuses the file |
//! | `ParseErrorKind::KeyName` | a blank before a locale, or a malformed locale | mend the name | refuses the file |
//! | `ParseErrorKind::KeyBeforeGroup` | a key stands before the first group | put `[virt-viewer]` first | refuses the file |
//! | `ParseErrorKind::Encoding` | the key `Encoding` is not UTF-8 | remove it | refuses the file |
//! | `ParseErrorKind::Utf16` | the file is in UTF-16 | save it as UTF-8 | refuses the file |
//! | `ParseErrorKind::TooLarge` | above `Limits::size` | check where the file comes from | reads it |
//! | `ParseErrorKind::TooManyLines` | above `Limits::lines` | the same | reads it |
//! | `ParseErrorKind::TooManyKeys` | above `Limits::keys` | the same | reads it |
//!
//! # A single value: `Value`
//!
//! | Error | Cause | Remedy | The viewer |
//! |---|---|---|---|
//! | `ValueError::Encoding` | not UTF-8 | save the file as UTF-8 | reads none |
//! | `ValueError::Escape` | a backslash that starts no escape | double it | reads none from GLib 2.79 on; before, keeps the backslash |
//! | `ValueError::NotBoolean` | none of `true`, `false`, `1`, `0` | write 1 or 0 | does not read booleans: it takes switches as numbers |
//! | `ValueError::NotInteger` | no decimal integer | write digits only | reads 0 |
//! | `ValueError::OutOfRange` | above 32 bits | write a smaller number | reads 0 |
//!
//! # Changing: `KeyFile`
//!
//! The file is then as it was before.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `EditError::GroupName` | the name cannot stand in brackets | mend the name |
//! | `EditError::KeyName` | the name cannot stand before `=` | mend the name |
//! | `EditError::Value` | a raw value that no line holds | use `set_string`, which escapes |
//! | `EditError::File` | the changed file would be refused | as the `ParseError` in it says |
//!
//! # Writing: `Builder`
//!
//! Nothing is written. The last column says what a viewer would have done with the file.
//!
//! | Error | Cause | Remedy | The viewer |
//! |---|---|---|---|
//! | `BuildError::ControlCharacter` | a line end or other control character in a field | remove it; only `ca` has lines | would read more keys than were meant |
//! | `BuildError::BidiControl` | a bidirectional control character in a text that is shown | remove it | would show a reversed title |
//! | `BuildError::Empty` | a field was set to nothing | leave the setter out | would take it for something else than absent |
//! | `BuildError::NotUtf8` | a secret is not UTF-8 | encode it, for example in base64url | would read none |
//! | `BuildError::PasswordTooLong` | above 60 bytes (SPICE) or 8 (VNC) | a shorter token | would cut it, or fail to log in |
//! | `BuildError::PortZero` | port 0 | the real port, or leave the setter out | would not connect |
//! | `BuildError::NoPort` | neither `port` nor `tls_port` | set one; VNC needs `port` | would not connect |
//! | `BuildError::NoTlsPort` | secure channels without `tls_port` | set it | would not connect |
//! | `BuildError::SpiceOnly` | a key that VNC does not have | leave it out | would ignore it: no TLS, no proxy |
//! | `BuildError::Proxy` | see `ProxyError` | as there | as there |
//! | `BuildError::Host` | see `HostError` | as there | as there |
//! | `BuildError::Subject` | see `SubjectError` | as there | would trust no certificate |
//! | `BuildError::Malformed` | no filter, version or hotkey | see the modules `usb_filter`, `version`, `hotkey` | would ignore it |
//! | `BuildError::SocketAndPort` | a UNIX socket with a port | one of the two | would use one of them |
//! | `BuildError::Lint` | the file as a whole does not do what it says | do what the finding's remedy says | would do something else |
//! | `BuildError::Certificate` | see `PemError` | as there | would trust no certificate, or refuse the file |
//! | `BuildError::TooLarge` | larger than a reader takes | fewer certificates | might read it |
//!
//! # The grammars of values
//!
//! | Error | Cause | Remedy | The viewer |
//! |---|---|---|---|
//! | `PemError::NoCertificate` | no block in PEM | give the certificate, not its name or its DER form | trusts no certificate |
//! | `PemError::OtherBlock` | a block of another kind, most likely a private key | take it out: the file is published | reads past it |
//! | `PemError::Incomplete` | a block does not end | give the whole file | trusts no certificate |
//! | `PemError::Base64` | empty, or not base64 | give the file as it was issued | trusts no certificate |
//! | `SubjectError::Grammar` | no list of `KEY=value` | write `O=Example,CN=host` | trusts no certificate |
//! | `SubjectError::UnknownKey` | OpenSSL has no such attribute: `cn=`, `subject=CN=` | its names, in its case | trusts no certificate |
//! | `SubjectError::Value` | a value of the wrong length or characters | the value out of the certificate | trusts no certificate |
//! | `SubjectError::Entry` | an entry that no text holds | another entry | trusts no certificate |
//! | `SubjectError::Empty` | no entries | at least one | trusts no certificate |
//! | `UsbFilterError` | no list of `class,vendor,product,version,allow` | mend it at the column | ignores the filter |
//! | `HostError::Malformed` | no name or address | mend it | finds no host |
//! | `HostError::Port` | `gw:5900` | put the port into `port` or `tls_port` | SPICE: takes this port and ignores the others; VNC: finds no host |
//! | `HostError::Brackets` | `[fe80::1]` for VNC | without brackets | finds no host |
//! | `ProxyError::Scheme` | no `http://` or `https://` | put it in front | ignores the proxy, connects directly |
//! | `ProxyError::Malformed` | no host, or unclosed brackets | mend it | ignores the proxy, connects directly |
//! | `ProxyError::Port` | no number from 1 to 65535; a path behind it | only the number | ignores the proxy, connects directly |
//! | `ProxyError::Host` | no name or address | mend it | does not connect |
//! | `ProxyError::UpperCase` | `HTTP://` | in lower case | does not connect |
//! | `ProxyError::Slashes` | no `//` behind the scheme | put it there | loses two characters of the host |
//! | `ProxyError::Credentials` | an empty user, or a colon or `@` too many | only `user:password@` | takes one for the other |
//! | `ProxyError::Crash` | nothing but `@` | a host | crashes |
//! | `ProxyError::Irregular` | a blank or sign before the port, brackets around a name | without | connects; other programs do not |
//!
//! `ErrorCode` is no error of its own, but GLib's number for each, to compare with GLib.
