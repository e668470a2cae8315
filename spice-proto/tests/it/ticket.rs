//! Tickets: RSA-1024 with OAEP, from a key and randomness that the test brings.

use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use spice_proto::caps::{Capabilities, common};
use spice_proto::ids::ChannelType;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::ticket::{MAX_PASSWORD_LEN, TicketError};
use spice_proto::link::{Action, Buffers, HandshakeError, Key, Machine as _, PublicKey, SealedTicket, ServerLink};
use spice_proto::{CryptoError, Limits};

use crate::pair::{NOW, TICKET, client, key, random, request};
use crate::recordings::{self, Rows};

/// Bytes for the rsa crate itself.
struct Fixed<F>(F);

impl<F: FnMut(&mut [u8])> rsa::rand_core::RngCore for Fixed<F> {
    fn next_u32(&mut self) -> u32 {
        4
    }
    fn next_u64(&mut self) -> u64 {
        4
    }
    fn fill_bytes(&mut self, out: &mut [u8]) {
        (self.0)(out);
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl<F> rsa::rand_core::CryptoRng for Fixed<F> {}

/// Seals without the limits of the API, as a peer might.
fn seal_raw(plain: &[u8]) -> SealedTicket {
    let public = rsa::RsaPublicKey::from_public_key_der(key().public().as_der()).unwrap();
    let sealed = public
        .encrypt(&mut Fixed(random(3)), rsa::Oaep::new::<sha1::Sha1>(), plain)
        .unwrap();
    SealedTicket(sealed.try_into().unwrap())
}

fn open(sealed: &SealedTicket) -> Result<Vec<u8>, TicketError> {
    key()
        .open(sealed, &mut random(7))
        .map(|secret| secret.expose().to_vec())
}

#[test]
fn seal_and_open() {
    for len in [0, 1, 8, 59, 60] {
        let password: Vec<u8> = (1..=len).collect();
        let sealed = key().public().seal(&password, [len; 20]).unwrap();
        assert_eq!(open(&sealed).unwrap(), password);
        let other = key().public().seal(&password, [len ^ 1; 20]).unwrap();
        assert_ne!(sealed, other, "the seed is used");
        assert_eq!(
            key().public().seal(&password, [len; 20]).unwrap(),
            sealed,
            "nothing else is"
        );
    }
    assert_eq!(
        key().public().seal(&[b'x'; MAX_PASSWORD_LEN + 1], [0; 20]),
        Err(CryptoError)
    );
    assert_eq!(key().public().seal(b"a\0b", [0; 20]), Err(CryptoError));
}

/// spice-server compares up to the first NUL, so bytes behind it do not matter.
#[test]
fn what_peers_may_seal() {
    assert_eq!(open(&seal_raw(b"secret\0")).unwrap(), b"secret");
    assert_eq!(open(&seal_raw(b"secret")).unwrap(), b"secret");
    assert_eq!(open(&seal_raw(b"secret\0behind")).unwrap(), b"secret");
    assert_eq!(open(&seal_raw(b"")).unwrap(), b"");
    assert_eq!(open(&seal_raw(&[b'x'; 60])).unwrap(), [b'x'; 60]);
    // CVE-2013-4282: a ticket that opens to more than the password's buffer held.
    assert_eq!(open(&seal_raw(&[b'x'; 61])), Err(TicketError::TooLong));
    assert_eq!(open(&seal_raw(&[b'x'; 86])), Err(TicketError::TooLong));
}

/// A caller that compares tokens needs what is behind the NUL, too.
#[test]
fn a_ticket_opens_as_it_is() {
    for plain in [&b"secret\0"[..], b"secret", b"secret\0behind", b"", &[b'x'; 86]] {
        let opened = key().open_whole(&seal_raw(plain), &mut random(7)).unwrap();
        assert_eq!(opened.expose(), plain);
    }
    let bad = key().open_whole(&SealedTicket([1; 128]), &mut random(7));
    assert_eq!(bad.map(drop), Err(TicketError::Undecryptable));
}

#[test]
fn what_does_not_open() {
    let sealed = key().public().seal(b"secret", [1; 20]).unwrap();
    for bad in [[0; 128], [0xff; 128], [1; 128]] {
        assert_eq!(open(&SealedTicket(bad)), Err(TicketError::Undecryptable));
    }
    for at in 0..128 {
        let mut bad = sealed.clone();
        bad.0[at] ^= 1;
        assert_eq!(open(&bad), Err(TicketError::Undecryptable), "byte {at}");
    }
    let other = Key::generate(&mut random(99)).unwrap();
    assert_ne!(other.public(), key().public());
    assert_eq!(
        other.open(&sealed, &mut random(1)).map(drop),
        Err(TicketError::Undecryptable)
    );
}

/// The private operation is blinded with the caller's bytes, and gives the same with any.
#[test]
fn opening_is_blinded() {
    let sealed = key().public().seal(b"secret", [1; 20]).unwrap();
    for seed in 1..4 {
        let (mut source, mut drawn) = (random(seed), 0);
        let opened = key().open(&sealed, &mut |out| {
            drawn += out.len();
            source(out);
        });
        assert_eq!(opened.unwrap().expose(), b"secret");
        assert!(128 <= drawn, "{drawn} bytes for a factor of 1024 bits");
    }
}

/// The machines know public keys only: the owner of the private half opens the ticket, with any implementation.
#[test]
fn the_key_can_be_anywhere() {
    let elsewhere = rsa::RsaPrivateKey::new(&mut Fixed(random(5)), 1024).unwrap();
    let der = elsewhere.to_public_key().to_public_key_der().unwrap();
    let public_key = PublicKey::from_der(der.as_bytes().try_into().unwrap());
    let mut server = ServerLink::new(NOW, Limits::default());
    let mut client = client(request(ChannelType::MAIN, 9, 0), TICKET);
    let (mut ours, mut theirs) = (Buffers::default(), Buffers::default());
    loop {
        match client.step(NOW, &mut theirs).unwrap() {
            Action::Receive { .. } => {}
            Action::Done(_) => break,
            other => panic!("{other:?}"),
        }
        ours.rx.extend_from_slice(&theirs.tx.split());
        match server.step(NOW, &mut ours).unwrap() {
            Action::Ask(ServerQuestion::Link(_)) => {
                let capabilities = Capabilities::spice_server(ChannelType::MAIN);
                let announcement = Announcement {
                    public_key,
                    capabilities,
                };
                server.announce(&mut ours, announcement).unwrap();
            }
            Action::Ask(ServerQuestion::Ticket { sealed, .. }) => {
                let opened = elsewhere.decrypt(rsa::Oaep::new::<sha1::Sha1>(), &sealed.0).unwrap();
                assert_eq!(opened, [TICKET, b"\0"].concat());
                server.accept(&mut ours).unwrap();
            }
            _ => {}
        }
        theirs.rx.extend_from_slice(&ours.tx.split());
    }
}

#[test]
fn secrets_compare_by_their_bytes() {
    let secret = |bytes: &[u8]| spice_proto::link::Secret::new(bytes);
    assert_eq!(secret(b"one"), secret(b"one"));
    for other in [&b"onf"[..], b"on", b"ones", b""] {
        assert_ne!(secret(b"one"), secret(other));
    }
}

/// A server's key is what it says that it is. A modulus that no RSA key has would make the arithmetic panic, or the ticket
/// readable for others: the client ends with a typed error before it has said anything of its ticket.
#[test]
fn hostile_keys_are_refused() {
    // 29 bytes in front of the modulus, 5 behind it.
    let good = *key().public().as_der();
    let changed = |change: &dyn Fn(&mut [u8; 162])| {
        let mut der = good;
        change(&mut der);
        der
    };
    let hostile = [
        ("even", changed(&|der| der[156] &= 0xfe)),
        (
            "a power of two",
            changed(&|der| {
                der[30..157].fill(0);
                der[29] = 0x80;
            }),
        ),
        ("zero", changed(&|der| der[29..157].fill(0))),
        (
            "one",
            changed(&|der| {
                der[29..157].fill(0);
                der[156] = 1;
            }),
        ),
        ("1023 bits", changed(&|der| der[29] &= 0x7f)),
        ("1016 bits", changed(&|der| der[29] = 0)),
        ("exponent 0", changed(&|der| der[159..].fill(0))),
        (
            "exponent 1",
            changed(&|der| {
                der[159..].fill(0);
                der[161] = 1;
            }),
        ),
        ("negative exponent", changed(&|der| der[159] = 0x80)),
        ("another algorithm", changed(&|der| der[10] ^= 1)),
        ("a sequence too long", changed(&|der| der[2] += 1)),
        ("nothing", [0; 162]),
    ];
    assert!(PublicKey::from_der(good).seal(b"secret", [1; 20]).is_ok());
    for (what, der) in hostile {
        let public_key = PublicKey::from_der(der);
        assert_eq!(public_key.seal(b"secret", [1; 20]), Err(CryptoError), "{what}");
        let (mut client, mut theirs) = (client(request(ChannelType::MAIN, 9, 0), TICKET), Buffers::default());
        let (mut server, mut ours) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
        client.step(NOW, &mut theirs).unwrap();
        ours.rx.extend_from_slice(&theirs.tx.split());
        assert!(matches!(
            server.step(NOW, &mut ours),
            Ok(Action::Ask(ServerQuestion::Link(_)))
        ));
        let capabilities = Capabilities::spice_server(ChannelType::MAIN);
        let announcement = Announcement {
            public_key,
            capabilities,
        };
        server.announce(&mut ours, announcement).unwrap();
        theirs.rx.extend_from_slice(&ours.tx.split());
        assert_eq!(
            client.step(NOW, &mut theirs),
            Err(HandshakeError::Crypto(CryptoError)),
            "{what}"
        );
        assert!(theirs.tx.is_empty(), "{what}");
    }
}

/// Every key of the recordings has the same form as ours: 162 bytes of DER, exponent 65537; or it is none, where SASL will
/// be used.
#[test]
fn keys_have_the_form_of_spice_server() {
    let mut rows = Rows::new();
    let ours = *key().public().as_der();
    for connection in recordings::all() {
        let Some(linked) = connection.linked() else { continue };
        rows.row(&connection.name, || {
            let theirs = linked.reply.pub_key;
            if linked.reply.capabilities.has_common(common::AUTH_SASL) && theirs == [0; 162] {
                return;
            }
            assert_eq!(theirs[..29], ours[..29]);
            assert_eq!(theirs[157..], ours[157..]);
        });
    }
    rows.end();
}
