//! The group `[ovirt]`: the engine that virt-viewer connects to for the CD menu.

use alloc::string::String;

use crate::{from_value::group, key, secret::Secret};

group! {
    /// The values that virt-viewer reads from `[ovirt]`, by the rules of
    /// [`VirtViewer`](crate::connection::VirtViewer).
    pub struct Ovirt in key::OVIRT;
    /// Name of the engine, optionally with its port.
    host: Option<String> = key::HOST,
    /// Identifier of the virtual machine.
    vm_guid: Option<String> = key::VM_GUID,
    /// Session of the REST interface (oVirt 3.6).
    jsessionid: Option<Secret> = key::JSESSIONID,
    /// Single sign-on token (oVirt 4.0 and later).
    sso_token: Option<Secret> = key::SSO_TOKEN,
    /// Certificates of the engine's authorities, in PEM.
    ca: Option<String> = key::CA,
    /// Whether the administration interface is to be used.
    admin: Option<bool> = key::ADMIN,
}
