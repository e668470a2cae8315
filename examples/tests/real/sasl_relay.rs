//! SASL ends at a relay: viewers show it a ticket, and it logs in to QEMU as a user.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::{fs, thread};

use examples::secret::Secret;
use examples::spice::{Login, tls};
use rustls::ClientConfig;
use spice_proto::caps::Capabilities;
use spice_proto::ids::LinkErrorCode;
use spice_proto::link::relay::{RelayQuestion, Upstream};
use spice_proto::link::server::{self, Announcement};
use spice_proto::link::{self, Key, Refusal, RelayConfig, RelayLink, SideBuffers};
use spice_proto::tls::{Expected, Verifier, server_name};
use spice_proto::{Clock, Driven, drive_relay};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use crate::pki;
use crate::probe::{NAME, PASSWORD, USER, channel, probe, sasl_guest};
use crate::process::Folder;

const TOKEN: &str = "a-token-of-the-relay";

/// A relay to this hypervisor, which knows the user by this password.
#[derive(Clone)]
struct Relay {
    hypervisor: SocketAddr,
    tls: Arc<ClientConfig>,
    password: &'static str,
}

impl Relay {
    /// Where it listens, as long as the tests run.
    fn start(self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for tenant in listener.incoming().map_while(Result::ok) {
                let relay = self.clone();
                thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    // What goes wrong, the tenant sees.
                    let _ = runtime.expect("a runtime").block_on(relay.relay(tenant));
                });
            }
        });
        address
    }

    async fn relay(self, tenant: std::net::TcpStream) -> Result<(), Box<dyn Error>> {
        tenant.set_nonblocking(true)?;
        let mut tenant = TcpStream::from_std(tenant)?;
        let (clock, mut sides) = (Clock::start(), SideBuffers::default());
        let mut relay = RelayLink::new(clock.now(), RelayConfig::default().with_upstream_sasl(true));
        let (mut key, mut hypervisor, mut login) = (None, None, None);
        let outcome = loop {
            match drive_relay(&mut relay, &mut sides, &mut tenant, hypervisor.as_mut(), clock).await? {
                Driven::Ask(RelayQuestion::Tenant(server::ServerQuestion::Link(request))) => {
                    let fresh = Key::generate(&mut random)?;
                    let shown = Announcement {
                        public_key: fresh.public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    relay.tenant().announce(&mut sides.tenant, shown)?;
                    key = Some(fresh);
                }
                Driven::Ask(RelayQuestion::Tenant(server::ServerQuestion::Ticket { sealed, .. })) => {
                    let shown = key.take().ok_or("no key")?.open(&sealed, &mut random);
                    if shown.is_ok_and(|shown| shown.expose() == TOKEN.as_bytes()) {
                        let tcp = TcpStream::connect(self.hypervisor).await?;
                        hypervisor = Some(tls(tcp, &self.tls, server_name("127.0.0.1")?).await?);
                        let password = Secret::new(self.password.as_bytes().to_vec());
                        login = Some(Login::new(USER.to_owned(), password, None, true)?);
                        let mut upstream = Upstream {
                            ticket: link::Secret::new(b""),
                            oaep_seed: [0; 20],
                        };
                        random(&mut upstream.oaep_seed);
                        relay.admit(&mut sides, upstream)?;
                    } else {
                        relay.refuse(&mut sides, Refusal::Code(LinkErrorCode::PERMISSION_DENIED))?;
                    }
                }
                Driven::Ask(RelayQuestion::Hypervisor(question)) => {
                    let link = relay.hypervisor().ok_or("no hypervisor")?;
                    let login = login.as_mut().ok_or("no user")?;
                    login.answer(link, &mut sides.hypervisor, question)?;
                }
                Driven::Ask(question) => return Err(format!("{question:?}").into()),
                Driven::Done(outcome) => break outcome,
            }
        };
        assert_eq!(outcome.tenant_form, outcome.hypervisor_form);
        let mut hypervisor = hypervisor.ok_or("no hypervisor")?;
        tenant.write_all(&sides.hypervisor.rx).await?;
        hypervisor.write_all(&sides.tenant.rx).await?;
        copy_bidirectional(&mut tenant, &mut hypervisor).await?;
        Ok(())
    }
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("random bytes");
}

#[test]
#[ignore = "needs QEMU"]
fn a_relay_logs_in_to_qemu() {
    let folder = Folder::new();
    let pki = pki::authority(&folder, "hypervisor");
    let (hypervisor, _qemu) = sasl_guest(&folder, &pki);
    let ca = fs::read(pki.join("ca-cert.pem")).expect("a certificate");
    let verifier = Verifier::new(&ca, Expected::Host("127.0.0.1".to_owned())).expect("an authority");
    let relay = Relay {
        hypervisor,
        tls: Arc::new(verifier.client_config().expect("a configuration")),
        password: PASSWORD,
    };
    let address = relay.clone().start();
    let report = probe(&folder, "relayed", address, TOKEN, &[]).expect("the right token");
    // The viewer knows nothing of it.
    assert_eq!(
        (&report["authentication"], &report["tls"], &report["name"]),
        (&"ticket".into(), &false.into(), &NAME.into())
    );
    assert_eq!(channel(&report, "DISPLAY")["messages"]["mark"], 1);

    let refused = probe(&folder, "token", address, "another", &[]).expect_err("another token");
    assert!(refused.contains("PERMISSION_DENIED"), "{refused}");
    let stranger = Relay {
        password: "another",
        ..relay
    };
    let refused =
        probe(&folder, "stranger", stranger.start(), TOKEN, &[]).expect_err("a relay that QEMU does not know");
    assert!(
        refused.contains("closed by the peer while waiting for the link result"),
        "{refused}"
    );
}
