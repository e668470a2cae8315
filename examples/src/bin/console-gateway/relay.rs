//! The data stage of one connection: two streams of frames, one each way.
//!
//! Each direction reads, passes whole frames on, writes, and reads again only when that was written: the
//! slower side sets the pace, and no more is held than one read and the beginning of a frame.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use console_token::Refusal;
use spice_proto::channel::main::{ChannelsList, Init};
use spice_proto::frame::{FrameRef, Header, HeaderForm, Passer};
use spice_proto::ids::ChannelType;
use spice_proto::{DecodeError, Limits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::gateway::GOODBYE;
use crate::guard::{DISPLAY_INIT, DISPLAY_INIT_BODY, FromViewer, Stop, from_hypervisor};
use crate::link::Linked;
use crate::sessions::Seat;

/// Room for one read.
const READ: usize = 32 << 10;
/// How long a hypervisor has for its answer to a DISPLAY_INIT. One that takes longer is closed all the same.
const PARTING: Duration = Duration::from_secs(2);
/// `SPICE_MSG_MAIN_INIT`.
const MAIN_INIT: u16 = 103;
/// `SPICE_MSG_MAIN_CHANNELS_LIST`.
const CHANNELS_LIST: u16 = 104;

/// How a connection ended. For our own log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the viewer hung up")]
    Viewer,
    #[error("the hypervisor hung up")]
    Hypervisor,
    #[error("a connection cannot be written to: {0}")]
    Write(std::io::Error),
    #[error("the session has ended")]
    Session,
    #[error("the gateway is going down")]
    Stopping,
    #[error("{0}")]
    Stopped(#[from] Stop),
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    #[error("the hypervisor's name for the session: {0}")]
    Bind(#[from] Refusal),
}

/// Moves frames both ways until one side hangs up, the session ends or the gateway stops.
pub(crate) async fn relay(linked: Linked, stop: &CancellationToken) -> End {
    let Linked {
        outcome,
        seat,
        tenant,
        hypervisor,
        mut wires,
    } = linked;
    let kind = seat.channel.0;
    let (mut to_viewer, mut to_hypervisor) = outcome.passers(&Limits::default());
    let (mut tenant_in, mut tenant_out) = split(tenant);
    let (mut hypervisor_in, mut hypervisor_out) = split(hypervisor);
    let mut guard = FromViewer::new(kind);
    let (sent, shown) = (AtomicU64::new(0), AtomicU64::new(0));
    let end = {
        let upstream = pump(
            &mut tenant_in,
            &mut hypervisor_out,
            &mut wires.tenant.rx,
            &mut to_hypervisor,
            [&seat.counts.to_hypervisor, &sent],
            End::Viewer,
            |frame| Ok(guard.see(&frame.header)?),
        );
        let downstream = pump(
            &mut hypervisor_in,
            &mut tenant_out,
            &mut wires.hypervisor.rx,
            &mut to_viewer,
            [&seat.counts.to_viewer, &shown],
            End::Hypervisor,
            |frame| {
                from_hypervisor(kind, &frame.header)?;
                if kind == ChannelType::MAIN {
                    note(&seat, &frame)
                } else {
                    Ok(())
                }
            },
        );
        tokio::pin!(upstream, downstream);
        tokio::select! {
            end = &mut upstream => end,
            // The viewer is gone, but what it said last is still to be delivered.
            end = &mut downstream => match end {
                End::Write(_) => timeout(GOODBYE, &mut upstream).await.unwrap_or(end),
                end => end,
            },
            () = seat.session.ended.cancelled() => End::Session,
            () = stop.cancelled() => End::Stopping,
        }
    };
    if kind == ChannelType::DISPLAY && !matches!(end, End::Hypervisor) && to_viewer.passed() == 0 {
        let init_sent = sent.load(Ordering::Relaxed) > 0;
        let form = outcome.hypervisor_form;
        let _ = timeout(PARTING, part(&mut hypervisor_in, &mut hypervisor_out, form, init_sent)).await;
    }
    let goodbye = async { tokio::join!(tenant_out.shutdown(), hypervisor_out.shutdown()) };
    let _ = timeout(GOODBYE, goodbye).await;
    end
}

/// Moves one direction until it cannot go on. `counts`: messages that left or are about to, and messages
/// that were written.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    src: &mut BytesMut,
    passer: &mut Passer,
    [passed, written]: [&AtomicU64; 2],
    hung_up: End,
    mut see: impl FnMut(FrameRef<'_>) -> Result<(), End>,
) -> End {
    loop {
        let mut dst = BytesMut::new();
        let mut seen = Ok(());
        let moved = passer.pass(src, &mut dst, |frame| {
            if seen.is_ok() {
                seen = see(frame);
            }
        });
        // Nothing of a batch leaves with a message in it that may not pass.
        if let Err(end) = seen {
            return end;
        }
        passed.store(passer.passed(), Ordering::Relaxed);
        if !dst.is_empty() {
            if let Err(error) = to.write_all(&dst).await {
                return End::Write(error);
            }
            if let Err(error) = to.flush().await {
                return End::Write(error);
            }
        }
        written.store(passer.passed(), Ordering::Relaxed);
        if let Err(error) = moved {
            return End::Malformed(error);
        }
        drop(dst); // so that its memory serves the next read
        src.reserve(READ);
        // A reset is the end as well.
        if from.read_buf(src).await.unwrap_or(0) == 0 {
            return hung_up;
        }
    }
}

/// A message on the main channel that decides which connections may come. It has not left yet.
fn note(seat: &Seat, frame: &FrameRef<'_>) -> Result<(), End> {
    match frame.header.number {
        MAIN_INIT => {
            let init = Init::decode_slice(frame.body)?;
            seat.bind(init.session_id)?;
            tracing::info!(session = init.session_id, "session named");
        }
        CHANNELS_LIST => seat.announce(&ChannelsList::decode_slice(frame.body)?),
        _ => {}
    }
    Ok(())
}

/// Ends a display link that has not begun, without which QEMU would end (see [`crate::guard`]): says
/// DISPLAY_INIT, if the viewer has not, and waits until the hypervisor has handled it.
async fn part(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    form: HeaderForm,
    init_sent: bool,
) -> std::io::Result<()> {
    if !init_sent {
        let header = Header {
            serial: 1,
            number: DISPLAY_INIT,
            size: DISPLAY_INIT_BODY,
            sub_list: 0,
        };
        let mut init = BytesMut::new();
        header.write(form, &mut init);
        // Ids 0 and caches of no size.
        init.extend_from_slice(&[0; DISPLAY_INIT_BODY as usize]);
        to.write_all(&init).await?;
        to.flush().await?;
    }
    from.read_u8().await?;
    tracing::debug!("display link ended properly");
    Ok(())
}

#[cfg(test)]
mod tests {
    use spice_proto::caps::Capabilities;
    use spice_proto::channel::main::ChannelId;
    use spice_proto::frame::{Body, Writer};
    use spice_proto::ids::MouseModes;
    use spice_proto::link::Wires;
    use spice_proto::link::relay::RelayOutcome;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::sessions::Channel;
    use crate::sessions::tests::{request, sessions, token};

    const MAIN: Channel = (ChannelType::MAIN, 0);
    const DISPLAY: Channel = (ChannelType::DISPLAY, 0);

    struct Message(u16, Vec<u8>);

    impl Body for Message {
        fn number(&self) -> u16 {
            self.0
        }
        fn encode(&self, dst: &mut BytesMut) -> Result<(), spice_proto::EncodeError> {
            dst.extend_from_slice(&self.1);
            Ok(())
        }
        fn encoded_len(&self) -> usize {
            self.1.len()
        }
    }

    /// Messages as they stand on the wire.
    fn frames(messages: &[(u16, &[u8])]) -> Vec<u8> {
        let (mut writer, mut bytes) = (Writer::new(HeaderForm::Mini), BytesMut::new());
        for (number, body) in messages {
            writer.write(&Message(*number, body.to_vec()), &mut bytes).unwrap();
        }
        bytes.to_vec()
    }

    fn init(session_id: u32) -> Vec<u8> {
        let init = Init {
            session_id,
            display_channels_hint: 1,
            supported_mouse_modes: MouseModes::SERVER,
            current_mouse_mode: MouseModes::SERVER,
            agent_connected: 0,
            agent_tokens: 0,
            multi_media_time: 0,
            ram_hint: 0,
        };
        let mut body = BytesMut::new();
        init.encode(&mut body).unwrap();
        body.to_vec()
    }

    struct Setup {
        viewer: DuplexStream,
        hypervisor: DuplexStream,
        end: tokio::task::JoinHandle<End>,
        /// Keeps the session open.
        _main: Option<Seat>,
    }

    /// A relay for this channel, with the two ends of it.
    fn setup(channel: Channel) -> Setup {
        let sessions = sessions();
        let token = token(&sessions);
        let enter = |channel, id| {
            let seat = sessions.enter(&token, &request(channel, id), true);
            seat.unwrap_or_else(|refused| panic!("{refused}"))
        };
        let main = enter(MAIN, 0);
        let (main, seat) = if channel == MAIN {
            (None, main)
        } else {
            main.bind(7).unwrap();
            let (channel_type, id) = channel;
            main.announce(&ChannelsList {
                channels: vec![ChannelId { channel_type, id }],
            });
            (Some(main), enter(channel, 7))
        };
        let (viewer, tenant) = tokio::io::duplex(1 << 20);
        let (hypervisor, upstream) = tokio::io::duplex(1 << 20);
        let linked = Linked {
            outcome: RelayOutcome {
                request: request(channel, 0),
                announced: Capabilities::default(),
                hypervisor: Capabilities::default(),
                tenant_form: HeaderForm::Mini,
                hypervisor_form: HeaderForm::Mini,
            },
            seat,
            tenant: Box::new(tenant),
            hypervisor: Box::new(upstream),
            wires: Wires::default(),
        };
        let end = tokio::spawn(async move { relay(linked, &CancellationToken::new()).await });
        Setup {
            viewer,
            hypervisor,
            end,
            _main: main,
        }
    }

    async fn rest(stream: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_session_that_cannot_be_bound_is_not_shown() {
        let mut setup = setup(MAIN);
        let said = frames(&[(6, &[0; 12]), (MAIN_INIT, &init(0))]);
        setup.hypervisor.write_all(&said).await.unwrap();
        assert_eq!(rest(&mut setup.viewer).await, b"");
        assert!(matches!(setup.end.await.unwrap(), End::Bind(Refusal::ZeroConnectionId)));
    }

    #[tokio::test]
    async fn no_migration_passes_either_way() {
        for number in [101, 111, 116] {
            let mut setup = setup(MAIN);
            setup
                .hypervisor
                .write_all(&frames(&[(MAIN_INIT, &init(9))]))
                .await
                .unwrap();
            let mut shown = vec![0; 38];
            setup.viewer.read_exact(&mut shown).await.unwrap();
            setup
                .hypervisor
                .write_all(&frames(&[(number, b"192.0.2.1")]))
                .await
                .unwrap();
            assert_eq!(rest(&mut setup.viewer).await, b"");
            assert!(matches!(setup.end.await.unwrap(), End::Stopped(_)));
        }
        let mut setup = setup(MAIN);
        // Nothing of the batch passes, and what came before does.
        setup.viewer.write_all(&frames(&[(104, &[])])).await.unwrap();
        let mut passed = vec![0; 6];
        setup.hypervisor.read_exact(&mut passed).await.unwrap();
        setup
            .viewer
            .write_all(&frames(&[(104, &[]), (110, &[1, 0, 0, 0])]))
            .await
            .unwrap();
        assert_eq!(rest(&mut setup.hypervisor).await, b"");
        let stop = Stop::ViewerMigrates(110);
        assert!(matches!(setup.end.await.unwrap(), End::Stopped(end) if end == stop));
    }

    #[tokio::test]
    async fn a_display_link_begins_before_it_ends() {
        let empty = frames(&[(DISPLAY_INIT, &[0; 14])]);
        // The viewer hangs up, begins with another message, or goes on with a forbidden one.
        for said in [
            vec![],
            frames(&[(103, &[1])]),
            frames(&[(DISPLAY_INIT, &[1; 14]), (4, &[])]),
            vec![101, 0, 14],
        ] {
            let Setup {
                mut viewer,
                mut hypervisor,
                end,
                _main,
            } = setup(DISPLAY);
            viewer.write_all(&said).await.unwrap();
            drop(viewer);
            let mut init = vec![0; empty.len()];
            hypervisor.read_exact(&mut init).await.unwrap();
            assert_eq!(init, empty);
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!end.is_finished(), "closed before the hypervisor has handled it");
            hypervisor.write_all(&frames(&[(3, &[0; 8])])).await.unwrap();
            assert_eq!(rest(&mut hypervisor).await, b"");
            end.await.unwrap();
        }
        // It has begun, but not been answered.
        let Setup {
            mut viewer,
            mut hypervisor,
            end,
            _main,
        } = setup(DISPLAY);
        let begun = frames(&[(DISPLAY_INIT, &[1; 14])]);
        viewer.write_all(&begun).await.unwrap();
        drop(viewer);
        let mut init = vec![0; begun.len()];
        hypervisor.read_exact(&mut init).await.unwrap();
        assert_eq!(init, begun);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!end.is_finished());
        hypervisor.write_all(&[0]).await.unwrap();
        assert_eq!(rest(&mut hypervisor).await, b"");
        assert!(matches!(end.await.unwrap(), End::Viewer));
    }

    #[tokio::test]
    async fn a_channel_ends_with_its_session() {
        let Setup {
            mut viewer,
            mut hypervisor,
            end,
            _main: main,
        } = setup((ChannelType::INPUTS, 0));
        hypervisor.write_all(&frames(&[(101, &[0, 0])])).await.unwrap();
        let mut shown = vec![0; 8];
        viewer.read_exact(&mut shown).await.unwrap();
        drop(main);
        assert!(matches!(end.await.unwrap(), End::Session));
        assert_eq!(rest(&mut viewer).await, b"");
        assert_eq!(rest(&mut hypervisor).await, b"");
    }
}
