//! One end of a channel: frames in and out, counted and hashed, so that both ends can be compared.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use examples::spice;
use sha2::{Digest, Sha256};
use spice_proto::codec::{CodecError, FrameCodec};
use spice_proto::frame::{Body, Frame, Header, HeaderForm};
use spice_proto::{EncodeError, Limits};

use super::report::Outcome;
use crate::front::tls::Stream;
use crate::sync::lock;

/// The first bytes of a SHA-256, as text: enough to tell things apart.
pub(super) fn digest(bytes: &[u8]) -> String {
    short(Sha256::new_with_prefix(bytes))
}

fn short(hash: Sha256) -> String {
    base16ct::lower::encode_string(&hash.finalize()[..4])
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
    frames: spice::Talk<Stream, FrameCodec>,
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
            frames: spice::Talk::new::<Frame>(stream, FrameCodec::new(form, &Limits::default()), rx),
            end,
            traffic: Arc::default(),
        }
    }

    /// Keeps count in a place that can be read while this end is in use.
    pub(super) fn counted(self, traffic: Arc<Mutex<Traffic>>) -> Self {
        Self { traffic, ..self }
    }

    pub(super) fn traffic(&self) -> Traffic {
        lock(&self.traffic).clone()
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, message: &impl Body) -> Outcome<()> {
        let mut body = BytesMut::new();
        message.encode(&mut body)?;
        // Counted first: by the time the other end has it, our count stands.
        match self.end {
            End::Viewer => lock(&self.traffic).to_hypervisor.note(message.number(), &body),
            End::Hypervisor => lock(&self.traffic).to_viewer.note(message.number(), &body),
        }
        let header = Header {
            serial: 0,
            number: message.number(),
            size: u32::try_from(body.len())?,
            sub_list: 0,
        };
        let body = body.freeze();
        Ok(self.frames.send(Frame { header, body }).await?)
    }

    /// The next message. `None`: the other end hung up.
    pub(super) async fn receive(&mut self) -> Outcome<Option<Frame>> {
        let frame = match self.frames.next().await {
            // A TLS peer that is cut off leaves without a word: the end as well.
            None | Some(Err(CodecError::Io(_))) => return Ok(None),
            Some(frame) => frame?,
        };
        let mut traffic = lock(&self.traffic);
        match self.end {
            End::Viewer => traffic.to_viewer.note(frame.header.number, &frame.body),
            End::Hypervisor => traffic.to_hypervisor.note(frame.header.number, &frame.body),
        }
        drop(traffic);
        Ok(Some(frame))
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
    pub(super) async fn close(self) {
        let _ = self.frames.close::<Frame>().await;
    }
}
