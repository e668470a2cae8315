//! What was seen, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use spice_proto::caps::{self, CapabilitySet};
use spice_proto::channel::main::ChannelId;
use spice_proto::channel::{ServerMessage, display, inputs, main, port};
use spice_proto::frame::HeaderForm;
use spice_proto::ids::{ChannelType, KeyboardModifiers, MouseModes, SurfaceFormat};

use crate::connect::{LinkError, Linked, Server};

/// A server, as it showed itself.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server: String,
    /// Protocol version.
    version: String,
    tls: bool,
    /// `ticket`, or the SASL mechanism.
    authentication: String,
    session_id: u32,
    name: Option<String>,
    uuid: Option<String>,
    /// One of `mouse_modes`, by its name.
    mouse_mode: Option<String>,
    mouse_modes: Option<MouseModes>,
    agent: bool,
    agent_tokens: u32,
    /// Video memory in bytes; 0: not known.
    ram_hint: u32,
    round_trip: RoundTrip,
    pub(crate) channels: Vec<ChannelReport>,
    /// Channels that were announced and could not be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_opened: Vec<NotOpened>,
}

/// A channel that is not there.
#[derive(Debug, Serialize)]
struct NotOpened {
    channel: ChannelType,
    id: u8,
    reason: String,
}

/// How far away the server is. Only a server can ping in SPICE, so what a client can time itself stands beside it.
#[derive(Debug, Default, Serialize)]
struct RoundTrip {
    /// The shortest TCP handshake.
    tcp_ms: f64,
    /// From asking for the list of channels to its coming, which waits behind the server's large ping.
    answer_ms: f64,
    /// Pings that were answered, and what the largest carried.
    pings: u64,
    largest_ping: usize,
    /// The longest that an answer to a ping took to leave.
    pong_ms: f64,
}

/// One channel.
#[derive(Debug, Serialize)]
pub(crate) struct ChannelReport {
    pub(crate) channel: ChannelType,
    id: u8,
    common_capabilities: Vec<String>,
    capabilities: Vec<String>,
    mini_headers: bool,
    /// Whether the connection has TLS.
    tls: bool,
    /// How often each message came.
    messages: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    surfaces: Vec<Surface>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    monitors: Vec<Monitor>,
    /// How often each kind of picture came.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    images: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyboard_modifiers: Option<KeyboardModifiers>,
    /// The server closed it.
    pub(crate) hung_up: bool,
    #[serde(skip)]
    linked: Times,
    #[serde(skip)]
    version: (u32, u32),
    #[serde(skip)]
    mechanism: Option<String>,
}

#[derive(Debug, Default)]
struct Times {
    tcp: Duration,
    pings: u64,
    largest_ping: usize,
    pong: Duration,
}

/// A surface that was created and not destroyed.
#[derive(Debug, Serialize)]
struct Surface {
    id: u32,
    width: u32,
    height: u32,
    format: SurfaceFormat,
}

#[derive(Debug, Serialize)]
struct Monitor {
    id: u32,
    width: u32,
    height: u32,
    x: u32,
    y: u32,
}

impl Report {
    pub(crate) fn new(server: &Server, main: &ChannelReport) -> Self {
        let (major, minor) = main.version;
        Self {
            server: server.host.clone(),
            version: format!("{major}.{minor}"),
            tls: main.tls,
            authentication: main.mechanism.clone().unwrap_or_else(|| "ticket".to_owned()),
            session_id: 0,
            name: None,
            uuid: None,
            mouse_mode: None,
            mouse_modes: None,
            agent: false,
            agent_tokens: 0,
            ram_hint: 0,
            round_trip: RoundTrip::default(),
            channels: Vec::new(),
            not_opened: Vec::new(),
        }
    }

    /// A channel could not be opened.
    pub(crate) fn not_opened(&mut self, error: &LinkError) {
        self.not_opened.push(NotOpened {
            channel: error.channel,
            id: error.id,
            reason: error.reason.to_string(),
        });
    }

