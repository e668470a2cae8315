//! HTTP CONNECT: to the console of a token, and nowhere else.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use console_token::Secret;
use console_token::web::{Authority, place};
use hyper::body::Incoming;
use hyper::upgrade::on;
use hyper_util::rt::TokioIo;
use tracing::{Instrument, Span, debug};

use super::Guestbook;
use super::web::{plain, refuse, refuse_with_use, values};
use crate::console::tunnel::{Tunnel, Wanted};
use crate::gateway::Gateway;

/// What a CONNECT is answered with.
pub(super) async fn answer(gateway: Arc<Gateway>, guest: Guestbook, mut request: Request<Incoming>) -> Response<Body> {
    // A CONNECT has no content. Some would be read by the next program on the way as a request of its own.
    let headers = request.headers();
    if headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING) {
        return plain(StatusCode::BAD_REQUEST);
    }
    let (token, wanted) = match asked(&request) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    if let Err(why) = gateway.may_show(&guest) {
        return refuse(&gateway, &guest, &why);
    }
    let tunnel = match Tunnel::open(&gateway, &guest, &token, &wanted).await {
        Ok(tunnel) => tunnel,
        Err(why) => return refuse_with_use(&gateway, &guest, &why).await,
    };
    let becomes = on(&mut request);
    let (tasks, stop) = (gateway.tasks.clone(), gateway.stop.clone());
    let place = guest.place.clone();
    let served = async move {
        // It is open as long as the tunnel is.
        let _place = place;
        let serve = async {
            match becomes.await {
                Ok(stream) => tunnel.serve(TokioIo::new(stream)).await,
                Err(error) => debug!(%error, "no tunnel"),
            }
        };
        tokio::select! {
            () = serve => {}
            () = stop.cancelled() => {}
        }
    };
    tasks.spawn(served.instrument(Span::current()));
    Response::new(Body::empty())
}

/// The token, and where it is to lead: in the authority, or beside it.
fn asked(request: &Request<Incoming>) -> Result<(Secret, Wanted), Box<Response<Body>>> {
    let authority = request.uri().authority().map_or("", |authority| authority.as_str());
    let shown = values(request.headers(), "proxy-authorization");
    let bearer = place::bearer(shown.iter().copied()).ok().flatten();
    let basic = place::basic(shown.iter().copied()).ok().flatten();
    let forbidden = || Box::new(plain(StatusCode::FORBIDDEN));
    if let Some(token) = bearer.or(basic) {
        let authority: Authority = authority
            .parse()
            .map_err(|_| Box::new(plain(StatusCode::BAD_REQUEST)))?;
        let port = authority.port.ok_or_else(|| Box::new(plain(StatusCode::BAD_REQUEST)))?;
        let token = token.secret().map_err(|_| forbidden())?;
        return Ok((token, Wanted::Place(authority.host, port)));
    }
    // Hosts have dots or colons in them, tokens have none.
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    match place::connect_host(authority) {
        Ok(Some((token, port))) if !host.contains(['.', ':']) => match token.secret() {
            Ok(token) => Ok((token, Wanted::Token(port))),
            Err(_) => Err(forbidden()),
        },
        // A viewer asks once without, and then again with what it has.
        _ if shown.is_empty() => {
            let mut answer = plain(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
            let challenge = HeaderValue::from_static("Basic realm=\"console\"");
            answer.headers_mut().insert(header::PROXY_AUTHENTICATE, challenge);
            Err(Box::new(answer))
        }
        _ => Err(forbidden()),
    }
}
