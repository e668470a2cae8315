//! The HTTP API, for portals and operators: Nova's calls, and the gateway's own.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use console_token::nova::{CreateAnswer, CreateRequest, Fault, Microversion, NovaError, ShowAnswer, check_show};
use console_token::{AccessUrl, ConsolePassword, ConsoleType, Secret, StoreError, web::place};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{error, info};

use super::clock::rfc3339;
use super::nova::{ONCE, PasswordFailed};
use super::policy::Rules;
use super::{Context, Found, Looked, Wanted};
use crate::config::TTL_MAX;
use crate::console::place::Guest;
use crate::front::http::ApiPeer;
use crate::gateway::Gateway;

/// Bytes of a request. Titles are the longest part of one.
const BODY: usize = 16 << 10;
/// For a request, its body included.
const REQUEST: Duration = Duration::from_secs(20);
/// Most uses that one token can have.
const USES_MAX: u32 = 1000;
/// Longest title and user, in bytes.
const TEXT_MAX: usize = 256;

type App = State<Arc<Gateway>>;

/// A request is refused with this status, and told why.
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

impl Refused {
    pub(super) fn new(status: StatusCode, why: impl ToString) -> Self {
        Self(status, why.to_string())
    }

    pub(super) fn bad(why: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format_args!("{what} could not be found."))
    }
}

impl IntoResponse for Refused {
    /// In Nova's form.
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        let code = status.as_u16();
        let fault = Fault { code, message };
        let name = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "tooLarge",
            StatusCode::NOT_ACCEPTABLE => "notAcceptable",
            _ => fault.name(),
        };
        answer(status, &json!({ name: { "code": code, "message": fault.message } }))
    }
}

impl From<NovaError> for Refused {
    fn from(error: NovaError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, error)
    }
}

impl From<StoreError<console_token::BackendError>> for Refused {
    fn from(error: StoreError<console_token::BackendError>) -> Self {
        match error {
            StoreError::Full { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "too many tokens are out"),
            error => {
                error!(%error, "the store");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")
            }
        }
    }
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, body.to_string()).into_response()
}

/// Every path needs the token, also those that do not exist.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    use super::{serial_ports, sessions};
    Router::new()
        .route("/v2.1", get(versions))
        .route("/v2.1/", get(versions))
        .route("/v2.1/servers/{id}", get(server))
        .route("/v2.1/servers/{id}/remote-consoles", post(create_nova))
        .route("/v2.1/servers/{id}/action", post(create_nova))
        .route("/v2.1/os-console-auth-tokens/{token}", get(show))
        .route("/v1/consoles", post(create))
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/sessions/{id}", delete(sessions::end))
        .route("/v1/guests/{id}/tokens", delete(sessions::revoke_guest))
        .route("/v1/guests/{id}/place", put(sessions::set_place))
        .route("/v1/tokens/{fingerprint}", delete(sessions::revoke))
        .route("/v1/tokens/{fingerprint}/replace", post(sessions::replace))
        .route("/v1/serial-ports", post(serial_ports::acquire))
        .route("/v1/serial-ports/{guest}", delete(serial_ports::release))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .fallback(|| async { Refused::not_found("The resource") })
        .method_not_allowed_fallback(any(|| async {
            Refused::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "The method is not allowed for this resource.",
            )
        }))
        .layer(from_fn_with_state(gateway.clone(), authorized))
        .with_state(gateway)
}

/// For load balancers: a gateway that stops takes no more connections.
async fn health(State(gateway): App) -> Response {
    match gateway.closing.is_cancelled() {
        false => answer(StatusCode::OK, &json!({ "status": "ok" })),
        true => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "stopping" })),
    }
}

