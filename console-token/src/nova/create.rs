//! A console is asked for.

use alloc::{borrow::Cow, string::String};

use serde::{Deserialize, de::IgnoredAny};
use zeroize::Zeroizing;

use super::{MAX_LEN, Microversion, NovaError};
use crate::{
    AccessUrl, ConsoleType, Protocol,
    json::{self, Quoted},
};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CreateRequest {
    /// The protocol.
    pub protocol: Protocol,
    /// The type. Of protocol serial it may be any other, which Nova does not look at, and answers with.
    pub console_type: ConsoleType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create<'a> {
    #[serde(borrow)]
    remote_console: RemoteConsole<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoteConsole<'a> {
    #[serde(borrow)]
    protocol: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    console_type: Cow<'a, str>,
}

#[derive(Deserialize)]
enum Action<'a> {
    #[serde(borrow, rename = "os-getVNCConsole")]
    Vnc(ActionType<'a>),
    #[serde(rename = "os-getSPICEConsole")]
    Spice(ActionType<'a>),
    #[serde(rename = "os-getSerialConsole")]
    Serial(ActionType<'a>),
    #[serde(rename = "os-getRDPConsole")]
    Rdp(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionType<'a> {
    #[serde(borrow, rename = "type")]
    console_type: Cow<'a, str>,
}

impl CreateRequest {
    /// A request for this console.
    #[must_use]
    pub const fn new(console_type: ConsoleType) -> Self {
        Self {
            protocol: console_type.protocol(),
            console_type,
        }
    }

    /// Reads a body of this version, and refuses what Nova refuses before it looks at the server.
    ///
    /// # Errors
    ///
    /// [`NovaError::Body`], [`NovaError::Unknown`], [`NovaError::Removed`], [`NovaError::TypeInvalid`].
    pub fn from_json(version: Microversion, json: &[u8]) -> Result<Self, NovaError> {
        let request = if version < Microversion::V2_6 {
            Self::of_action(json::read(json, MAX_LEN)?)?
        } else {
            let Create { remote_console } = json::read(json, MAX_LEN)?;
            let protocol: Protocol = remote_console.protocol.parse().map_err(|_| NovaError::Unknown)?;
            let console_type = remote_console.console_type.parse().map_err(|_| NovaError::Unknown)?;
            Self { protocol, console_type }
        };
        request.check(version)?;
        Ok(request)
    }

    fn of_action(action: Action<'_>) -> Result<Self, NovaError> {
        let (protocol, asked) = match action {
            Action::Vnc(asked) => (Protocol::Vnc, asked),
            Action::Spice(asked) => (Protocol::Spice, asked),
            Action::Serial(asked) => (Protocol::Serial, asked),
            Action::Rdp(_) => return Err(NovaError::Removed(Protocol::Rdp)),
        };
        // The schema of an action has the types of its protocol only.
        match asked.console_type.parse::<ConsoleType>() {
            Ok(console_type) if console_type.protocol() == protocol => Ok(Self { protocol, console_type }),
            _ => Err(NovaError::Unknown),
        }
    }

    /// First the schema's lists, then the controller, then the compute service.
    fn check(self, version: Microversion) -> Result<(), NovaError> {
        let Self { protocol, console_type } = self;
        let since = match (protocol, console_type) {
            (_, ConsoleType::SpiceDirect) => Microversion::V2_99,
            (Protocol::Mks, _) | (_, ConsoleType::WebMks) => Microversion::V2_8,
            _ => Microversion::V2_1,
        };
        let is_listed = since <= version;
        if !is_listed {
            return Err(NovaError::Unknown);
        }
        match protocol {
            Protocol::Rdp => Err(NovaError::Removed(protocol)),
            Protocol::Serial => Ok(()),
            _ if console_type.protocol() != protocol || console_type == ConsoleType::XvpVnc => {
                Err(NovaError::TypeInvalid(console_type))
            }
            _ => Ok(()),
        }
    }

    /// The path behind `servers/{id}/` that the body is sent to.
    #[must_use]
    pub fn path(version: Microversion) -> &'static str {
        if version < Microversion::V2_6 {
            "action"
        } else {
            "remote-consoles"
        }
    }

    /// The console that the client gets: of protocol serial, always that.
    #[must_use]
    pub fn console(self) -> ConsoleType {
        match self.protocol {
            Protocol::Serial => ConsoleType::Serial,
            _ => self.console_type,
        }
    }

    /// Writes a body of this version.
    ///
    /// # Errors
    ///
    /// As for [`from_json`](Self::from_json), what that version refuses; [`NovaError::Version`] for what it has no
    /// words for.
    pub fn to_json(self, version: Microversion) -> Result<Zeroizing<String>, NovaError> {
        self.check(version)?;
        let Self { protocol, console_type } = self;
        if Microversion::V2_6 <= version {
            return Ok(json::write(format_args!(
                r#"{{"remote_console":{{"protocol":"{protocol}","type":"{console_type}"}}}}"#
            )));
        }
        let action = match protocol {
            _ if console_type.protocol() != protocol => return Err(NovaError::Version),
            Protocol::Vnc => "os-getVNCConsole",
            Protocol::Spice => "os-getSPICEConsole",
            Protocol::Serial => "os-getSerialConsole",
            Protocol::Rdp | Protocol::Mks => return Err(NovaError::Version),
        };
        Ok(json::write(format_args!(
            r#"{{"{action}":{{"type":"{console_type}"}}}}"#
        )))
    }
}

/// What a client gets.
#[derive(Debug)]
pub struct CreateAnswer {
    /// What it asked for.
    pub request: CreateRequest,
    /// Where the console is to be seen, with the token in it.
    pub url: AccessUrl,
}

#[derive(Deserialize)]
struct Created<'a> {
    #[serde(borrow)]
    remote_console: CreatedMembers<'a>,
}

#[derive(Deserialize)]
struct CreatedByAction<'a> {
    #[serde(borrow)]
    console: CreatedMembers<'a>,
}

