//! What the lines hold.

use std::fmt;

use examples::dissect::{Hex, is_empty};
use serde::{Serialize, Serializer};
use spice_proto::caps::{self, Capabilities, CapabilitySet};
use spice_proto::channel::display::head::ImageHead;
use spice_proto::channel::display::image::Image;
use spice_proto::ids::{ChannelType, ImageType, LinkErrorCode};
use spice_proto::link::sasl::SaslResult;
use spice_proto::link::watch::Part;

#[derive(Serialize)]
pub(crate) struct LinkStep<'a> {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) fields: LinkFields<'a>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) trailing: Hex<'a>,
}

#[derive(Serialize)]
pub(crate) struct MessageLine<'a, M> {
    pub(crate) channel: Channel,
    pub(crate) channel_id: u8,
    pub(crate) header: &'static str,
    pub(crate) serial: u64,
    #[serde(flatten)]
    pub(crate) body: Body<'a, M>,
    /// Heads of the pictures in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<ImageLine>,
    /// The byte behind the body that carried file descriptors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) descriptor_byte: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sub_messages: Vec<SubMessageLine<'a, M>>,
}

#[derive(Serialize)]
pub(crate) struct SubMessageLine<'a, M> {
    /// In the body of the message.
    pub(crate) offset: usize,
    /// As its header says, which may be too much.
    pub(crate) declared_size: u32,
    #[serde(flatten)]
    pub(crate) body: Body<'a, M>,
}

/// What the packed pixels of a picture begin with.
#[derive(Serialize)]
pub(crate) struct ImageLine {
    pub(crate) r#type: ImageType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) head: Option<ImageHead>,
    /// What is wrong with it, or how it differs from the picture's descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl ImageLine {
    /// None for a picture that is not packed.
    pub(crate) fn of(image: &Image) -> Option<Self> {
        let (head, error) = match image.head() {
            Ok(None) => return None,
            Ok(Some(head)) => (Some(head), head.check(image).err().map(|error| error.to_string())),
            Err(error) => (None, Some(error.to_string())),
        };
        Some(Self {
            r#type: image.descriptor.r#type,
            head,
            error,
        })
    }
}

/// A message, or one of its sub-messages.
#[derive(Serialize)]
pub(crate) struct Body<'a, M> {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    /// None where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fields: Option<&'a M>,
    /// Of a message that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Hex<'a>>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) trailing: Hex<'a>,
}

/// Type of a channel, by its name in lower case, or its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel(pub(crate) ChannelType);

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().to_lowercase())
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Fields of a step of the link stage.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum LinkFields<'a> {
    LinkMess {
        version: String,
        connection_id: u32,
        channel: Channel,
        channel_id: u8,
        capabilities: CapabilityNames,
    },
    LinkReply {
        version: String,
        error: LinkErrorCode,
        pub_key: Hex<'a>,
        capabilities: CapabilityNames,
    },
    AuthMechanism {
        mechanism: String,
    },
    LinkResult {
        error: LinkErrorCode,
    },
    Sasl(SaslFields),
    Ticket {
        sealed: Option<Hex<'a>>,
    },
}

/// Those of the steps of SASL; each has some.
#[derive(Default, Serialize)]
pub(crate) struct SaslFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    mechlist: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mechname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_len: Option<usize>,
    /// Only where it may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Names of the bits that are set, and those that have none.
#[derive(Serialize)]
pub(crate) struct CapabilityNames {
    common: Vec<String>,
    channel: Vec<String>,
}

/// What a step says. `channel` is the one that was asked for.
pub(crate) fn link_fields(part: &Part, channel: ChannelType, secrets: bool) -> LinkFields<'_> {
    let text = |bytes: &[u8]| Some(bytes.escape_ascii().to_string());
    let said = |data: &[u8], shown: bool| SaslFields {
        data_len: Some(data.len()),
        data: text(data).filter(|_| shown),
        ..SaslFields::default()
    };
    let names = |capabilities: &Capabilities, channel| CapabilityNames {
        common: caps::names(CapabilitySet::Common, channel, &capabilities.common),
        channel: caps::names(CapabilitySet::Channel, channel, &capabilities.channel),
    };
    match part {
        Part::LinkMess(header, message) => LinkFields::LinkMess {
            version: format!("{}.{}", header.major_version, header.minor_version),
            connection_id: message.connection_id,
            channel: Channel(message.channel_type),
            channel_id: message.channel_id,
            capabilities: names(&message.capabilities, message.channel_type),
        },
        Part::LinkReply(header, reply) => LinkFields::LinkReply {
            version: format!("{}.{}", header.major_version, header.minor_version),
            error: reply.error,
            pub_key: Hex(&reply.pub_key),
            capabilities: names(&reply.capabilities, channel),
        },
        Part::AuthMechanism(mechanism) => LinkFields::AuthMechanism {
            mechanism: mechanism.to_string(),
        },
        Part::Ticket(sealed) => LinkFields::Ticket {
            sealed: secrets.then_some(Hex(&sealed.0)),
        },
        Part::LinkResult(error) => LinkFields::LinkResult { error: *error },
        Part::SaslMechList(part) => LinkFields::Sasl(SaslFields {
            mechlist: text(&part.mechlist),
            ..SaslFields::default()
        }),
        Part::SaslStartClient(part) => LinkFields::Sasl(SaslFields {
            mechname: text(&part.mechname),
            ..said(&part.data, secrets)
        }),
        Part::SaslStepClient(part) => LinkFields::Sasl(said(&part.data, secrets)),
        Part::SaslStepServer(part) => LinkFields::Sasl(SaslFields {
            complete: Some(part.complete),
            ..said(&part.data, true)
        }),
        Part::SaslVerdict(SaslResult::Accept) => LinkFields::Sasl(SaslFields::default()),
        Part::SaslVerdict(SaslResult::Reject { reason }) => LinkFields::Sasl(SaslFields {
            reason: text(reason),
            ..SaslFields::default()
        }),
    }
}