    /// Takes in a message of the main channel.
    pub(crate) fn main(&mut self, message: &ServerMessage) {
        let ServerMessage::Main(message) = message else {
            return;
        };
        match message {
            main::ServerMessage::Init(init) => {
                self.session_id = init.session_id;
                self.mouse_mode = Some(init.current_mouse_mode.to_string());
                self.mouse_modes = Some(init.supported_mouse_modes);
                self.agent = init.agent_connected != 0;
                self.agent_tokens = init.agent_tokens;
                self.ram_hint = init.ram_hint;
            }
            main::ServerMessage::Name(name) => self.name = Some(text(&name.name)),
            main::ServerMessage::Uuid(uuid) => self.uuid = Some(uuid_text(uuid.uuid)),
            main::ServerMessage::MouseMode(mode) => {
                self.mouse_mode = Some(mode.current_mode.to_string());
                self.mouse_modes = Some(mode.supported_modes);
            }
            main::ServerMessage::AgentConnected => self.agent = true,
            main::ServerMessage::AgentConnectedTokens(tokens) => {
                self.agent = true;
                self.agent_tokens = tokens.num_tokens;
            }
            main::ServerMessage::AgentDisconnected(_) => self.agent = false,
            _ => {}
        }
    }

    /// The list of channels took so long to come.
    pub(crate) fn answered(&mut self, time: Duration) {
        self.round_trip.answer_ms = milliseconds(time);
    }

    /// Adds up what the channels timed.
    pub(crate) fn sum(&mut self) {
        let times = || self.channels.iter().map(|channel| &channel.linked);
        let trip = RoundTrip {
            tcp_ms: milliseconds(times().map(|times| times.tcp).min().unwrap_or_default()),
            answer_ms: self.round_trip.answer_ms,
            pings: times().map(|times| times.pings).sum(),
            largest_ping: times().map(|times| times.largest_ping).max().unwrap_or_default(),
            pong_ms: milliseconds(times().map(|times| times.pong).max().unwrap_or_default()),
        };
        self.round_trip = trip;
    }
}

impl ChannelReport {
    pub(crate) fn new(id: &ChannelId, linked: &Linked) -> Self {
        let announced = &linked.outcome.capabilities;
        let names = |set, words| caps::names(set, id.channel_type, words);
        Self {
            channel: id.channel_type,
            id: id.id,
            common_capabilities: names(CapabilitySet::Common, &announced.common),
            capabilities: names(CapabilitySet::Channel, &announced.channel),
            tls: linked.tls,
            mini_headers: linked.outcome.header_form == HeaderForm::Mini,
            messages: BTreeMap::new(),
            surfaces: Vec::new(),
            monitors: Vec::new(),
            images: BTreeMap::new(),
            port: None,
            keyboard_modifiers: None,
            hung_up: false,
            linked: Times {
                tcp: linked.connected,
                ..Times::default()
            },
            version: linked.outcome.version,
            mechanism: linked.mechanism.clone(),
        }
    }

