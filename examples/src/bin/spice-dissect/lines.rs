//! What the lines hold.

use std::fmt;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use spice_proto::caps::{self, Capabilities, CapabilitySet};
use spice_proto::channel::display::head::ImageHead;
use spice_proto::channel::display::image::Image;
use spice_proto::ids::{ChannelType, ImageType, LinkErrorCode};
use spice_proto::link::sasl::Verdict;
use spice_proto::link::watch::Part;

/// One line: where, and what.
#[derive(Serialize)]
pub(crate) struct Line<'a, T> {
    pub(crate) connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    pub(crate) kind: &'static str,
    #[serde(flatten)]
    pub(crate) what: &'a T,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Opened<'a> {
    Pair {
        files: &'a str,
    },
    Tcp {
        client: String,
        server: String,
        /// Only told when it is not so.
        #[serde(skip_serializing_if = "Clone::clone")]
        from_the_start: bool,
    },
}

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

#[derive(Serialize)]
pub(crate) struct Encrypted<'a> {
    pub(crate) by: &'static str,
    /// What the client's TLS asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Incomplete {
    /// What it was to be.
    pub(crate) due: String,
    /// Bytes that are there.
    pub(crate) size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct Refused<'a> {
    pub(crate) size: usize,
    /// What is wrong with them, if that can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    pub(crate) bytes: Hex<'a>,
}

#[derive(Serialize)]
pub(crate) struct Closed {
    pub(crate) c2s: Side,
    pub(crate) s2c: Side,
    /// Where the link stage was, if it was not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waited_for: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Side {
    pub(crate) size: u64,
    pub(crate) end: &'static str,
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

/// Bytes as hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

fn is_empty(hex: &Hex<'_>) -> bool {
    hex.0.is_empty()
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
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
        capabilities: CapabilityNames<'a>,
    },
    LinkReply {
        version: String,
        error: LinkErrorCode,
        pub_key: Hex<'a>,
        capabilities: CapabilityNames<'a>,
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

/// Names of the bits that are set.
#[derive(Serialize)]
pub(crate) struct CapabilityNames<'a> {
    #[serde(serialize_with = "common_names")]
    common: &'a Capabilities,
    #[serde(serialize_with = "channel_names")]
    channel: (&'a Capabilities, ChannelType),
}

fn common_names<S: Serializer>(capabilities: &&Capabilities, serializer: S) -> Result<S::Ok, S::Error> {
    let bits = capabilities.common.bits();
    // The type of the channel means nothing to the common set.
    serializer.collect_seq(bits.map(|bit| bit_name(CapabilitySet::Common, ChannelType::MAIN, bit)))
}

fn channel_names<S: Serializer>(of: &(&Capabilities, ChannelType), serializer: S) -> Result<S::Ok, S::Error> {
    let (capabilities, channel) = of;
    let bits = capabilities.channel.bits();
    serializer.collect_seq(bits.map(|bit| bit_name(CapabilitySet::Channel, *channel, bit)))
}

fn bit_name(set: CapabilitySet, channel: ChannelType, bit: u32) -> String {
    caps::name(set, channel, bit).map_or_else(|| bit.to_string(), str::to_owned)
}

/// What a step says. `channel` is the one that was asked for.
pub(crate) fn link_fields(part: &Part, channel: ChannelType, secrets: bool) -> LinkFields<'_> {
    let text = |bytes: &[u8]| Some(bytes.escape_ascii().to_string());
    let said = |data: &[u8], shown: bool| SaslFields {
        data_len: Some(data.len()),
        data: text(data).filter(|_| shown),
        ..SaslFields::default()
    };
    let names = |capabilities, channel| CapabilityNames {
        common: capabilities,
        channel: (capabilities, channel),
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
        Part::SaslVerdict(Verdict::Accept) => LinkFields::Sasl(SaslFields::default()),
        Part::SaslVerdict(Verdict::Reject { reason }) => LinkFields::Sasl(SaslFields {
            reason: text(reason),
            ..SaslFields::default()
        }),
    }
}

/// Writes JSON on one line, and of long texts only the beginning and how long they are.
pub(crate) struct Shortening {
    /// 0: nothing is cut.
    limit: usize,
    /// Characters of the current text so far.
    length: usize,
    /// The current text is the name of a field, which is never cut.
    key: bool,
}

impl Shortening {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            length: 0,
            key: false,
        }
    }

    /// How many of so many more characters are to be written.
    fn admit(&mut self, more: usize) -> usize {
        let left = self.limit.saturating_sub(self.length);
        self.length += more;
        if self.cuts() { more.min(left) } else { more }
    }

    fn cuts(&self) -> bool {
        self.limit != 0 && !self.key
    }
}

impl Formatter for Shortening {
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.key = true;
        CompactFormatter.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.key = false;
        CompactFormatter.end_object_key(writer)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.length = 0;
        writer.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.cuts() && self.limit < self.length {
            write!(writer, "...[{}]", self.length)?;
        }
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let characters = fragment.chars().count();
        let admitted = self.admit(characters);
        let end = fragment
            .char_indices()
            .nth(admitted)
            .map_or(fragment.len(), |(at, _)| at);
        writer.write_all(&fragment.as_bytes()[..end])
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match self.admit(1) {
            0 => Ok(()),
            _ => CompactFormatter.write_char_escape(writer, escape),
        }
    }
}
