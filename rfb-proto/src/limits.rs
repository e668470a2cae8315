//! Limits on what a peer can make us hold. Each is checked before anything is allocated.

use core::time::Duration;

/// Limits of one connection. Units: bytes unless the field says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest text of a [`Reason`](crate::security::Reason), in bytes: 4096. Real texts are under
    /// 100 bytes; other clients stop between 256 bytes and 1 MiB. A server can announce 4 GiB, and
    /// a proxy has no reason to trust the server behind it more than any other peer.
    pub reason: u32,
    /// Longest user name of Plain and Ident: 1024, as TigerVNC's server.
    pub user: u32,
    /// Longest password of Plain: 1024. Proxmox sends tickets of up to 510 bytes.
    pub password: u32,
    /// Longest list of SASL mechanisms: 300, as gtk-vnc and libvncclient.
    pub sasl_mechanisms: u32,
    /// Longest name of a SASL mechanism: 100, as QEMU.
    pub sasl_mechanism: u32,
    /// Most data that a SASL mechanism sends in one go, its NUL included: 64 KiB. QEMU, gtk-vnc and libvncclient
    /// take 1 MiB; a Kerberos ticket with a large authorisation part has about 48 KiB.
    pub sasl_data: u32,
    /// Most bits of a peer's RSA key in the RSA-AES types: 8192, as TigerVNC and noVNC. The fewest are 1024. Sealing for a
    /// key of 8192 bits with the largest exponent takes a few milliseconds.
    pub rsa_key: u32,
    /// Most bits of the prime of Diffie-Hellman authentication (type 30): 8192, as TigerVNC. The fewest are 1024.
    pub diffie_hellman: u32,
    /// Capabilities in one list of security type Tight: 64. TightVNC's lists have up to 12.
    pub tight_capabilities: u32,
    /// Time for the whole handshake, the caller's answers included: 60 s. People type passwords in it.
    pub handshake_timeout: Duration,
    /// Longest name of a desktop, in bytes: 4096. QEMU's are at most 1023, libvncclient takes 1 MiB.
    pub name: u32,
    /// Longest clipboard text, in bytes: 1 MiB, as QEMU.
    pub cut_text: u32,
    /// Most bytes that the data of one extended clipboard unpack to: 4 MiB. What is packed is within
    /// [`Limits::cut_text`], but that says little: deflate packs a thousand to one.
    pub clipboard: u32,
    /// Longest text of a chat, in bytes: 4096, as libvncserver.
    pub text_chat: u32,
    /// Most data of one file transfer message: 64 KiB. UltraVNC sends blocks of 8 KiB.
    pub file_transfer: u32,
    /// Most samples in one message, in bytes: 1 MiB, as TigerVNC.
    pub audio: u32,
    /// Most bytes that the pixels of one rectangle may have: 256 MiB (a 64-megapixel picture).
    pub rectangle: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reason: 4096,
            user: 1024,
            password: 1024,
            sasl_mechanisms: 300,
            sasl_mechanism: 100,
            sasl_data: 64 << 10,
            rsa_key: 8192,
            diffie_hellman: 8192,
            tight_capabilities: 64,
            handshake_timeout: Duration::from_secs(60),
            name: 4096,
            cut_text: 1 << 20,
            clipboard: 4 << 20,
            text_chat: 4096,
            file_transfer: 64 << 10,
            audio: 1 << 20,
            rectangle: 256 << 20,
        }
    }
}

impl Limits {
    /// Sets [`Limits::reason`].
    #[must_use]
    pub fn with_reason(mut self, bytes: u32) -> Self {
        self.reason = bytes;
        self
    }

    /// Sets [`Limits::user`].
    #[must_use]
    pub fn with_user(mut self, bytes: u32) -> Self {
        self.user = bytes;
        self
    }

    /// Sets [`Limits::password`].
    #[must_use]
    pub fn with_password(mut self, bytes: u32) -> Self {
        self.password = bytes;
        self
    }

    /// Sets [`Limits::sasl_mechanisms`].
    #[must_use]
    pub fn with_sasl_mechanisms(mut self, bytes: u32) -> Self {
        self.sasl_mechanisms = bytes;
        self
    }

    /// Sets [`Limits::sasl_mechanism`].
    #[must_use]
    pub fn with_sasl_mechanism(mut self, bytes: u32) -> Self {
        self.sasl_mechanism = bytes;
        self
    }

    /// Sets [`Limits::sasl_data`].
    #[must_use]
    pub fn with_sasl_data(mut self, bytes: u32) -> Self {
        self.sasl_data = bytes;
        self
    }

    /// Sets [`Limits::rsa_key`].
    #[must_use]
    pub fn with_rsa_key(mut self, bits: u32) -> Self {
        self.rsa_key = bits;
        self
    }

    /// Sets [`Limits::diffie_hellman`].
    #[must_use]
    pub fn with_diffie_hellman(mut self, bits: u32) -> Self {
        self.diffie_hellman = bits;
        self
    }

    /// Sets [`Limits::tight_capabilities`].
    #[must_use]
    pub fn with_tight_capabilities(mut self, count: u32) -> Self {
        self.tight_capabilities = count;
        self
    }

    /// Sets [`Limits::handshake_timeout`].
    #[must_use]
    pub fn with_handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// Sets [`Limits::name`].
    #[must_use]
    pub fn with_name(mut self, bytes: u32) -> Self {
        self.name = bytes;
        self
    }

    /// Sets [`Limits::cut_text`].
    #[must_use]
    pub fn with_cut_text(mut self, bytes: u32) -> Self {
        self.cut_text = bytes;
        self
    }

    /// Sets [`Limits::clipboard`].
    #[must_use]
    pub fn with_clipboard(mut self, bytes: u32) -> Self {
        self.clipboard = bytes;
        self
    }

    /// Sets [`Limits::text_chat`].
    #[must_use]
    pub fn with_text_chat(mut self, bytes: u32) -> Self {
        self.text_chat = bytes;
        self
    }

    /// Sets [`Limits::file_transfer`].
    #[must_use]
    pub fn with_file_transfer(mut self, bytes: u32) -> Self {
        self.file_transfer = bytes;
        self
    }

    /// Sets [`Limits::audio`].
    #[must_use]
    pub fn with_audio(mut self, bytes: u32) -> Self {
        self.audio = bytes;
        self
    }

    /// Sets [`Limits::rectangle`].
    #[must_use]
    pub fn with_rectangle(mut self, bytes: u32) -> Self {
        self.rectangle = bytes;
        self
    }
}
