//! Open sessions and tokens, for operators.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use console_token::{Fingerprint, Refusal, Secret, StoreError, TokenHash, TokenSelector};
use serde::Deserialize;
use serde_json::json;
use tracing::info;

use super::api::{Refused, answer, body, read};
use super::clock::rfc3339;
use crate::gateway::Gateway;
use crate::operate::book::{Order, Why};
use crate::random::random_bytes;

type App = State<Arc<Gateway>>;

pub(super) async fn list(State(gateway): App) -> Response {
    let sessions = gateway.book.all().await;
    answer(StatusCode::OK, &json!({ "sessions": sessions }))
}

pub(super) async fn end(State(gateway): App, Path(id): Path<String>) -> Result<Response, Refused> {
    match gateway.end_session(&id).await {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Refused::not_found("The session")),
    }
}

impl Gateway {
    /// Ends a session, whichever gateway has it. `false`: there is none.
    pub(crate) async fn end_session(&self, id: &str) -> bool {
        if !self.book.all().await.iter().any(|session| session.id == id) {
            return false;
        }
        info!(session = id, "ended by an operator");
        self.audit.log("session-ended", json!({ "session": id }));
        let (session, why) = (id.to_owned(), Why::Operator);
        self.book.order(&Order::End { session, why }).await;
        true
    }

    /// Tokens were revoked: what they have opened ends everywhere.
    async fn revoked(&self) {
        self.spice.attend().await;
        self.connections.attend().await;
        self.book.order(&Order::Attend).await;
    }
}

pub(super) async fn revoke_guest(State(gateway): App, Path(id): Path<String>) -> Result<Response, Refused> {
    let guest = gateway.guest(&id).ok_or_else(|| Refused::not_found("The guest"))?;
    let revoked = gateway.store.revoke(TokenSelector::Vm(&guest.id)).await?;
    info!(guest = guest.name, revoked, "tokens revoked");
    gateway.revoked().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The token of a fingerprint, if it is still good for something.
async fn find(gateway: &Gateway, text: &str) -> Result<(TokenHash, String), Refused> {
    let not_found = || Refused::not_found("The token");
    let fingerprint: Fingerprint = text.parse().map_err(|_| not_found())?;
    let (hash, record) = gateway.store.find(&fingerprint).await?.ok_or_else(not_found)?;
    if record.is_revoked() || record.is_over(gateway.clock.now()) {
        return Err(not_found());
    }
    let family = super::fingerprint(record.grant(), fingerprint);
    Ok((hash, family))
}

pub(super) async fn revoke(State(gateway): App, Path(text): Path<String>) -> Result<Response, Refused> {
    let (_, family) = find(&gateway, &text).await?;
    // What it was exchanged for as well.
    gateway.store.revoke(TokenSelector::Issuer(&family)).await?;
    info!(token = family, "token revoked");
    gateway.revoked().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn replace(State(gateway): App, Path(text): Path<String>) -> Result<Response, Refused> {
    let (old, family) = find(&gateway, &text).await?;
    let token = Secret::uuid4(&random_bytes());
    let new = gateway.spice.hash(&token);
    let replaced = gateway.store.replace(&old, &new, gateway.clock.now()).await;
    let grant = match replaced {
        Err(StoreError::Refused(Refusal::Unknown | Refusal::Revoked | Refusal::Expired)) => {
            return Err(Refused::not_found("The token"));
        }
        replaced => replaced?,
    };
    let fingerprint = new.fingerprint().to_string();
    info!(token = family, replaced_by = fingerprint, "token replaced");
    let created = json!({
        "url": gateway.url_of(&grant, &token),
        "token": token.expose(),
        "fingerprint": fingerprint,
        "expires_at": rfc3339(grant.expires),
    });
    Ok(answer(StatusCode::CREATED, &created))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPlace {
    place: usize,
}

pub(super) async fn set_place(
    State(gateway): App,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let bytes = body(request).await?;
    let NewPlace { place } = read(&bytes)?;
    let guest = gateway.guest(&id).ok_or_else(|| Refused::not_found("The guest"))?;
    let most = guest.consoles.iter().map(|console| console.places.len()).max();
    if most.is_none_or(|most| most <= place) {
        return Err(Refused::bad("no console of the guest has such a place"));
    }
    gateway.moved_to(&guest, place).await?;
    info!(guest = guest.name, place, "the guest has moved");
    gateway.audit.log("moved", json!({ "guest": guest.id, "place": place }));
    gateway
        .book
        .order(&Order::Moved {
            guest: guest.id.clone(),
        })
        .await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
