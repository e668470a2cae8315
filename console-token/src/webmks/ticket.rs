//! What leads to a console of VMware.

use alloc::string::String;
use core::{fmt, str::FromStr};

use sha1::{Digest as _, Sha1};
use thiserror::Error;

use crate::{Secret, hex};

/// SHA-1 of a certificate's DER: how vCenter names the certificate of a hypervisor.
///
/// It recognises one certificate that vCenter has named, and is no signature check.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 20]);

impl Thumbprint {
    /// The thumbprint of this certificate (DER).
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha1::digest(certificate).into())
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl FromStr for Thumbprint {
    type Err = TicketError;

    /// Reads 40 hexadecimal digits, or 20 pairs of them with colons between; in any case.
    fn from_str(text: &str) -> Result<Self, TicketError> {
        let has_colons = text.contains(':');
        if has_colons && text.split(':').any(|pair| pair.len() != 2) {
            return Err(TicketError::Thumbprint);
        }
        let digits: String = text.chars().filter(|character| *character != ':').collect();
        hex::decode(&digits).map(Self).ok_or(TicketError::Thumbprint)
    }
}

impl fmt::Display for Thumbprint {
    /// As Nova keeps it, `a94a8fe5...`; with `{:#}` as vCenter shows it, `A9:4A:8F:E5:...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            match (f.alternate(), index) {
                (false, _) => write!(f, "{byte:02x}")?,
                (true, 0) => write!(f, "{byte:02X}")?,
                (true, _) => write!(f, ":{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

/// What a WebMKS client connects with, by Nova's specification "native HTML5 consoles for VMware": a clone
/// ticket of vCenter.
///
/// With the feature `serde` it is read and written as JSON, under the names of the specification.
#[derive(Debug, PartialEq, Eq)]
pub struct ConnectInfo {
    /// `host`: the name of the vCenter.
    pub host: String,
    /// `port`: [`PORT_WS`](Self::PORT_WS) or [`PORT_WSS`](Self::PORT_WSS), unless the vCenter is set up otherwise.
    pub port: u16,
    /// `vmId`: the managed object id of the machine.
    pub vm_id: String,
    /// `vmName`: its name.
    pub vm_name: String,
    /// `vcFQDN`: vCenter's setting `VirtualCenter.FQDN`.
    pub vc_fqdn: String,
    /// `sessionTicket`: from `AcquireCloneTicket`.
    pub session_ticket: Secret,
    /// `thumbprint`: of the vCenter's certificate.
    pub thumbprint: Thumbprint,
}

impl ConnectInfo {
    /// Where vCenter takes WebSockets without TLS.
    pub const PORT_WS: u16 = 7331;

    /// Where vCenter takes WebSockets with TLS.
    pub const PORT_WSS: u16 = 7343;
}

/// A ticket for the console of one machine, for authd (`AcquireTicket` of type `mks`): what Nova's driver for
/// VMware puts into `internal_access_path`. Host and port are those of the token.
///
/// With the feature `serde` it is read and written as the JSON that stands there.
#[derive(Debug, PartialEq, Eq)]
pub struct MksTicket {
    pub(super) ticket: Secret,
    pub(super) cfg_file: String,
    pub(super) thumbprint: Thumbprint,
}

impl MksTicket {
    /// The longest text of `cfgFile`, in bytes: Nova's column holds 255 characters of JSON.
    pub const CFG_FILE_MAX: usize = 255;

    /// A ticket with the path of the machine's configuration (`.vmx`), and the thumbprint of the
    /// hypervisor's certificate.
    ///
    /// # Errors
    ///
    /// [`TicketError::CfgFile`] when the path is empty, too long, or has a control character: it is sent in a line of
    /// text, which it could end.
    pub fn new(ticket: Secret, cfg_file: impl Into<String>, thumbprint: Thumbprint) -> Result<Self, TicketError> {
        let cfg_file = cfg_file.into();
        if cfg_file.is_empty() || Self::CFG_FILE_MAX < cfg_file.len() || cfg_file.chars().any(char::is_control) {
            return Err(TicketError::CfgFile);
        }
        Ok(Self {
            ticket,
            cfg_file,
            thumbprint,
        })
    }

    /// The ticket, which is user name and password at once.
    #[must_use]
    pub const fn ticket(&self) -> &Secret {
        &self.ticket
    }

    /// The path of the machine's configuration.
    #[must_use]
    pub fn cfg_file(&self) -> &str {
        &self.cfg_file
    }

    /// The thumbprint of the hypervisor's certificate.
    #[must_use]
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }
}

/// Why a text does not lead to a console of VMware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TicketError {
    /// Not 20 bytes in hexadecimal digits.
    #[error("not the thumbprint of a certificate")]
    Thumbprint,
    /// Not a path that can be sent in a line.
    #[error("not the path of a configuration")]
    CfgFile,
    /// Not a ticket that can be sent in a line (see [`Secret::presented`]).
    #[error("not the form of a ticket")]
    Ticket,
    /// Not the JSON that it should be, or longer than that can be.
    #[error("not the JSON of a ticket")]
    Json,
}

