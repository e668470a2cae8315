//! Tokens in URLs and requests, pages that may connect, and targets of `CONNECT`.
//!
//! # Where a token travels
//!
//! [`web::place`](crate::web::place) finds a token where it may stand, and writes it there if it fits. Two tokens in one place are
//! none, because two programs would read two different ones.
//!
//! ```rust
//! use console_token::web::{Redacted, place};
//!
//! let target = "/websockify?token=5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a";
//! let token = place::query(target).unwrap().unwrap().secret().unwrap();
//! assert_eq!(token.expose(), "5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a");
//! assert!(place::query("/?token=a&token=b").is_err());
//! // For a log.
//! assert_eq!(Redacted(target).to_string(), "/websockify?token=***");
//! ```
//!
//! # The URL that a tenant opens
//!
//! ```rust
//! use console_token::{AccessUrl, ConsoleType, Secret};
//!
//! let token = Secret::uuid4(&[0x5a; 16]); // random bytes
//! let url = AccessUrl::new(ConsoleType::NoVnc, "https://console.example/vnc_lite.html?scale=true", &token).unwrap();
//! assert_eq!(
//!     url.expose(),
//!     "https://console.example/vnc_lite.html?scale=true&path=%3Ftoken%3D5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a"
//! );
//! ```
//!
//! URLs end in histories and logs. A token with [`Scope::Exchange`](crate::Scope::Exchange) is good for one exchange only.
//!
//! # Which page may connect
//!
//! A browser sends the origin of the page with a WebSocket, and a gateway that does not look lets each page of the web use its
//! visitors' consoles.
//!
//! ```rust
//! use console_token::web::origin::{OriginRule, Request};
//!
//! let peer = "198.51.100.7".parse().unwrap();
//! let own = Request::new(peer, true, &["gw.example"], &["https://gw.example"]);
//! assert!(OriginRule::default().check(&own).is_ok());
//! let foreign = Request::new(peer, true, &["gw.example"], &["https://evil.example"]);
//! assert!(OriginRule::default().check(&foreign).is_err());
//! ```
//!
//! Behind a proxy that ends TLS, name the proxy as trusted: `X-Forwarded-*` from others is not read.
//!
//! # Where a `CONNECT` may go
//!
//! To known consoles, and to no address of this machine, this link or a metadata service; after resolution again.
//!
//! ```rust
//! use console_token::web::target::{Connect, TargetRule};
//!
//! let connect = Connect::parse(b"CONNECT 0x7f.1:22 HTTP/1.1\r\n\r\n").unwrap().unwrap();
//! assert!(connect.target().is_err()); // 127.0.0.1 to some programs
//! let connect = Connect::parse(b"CONNECT hv1.example:22 HTTP/1.1\r\n\r\n").unwrap().unwrap();
//! let (host, port) = connect.target().unwrap();
//! let rule = TargetRule::default(); // no console is known yet
//! assert!(rule.check(&host, port).is_err());
//! assert!(rule.admit("::ffff:127.0.0.1".parse().unwrap()).is_err());
//! ```
