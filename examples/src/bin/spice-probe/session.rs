//! A session: the main channel, and every channel that it names.

use std::time::{Duration, Instant};

use spice_proto::channel::main::ChannelId;
use spice_proto::channel::{ClientMessage, ServerMessage, display, main};
use spice_proto::ids::ChannelType;
use tokio::time::{sleep, timeout_at};

use crate::Result;
use crate::channel::Channel;
use crate::connect::{LinkError, Server};
use crate::keys::Strokes;
use crate::report::Report;

/// What is done in the session.
pub(crate) struct Plan {
    /// How long to watch once all channels are open.
    pub(crate) watch: Duration,
    pub(crate) keys: Option<Strokes>,
}

impl Plan {
    /// How long that takes.
    pub(crate) fn time(&self) -> Duration {
        let strokes = self.keys.as_ref().map_or(0, Vec::len);
        self.watch + STROKE * u32::try_from(strokes).unwrap_or(u32::MAX)
    }
}

/// A session, as far as it was seen.
pub(crate) struct Seen {
    pub(crate) report: Report,
    /// The first channel that was announced and could not be opened.
    pub(crate) failed: Option<LinkError>,
}

/// A guest's keyboard holds few strokes, so each is given time to be taken.
const STROKE: Duration = Duration::from_millis(20);
/// What a client says about its cache of pictures, in pixels. Nothing is kept here, so it is small.
const CACHE: i32 = 1 << 20;

/// Opens a session, watches it, and tells what was seen.
pub(crate) async fn probe(server: Server, plan: Plan) -> Result<Seen> {
    let id = ChannelId {
        channel_type: ChannelType::MAIN,
        id: 0,
    };
    let mut main = Channel::open(&server, &id, 0).await?;
    let mut report = Report::new(&server, &main.report);
    // INIT is first; nothing else is said before it.
    let (session, asked) = loop {
        let message = main.next().await?.ok_or("the server hung up before INIT")?;
        report.main(&message);
        if let ServerMessage::Main(main::ServerMessage::Init(init)) = message {
            main.send(ClientMessage::Main(main::ClientMessage::AttachChannels))
                .await?;
            break (init.session_id, Instant::now());
        }
    };
    let list = loop {
        let message = main
            .next()
            .await?
            .ok_or("the server hung up before its list of channels")?;
        report.main(&message);
        if let ServerMessage::Main(main::ServerMessage::ChannelsList(list)) = message {
            report.answered(asked.elapsed());
            break list.channels;
        }
    };
    let (mut channels, mut failed) = (Vec::new(), None);
    for id in list.iter().filter(|id| id.channel_type != ChannelType::MAIN) {
        match open(&server, id, session).await? {
            Ok(channel) => channels.push(channel),
            Err(error) => {
                report.not_opened(&error);
                failed.get_or_insert(error);
            }
        }
    }
    let types_on = |channel: &Channel| channel.report.channel == ChannelType::INPUTS;
    if plan.keys.is_some() && !channels.iter().any(types_on) {
        return Err("there is no inputs channel to type on".into());
    }
    let until = tokio::time::Instant::now() + plan.time();
    let mut tasks = Vec::new();
    for mut channel in channels {
        let strokes = plan.keys.clone().filter(|_| types_on(&channel));
        tasks.push(tokio::spawn(async move {
            if let Some(strokes) = strokes {
                press(&mut channel, strokes).await?;
            }
            watch(&mut channel, until, |_| {}).await?;
            Ok(channel)
        }));
    }
    watch(&mut main, until, |message| report.main(message)).await?;
    // All stay open until the last was watched: a server ends a session with its main channel.
    let mut watched = vec![main];
    for task in tasks {
        let ended: Result<Channel> = task.await?;
        watched.push(ended?);
    }
    report.channels = watched.into_iter().map(|channel| channel.report).collect();
    report.sum();
    Ok(Seen { report, failed })
}

/// Opens a channel and says what its server waits for. What goes wrong behind the link ends the session.
async fn open(server: &Server, id: &ChannelId, session: u32) -> Result<std::result::Result<Channel, LinkError>> {
    let mut channel = match Channel::open(server, id, session).await {
        Ok(channel) => channel,
        Err(error) => return Ok(Err(error)),
    };
    if id.channel_type == ChannelType::DISPLAY {
        let init = display::Init {
            pixmap_cache_id: 1,
            pixmap_cache_size: CACHE.into(),
            glz_dictionary_id: 1,
            glz_dictionary_window_size: CACHE,
        };
        let init = display::ClientMessage::Init(init);
        channel.send(ClientMessage::Display(init)).await?;
        // QEMU ends when this channel is closed before its server has begun, whatever else goes wrong from here.
        channel.next().await?;
    }
    Ok(Ok(channel))
}