/// Lets requests with the token through. A missing and a wrong one are answered alike, and nothing of the body is read
/// before.
async fn authorized(State(gateway): App, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let asked = ["openstack-api-version", "x-openstack-nova-api-version"];
    let asked = asked.map(|name| (name, headers.contains_key(name)));
    let version = version(headers);
    let shown = shown(headers).is_some_and(|given| given == gateway.live().api_token);
    let peer = request.extensions().get::<ApiPeer>().cloned();
    let is_local = peer
        .as_ref()
        .is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    if let Some(ApiPeer(_, place)) = peer.filter(|_| shown) {
        place.linked();
        place.known();
    }
    let is_health = matches!(request.uri().path(), "/healthz" | "/metrics") && request.method() == Method::GET;
    let mut answered = if shown || is_health && is_local {
        match &version {
            Err(refused) => Refused(refused.0, refused.1.clone()).into_response(),
            // A body that does not come is not waited for.
            Ok(_) => timeout(REQUEST, next.run(request)).await.unwrap_or_else(|_| {
                Refused::new(StatusCode::REQUEST_TIMEOUT, "the request did not come in time").into_response()
            }),
        }
    } else {
        gateway.metrics.refused("api");
        gateway.refusals.log(|| info!("request without the token of the API"));
        let refused = Refused::new(StatusCode::UNAUTHORIZED, "the token of the API is needed");
        ([(header::WWW_AUTHENTICATE, "Bearer")], refused).into_response()
    };
    let headers = answered.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(version) = version {
        for (name, is_asked) in asked {
            let text = if name == "openstack-api-version" {
                format!("compute {version}")
            } else {
                version.to_string()
            };
            if let (true, Ok(value)) = (is_asked, HeaderValue::from_str(&text)) {
                headers.insert(HeaderName::from_static(name), value);
                headers.append(header::VARY, HeaderValue::from_static(name));
            }
        }
    }
    answered
}

/// The microversion that is asked for.
fn version(headers: &HeaderMap) -> Result<Microversion, Refused> {
    let latest = Microversion::V2_99;
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    let version = if let Some(text) = text("openstack-api-version") {
        Microversion::requested(&text, latest).map_err(|_| unknown_version(&text))?
    } else if let Some(text) = text("x-openstack-nova-api-version") {
        let text = format!("compute {text}");
        Microversion::requested(&text, latest).map_err(|_| unknown_version(&text))?
    } else {
        Microversion::V2_1
    };
    if latest < version {
        let why = format!("Version {version} is not supported by the API. Minimum is 2.1 and maximum is {latest}.");
        return Err(Refused::new(StatusCode::NOT_ACCEPTABLE, why));
    }
    Ok(version)
}

/// A version that is none of Nova's API: of another major version, or no version at all.
fn unknown_version(text: &str) -> Refused {
    let number = text
        .strip_prefix("compute ")
        .and_then(|version| version.split_once('.'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match number {
        Some((major, minor)) if is_number(major) && is_number(minor) => {
            Refused::new(StatusCode::NOT_ACCEPTABLE, "the version is not supported by the API")
        }
        _ => Refused::bad("the microversion is malformed"),
    }
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

/// The body of a request, if it is not too long.
pub(super) async fn body(request: Request) -> Result<Bytes, Refused> {
    axum::body::to_bytes(request.into_body(), BODY).await.map_err(|_| {
        Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format_args!("the body is longer than {BODY} bytes"),
        )
    })
}

pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::bad(format_args!("invalid body: {error}")))
}

/// What openstackclient asks first.
async fn versions() -> Response {
    let link = json!([{"rel": "self", "href": "/v2.1/"}]);
    let version = json!({
        "id": "v2.1", "status": "CURRENT", "version": "2.99", "min_version": "2.1", "updated": "2013-07-23T11:33:21Z", "links": link,
    });
    answer(StatusCode::OK, &json!({ "version": version }))
}

async fn server(State(gateway): App, Path(id): Path<String>) -> Result<Response, Refused> {
    let guest = gateway.guest(&id).ok_or(NovaError::InstanceNotFound)?;
    let server = json!({"id": guest.id, "name": guest.name, "status": "ACTIVE"});
    Ok(answer(StatusCode::OK, &json!({ "server": server })))
}

/// Where the page of a console is, without the token.
pub(crate) fn page(base: &str, console: ConsoleType) -> String {
    let page = match console {
        ConsoleType::NoVnc => "vnc_lite.html",
        ConsoleType::SpiceHtml5 => "spice_auto.html",
        ConsoleType::Serial => "serial.html",
        ConsoleType::WebMks => "mks.html",
        _ => "nova",
    };
    format!("{base}/{page}")
}

fn url(gateway: &Gateway, console: ConsoleType, token: &Secret) -> Result<AccessUrl, Refused> {
    let page = page(&gateway.live().url, console);
    AccessUrl::new(console, &page, token).map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error))
}

/// The guest's console of this type, or what Nova says where it has none.
fn console(gateway: &Gateway, guest: &Arc<Guest>, console: ConsoleType, number: usize) -> Result<Found, Refused> {
    let found = guest.console(console.protocol(), number).cloned();
    let console = found.ok_or(NovaError::TypeUnavailable(console))?;
    let _ = gateway;
    Ok(Found {
        guest: guest.clone(),
        console,
        context: Context::default(),
    })
}

