//! The middle of a TLS connection: what one end has sealed is opened, and sealed again for the other, record by record.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};

/// A man in the middle that has the key of a server.
pub(crate) struct Middle {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// One end: its socket, and TLS on it.
struct End<'a> {
    socket: &'a TcpStream,
    tls: Mutex<Connection>,
}

impl Middle {
    /// Is the server with this address whose certificate, key and authority are in `pki`.
    pub(crate) fn new(pki: &Path, address: IpAddr) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from_pem_file(pki.join("server-key.pem")).expect("a key");
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(certificates(&pki.join("server-cert.pem")), key)
            .expect("a certificate");
        server.send_tls13_tickets = 0;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&pki.join("ca-cert.pem")) {
            roots.add(certificate).expect("an authority");
        }
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server: Arc::new(server),
            client: Arc::new(client),
            name: ServerName::from(address),
        }
    }

    /// Passes everything on, until both have ended. `to_server` and `to_client` see it, and what they return goes out.
    pub(crate) fn relay(
        &self,
        client: &TcpStream,
        server: &TcpStream,
        to_server: impl FnMut(Vec<u8>) -> io::Result<Vec<u8>> + Send,
        to_client: impl FnMut(Vec<u8>) -> io::Result<Vec<u8>> + Send,
    ) -> io::Result<()> {
        let near = ServerConnection::new(Arc::clone(&self.server)).map_err(io::Error::other)?;
        let far = ClientConnection::new(Arc::clone(&self.client), self.name.clone()).map_err(io::Error::other)?;
        let near = End::shake_hands(client, Connection::Server(near))?;
        let far = End::shake_hands(server, Connection::Client(far))?;
        thread::scope(|scope| {
            let there = scope.spawn(|| near.pass_on(&far, to_server));
            let back = far.pass_on(&near, to_client);
            there.join().expect("a direction").and(back)
        })
    }
}

impl<'a> End<'a> {
    fn shake_hands(socket: &'a TcpStream, mut tls: Connection) -> io::Result<Self> {
        while tls.is_handshaking() {
            tls.complete_io(&mut &*socket)?;
        }
        let tls = Mutex::new(tls);
        Ok(Self { socket, tls })
    }

    fn tls(&self) -> MutexGuard<'_, Connection> {
        self.tls.lock().expect("TLS")
    }

    /// One direction. A record is one on the other side as well: viewers look at their sockets to see whether there is
    /// more, and what they see must be what the server made.
    fn pass_on(&self, other: &Self, mut edit: impl FnMut(Vec<u8>) -> io::Result<Vec<u8>>) -> io::Result<()> {
        let passed = self.pass_records(other, &mut edit);
        if passed.is_err() {
            let _ = self.socket.shutdown(Shutdown::Both);
            let _ = other.socket.shutdown(Shutdown::Both);
        }
        passed
    }

    fn pass_records(&self, other: &Self, edit: &mut impl FnMut(Vec<u8>) -> io::Result<Vec<u8>>) -> io::Result<()> {
        loop {
            let plain = self.open()?;
            if !plain.is_empty() {
                other.seal(&edit(plain)?)?;
            }
            let Some(record) = self.record()? else {
                other.tls().send_close_notify();
                other.seal(&[])?;
                return other.socket.shutdown(Shutdown::Write);
            };
            let mut rest = &record[..];
            while !rest.is_empty() {
                let mut tls = self.tls();
                tls.read_tls(&mut rest)?;
                tls.process_new_packets().map_err(io::Error::other)?;
            }
        }
    }

    /// The next record as it is sealed; `None` at the end.
    fn record(&self) -> io::Result<Option<Vec<u8>>> {
        let mut socket = self.socket;
        let mut record = vec![0; 5];
        if socket.read(&mut record[..1])? == 0 {
            return Ok(None);
        }
        socket.read_exact(&mut record[1..])?;
        let length = u16::from_be_bytes([record[3], record[4]]);
        record.resize(5 + usize::from(length), 0);
        socket.read_exact(&mut record[5..])?;
        Ok(Some(record))
    }

    /// What was in the records so far.
    fn open(&self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        match self.tls().reader().read_to_end(&mut plain) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(plain)
    }

    /// Makes a record of it. TLS is not held while the socket takes it: the other direction goes on.
    fn seal(&self, plain: &[u8]) -> io::Result<()> {
        let mut sealed = Vec::new();
        {
            let mut tls = self.tls();
            tls.writer().write_all(plain)?;
            while tls.wants_write() {
                tls.write_tls(&mut sealed)?;
            }
        }
        let mut socket = self.socket;
        socket.write_all(&sealed)
    }
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let pem = fs::read(file).expect("a certificate");
    CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| certificate.expect("a certificate"))
        .collect()
}
