//! The driver of a connection, which also ends it.

use alloc::boxed::Box;
use core::future::pending;

use rfb_proto::session::relay::End;
use rfb_proto::{Connection, drive_session};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use super::refusal::has_refused;
use super::slot::Slot;
use super::{ConsoleBackend, Denial, TokenViewer};
use crate::Refusal;

/// Why a connection has ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Ended {
    /// By itself.
    #[error(transparent)]
    By(End),
    /// Its token was revoked, or its time is over.
    #[error("cut: {0}")]
    Cut(Refusal),
}

/// Drives a viewer's connection to its end, as [`drive_session`]; ends it when its token is revoked or its time is over
/// ([`TokenConnections::run`](super::TokenConnections::run) finds that out); and settles what its use costs. Gives the
/// handler back unless a question was open, or the connection was cut. The use goes with the handler: it ends when that is
/// dropped.
///
/// The future can be dropped at any time: the connection then has broken off.
pub fn drive_viewer<B, T>(
    connection: Connection,
    tenant: T,
    viewer: TokenViewer<B>,
) -> impl Future<Output = (Ended, Option<TokenViewer<B>>)>
where
    B: ConsoleBackend + 'static,
    T: AsyncRead + AsyncWrite + Send + Unpin,
{
    let slot = viewer.slot.clone();
    // What is moved inside of a future has room there twice.
    let session = Box::pin(drive_session(connection, tenant, viewer));
    async move {
        tokio::select! {
            (end, viewer) = session => {
                if let Some(entered) = slot.get().filter(|_| has_refused(&end)) {
                    entered.mark_refused();
                }
                (Ended::By(end), viewer)
            }
            refusal = cut(&slot) => (Ended::Cut(refusal), None),
            refusal = record(&slot) => (Ended::Cut(refusal), None),
        }
    }
}

async fn cut(slot: &Slot) -> Refusal {
    loop {
        if let Some(entered) = slot.get() {
            return entered.ended().await;
        }
        slot.entered.notified().await;
    }
}

/// Tells the store that the hypervisor has accepted. While the store fails the connection goes on.
async fn record(slot: &Slot) -> Refusal {
    slot.accepted.notified().await;
    if let Some(entered) = slot.get() {
        if let Err(Denial::Token(refusal)) = entered.reached().await {
            return refusal;
        }
    }
    pending().await
}