/// Takes the password of seed 002 out of a body, where a client says that it knows this gateway.
fn split_password(headers: &HeaderMap, bytes: &Bytes) -> Result<(Bytes, Option<Secret8>), Refused> {
    if headers.get("x-console-gateway").is_none_or(|value| value != "1") {
        return Ok((bytes.clone(), None));
    }
    let mut body: Value = read(bytes)?;
    let wanted = body.get_mut("remote_console").and_then(Value::as_object_mut);
    match wanted.and_then(|wanted| wanted.remove("password")) {
        None => Ok((bytes.clone(), None)),
        Some(Value::String(password)) => Ok((body.to_string().into(), Some(zeroize::Zeroizing::new(password)))),
        Some(_) => Err(Refused::bad("invalid body: the password is no text")),
    }
}

type Secret8 = zeroize::Zeroizing<String>;

/// Nova's create: an action before 2.6, and its own resource from then on.
async fn create_nova(State(gateway): App, Path(id): Path<String>, request: Request) -> Result<Response, Refused> {
    let headers = request.headers().clone();
    let version = version(&headers)?;
    let is_action = request.uri().path().ends_with("/action");
    if is_action != (version < Microversion::V2_6) {
        return Err(Refused::not_found("The resource"));
    }
    let bytes = body(request).await?;
    let (bytes, password) = split_password(&headers, &bytes)?;
    let request = CreateRequest::from_json(version, &bytes)?;
    let guest = gateway.guest(&id).ok_or(NovaError::InstanceNotFound)?;
    let kind = request.console();
    let password = match &password {
        None => None,
        Some(text) => Some(ConsolePassword::new(kind, text).map_err(Refused::bad)?),
    };
    let found = console(&gateway, &guest, kind, 0)?;
    if let Some(password) = password {
        let set = gateway.set_password(&found, password.expose()).await;
        set.map_err(|failed| match failed {
            PasswordFailed::NoMonitor => Refused::bad("the console's password cannot be set at its hypervisor"),
            PasswordFailed::Monitor(error) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, error),
            PasswordFailed::Store(error) => error.into(),
        })?;
    }
    let wanted = Wanted {
        guest: &guest,
        console_type: kind,
        ttl: gateway.live().tokens.ttl,
        uses: ONCE,
        user: None,
        context: Context::default(),
    };
    let minted = gateway.mint(wanted).await?;
    info!(token = minted.fingerprint, guest = guest.name, console = %kind, "console created");
    let created = CreateAnswer {
        request,
        url: url(&gateway, kind, &minted.token)?,
    };
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((
        StatusCode::OK,
        headers,
        Body::from(created.to_json(version).to_string()),
    )
        .into_response())
}

async fn show(
    State(gateway): App,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let version = version(&headers)?;
    check_show(version, query.as_deref().unwrap_or_default())?;
    let token = Secret::presented(token.as_bytes()).map_err(|_| NovaError::TokenNotFound)?;
    let looked = gateway.look(&token).await;
    let looked = looked.map_err(|error| Refused::from(StoreError::Backend(error)))?;
    let Looked::Good(grant) = looked else {
        return Err(NovaError::TokenNotFound.into());
    };
    let found = gateway.console_of(&grant).ok_or(NovaError::TokenNotFound)?;
    let at = gateway.place_of(&found).await.ok_or(NovaError::TokenNotFound)?;
    let is_direct = grant.console == ConsoleType::SpiceDirect;
    let shown = ShowAnswer {
        instance_uuid: found.guest.id.clone(),
        host: Some(at.place.host()),
        port: at.port.or(at.tls_port).unwrap_or_default(),
        tls_port: is_direct.then_some(at.tls_port),
        internal_access_path: at.place.access_path.clone(),
    };
    let text = match shown.to_json(version) {
        Ok(text) => text.to_string(),
        // A guest that is called otherwise than Nova calls its own.
        Err(NovaError::Member("instance_uuid")) => {
            let mut console = json!({
                "instance_uuid": shown.instance_uuid,
                "host": shown.host,
                "port": shown.port,
                "internal_access_path": shown.internal_access_path.as_ref().map(|path| path.expose()),
            });
            if let (true, Some(tls_port)) = (Microversion::V2_99 <= version, shown.tls_port) {
                console["tls_port"] = tls_port.into();
            }
            json!({ "console": console }).to_string()
        }
        Err(error) => return Err(error.into()),
    };
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::OK, headers, Body::from(text)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    guest: String,
    protocol: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    ttl_seconds: Option<u64>,
    uses: Option<NonZeroU32>,
    #[serde(default)]
    policy: Rules,
    title: Option<String>,
    user: Option<String>,
    #[serde(default)]
    force: bool,
    /// Which of the guest's serial ports, from 0 on.
    #[serde(default)]
    number: usize,
}

