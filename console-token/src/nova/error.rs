//! How requests are refused.

use alloc::{string::String, string::ToString as _};

use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use super::MAX_LEN;
use crate::{
    ConsoleType, JsonError, Protocol,
    json::{self, Quoted},
};

/// Why Nova refuses a request, or why a text is none of its answers. The texts are for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NovaError {
    /// The body is not the JSON of the schema.
    #[error("invalid body: {0}")]
    Body(JsonError),
    /// The schema of the version has no such protocol or type.
    #[error("invalid input for protocol or type")]
    Unknown,
    /// RDP went with Nova 29.0.0.
    #[error("Unavailable console type {0}.")]
    Removed(Protocol),
    /// The protocol has no such type (`ConsoleTypeInvalid`).
    #[error("Invalid console type {0}")]
    TypeInvalid(ConsoleType),
    /// The machine has no such console, or this cloud has none (`ConsoleTypeUnavailable`).
    #[error("Unavailable console type {0}.")]
    TypeUnavailable(ConsoleType),
    /// The number of serial ports is wrong, or no port is free.
    #[error("no serial port can be had")]
    SerialPort,
    /// There is no such server.
    #[error("Instance could not be found.")]
    InstanceNotFound,
    /// The server is still being built.
    #[error("Instance not yet ready")]
    InstanceNotReady,
    /// The hypervisor cannot do this.
    #[error("Unable to support requested functionality")]
    NotImplemented,
    /// This version cannot express it, or does not show tokens.
    #[error("not in this microversion")]
    Version,
    /// This version takes no query parameters.
    #[error("additional properties are not allowed")]
    Query,
    /// The token is unknown, has expired, or is none.
    #[error("Token not found")]
    TokenNotFound,
    /// This member has a value that it cannot have.
    #[error("invalid {0}")]
    Member(&'static str),
}

impl From<JsonError> for NovaError {
    fn from(error: JsonError) -> Self {
        Self::Body(error)
    }
}

impl NovaError {
    /// The code of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InstanceNotFound | Self::TokenNotFound => 404,
            Self::InstanceNotReady => 409,
            Self::NotImplemented => 501,
            _ => 400,
        }
    }

    /// The answer.
    #[must_use]
    pub fn fault(self) -> Fault {
        Fault {
            code: self.status(),
            message: self.to_string(),
        }
    }
}

/// The body of a refusal: `{"badRequest": {"code": 400, "message": "..."}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code, which is also that of the answer.
    pub code: u16,
    /// What is wrong.
    pub message: String,
}

#[derive(Deserialize)]
struct Members {
    code: u16,
    message: String,
}

/// By the name of the fault; it has one member.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Named {
    BadRequest(Members),
    Unauthorized(Members),
    Forbidden(Members),
    ItemNotFound(Members),
    BadMethod(Members),
    ConflictingRequest(Members),
    OverLimit(Members),
    BadMediaType(Members),
    NotImplemented(Members),
    ServiceUnavailable(Members),
    ComputeFault(Members),
}

impl Fault {
    /// The name that Nova gives to the code.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.code {
            400 => "badRequest",
            401 => "unauthorized",
            403 => "forbidden",
            404 => "itemNotFound",
            405 => "badMethod",
            409 => "conflictingRequest",
            413 | 429 => "overLimit",
            415 => "badMediaType",
            501 => "notImplemented",
            503 => "serviceUnavailable",
            _ => "computeFault",
        }
    }

    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`NovaError::Body`], and [`NovaError::Member`] for a code that does not belong to the name.
    pub fn from_json(json: &[u8]) -> Result<Self, NovaError> {
        use Named as N;
        let (name, members) = match json::read(json, MAX_LEN)? {
            N::BadRequest(members) => ("badRequest", members),
            N::Unauthorized(members) => ("unauthorized", members),
            N::Forbidden(members) => ("forbidden", members),
            N::ItemNotFound(members) => ("itemNotFound", members),
            N::BadMethod(members) => ("badMethod", members),
            N::ConflictingRequest(members) => ("conflictingRequest", members),
            N::OverLimit(members) => ("overLimit", members),
            N::BadMediaType(members) => ("badMediaType", members),
            N::NotImplemented(members) => ("notImplemented", members),
            N::ServiceUnavailable(members) => ("serviceUnavailable", members),
            N::ComputeFault(members) => ("computeFault", members),
        };
        let Members { code, message } = members;
        let fault = Self { code, message };
        if fault.name() == name {
            Ok(fault)
        } else {
            Err(NovaError::Member("code"))
        }
    }

    /// Writes the body.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        json::write(format_args!(
            r#"{{"{}":{{"code":{},"message":{}}}}}"#,
            self.name(),
            self.code,
            Quoted(&self.message)
        ))
    }
}
