//! The first bytes of connections between programs of other projects. `data/ORIGIN.md` says which.

use bytes::{Bytes, BytesMut};
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityChoice, SecurityType, SecurityTypeWord, SecurityTypes};
use rfb_proto::{Greeting, Limits, Policy, ProtocolVersion, Version};

use crate::data::hex;

/// Takes a message off the front, having seen that it encodes to the same bytes.
macro_rules! take {
    ($message:ty, $stream:expr) => {{
        let limits = Limits::default();
        assert_eq!(<$message>::missing(&$stream, &limits), Ok(0));
        let message = <$message>::decode(&$stream, &limits).unwrap();
        let mut encoded = BytesMut::new();
        message.encode(&mut encoded).unwrap();
        assert_eq!(encoded, $stream.split_to(message.encoded_len()));
        message
    }};
}

fn line(stream: &mut Bytes) -> ProtocolVersion {
    let line = stream.split_to(ProtocolVersion::LEN);
    let version = ProtocolVersion::from_bytes(line[..].try_into().unwrap()).unwrap();
    assert_eq!(version.to_bytes().unwrap(), line[..]);
    version
}

fn block(stream: &mut Bytes) -> [u8; 16] {
    stream.split_to(16)[..].try_into().unwrap()
}

/// One connection with VNC authentication. The server's stream ends with its result, the reason included.
struct Recorded {
    name: &'static str,
    rules: Version,
    server: &'static str,
    client: &'static str,
    /// The password that the server had, and whether the client had it too.
    password: &'static [u8],
    right: bool,
}

const RECORDED: &[Recorded] = &[
    Recorded {
        name: "QEMU, vncviewer of TigerVNC",
        rules: Version::V3_8,
        server: "524642203030332e3030380a 01 02 4b348a286ea8a352a54bd7a82c47b9fe 00000000",
        client: "524642203030332e3030380a 02 80940b08dd00f72d3577d10adf6e56cb",
        password: b"s3cretpw",
        right: true,
    },
    Recorded {
        name: "QEMU, gvnccapture of gtk-vnc, wrong password",
        rules: Version::V3_8,
        server: "524642203030332e3030380a 01 02 31561bba13348e6f0b57ee28db62ecbf 00000001
                 00000016 41757468656e7469636174696f6e206661696c656400",
        client: "524642203030332e3030380a 02 4aa578f9a81edd33816290091cae36bf",
        password: b"s3cretpw",
        right: false,
    },
    Recorded {
        name: "QEMU, gvnccapture, password changed while running",
        rules: Version::V3_8,
        server: "524642203030332e3030380a 01 02 90073547aaa3b2aa4a629e8edcd98afd 00000000",
        client: "524642203030332e3030380a 02 49094aca5ffd91be4649f4d5e309bd2e",
        password: b"newpw",
        right: true,
    },
    Recorded {
        name: "x11vnc with 3.3, vncviewer",
        rules: Version::V3_3,
        server: "524642203030332e3030330a 00000002 cc7e840cf24a030088001963f10bd3c0 00000000",
        client: "524642203030332e3030330a c9cc5955332dc2d79b8acbf05588a7a1",
        password: b"s3cretpw",
        right: true,
    },
    Recorded {
        name: "x11vnc with 3.3, wrong password: no reason",
        rules: Version::V3_3,
        server: "524642203030332e3030330a 00000002 f399110b773ecca6849fbef9983fabd2 00000001",
        client: "524642203030332e3030330a c594b17b8122107da4047ada7a9b3311",
        password: b"s3cretpw",
        right: false,
    },
    Recorded {
        name: "x11vnc, wrong password",
        rules: Version::V3_8,
        server: "524642203030332e3030380a 01 02 a8dedb565c82e397810efcd3487a9e9d 00000001
                 00000016 70617373776f726420636865636b206661696c656421",
        client: "524642203030332e3030380a 02 37a574ff2fb33164ff1e5ba6d20b48c9",
        password: b"s3cretpw",
        right: false,
    },
    Recorded {
        name: "Xtightvnc offers two types, vncviewer takes VNC authentication",
        rules: Version::V3_8,
        server: "524642203030332e3030380a 02 0210 625459bd07520d8494646df0e222c832 00000000",
        client: "524642203030332e3030380a 02 edc37cf023f133269a108e2a6d1a3fd9",
        password: b"s3cretpw",
        right: true,
    },
    Recorded {
        name: "Xtigervnc offers two types, vncviewer",
        rules: Version::V3_8,
        server: "524642203030332e3030380a 02 0102 5b5c4e0047466d0c98a5b57c9b4e07e7 00000000",
        client: "524642203030332e3030380a 02 5a1dfae7f98bc11986bc3779e9f10909",
        password: b"s3cretpw",
        right: true,
    },
];

#[test]
fn heads_with_vnc_authentication() {
    for recorded in RECORDED {
        let name = recorded.name;
        let mut server = Bytes::from(hex(recorded.server));
        let mut client = Bytes::from(hex(recorded.client));

        let greeting = line(&mut server).as_greeting(Policy::Strict);
        let Ok(Greeting::Version(offered)) = greeting else {
            panic!("{name}: {greeting:?}");
        };
        let rules = line(&mut client).as_answer(offered, Policy::Strict);
        assert_eq!(rules, Ok(recorded.rules), "{name}");

        if recorded.rules == Version::V3_3 {
            let word = take!(SecurityTypeWord, server);
            assert_eq!(word.security_type(), Some(SecurityType::VNC), "{name}");
        } else {
            let list = take!(SecurityTypes, server);
            let choice = take!(SecurityChoice, client);
            assert_eq!(list.check(choice), Ok(SecurityType::VNC), "{name}");
            assert_eq!(list.choose(&[SecurityType::VNC]), Some(choice), "{name}");
        }

        let (challenge, response) = (block(&mut server), block(&mut client));
        let password = Password::new(recorded.password);
        assert_eq!(password.verify(&challenge, &response), recorded.right, "{name}");
        assert_eq!(password.respond(&challenge) == response, recorded.right, "{name}");

        // The peers agree with us: this is what the server said to the response.
        let result = server.split_to(4);
        assert_eq!(result == [0; 4][..], recorded.right, "{name}");
        if recorded.rules == Version::V3_8 && !recorded.right {
            let reason = take!(Reason, server);
            assert!(reason.to_text().contains("failed"), "{name}: {reason:?}");
        }
        assert!(server.is_empty() && client.is_empty(), "{name}");
    }
}
