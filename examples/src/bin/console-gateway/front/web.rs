//! The web listener: pages, `.vv` files, WebSockets and tunnels.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use console_token::web::origin;
use console_token::web::place;
use console_token::{Protocol, Secret};
use examples::head;
use examples::stream::read_ahead;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tracing::{Instrument, Span, debug, info};

use super::http::HEAD;
use super::tls::Stream;
use super::upgrade::Upgrade;
use super::{Guestbook, connect, pages};
use crate::console::mks::Mks;
use crate::console::serial::Serial;
use crate::console::vnc::Vnc;
use crate::console::{Refused, spice};
use crate::gateway::Gateway;
use crate::grant::{Looked, nova};
use crate::operate::status;

/// Bytes of a request's head. Browsers send about one KiB, more with large cookies.
const HEAD_BYTES: usize = 16 << 10;

/// For the store to learn that a use is given back.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// Serves one connection of HTTP/1.1, until it ends or becomes something else.
pub(crate) async fn serve(gateway: Arc<Gateway>, guest: Guestbook, mut stream: Stream) {
    let live = gateway.live();
    let from = guest.peer.ip();
    let is_known = from.to_canonical().is_loopback() || live.forwarded.iter().any(|network| network.contains(from));
    if !guest.secure && !is_known {
        return gateway.refusals.log(|| info!("without TLS from elsewhere"));
    }
    let stop = gateway.closing.clone();
    let head = tokio::select! {
        head = timeout(HEAD, head::read(&mut stream, HEAD_BYTES, |_| Ok::<_, io::Error>(()))) => head,
        () = stop.cancelled() => return,
    };
    let head = match head {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => return gateway.refusals.log(|| info!(%error, "no request")),
        Err(_) => return gateway.refusals.log(|| info!("no request in time")),
    };
    let stream = read_ahead([head.head, head.rest], stream);
    let answers = gateway.clone();
    let service = service_fn(move |request| {
        let answered = answer(answers.clone(), guest.clone(), request);
        // In a place of its own: a connection whose request is not whole has no need of the room that it takes.
        Box::pin(async move { Ok::<_, Infallible>(answered.await) })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "web connection ended");
    }
}

