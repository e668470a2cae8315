//! Writing a client or a server: one connection, one machine.
//!
//! # The driver loop
//!
//! A machine reads from and writes to a pair of buffers; the owner of the connection moves the bytes. This is the whole of it
//! for a blocking stream and a client with a password; the other roles differ in the questions.
//!
//! ```rust
//! use std::io::{Read, Write};
//! use std::time::Instant;
//! use rfb_proto::handshake::client::{ClientOutcome, ClientQuestion};
//! use rfb_proto::handshake::{Action, ClientConfig, ClientHandshake, Machine, Buffers};
//! use rfb_proto::security::{SecurityType, vnc::Password};
//!
//! fn shake_hands(mut stream: impl Read + Write, machine: &mut ClientHandshake, buffers: &mut Buffers, password: &Password)
//!     -> Result<ClientOutcome, Box<dyn std::error::Error>>
//! {
//!     let start = Instant::now();
//!     loop {
//!         let action = machine.step(start.elapsed(), buffers);
//!         stream.write_all(&buffers.tx.split())?; // also when the step failed
//!         match action? {
//!             Action::Receive { at_least } => {
//!                 let mut bytes = vec![0; at_least];
//!                 match stream.read(&mut bytes)? {
//!                     0 => return Ok(machine.eof()?),
//!                     n => buffers.rx.extend_from_slice(&bytes[..n]),
//!                 }
//!             }
//!             Action::Ask(ClientQuestion::Vnc { challenge }) => machine.respond(buffers, password.respond(&challenge))?,
//!             Action::Done(outcome) => return Ok(outcome),
//!             // Not with the types below: TLS is for VeNCrypt, other questions are for other types.
//!             other => return Err(format!("not expected: {other:?}").into()),
//!         }
//!     }
//! }
//!
//! # struct Recorded(&'static [u8], Vec<u8>);
//! # impl Read for Recorded { fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> { self.0.read(to) } }
//! # impl Write for Recorded {
//! #     fn write(&mut self, from: &[u8]) -> std::io::Result<usize> { self.1.write(from) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let mut stream = Recorded(b"RFB 003.008\n\x01\x02\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\
//! #     \0\0\0\0\x02\x80\x01\xe0\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\x04QEMU", Vec::new());
//! // Best first. The order of the server's list does not count.
//! let config = ClientConfig::new(&[SecurityType::VNC, SecurityType::NONE]);
//! let (mut machine, mut buffers) = (ClientHandshake::new(Default::default(), config), Buffers::default());
//! let outcome = shake_hands(&mut stream, &mut machine, &mut buffers, &Password::new(b"secret"))?;
//! let init = outcome.init.ok_or("no ServerInit")?;
//! assert_eq!((init.width, init.height, init.name_text().as_str()), (640, 480, "QEMU"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A server
//!
//! The handshake succeeds only after the caller calls [accept](crate::handshake::ServerHandshake::accept), whatever the security type
//! is. What was not offered is not taken, and there is no switch for that.
//!
//! ```rust
//! use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
//! use rfb_proto::handshake::{Action, Machine, Refusal, ServerConfig, ServerHandshake, Buffers};
//! use rfb_proto::security::{SecurityType, vnc::Password};
//!
//! let config = ServerConfig::new(&[SecurityType::VNC]);
//! let (mut machine, mut buffers) = (ServerHandshake::new(Default::default(), config), Buffers::default());
//! buffers.rx.extend_from_slice(b"RFB 003.008\n\x02"); // the client's line and choice
//! assert_eq!(machine.step(Default::default(), &mut buffers)?, Action::Ask(ServerQuestion::Challenge));
//! machine.challenge(&mut buffers, *b"sixteen  random!")?; // from a cryptographically secure source
//! buffers.rx.extend_from_slice(b"a wrong response");
//! let Action::Ask(ServerQuestion::Admit(ClientCredentials::Vnc { challenge, response })) = machine.step(Default::default(), &mut buffers)? else {
//!     panic!("a client that answers is to be judged");
//! };
//! match Password::new(b"secret").verify(&challenge, &response) {
//!     true => machine.accept(&mut buffers)?,
//!     false => machine.refuse(&mut buffers, Refusal::default())?,
//! }
//! assert!(buffers.tx.ends_with(b"\0\0\0\x01\0\0\0\x15Authentication failed"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