#[derive(Deserialize)]
struct CreatedMembers<'a> {
    #[serde(borrow)]
    protocol: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    console_type: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
}

impl CreateAnswer {
    /// Reads an answer of this version. Members that are not of it are not looked at.
    ///
    /// # Errors
    ///
    /// [`NovaError::Body`], [`NovaError::Unknown`], [`NovaError::Member`] for a URL that is none.
    pub fn from_json(version: Microversion, json: &[u8]) -> Result<Self, NovaError> {
        let members = if version < Microversion::V2_6 {
            json::read::<CreatedByAction<'_>>(json, MAX_LEN)?.console
        } else {
            json::read::<Created<'_>>(json, MAX_LEN)?.remote_console
        };
        let url = json::wiped(members.url);
        let console_type: ConsoleType = members.console_type.parse().map_err(|_| NovaError::Unknown)?;
        let protocol = match members.protocol {
            Some(protocol) if Microversion::V2_6 <= version => protocol.parse().map_err(|_| NovaError::Unknown)?,
            None if Microversion::V2_6 <= version => return Err(NovaError::Member("protocol")),
            _ => console_type.protocol(),
        };
        Ok(Self {
            request: CreateRequest { protocol, console_type },
            url: AccessUrl::presented(url).ok_or(NovaError::Member("url"))?,
        })
    }

    /// Writes an answer of this version.
    #[must_use]
    pub fn to_json(&self, version: Microversion) -> Zeroizing<String> {
        let CreateRequest { protocol, console_type } = self.request;
        let url = Quoted(self.url.expose());
        if version < Microversion::V2_6 {
            json::write(format_args!(r#"{{"console":{{"type":"{console_type}","url":{url}}}}}"#))
        } else {
            json::write(format_args!(
                r#"{{"remote_console":{{"protocol":"{protocol}","type":"{console_type}","url":{url}}}}}"#
            ))
        }
    }
}