    /// Takes in a message.
    pub(crate) fn count(&mut self, message: &ServerMessage) {
        *self.messages.entry(message.name()).or_default() += 1;
        match message {
            ServerMessage::Display(message) => {
                for image in message.images() {
                    *self.images.entry(image.descriptor.r#type.to_string()).or_default() += 1;
                }
                self.display(message);
            }
            ServerMessage::Inputs(inputs::ServerMessage::Init(init)) => {
                self.keyboard_modifiers = Some(init.keyboard_modifiers);
            }
            ServerMessage::Inputs(inputs::ServerMessage::KeyModifiers(keys)) => {
                self.keyboard_modifiers = Some(keys.modifiers);
            }
            ServerMessage::Port(port::ServerMessage::Init(init)) => self.port = Some(text(&init.name)),
            _ => {}
        }
    }

    fn display(&mut self, message: &display::ServerMessage) {
        match message {
            display::ServerMessage::SurfaceCreate(surface) => self.surfaces.push(Surface {
                id: surface.surface_id,
                width: surface.width,
                height: surface.height,
                format: surface.format,
            }),
            display::ServerMessage::SurfaceDestroy(gone) => {
                self.surfaces.retain(|surface| surface.id != gone.surface_id)
            }
            display::ServerMessage::Reset => self.surfaces.clear(),
            display::ServerMessage::MonitorsConfig(config) => {
                let monitor = |head: &display::Head| Monitor {
                    id: head.monitor_id,
                    width: head.width,
                    height: head.height,
                    x: head.x,
                    y: head.y,
                };
                self.monitors = config.monitors.heads.iter().map(monitor).collect();
            }
            _ => {}
        }
    }

    /// A ping was answered.
    pub(crate) fn pinged(&mut self, size: usize, took: Duration) {
        self.linked.pings += 1;
        self.linked.largest_ping = self.linked.largest_ping.max(size);
        self.linked.pong = self.linked.pong.max(took);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "TLS" } else { "no TLS" };
        writeln!(
            f,
            "{}: SPICE {}, {tls}, {}",
            self.server, self.version, self.authentication
        )?;
        let unknown = || "-".to_owned();
        writeln!(f, "name       {}", self.name.clone().unwrap_or_else(unknown))?;
        writeln!(f, "uuid       {}", self.uuid.clone().unwrap_or_else(unknown))?;
        writeln!(f, "session    {:#010x}", self.session_id)?;
        if let (Some(mode), Some(modes)) = (&self.mouse_mode, self.mouse_modes) {
            writeln!(f, "mouse      {mode} of {modes}")?;
        }
        let agent = if self.agent { "connected" } else { "not connected" };
        writeln!(f, "agent      {agent}, {} tokens", self.agent_tokens)?;
        writeln!(f, "memory     {} MiB of video memory", self.ram_hint >> 20)?;
        let trip = &self.round_trip;
        writeln!(
            f,
            "round trip {:.3} ms for TCP, {:.3} ms for an answer",
            trip.tcp_ms, trip.answer_ms
        )?;
        let (pings, largest, pong) = (trip.pings, trip.largest_ping, trip.pong_ms);
        writeln!(
            f,
            "pings      {pings}, up to {largest} bytes, answered within {pong:.3} ms"
        )?;
        for channel in &self.channels {
            write!(f, "{channel}")?;
        }
        for NotOpened { channel, id, reason } in &self.not_opened {
            writeln!(f, "\n{channel} {id}: not opened: {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ChannelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = if self.mini_headers { "mini" } else { "full" };
        let tls = if self.tls { ", TLS" } else { "" };
        let end = if self.hung_up { ", closed by the server" } else { "" };
        writeln!(f, "\n{} {}: {headers} headers{tls}{end}", self.channel, self.id)?;
        writeln!(f, "  common   {}", self.common_capabilities.join(" "))?;
        writeln!(f, "  channel  {}", self.capabilities.join(" "))?;
        if let Some(name) = &self.port {
            writeln!(f, "  port     {name}")?;
        }
        if let Some(modifiers) = self.keyboard_modifiers {
            writeln!(f, "  locks    {modifiers}")?;
        }
        for surface in &self.surfaces {
            let Surface {
                id,
                width,
                height,
                format,
            } = surface;
            writeln!(f, "  surface  {id}: {width}x{height} {format}")?;
        }
        for monitor in &self.monitors {
            let Monitor {
                id,
                width,
                height,
                x,
                y,
            } = monitor;
            writeln!(f, "  monitor  {id}: {width}x{height}+{x}+{y}")?;
        }
        for (what, counts) in [("messages", counts(&self.messages)), ("images  ", counts(&self.images))] {
            if !counts.is_empty() {
                writeln!(f, "  {what} {counts}")?;
            }
        }
        Ok(())
    }
}

fn counts<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let entries: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    entries.join(", ")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A text that a server sent, for a terminal: without its NUL, and with nothing that a terminal would obey.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                letter
            }
        })
        .collect()
}

fn uuid_text(uuid: [u8; 16]) -> String {
    let groups = [0..4, 4..6, 6..8, 8..10, 10..16];
    groups
        .map(|group| base16ct::lower::encode_string(&uuid[group]))
        .join("-")
}
