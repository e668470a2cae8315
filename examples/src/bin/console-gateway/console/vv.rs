//! The connection file that a tenant gets.

use vv_file::{BuildError, Builder, Channel, Document};

/// What all viewers receive, whatever they may open.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) tls_port: Option<u16>,
    /// Authorities, in PEM.
    pub(crate) ca: Option<String>,
    pub(crate) host_subject: Option<String>,
}

impl Viewer {
    /// The file for one token. Where there is TLS, every channel has to use it. `require_tls`: without the port that
    /// has none.
    pub(crate) fn file(&self, token: &str, title: &str, require_tls: bool) -> Result<Document, BuildError> {
        let mut file = Builder::spice(&self.host).password(token).title(title);
        if let Some(port) = self.port.filter(|_| !require_tls) {
            file = file.port(port);
        }
        if let Some(port) = self.tls_port {
            file = file.tls_port(port).secure_channels([Channel::All]);
            if let Some(ca) = &self.ca {
                file = file.ca(ca);
            }
            if let Some(subject) = &self.host_subject {
                file = file.host_subject(subject);
            }
        }
        file.build()
    }
}