/// The type of console that a portal asks for, and whether it is a tunnel.
fn kind(wanted: &Create) -> Result<(ConsoleType, bool), Refused> {
    let unknown = || Refused::bad("there is no console of this protocol and type");
    let usual = match wanted.protocol.as_str() {
        "vnc" => ConsoleType::NoVnc,
        "spice" => ConsoleType::SpiceDirect,
        "serial" => ConsoleType::Serial,
        "mks" => ConsoleType::WebMks,
        _ => return Err(unknown()),
    };
    match wanted.kind.as_deref() {
        None => Ok((usual, false)),
        Some("spice-tunnel") if usual == ConsoleType::SpiceDirect => Ok((usual, true)),
        Some(kind) => {
            let console = ConsoleType::from_pair(&wanted.protocol, kind).map_err(|_| unknown())?;
            match console {
                ConsoleType::XvpVnc | ConsoleType::RdpHtml5 => Err(unknown()),
                console => Ok((console, false)),
            }
        }
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control)
}

/// The gateway's own create.
async fn create(State(gateway): App, request: Request) -> Result<Response, Refused> {
    let bytes = body(request).await?;
    let wanted: Create = read(&bytes)?;
    let (console_type, is_tunnel) = kind(&wanted)?;
    let ttl = wanted.ttl_seconds.unwrap_or(gateway.live().tokens.ttl);
    if !(1..=TTL_MAX).contains(&ttl) {
        return Err(Refused::bad(format_args!("ttl_seconds is not in 1 to {TTL_MAX}")));
    }
    let uses = wanted.uses.unwrap_or(ONCE);
    if USES_MAX < uses.get() {
        return Err(Refused::bad(format_args!("uses is not in 1 to {USES_MAX}")));
    }
    if wanted.force && console_type != ConsoleType::Serial {
        return Err(Refused::bad("force is for serial consoles only"));
    }
    for (name, text) in [("title", &wanted.title), ("user", &wanted.user)] {
        if text.as_ref().is_some_and(|text| !is_text(text)) {
            return Err(Refused::bad(format_args!(
                "{name}: 1 to {TEXT_MAX} bytes without control characters are expected"
            )));
        }
    }
    let guest = gateway.guest(&wanted.guest).ok_or(NovaError::InstanceNotFound)?;
    let found = console(&gateway, &guest, console_type, wanted.number)?;
    if is_tunnel {
        let at = gateway.place_of(&found).await;
        if at.is_none_or(|at| at.place.monitor.is_none()) {
            return Err(Refused::bad(
                "a tunnel needs qmp: the viewer's password is set at the hypervisor",
            ));
        }
        if !found.console.rules.narrowed(&wanted.policy).is_widest() {
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "a tunnel lets everything pass, and the policy does not",
            ));
        }
    }
    let context = Context {
        rules: wanted.policy,
        title: wanted.title,
        number: wanted.number,
        tunnel: is_tunnel,
        force: wanted.force,
        resolved: false,
    };
    // A title that cannot be written should cost no token.
    if console_type == ConsoleType::SpiceDirect && !is_tunnel {
        let title = context.title.as_deref().unwrap_or(&guest.name);
        let tried = gateway.live().viewer.file("token", title, found.console.require_tls);
        tried.map_err(Refused::bad)?;
    }
    let minted = gateway
        .mint(Wanted {
            guest: &guest,
            console_type,
            ttl,
            uses,
            user: wanted.user.as_deref(),
            context,
        })
        .await?;
    let url = url(&gateway, console_type, &minted.token)?;
    info!(token = minted.fingerprint, guest = guest.name, user = wanted.user, console = %console_type, ttl, uses, "console created");
    let created = json!({
        "url": url.expose(),
        "token": minted.token.expose(),
        "fingerprint": minted.fingerprint,
        "expires_at": rfc3339(minted.expires),
    });
    Ok(answer(StatusCode::CREATED, &created))
}

async fn metrics(State(gateway): App) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, gateway.metrics.text(&gateway)).into_response()
}
