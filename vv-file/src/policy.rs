//! Policy for files from untrusted sources.
//!
//! A connection file comes from a web page and is opened with a click. It can replace the trusted authorities, route the
//! connection through a proxy, name a socket of this machine, redirect devices of the user, and have itself deleted. A
//! client checks the file against a [`Policy`] before it follows any of these.

use alloc::vec::Vec;

use crate::connection::ConnectionFile;

/// The settings that a file may decide. Default: only the host and the ports.
///
/// ```
/// use vv_file::ConnectionFile;
/// use vv_file::policy::{Demand, Policy};
///
/// let file = ConnectionFile::parse(b"[virt-viewer]\ntype=spice\nhost=gw.example.org\ntls-port=1\nproxy=http://p\n")?;
/// let policy = Policy::default().with_hosts(&["gw.example.org"]);
/// assert_eq!(policy.refused(&file), [Demand::Proxy]);
/// assert_eq!(policy.with_proxy(true).refused(&file), []);
/// # Ok::<(), vv_file::ConnectionError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Policy<'a> {
    /// Hosts that the file may name, also in `[ovirt]`, compared without regard to case; `None` for any.
    pub hosts: Option<&'a [&'a str]>,
    /// Whether a proxy may be used.
    pub proxy: bool,
    /// Whether `ca` may replace the trusted authorities, and `host-subject` the check of the host name.
    pub authorities: bool,
    /// Whether a socket of this machine may be connected to.
    pub socket: bool,
    /// Whether a connection without TLS is allowed. A VNC file always asks for one.
    pub clear_text: bool,
    /// Whether smart cards and USB devices may be redirected.
    pub devices: bool,
    /// Whether the file may be removed.
    pub deletion: bool,
}

/// A setting that a file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Demand {
    /// A host that is not among the allowed ones.
    Host,
    /// A proxy.
    Proxy,
    /// Authorities of its own, or a subject instead of the host's name.
    Authorities,
    /// A socket of this machine.
    Socket,
    /// A connection without TLS.
    ClearText,
    /// Smart cards or USB devices of the user.
    Devices,
    /// Deletion of the file after it was read.
    Deletion,
}

impl<'a> Policy<'a> {
    /// Sets the hosts that may be connected to.
    #[must_use]
    pub fn with_hosts(mut self, hosts: &'a [&'a str]) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// Sets whether a proxy may be used.
    #[must_use]
    pub fn with_proxy(mut self, allowed: bool) -> Self {
        self.proxy = allowed;
        self
    }

    /// Sets whether authorities and subjects may be replaced.
    #[must_use]
    pub fn with_authorities(mut self, allowed: bool) -> Self {
        self.authorities = allowed;
        self
    }

    /// Sets whether a socket of this machine may be connected to.
    #[must_use]
    pub fn with_socket(mut self, allowed: bool) -> Self {
        self.socket = allowed;
        self
    }

    /// Sets whether a connection may do without TLS.
    #[must_use]
    pub fn with_clear_text(mut self, allowed: bool) -> Self {
        self.clear_text = allowed;
        self
    }

    /// Sets whether smart cards and USB devices may be redirected.
    #[must_use]
    pub fn with_devices(mut self, allowed: bool) -> Self {
        self.devices = allowed;
        self
    }

    /// Sets whether the file may be removed.
    #[must_use]
    pub fn with_deletion(mut self, allowed: bool) -> Self {
        self.deletion = allowed;
        self
    }

    /// The settings that a file asks for and the policy does not allow, each once.
    pub fn refused(&self, file: &ConnectionFile) -> Vec<Demand> {
        let v = &file.virt_viewer;
        let ovirt = file.ovirt.as_ref();
        let engine = ovirt.and_then(|ovirt| ovirt.host.as_deref());
        let is_foreign = |host: &str| {
            self.hosts
                .is_some_and(|hosts| !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
        };
        let on = |switch: Option<bool>| switch == Some(true);
        // A port beside the one with TLS is used for every channel that is not named.
        let all_secure = || {
            let names = v.secure_channels.as_deref().unwrap_or_default();
            names.iter().any(|name| name == "all")
        };
        let is_clear =
            v.port.is_some_and(|port| 0 < port) && !(v.tls_port.is_some_and(|port| 0 < port) && all_secure());
        let asked = [
            (
                Demand::Host,
                v.host.as_deref().is_some_and(is_foreign) || engine.is_some_and(is_foreign),
            ),
            (Demand::Proxy, v.proxy.is_some() && !self.proxy),
            (
                Demand::Authorities,
                (v.ca.is_some() || v.host_subject.is_some() || ovirt.is_some_and(|ovirt| ovirt.ca.is_some()))
                    && !self.authorities,
            ),
            (Demand::Socket, v.unix_path.is_some() && !self.socket),
            (Demand::ClearText, is_clear && !self.clear_text),
            (
                Demand::Devices,
                (on(v.enable_smartcard) || on(v.enable_usbredir) || on(v.enable_usb_autoshare)) && !self.devices,
            ),
            (Demand::Deletion, on(v.delete_this_file) && !self.deletion),
        ];
        let refused = asked.into_iter().filter(|(_, is_refused)| *is_refused);
        refused.map(|(demand, _)| demand).collect()
    }
}
