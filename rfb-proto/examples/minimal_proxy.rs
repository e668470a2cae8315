//! The smallest proxy: viewers with a VNC password, in front of one hypervisor with VeNCrypt and X509Vnc.
//! ```text
//! TENANT_PASSWORD=... HYPERVISOR_PASSWORD=... \
//! cargo run -p rfb-proto --features tokio,rustls --example minimal_proxy -- \
//!     127.0.0.1:5900 hypervisor.example:5901 hypervisor-ca.pem [--view-only]
//! ```

use std::{env, fs, io::Read as _};

use rfb_proto::proxy::*;
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
struct Proxy {
    hypervisor: String,
    tenants: String,
    own: String,
}

impl ProxyHandler for Proxy {
    type Hypervisor = TcpStream;

    fn challenge(&mut self) -> [u8; 16] {
        let mut challenge = [0; 16];
        let source = fs::File::open("/dev/urandom");
        let read = source.and_then(|mut source| source.read_exact(&mut challenge));
        read.unwrap_or_else(|_| std::process::abort());
        challenge
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        let right = Password::new(self.tenants.as_bytes());
        match shown {
            ClientCredentials::Vnc { challenge, response } if right.verify(&challenge, &response) => Ok(()),
            _ => Err(Refusal::default()),
        }
    }

    async fn dial(&mut self, _: Dial) -> Result<(TcpStream, Upstream), NotDialled> {
        let (host, _) = self.hypervisor.rsplit_once(':').ok_or(NotDialled::Unreachable)?;
        let upstream = Upstream::default().with_server_name(host);
        let stream = TcpStream::connect(&self.hypervisor).await?;
        stream.set_nodelay(true)?;
        Ok((stream, upstream.with_password(Password::new(self.own.as_bytes()))))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (arguments, filter) = match &arguments[..] {
        [arguments @ .., flag] if flag == "--view-only" => (arguments, Filter::view_only()),
        arguments => (arguments, Filter::default()),
    };
    let [listen, hypervisor, authority] = arguments else {
        return Err("usage: minimal_proxy LISTEN HYPERVISOR CA_FILE [--view-only]".into());
    };
    let bridge = BridgeConfig::default().with_hypervisor_subtypes(&[Subtype::X509_VNC]);
    let config = ProxyConfig::new(bridge).with_filter(filter);
    let tls = ClientTls::new(&fs::read(authority)?, None)?;
    let proxy = Proxy {
        hypervisor: hypervisor.clone(),
        tenants: env::var("TENANT_PASSWORD")?,
        own: env::var("HYPERVISOR_PASSWORD")?,
    };
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    while let Ok((tenant, from)) = listener.accept().await {
        let connection = Connection::new(config.clone()).with_hypervisor_tls(tls.clone());
        let session = drive_session(connection, tenant, proxy.clone());
        tokio::spawn(async move { println!("{from}: {}", session.await.0) });
    }
    Ok(())
}
