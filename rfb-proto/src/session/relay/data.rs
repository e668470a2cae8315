//! The data stage: both directions, and what may pass.

use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::question::{Action, Config, Counts, End};
use super::stage::{AHEAD, Gone, Next, Over};
use crate::encoding::Encoding;
use crate::filter::{Guard, resize_refused};
use crate::framing::{self, Bypass, FramingError, Message, Piece, Verdict, Watch};
use crate::handshake::{Side, SideBuffers};
use crate::init::{ClientInit, ServerInit};
use crate::limits::Limits;
use crate::message::pseudo::ExtendedDesktopSize;

/// How long one side has, when the other has hung up, to take what does not fit any more. A peer that is there and
/// reads nothing would keep its connection for ever.
const LINGER: Duration = Duration::from_secs(30);
/// Bytes of an ExtendedDesktopSize with as many screens as there can be.
const SCREENS: usize = 4 + 255 * 16;

#[derive(Debug)]
pub(super) struct Data {
    pub(super) framing: framing::Relay,
    pub(super) watcher: Watcher,
    pub(super) init: ServerInit,
    /// What the hypervisor was told.
    pub(super) shared: ClientInit,
    /// One side is gone, and this is how long the other may take for what is left.
    linger: Option<Duration>,
}

/// How far a direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// All that there is goes on.
    Starved,
    /// The other side has not taken what went before.
    Full,
}

impl Data {
    pub(super) fn new(init: ServerInit, shared: ClientInit, config: &Config) -> Self {
        let limits = &config.bridge.limits;
        let framing = framing::Relay::new(&init, limits)
            .with_depth_24(config.depth_24)
            .with_moves(true);
        let mut guard = Guard::new(config.filter.clone(), limits);
        if let Some(rate) = &config.input_rate {
            guard = guard.with_rate(rate.clone());
        }
        let (screens, limits) = (BytesMut::new(), limits.clone());
        Self {
            framing,
            watcher: Watcher { guard, screens, limits },
            init,
            shared,
            linger: None,
        }
    }

    pub(super) fn withheld(&self) -> u64 {
        self.watcher.guard.withheld()
    }

    /// When a side that takes nothing is given up, since the other has hung up.
    pub(super) fn deadline(&self) -> Duration {
        self.linger.unwrap_or(Duration::MAX)
    }

    pub(super) fn step(&mut self, now: Duration, sides: &mut SideBuffers, gone: Gone, counts: &Counts) -> Next<()> {
        let up = self.up(now, sides, counts);
        let down = self.down(sides, counts, false);
        let (up, down) = match (up, down) {
            (Ok(up), Ok(down)) => (up, down),
            (Err(error), _) => return Err(malformed(Side::Tenant, error).into()),
            (_, Err(error)) => return Err(malformed(Side::Hypervisor, error).into()),
        };
        self.own_words(sides)?;
        if let Some(over) = self.ended(now, gone, up, down) {
            return Err(over);
        }
        let reads = |flow, held: usize| flow == Flow::Starved || held < AHEAD;
        Ok(Action::Receive {
            tenant: !gone.tenant && reads(up, sides.tenant.rx.len()),
            hypervisor: !gone.hypervisor && reads(down, sides.hypervisor.rx.len()),
        })
    }

    fn up(&mut self, now: Duration, sides: &mut SideBuffers, counts: &Counts) -> Result<Flow, FramingError> {
        let (src, dst) = (&mut sides.tenant.rx, &mut sides.hypervisor.tx);
        if !dst.is_empty() {
            return Ok(Flow::Full);
        }
        self.watcher.guard.at(now);
        let forwarded = self.framing.from_client(src, dst, &mut self.watcher);
        counts.note(Side::Hypervisor, dst.len());
        forwarded.map(|()| Flow::Starved)
    }

    /// `stops`: only up to the end of the message.
    pub(super) fn down(&mut self, sides: &mut SideBuffers, counts: &Counts, stops: bool) -> Result<Flow, FramingError> {
        let (src, dst) = (&mut sides.hypervisor.rx, &mut sides.tenant.tx);
        if !dst.is_empty() {
            return Ok(Flow::Full);
        }
        let forwarded = match stops {
            true => self.framing.finish_message(src, dst, &mut self.watcher),
            false => self.framing.from_server(src, dst, &mut self.watcher),
        };
        counts.note(Side::Tenant, dst.len());
        forwarded.map(|()| Flow::Starved)
    }

    /// What the relay says itself.
    fn own_words(&mut self, sides: &mut SideBuffers) -> Result<(), End> {
        let SideBuffers { tenant, hypervisor } = sides;
        if self.framing.server().is_between_messages()
            && let Some(answer) = self.watcher.refusal(self.framing.server().framebuffer())
        {
            tenant.tx.extend_from_slice(&answer);
        }
        let said = self.framing.own_words(&mut hypervisor.tx, &mut tenant.tx);
        said.map_err(|error| malformed(Side::Tenant, error))
    }

    /// Why it is over, if it is.
    fn ended(&mut self, now: Duration, gone: Gone, up: Flow, down: Flow) -> Option<Over<()>> {
        match (gone.tenant, gone.hypervisor) {
            (true, _) if up == Flow::Starved => return Some(End::Viewer.into()),
            (_, true) if down == Flow::Starved => return Some(Over::Next(())),
            (false, false) => {
                self.linger = None;
                return None;
            }
            _ => {}
        }
        if now < *self.linger.get_or_insert(now.saturating_add(LINGER)) {
            return None;
        }
        Some(match gone.tenant {
            true => End::Viewer.into(),
            false => End::Hypervisor.into(),
        })
    }
}

pub(super) const fn malformed(by: Side, error: FramingError) -> End {
    End::Malformed { by, error }
}

/// Sees what goes by.
#[derive(Debug)]
pub(super) struct Watcher {
    guard: Guard,
    /// The last ExtendedDesktopSize.
    screens: BytesMut,
    limits: Limits,
}

impl Watcher {
    /// The answer to a change of the desktop's size that was withheld.
    fn refusal(&mut self, framebuffer: (u16, u16)) -> Option<Bytes> {
        if !self.guard.take_resize_refused() {
            return None;
        }
        let known = ExtendedDesktopSize::decode_slice(&self.screens, &self.limits);
        let screens = known.map(|size| size.screens).unwrap_or_default();
        resize_refused(framebuffer, &screens).ok()
    }

    #[cold]
    fn note(&mut self, piece: &Piece<'_>) {
        if piece.offset == 0 {
            self.screens.clear();
        }
        let room = SCREENS.saturating_sub(self.screens.len()).min(piece.payload.len());
        self.screens
            .extend_from_slice(piece.payload.get(..room).unwrap_or_default());
    }
}

impl Watch for Watcher {
    /// Of rectangles only one is of interest, which is no picture.
    #[inline]
    fn bypass(&self) -> Bypass {
        self.guard.bypass()
    }

    #[inline]
    fn client(&mut self, message: &Message<'_>) -> Verdict {
        self.guard.client(message)
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        self.guard.server(message)
    }

    #[inline]
    fn rectangle(&mut self, piece: &Piece<'_>) {
        if piece.rectangle.encoding == Encoding::EXTENDED_DESKTOP_SIZE {
            self.note(piece);
        }
    }
}
