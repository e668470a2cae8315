//! How many connections a gateway holds: half-open and open ones, each with places of their own.

mod half_open;
mod limits;

use alloc::collections::BTreeMap;
use core::{net::IpAddr, num::NonZeroU32};

use thiserror::Error;

use self::half_open::HalfOpen;
pub use self::half_open::{Displaced, SlotId};
pub use self::limits::ConnectionLimits;
use crate::Source;

/// The connections of a gateway that are half-open (arrived, not yet let in) and open (let in).
///
/// Strangers can open connections and stay silent. A limit that refuses newcomers lets them lock out everybody;
/// a limit per address lets them lock out everybody behind the same NAT. Here the newcomer always gets a place.
/// When all half-open places are taken, one connection gives way, by this rule:
///
/// - The oldest half-open connection of the heaviest source gives way. The heaviest [`Source`] is the one with the
///   most half-open connections.
/// - Among several heaviest sources the newcomer's own comes first, and else the one with the oldest connection.
///
/// So a connection only ever gives way to another source's newcomer while its own source has more half-open
/// connections than the newcomer's. A user whose connection is let in within milliseconds does not notice a flood.
///
/// Open connections never give way, and do not count as half-open. Their number has a limit of its own, in all and
/// for each source, and [`admit`](Self::admit) refuses when it is reached.
///
/// `T` is what the caller needs to end a half-open connection, such as a `CancellationToken` of tokio-util. The
/// limiter does no I/O and reads no clock: age is the order of arrival. Every operation takes time in proportion
/// to the logarithm of the number of connections, and memory is bounded by the limits. Threads share it under the
/// caller's mutex.
///
/// # How many half-open places
///
/// A flood from `n` sources leaves each source about `half_open / n` places. With 4096 places (the default) and 200
/// flooding addresses an honest source has 20, which is enough for two SPICE viewers (9 links each) that start at
/// the same moment behind one NAT. A half-open place costs this type about 250 bytes, and the gateway a socket and
/// its buffers; the limit of file descriptors must cover `half_open + open`.
///
/// # Example
///
/// ```
/// use std::{net::IpAddr, sync::{Arc, Mutex, PoisonError}};
/// use console_token::{AdmitError, ConnectionLimiter, ConnectionLimits, SlotId};
/// use tokio::{io::{AsyncRead, AsyncReadExt}, net::{TcpListener, TcpStream}};
/// use tokio_util::sync::CancellationToken;
///
/// #[derive(Clone)]
/// struct Gateway(Arc<Mutex<ConnectionLimiter<CancellationToken>>>);
///
/// /// The place of one connection, given back however its task ends.
/// struct Place { gateway: Gateway, slot: SlotId }
///
/// impl Gateway {
///     fn with<R>(&self, f: impl FnOnce(&mut ConnectionLimiter<CancellationToken>) -> R) -> R {
///         f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
///     }
///
///     /// `peer`: the address of the connection, or the one that a trusted proxy stated.
///     fn arrive(&self, peer: IpAddr) -> (Place, CancellationToken) {
///         let token = CancellationToken::new();
///         let arrival = self.with(|limiter| limiter.arrive(peer, token.clone()));
///         if let Some(displaced) = arrival.displaced {
///             displaced.handle.cancel();
///         }
///         (Place { gateway: self.clone(), slot: arrival.slot }, token)
///     }
/// }
///
/// impl Place {
///     /// After the tenant's token or password was accepted.
///     fn admit(&self) -> Result<(), AdmitError> {
///         self.gateway.with(|limiter| limiter.admit(self.slot))
///     }
/// }
///
/// impl Drop for Place {
///     fn drop(&mut self) {
///         self.gateway.with(|limiter| limiter.leave(self.slot));
///     }
/// }
///
/// async fn accept(gateway: Gateway, listener: TcpListener) -> std::io::Result<()> {
///     loop {
///         let (stream, peer) = listener.accept().await?;
///         let (place, gives_way) = gateway.arrive(peer.ip());
///         tokio::spawn(serve(place, gives_way, stream));
///     }
/// }
///
/// async fn serve<S: AsyncRead + Unpin>(place: Place, gives_way: CancellationToken, mut stream: S) {
///     let let_in = tokio::select! {
///         () = gives_way.cancelled() => return,              // closes the connection
///         let_in = handshake(&mut stream) => let_in,         // with a deadline of its own
///     };
///     if !let_in || place.admit().is_err() {
///         return;
///     }
///     // The console session. `gives_way` is never cancelled from here on.
/// }
///
/// async fn handshake<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
///     stream.read_u8().await.is_ok_and(|byte| byte == b'!')
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let limits = ConnectionLimits::default().with_half_open(2.try_into().unwrap());
/// let gateway = Gateway(Arc::new(Mutex::new(ConnectionLimiter::new(limits))));
/// let stranger = "203.0.113.9".parse().unwrap();
/// let (first, first_gives_way) = gateway.arrive(stranger);
/// let (second, second_gives_way) = gateway.arrive(stranger);
/// let (third, _) = gateway.arrive("198.51.100.7".parse().unwrap());
/// assert!(first_gives_way.is_cancelled() && !second_gives_way.is_cancelled());
/// assert_eq!(first.admit(), Err(AdmitError::Displaced));
/// assert_eq!(third.admit(), Ok(()));
/// drop((first, second, third));
/// assert_eq!(gateway.with(|limiter| (limiter.half_open(), limiter.open())), (0, 0));
/// # let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
/// # let address = listener.local_addr().unwrap();
/// # let task = tokio::spawn(accept(gateway.clone(), listener));
/// # let _silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
/// # let mut served = TcpStream::connect(address).await.unwrap();
/// # tokio::io::AsyncWriteExt::write_u8(&mut served, b'!').await.unwrap();
/// # assert_eq!(served.read(&mut [0]).await.unwrap(), 0);
/// # task.abort();
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionLimiter<T> {
    limits: ConnectionLimits,
    /// The number of connections that have arrived. It does not come round: at a thousand million arrivals a
    /// second that takes 500 years.
    arrived: u64,
    half_open: HalfOpen<T>,
    /// INVARIANT: no slot is both here and half-open.
    open: BTreeMap<SlotId, Source>,
    /// INVARIANT: how often each source is in `open`; never 0.
    open_from: BTreeMap<Source, u32>,
}