/// Takes what comes until then.
async fn watch(channel: &mut Channel, until: tokio::time::Instant, mut see: impl FnMut(&ServerMessage)) -> Result<()> {
    while let Ok(message) = timeout_at(until, channel.next()).await {
        match message? {
            Some(message) => see(&message),
            None => {
                channel.report.hung_up = true;
                break;
            }
        }
    }
    Ok(())
}

async fn press(channel: &mut Channel, strokes: Strokes) -> Result<()> {
    for stroke in strokes {
        channel.send(ClientMessage::Inputs(stroke)).await?;
        sleep(STROKE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::Bytes;
    use examples::secret::Secret;
    use examples::spice::{Stream, Talk};
    use spice_proto::caps::Capabilities;
    use spice_proto::channel::common::{self, Ping, Pong, SetAck};
    use spice_proto::codec::MessageCodec;
    use spice_proto::link::server::{Announcement, ServerQuestion};
    use spice_proto::link::{Buffers, Key, ServerLink};
    use spice_proto::{BufferedStream, Clock, Driven, Limits, drive};
    use tokio::io::duplex;
    use tokio::time::timeout;

    use crate::connect::{Ports, Proof};

    const PINGS: u32 = 40;
    const WINDOW: u32 = 4;
    const PORT: ChannelId = ChannelId {
        channel_type: ChannelType::USBREDIR,
        id: 0,
    };

    /// A server that asks for acknowledgements, sends many pings at once, and hangs up when all were answered.
    async fn serve(mut stream: Stream, key: &Key) {
        let (clock, mut buffers) = (Clock::start(), Buffers::default());
        let mut link = ServerLink::new(clock.now(), Limits::default());
        let outcome = loop {
            match drive(&mut link, &mut buffers, &mut stream, clock).await.unwrap() {
                Driven::Ask(ServerQuestion::Link(request)) => {
                    let shown = Announcement {
                        public_key: key.public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    link.announce(&mut buffers, shown).unwrap();
                }
                Driven::Ask(ServerQuestion::Ticket { .. }) => link.accept(&mut buffers).unwrap(),
                Driven::Ask(_) => panic!("SASL was not announced"),
                Driven::Done(outcome) => break outcome,
            }
        };
        let codec = MessageCodec::server(PORT.channel_type, outcome.header_form, &Limits::default());
        let mut talk = Talk::new::<ServerMessage>(stream, codec, buffers.rx);
        let set = SetAck {
            generation: 7,
            window: WINDOW,
        };
        talk.send(ServerMessage::Other(common::ServerMessage::SetAck(set)))
            .await
            .unwrap();
        for id in 0..PINGS {
            let ping = Ping {
                id,
                timestamp: id.into(),
                data: Bytes::from(vec![7; 2000]),
            };
            talk.send(ServerMessage::Other(common::ServerMessage::Ping(ping)))
                .await
                .unwrap();
        }
        let (mut pongs, mut acks, mut syncs) = (0, 0, 0);
        while (pongs, acks, syncs) != (PINGS, PINGS / WINDOW, 1) {
            match talk.next().await.expect("the probe hung up").unwrap() {
                ClientMessage::Usbredir(message) => {
                    let spice_proto::channel::vmc::ClientMessage::Common(message) = message else {
                        panic!("{message:?}");
                    };
                    match message {
                        common::ClientMessage::Pong(Pong { id, .. }) => {
                            assert_eq!(id, pongs, "answers are in order");
                            pongs += 1;
                        }
                        common::ClientMessage::Ack => acks += 1,
                        common::ClientMessage::AckSync(sync) => syncs += u32::from(sync.generation == 7),
                        other => panic!("{other:?}"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// All that a server sends is taken and answered, over streams that hold less. Time does not pass by itself.
    #[tokio::test(start_paused = true)]
    async fn channels_are_watched_over_narrow_streams() {
        let key = Key::generate(&mut |bytes| getrandom::fill(bytes).unwrap()).unwrap();
        let server = Server {
            host: "server".to_owned(),
            ports: Ports::Plain(5900),
            proof: Proof::Ticket(Secret::new(b"ticket".to_vec())),
        };
        for capacity in [1, 1 << 10, 64 << 10] {
            for buffered in [false, true] {
                let (near, far) = duplex(capacity);
                let [near, far] = [near, far].map(|end| -> Stream {
                    if buffered {
                        Box::new(BufferedStream::new(end))
                    } else {
                        Box::new(end)
                    }
                });
                let probe = async {
                    let linked = server.enter(&PORT, 1, near, false).await.unwrap();
                    let mut channel = Channel::new(&PORT, linked);
                    let until = tokio::time::Instant::now() + Duration::from_secs(600);
                    let mut seen = 0;
                    watch(&mut channel, until, |_| seen += 1).await.unwrap();
                    assert!(channel.report.hung_up);
                    assert_eq!(seen, PINGS + 1);
                };
                let both = async { tokio::join!(probe, serve(far, &key)) };
                let ended = timeout(Duration::from_secs(3600), both).await;
                assert!(ended.is_ok(), "{capacity} {buffered}: it stands still");
            }
        }
    }
}
