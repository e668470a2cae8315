//! What a peer can make a program hold, and for how long.
//!
//! Every length from the wire is held against a limit before anything is allocated, and room is made for what has come, not for
//! what was announced. [`Limits`](crate::Limits) are values for one connection; each field has a `with_` method of its name.
//!
//! ```
//! use rfb_proto::Limits;
//!
//! let limits = Limits::default().with_reason(1000).with_cut_text(64 << 10);
//! assert_eq!((limits.reason, limits.cut_text), (1000, 65_536));
//! ```
//!
//! | Limit | What it bounds, and its default |
//! |---|---|
//! | [`Limits::reason`](crate::Limits::reason) | Longest text of a `Reason`, in bytes: 4096. |
//! | [`Limits::user`](crate::Limits::user) | Longest user name of Plain and Ident: 1024, as TigerVNC's server. |
//! | [`Limits::password`](crate::Limits::password) | Longest password of Plain: 1024. |
//! | [`Limits::sasl_mechanisms`](crate::Limits::sasl_mechanisms) | Longest list of SASL mechanisms: 300, as gtk-vnc and libvncclient. |
//! | [`Limits::sasl_mechanism`](crate::Limits::sasl_mechanism) | Longest name of a SASL mechanism: 100, as QEMU. |
//! | [`Limits::sasl_data`](crate::Limits::sasl_data) | Most data that a SASL mechanism sends in one go, its NUL included: 64 KiB. |
//! | [`Limits::rsa_key`](crate::Limits::rsa_key) | Most bits of a peer's RSA key in the RSA-AES types: 8192, as TigerVNC and noVNC. |
//! | [`Limits::diffie_hellman`](crate::Limits::diffie_hellman) | Most bits of the prime of Diffie-Hellman authentication (type 30): 8192, as TigerVNC. |
//! | [`Limits::tight_capabilities`](crate::Limits::tight_capabilities) | Capabilities in one list of security type Tight: 64. |
//! | [`Limits::handshake_timeout`](crate::Limits::handshake_timeout) | Time for the whole handshake, the caller's answers included: 60 s. |
//! | [`Limits::name`](crate::Limits::name) | Longest name of a desktop, in bytes: 4096. |
//! | [`Limits::cut_text`](crate::Limits::cut_text) | Longest clipboard text, in bytes: 1 MiB, as QEMU. |
//! | [`Limits::clipboard`](crate::Limits::clipboard) | Most bytes that the data of one extended clipboard unpack to: 4 MiB. |
//! | [`Limits::text_chat`](crate::Limits::text_chat) | Longest text of a chat, in bytes: 4096, as libvncserver. |
//! | [`Limits::file_transfer`](crate::Limits::file_transfer) | Most data of one file transfer message: 64 KiB. |
//! | [`Limits::audio`](crate::Limits::audio) | Most samples in one message, in bytes: 1 MiB, as TigerVNC. |
//! | [`Limits::rectangle`](crate::Limits::rectangle) | Most bytes that the pixels of one rectangle may have: 256 MiB (a 64-megapixel picture). |
//!
//! Above a limit a handshake ends with the error `TooLarge`. It sends the peer nothing, but to a client whose user or password
//! is too long it sends `Authentication failed`. A
//! stream behind the handshake ends. A relay ([`session::Relay`](crate::session::Relay)) holds no rectangle: payloads go on in the
//! pieces that they come in, and each direction has a high-water mark, so that a viewer that does not read holds its hypervisor
//! back.