/// What a request is answered with.
async fn answer(gateway: Arc<Gateway>, guest: Guestbook, mut request: Request<Incoming>) -> Response<Body> {
    guest.place.linked();
    let socket = guest;
    let guest = seen(&gateway, socket.clone(), request.headers());
    if request.method() == Method::CONNECT {
        return connect::answer(gateway, guest, request).await;
    }
    if let Some(upgrade) = Upgrade::of(&mut request) {
        return match upgrade {
            Ok(upgrade) => websocket(gateway, (&socket, guest), request, upgrade).await,
            Err(status) => plain(status),
        };
    }
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        // Not HEAD: it would take the use.
        (&Method::GET, "/nova" | "/console.vv") => match token(&request) {
            Some(token) => nova::file(&gateway, &guest, &token).await,
            None => refuse(&gateway, &guest, &Refused::Token("no token was shown".to_owned())),
        },
        (_, "/status") => status::answer(&gateway, &guest, request).await,
        (&Method::GET | &Method::HEAD, path) if !matches!(path, "/nova" | "/console.vv") => {
            pages::answer(&gateway.live().pages, path).await
        }
        _ => plain(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The client that asks: behind a reverse proxy that is believed, the one that the proxy names.
fn seen(gateway: &Gateway, guest: Guestbook, headers: &HeaderMap) -> Guestbook {
    let live = gateway.live();
    if !live.forwarded.iter().any(|network| network.contains(guest.peer.ip())) {
        return guest;
    }
    let texts = values(headers, "x-forwarded-for");
    let address = live.origin_rule.client(guest.peer.ip(), &texts);
    let protos = values(headers, "x-forwarded-proto");
    let secure = match protos.last().and_then(|proto| proto.rsplit(',').next()) {
        Some(proto) => proto.trim().eq_ignore_ascii_case("https"),
        None => guest.secure,
    };
    let mut peer = guest.peer;
    if address != peer.ip() {
        peer = (address, 0).into();
        Span::current().record("peer", tracing::field::display(address));
    }
    Guestbook { peer, secure, ..guest }
}

pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.filter_map(|value| value.to_str().ok()).collect()
}

/// The token of a request: the last one of its query that is not blank, else its cookie's.
fn token<B>(request: &Request<B>) -> Option<Secret> {
    let cookies = values(request.headers(), "cookie").join("; ");
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let text = place::nova(target, Some(cookies.as_str()).filter(|cookies| !cookies.is_empty()))?;
    Secret::presented(text.as_bytes()).ok()
}

/// Whether the page that connects may.
fn is_welcome(gateway: &Gateway, socket: &Guestbook, headers: &HeaderMap) -> Result<(), String> {
    let (host, from) = (values(headers, "host"), values(headers, "origin"));
    let proto = values(headers, "x-forwarded-proto");
    let forwarded_host = values(headers, "x-forwarded-host");
    let forwarded_port = values(headers, "x-forwarded-port");
    let request = origin::Request::new(socket.peer.ip(), socket.secure, &host, &from)
        .with_forwarded_proto(&proto)
        .with_forwarded_host(&forwarded_host)
        .with_forwarded_port(&forwarded_port);
    let judged = gateway.live().origin_rule.check(&request);
    judged.map(drop).map_err(|error| error.to_string())
}

/// A WebSocket: everything that can be refused is, before it begins. `socket`: the connection itself, whatever a proxy says
/// of whose it is.
async fn websocket(
    gateway: Arc<Gateway>,
    (socket, guest): (&Guestbook, Guestbook),
    request: Request<Incoming>,
    upgrade: Upgrade,
) -> Response<Body> {
    if !matches!(request.uri().path(), "/" | "/websockify") {
        return plain(StatusCode::NOT_FOUND);
    }
    if let Err(why) = is_welcome(&gateway, socket, request.headers()) {
        gateway.metrics.refused("origin");
        gateway.audit_refusal(&guest, &why);
        gateway.refusals.log(|| info!(reason = why, "refused"));
        return plain(StatusCode::FORBIDDEN);
    }
    let Some(token) = token(&request) else {
        return refuse(&gateway, &guest, &Refused::Token("no token was shown".to_owned()));
    };
    match ready(&gateway, &guest, &token).await {
        Ok(ready) => {
            let answer = upgrade.answer();
            let (tasks, stop) = (gateway.tasks.clone(), gateway.stop.clone());
            let (place, from, turns) = (guest.place.clone(), guest.peer.ip(), gateway.clone());
            let served = async move {
                match upgrade.stream().await {
                    Ok((stream, close)) => ready.serve(gateway, guest, stream, close).await,
                    Err(error) => debug!(%error, "no WebSocket"),
                }
            };
            let in_turns = turns.in_turns(from, &place, served);
            let served = async move {
                tokio::select! {
                    () = in_turns => {}
                    () = place.gives_way() => info!("gave way to another connection"),
                    () = stop.cancelled() => {}
                }
            };
            tasks.spawn(served.instrument(Span::current()));
            answer
        }
        Err(why) => refuse_with_use(&gateway, &guest, &why).await,
    }
}

/// What a WebSocket is going to be.
enum Ready {
    Vnc(Box<Vnc>),
    Serial(Box<Serial>),
    Mks(Box<Mks>),
    Spice(Secret),
}

/// The console that a token leads to, as far as it has to be reached before the viewer is let in.
async fn ready(gateway: &Arc<Gateway>, guest: &Guestbook, token: &Secret) -> Result<Ready, Refused> {
    gateway.may_show(guest)?;
    let looked = gateway.look(token).await;
    let looked = looked.map_err(|error| Refused::Token(error.to_string()))?;
    let protocol = match &looked {
        Looked::Good(grant) => grant.console.protocol(),
        // A resolver may know it.
        Looked::Over | Looked::Unknown => match gateway.resolved_protocol(token).await {
            Some(protocol) => protocol,
            None if matches!(looked, Looked::Unknown) => return Err(Refused::Unknown),
            None => return Err(Refused::over()),
        },
    };
    Ok(match protocol {
        Protocol::Vnc => Ready::Vnc(Box::new(Vnc::open(gateway, guest, token).await?)),
        Protocol::Serial => Ready::Serial(Box::new(Serial::open(gateway, guest, token).await?)),
        Protocol::Mks => {
            let mks = Mks::open(gateway, guest, token).await?;
            Ready::Mks(Box::new(mks))
        }
        // Its own link asks for the token, and takes the use.
        Protocol::Spice => {
            let token = Secret::presented(token.expose().as_bytes());
            Ready::Spice(token.map_err(|refusal| Refused::Token(refusal.to_string()))?)
        }
        _ => return Err(Refused::Unfit("the token is for a console that is not served")),
    })
}

impl Ready {
    async fn serve<S>(self, gateway: Arc<Gateway>, guest: Guestbook, stream: S, close: examples::websocket::CloseReason)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        match self {
            Self::Spice(token) => {
                let socket = spice::Socket { close, token };
                spice::serve(gateway, guest, stream, Some(socket)).await;
            }
            // In a place of its own, as for native viewers.
            Self::Vnc(vnc) => Box::pin(vnc.serve(stream, &close)).await,
            Self::Serial(serial) => serial.serve(stream, &close).await,
            Self::Mks(mks) => mks.serve(stream, &close).await,
        }
    }
}

/// A refusal behind which the use has been given back: a viewer that comes again at once finds it.
pub(super) async fn refuse_with_use(gateway: &Gateway, guest: &Guestbook, why: &Refused) -> Response<Body> {
    let _ = timeout(GIVE_BACK, gateway.connections.told()).await;
    refuse(gateway, guest, why)
}

/// A refusal: the same for all tokens that are not good, and the reason for the log.
pub(crate) fn refuse(gateway: &Gateway, guest: &Guestbook, why: &Refused) -> Response<Body> {
    gateway.metrics.refused(why.kind());
    match why {
        Refused::Unknown => gateway.guessed(guest.peer.ip()),
        // Strangers must not fill the audit log.
        Refused::Unheard(_) => {
            gateway.refusals.log(|| info!(reason = %why, "refused"));
            return plain(why.status());
        }
        _ => {}
    }
    gateway.audit_refusal(guest, &why.to_string());
    gateway.refusals.log(|| info!(reason = %why, "refused"));
    plain(why.status())
}

/// An answer of its status only.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let text = format!("{}\n", status.canonical_reason().unwrap_or("error"));
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
