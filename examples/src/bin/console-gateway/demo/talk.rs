//! One end of a channel: frames in and out, counted and hashed, so that both ends can be compared.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use sha2::{Digest, Sha256};
use spice_proto::frame::{Body, Frame, FrameReader, HeaderForm, Writer};
use spice_proto::{EncodeError, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::report::Outcome;
use crate::sync::lock;
use crate::tls::Stream;

/// The first bytes of a SHA-256, as text: enough to tell things apart.
pub(super) fn digest(bytes: &[u8]) -> String {
    short(Sha256::new_with_prefix(bytes))
}

fn short(hash: Sha256) -> String {
    let hash = hash.finalize();
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// What went one way.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) messages: u64,
    bytes: u64,
    hash: Sha256,
}

impl Tally {
    fn note(&mut self, number: u16, body: &[u8]) {
        self.messages += 1;
        self.bytes += body.len() as u64;
        self.hash.update(number.to_le_bytes());
        self.hash.update((body.len() as u64).to_le_bytes());
        self.hash.update(body);
    }
}

impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        self.messages == other.messages
            && self.bytes == other.bytes
            && self.hash.clone().finalize() == other.hash.clone().finalize()
    }
}

/// What went both ways, as one end saw it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Traffic {
    pub(super) to_viewer: Tally,
    pub(super) to_hypervisor: Tally,
}

impl Traffic {
    /// For the report: messages to the viewer and to the hypervisor.
    pub(super) fn messages(&self) -> (u64, u64) {
        (self.to_viewer.messages, self.to_hypervisor.messages)
    }
}

/// Which end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Viewer,
    Hypervisor,
}

/// One end of a channel.
pub(super) struct Talk {
    stream: Stream,
    rx: BytesMut,
    splitter: FrameReader,
    writer: Writer,
    form: HeaderForm,
    end: End,
    traffic: Arc<Mutex<Traffic>>,
}

/// A message by its number, where the library has no layout for it yet.
pub(super) struct Raw<'a>(pub(super) u16, pub(super) &'a [u8]);

impl Body for Raw<'_> {
    fn number(&self) -> u16 {
        self.0
    }

    fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        dst.extend_from_slice(self.1);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.1.len()
    }
}

impl Talk {
    /// `rx`: what came together with the end of the link stage.
    pub(super) fn new(stream: Stream, rx: BytesMut, form: HeaderForm, end: End) -> Self {
        Self {
            stream,
            rx,
            splitter: FrameReader::new(form, &Limits::default()),
            writer: Writer::new(form),
            form,
            end,
            traffic: Arc::default(),
        }
    }

    /// Keeps count where somebody else can read it.
    pub(super) fn counted(self, traffic: Arc<Mutex<Traffic>>) -> Self {
        Self { traffic, ..self }
    }

    pub(super) fn traffic(&self) -> Traffic {
        lock(&self.traffic).clone()
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, message: &impl Body) -> Outcome<()> {
        let mut frame = BytesMut::new();
        self.writer.write(message, &mut frame)?;
        // Counted first: by the time the other end has it, our count stands.
        let body = frame.get(self.form.len()..).unwrap_or_default();
        match self.end {
            End::Viewer => lock(&self.traffic).to_hypervisor.note(message.number(), body),
            End::Hypervisor => lock(&self.traffic).to_viewer.note(message.number(), body),
        }
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next message. `None`: the other end hung up.
    pub(super) async fn receive(&mut self) -> Outcome<Option<Frame>> {
        loop {
            if let Some(frame) = self.splitter.decode(&mut self.rx)? {
                let mut traffic = lock(&self.traffic);
                match self.end {
                    End::Viewer => traffic.to_viewer.note(frame.header.number, &frame.body),
                    End::Hypervisor => traffic.to_hypervisor.note(frame.header.number, &frame.body),
                }
                return Ok(Some(frame));
            }
            // A TLS peer that is cut off leaves without a word: the end as well.
            if self.stream.read_buf(&mut self.rx).await.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }

    /// The next message, which has to have this number.
    pub(super) async fn expect(&mut self, number: u16) -> Outcome<Frame> {
        match self.receive().await? {
            Some(frame) if frame.header.number == number => Ok(frame),
            Some(frame) => Err(format!("message {} where {number} was due", frame.header.number).into()),
            None => Err(format!("the connection ended where message {number} was due").into()),
        }
    }

    /// Hangs up.
    pub(super) async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }
}
