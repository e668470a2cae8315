//! The HTTP API, for the portal that tenants log in to. It makes a token and delivers the `.vv`.
//!
//! `POST /v1/consoles`, `Authorization: Bearer ...` or `X-Auth-Token: ...`,
//! `{"guest":"db-7","ttl_seconds":60,"uses":1,"title":"..."}`; the guest is named by its id or name, all else can be
//! left out.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use console_token::{Secret, StoreError, web::place};
use examples::refusals::Refusals;
use serde::Deserialize;
use tokio::time::timeout;
use vv_file::download;

use crate::config::TTL_MAX;
use crate::console::Viewer;
use crate::sessions::Sessions;

/// Bytes of a request. Titles are the longest part of one.
const BODY: usize = 4096;
/// For a request, its body included.
const REQUEST: Duration = Duration::from_secs(10);
/// Most uses that one token can have.
const USES_MAX: u32 = 1000;

/// What the API needs.
pub(crate) struct Api {
    pub(crate) sessions: Arc<Sessions>,
    /// What requests have to show.
    pub(crate) token: Secret,
    pub(crate) viewer: Viewer,
    pub(crate) ttl: u64,
    pub(crate) refusals: Arc<Refusals>,
}

/// Every path needs the token, also those that do not exist.
pub(crate) fn router(api: Api) -> Router {
    let api = Arc::new(api);
    Router::new()
        .route("/v1/consoles", post(create))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(api.clone(), authorized))
        .with_state(api)
}

/// Lets requests with the token through. A missing and a wrong one are answered alike, and nothing of the body is read
/// before.
async fn authorized(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if shown(request.headers()).is_some_and(|given| given == api.token) {
        // A body that does not come is not waited for.
        let answered = timeout(REQUEST, next.run(request)).await;
        return answered.unwrap_or_else(|_| answer(StatusCode::REQUEST_TIMEOUT, "the request did not come in time"));
    }
    api.refusals
        .log(|| tracing::info!("request without the token of the API"));
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (
        challenge,
        answer(StatusCode::UNAUTHORIZED, "the token of the API is needed"),
    )
        .into_response()
}

/// The token of the request. Comparing two of them takes the same time wherever they differ.
fn shown(headers: &HeaderMap) -> Option<Secret> {
    if let Some(token) = headers.get("x-auth-token") {
        return Secret::presented(token.as_bytes()).ok();
    }
    let values = headers.get_all(header::AUTHORIZATION).iter();
    let values: Vec<_> = values.map(|value| value.to_str().unwrap_or_default()).collect();
    place::bearer(values).ok()??.secret().ok()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    guest: String,
    ttl_seconds: Option<u64>,
    uses: Option<NonZeroU32>,
    title: Option<String>,
}

async fn create(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) if error.is_data() => return answer(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        Err(error) => return answer(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let ttl = wanted.ttl_seconds.unwrap_or(api.ttl);
    if !(1..=TTL_MAX).contains(&ttl) {
        let problem = format!("ttl_seconds is not in 1 to {TTL_MAX}");
        return answer(StatusCode::UNPROCESSABLE_ENTITY, &problem);
    }
    let uses = wanted.uses.unwrap_or(NonZeroU32::MIN);
    if USES_MAX < uses.get() {
        let problem = format!("uses is not in 1 to {USES_MAX}");
        return answer(StatusCode::UNPROCESSABLE_ENTITY, &problem);
    }
    let Some(guest) = api.sessions.guest(&wanted.guest) else {
        return answer(StatusCode::NOT_FOUND, "no such guest");
    };
    let require_tls = guest.console.require_tls;
    let title = wanted.title.unwrap_or_else(|| guest.name.clone());
    // Before the token exists: a title that cannot be written should cost none.
    if let Err(error) = api.viewer.file("token", &title, require_tls) {
        return answer(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string());
    }
    let minted = match api.sessions.mint(&guest.id, ttl, uses).await {
        Ok(minted) => minted,
        Err(StoreError::Full { .. }) => return answer(StatusCode::SERVICE_UNAVAILABLE, "too many tokens are out"),
        Err(_) => return answer(StatusCode::INTERNAL_SERVER_ERROR, "no token could be made"),
    };
    let Ok(file) = api.viewer.file(minted.token.expose(), &title, require_tls) else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, "no connection file could be made");
    };
    tracing::info!(token = %minted.fingerprint, guest = guest.name, ttl, uses, "console created");
    let headers = [
        (header::CONTENT_TYPE, download::MIME_TYPE.to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_DISPOSITION, download::content_disposition(&guest.name)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (StatusCode::CREATED, headers, Body::from(file.as_bytes().to_vec())).into_response()
}

/// What is not a connection file is JSON, and is not kept by anybody either.
fn answer(status: StatusCode, problem: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let body = serde_json::json!({ "error": problem });
    (status, headers, body.to_string()).into_response()
}