/// The JSON of both.
#[cfg(feature = "serde")]
mod json {
    use alloc::borrow::Cow;

    use serde::Deserialize;
    use zeroize::Zeroizing;

    use super::{ConnectInfo, MksTicket, Secret, String, TicketError};
    use crate::{
        AccessPath,
        json::{self, Quoted},
    };

    /// The longest JSON that is read, in bytes. That of a [`MksTicket`] has at most 1200.
    const MAX_LEN: usize = 4096;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MksTicketFields<'a> {
        #[serde(borrow)]
        ticket: Cow<'a, str>,
        #[serde(borrow)]
        cfg_file: Cow<'a, str>,
        #[serde(borrow)]
        thumbprint: Cow<'a, str>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ConnectInfoFields<'a> {
        #[serde(borrow)]
        host: Cow<'a, str>,
        port: u16,
        #[serde(borrow)]
        vm_id: Cow<'a, str>,
        #[serde(borrow)]
        vm_name: Cow<'a, str>,
        #[serde(rename = "vcFQDN", borrow)]
        vc_fqdn: Cow<'a, str>,
        #[serde(borrow)]
        session_ticket: Cow<'a, str>,
        #[serde(borrow)]
        thumbprint: Cow<'a, str>,
    }

    fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, TicketError> {
        json::read(json.as_bytes(), MAX_LEN).map_err(|_| TicketError::Json)
    }

    fn secret(text: Cow<'_, str>) -> Result<Secret, TicketError> {
        Secret::presented(json::wiped(text).as_bytes()).map_err(|_| TicketError::Ticket)
    }

    impl MksTicket {
        /// Reads an `internal_access_path`: `{"ticket": .., "cfgFile": .., "thumbprint": ..}`. More members are
        /// not looked at.
        ///
        /// # Errors
        ///
        /// [`TicketError`]: which of them is not what it should be.
        pub fn from_access_path(path: &AccessPath) -> Result<Self, TicketError> {
            let fields: MksTicketFields<'_> = read(path.expose())?;
            let ticket = secret(fields.ticket)?;
            Self::new(ticket, fields.cfg_file, fields.thumbprint.parse()?)
        }

        /// Writes an `internal_access_path`. With a long path in `cfgFile` it may have more than the 255 characters
        /// that Nova's column holds.
        #[must_use]
        pub fn to_access_path(&self) -> AccessPath {
            let (ticket, cfg_file) = (self.ticket.expose(), &self.cfg_file);
            let mut json = json::write(format_args!(
                r#"{{"ticket":{},"cfgFile":{},"thumbprint":"{}"}}"#,
                Quoted(ticket),
                Quoted(cfg_file),
                self.thumbprint
            ));
            AccessPath::new(core::mem::take(&mut *json))
        }
    }

    impl ConnectInfo {
        /// Reads the JSON object. More members are not looked at.
        ///
        /// # Errors
        ///
        /// [`TicketError`]: which of them is not what it should be.
        pub fn from_json(json: &str) -> Result<Self, TicketError> {
            let fields: ConnectInfoFields<'_> = read(json)?;
            Ok(Self {
                session_ticket: secret(fields.session_ticket)?,
                host: fields.host.into(),
                port: fields.port,
                vm_id: fields.vm_id.into(),
                vm_name: fields.vm_name.into(),
                vc_fqdn: fields.vc_fqdn.into(),
                thumbprint: fields.thumbprint.parse()?,
            })
        }

        /// Writes the JSON object.
        #[must_use]
        pub fn to_json(&self) -> Zeroizing<String> {
            json::write(format_args!(
                r#"{{"host":{},"port":{},"vmId":{},"vmName":{},"vcFQDN":{},"sessionTicket":{},"thumbprint":"{:#}"}}"#,
                Quoted(&self.host),
                self.port,
                Quoted(&self.vm_id),
                Quoted(&self.vm_name),
                Quoted(&self.vc_fqdn),
                Quoted(self.session_ticket.expose()),
                self.thumbprint
            ))
        }
    }
}