/// What follows from the arrival of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a connection that was displaced must be closed"]
pub struct Arrival<T> {
    /// The new connection. It is half-open.
    pub slot: SlotId,
    /// The connection that gives way, if all places were taken: the caller closes it. It has no place any more.
    pub displaced: Option<Displaced<T>>,
}

/// Why a connection cannot be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// It has given way to another connection, or has left.
    #[error("the connection has given way to another one")]
    Displaced,
    /// All places for open connections are taken.
    #[error("all {limit} places for open connections are taken")]
    Full {
        /// [`ConnectionLimits::open`].
        limit: NonZeroU32,
    },
    /// The source has all the open connections that it may have.
    #[error("{from} has all the {limit} open connections that one source may have")]
    SourceFull {
        /// The source.
        from: Source,
        /// [`ConnectionLimits::open_per_source`].
        limit: NonZeroU32,
    },
}

impl<T> ConnectionLimiter<T> {
    /// A limiter without connections.
    #[must_use]
    pub const fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            arrived: 0,
            half_open: HalfOpen::new(),
            open: BTreeMap::new(),
            open_from: BTreeMap::new(),
        }
    }

    /// Other limits from now on. Connections beyond lower ones stay until they leave: each arrival then displaces
    /// one, and [`admit`](Self::admit) refuses until there is room.
    pub fn set_limits(&mut self, limits: ConnectionLimits) {
        self.limits = limits;
    }

    /// A connection has arrived from this address. It gets a half-open place, and `handle` is kept for as long as
    /// it is half-open.
    pub fn arrive(&mut self, address: IpAddr, handle: T) -> Arrival<T> {
        let source = Source::of(address);
        let is_full = count(self.limits.half_open) <= self.half_open.len();
        let displaced = if is_full {
            self.half_open.displace_for(source)
        } else {
            None
        };
        let slot = SlotId(self.arrived);
        self.arrived = self.arrived.wrapping_add(1);
        self.half_open.insert(slot, source, handle);
        Arrival { slot, displaced }
    }

    /// The connection is let in: it gives its half-open place back and takes an open one. A connection that is
    /// open already stays so.
    ///
    /// # Errors
    ///
    /// [`AdmitError`]. A connection that is refused for want of a place stays half-open until it [leaves](Self::leave)
    /// or is displaced, so that its peer can be told.
    pub fn admit(&mut self, slot: SlotId) -> Result<(), AdmitError> {
        if self.open.contains_key(&slot) {
            return Ok(());
        }
        let source = self.half_open.source(slot).ok_or(AdmitError::Displaced)?;
        let limit = self.limits.open;
        if count(limit) <= self.open.len() {
            return Err(AdmitError::Full { limit });
        }
        let from_source = self.open_from.get(&source).copied().unwrap_or(0);
        if let Some(limit) = self.limits.open_per_source.filter(|limit| limit.get() <= from_source) {
            return Err(AdmitError::SourceFull { from: source, limit });
        }
        self.half_open.remove(slot);
        self.open.insert(slot, source);
        self.open_from.insert(source, from_source.saturating_add(1));
        Ok(())
    }

    /// The connection has ended, and gives back the place that it has, half-open or open. Says whether it had one:
    /// a connection that was displaced has none.
    pub fn leave(&mut self, slot: SlotId) -> bool {
        if let Some(source) = self.open.remove(&slot) {
            self.forget_open(source);
            return true;
        }
        self.half_open.remove(slot).is_some()
    }

    /// The number of half-open connections.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// The number of open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The number of half-open connections from the source of this address.
    #[must_use]
    pub fn half_open_from(&self, address: IpAddr) -> usize {
        self.half_open.from(Source::of(address))
    }

    /// The number of open connections from the source of this address.
    #[must_use]
    pub fn open_from(&self, address: IpAddr) -> usize {
        let open = self.open_from.get(&Source::of(address)).copied().unwrap_or(0);
        usize::try_from(open).unwrap_or(usize::MAX)
    }

    fn forget_open(&mut self, source: Source) {
        let Some(open) = self.open_from.get_mut(&source) else {
            return;
        };
        *open = open.saturating_sub(1);
        if *open == 0 {
            self.open_from.remove(&source);
        }
    }
}

fn count(limit: NonZeroU32) -> usize {
    usize::try_from(limit.get()).unwrap_or(usize::MAX)
}
