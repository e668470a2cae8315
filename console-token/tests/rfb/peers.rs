//! A hypervisor with a password, and a viewer, both by hand from RFC 6143 and the specification of VeNCrypt.

use rfb_proto::security::vnc::Password;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Any stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Stream = Box<dyn Io>;

const VERSION: &[u8; 12] = b"RFB 003.008\n";
const NONE: u8 = 1;
const VNC: u8 = 2;
const VENCRYPT: u8 = 19;
const PLAIN: u32 = 256;

/// What a hypervisor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    Good,
    /// It hangs up before its version line.
    Mute,
    /// It hangs up when the response has come.
    HangsUp,
    /// It says nothing when the response has come.
    Silent,
    /// It offers nothing that may be spoken.
    Foreign,
}

async fn read<const N: usize>(stream: &mut Stream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

/// Serves a viewer to its end; whether it was let in. Its first byte behind ServerInit is `name`.
pub(crate) async fn serve(mut stream: Stream, password: &[u8], name: u8, manners: Manners) -> Option<bool> {
    if manners == Manners::Mute {
        return Some(false);
    }
    stream.write_all(VERSION).await.ok()?;
    read::<12>(&mut stream).await?;
    if manners == Manners::Foreign {
        stream.write_all(&[1, 30]).await.ok()?;
        read::<1>(&mut stream).await?;
        return Some(false);
    }
    stream.write_all(&[1, VNC]).await.ok()?;
    read::<1>(&mut stream).await?;
    let challenge = [7; 16];
    stream.write_all(&challenge).await.ok()?;
    let response = read::<16>(&mut stream).await?;
    if manners == Manners::HangsUp {
        return Some(false);
    }
    if manners == Manners::Silent {
        while stream.read_u8().await.is_ok() {}
        return Some(false);
    }
    if !Password::new(password).verify(&challenge, &response) {
        stream.write_all(&[0, 0, 0, 1, 0, 0, 0, 2, b'n', b'o']).await.ok()?;
        return Some(false);
    }
    stream.write_all(&[0; 4]).await.ok()?;
    read::<1>(&mut stream).await?;
    let mut init = vec![4, 0, 3, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
    init.extend([0, 0, 0, 1, name]);
    stream.write_all(&init).await.ok()?;
    while stream.read_u8().await.is_ok() {}
    Some(true)
}

/// A viewer that was let in: its connection, and the name of the desktop.
pub(crate) struct Viewer {
    pub(crate) stream: Stream,
    pub(crate) desktop: u8,
}

impl Viewer {
    /// Waits for the end of its connection.
    pub(crate) async fn has_ended(&mut self) {
        while self.stream.read_u8().await.is_ok() {}
    }

    /// Bells come through: the connection stands.
    pub(crate) async fn types(&mut self) -> bool {
        // A key that is pressed.
        self.stream.write_all(&[4, 1, 0, 0, 0, 0, 0, 0x61]).await.is_ok()
    }
}

/// Logs in with a password of VNC authentication.
pub(crate) async fn view_vnc(mut stream: Stream, password: &[u8]) -> Option<Viewer> {
    read::<12>(&mut stream).await?;
    stream.write_all(VERSION).await.ok()?;
    assert_eq!(read::<2>(&mut stream).await?, [1, VNC]);
    stream.write_all(&[VNC]).await.ok()?;
    let challenge = read::<16>(&mut stream).await?;
    let response = Password::new(password).respond(&challenge);
    stream.write_all(&response).await.ok()?;
    begin(stream).await
}

/// Logs in with user and password of Plain; without, with the type None.
pub(crate) async fn view(mut stream: Stream, plain: Option<(&str, &str)>) -> Option<Viewer> {
    read::<12>(&mut stream).await?;
    stream.write_all(VERSION).await.ok()?;
    let [types] = read::<1>(&mut stream).await?;
    assert_eq!(types, 1);
    let [offered] = read::<1>(&mut stream).await?;
    assert_eq!(offered, if plain.is_some() { VENCRYPT } else { NONE });
    stream.write_all(&[offered]).await.ok()?;
    if let Some((user, password)) = plain {
        assert_eq!(read::<2>(&mut stream).await?, [0, 2]);
        stream.write_all(&[0, 2]).await.ok()?;
        assert_eq!(read::<2>(&mut stream).await?, [0, 1]);
        assert_eq!(read::<4>(&mut stream).await?, PLAIN.to_be_bytes());
        let mut said = PLAIN.to_be_bytes().to_vec();
        for text in [user, password] {
            said.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        }
        said.extend(user.bytes().chain(password.bytes()));
        stream.write_all(&said).await.ok()?;
    }
    begin(stream).await
}

/// SecurityResult, ClientInit and ServerInit.
async fn begin(mut stream: Stream) -> Option<Viewer> {
    if read::<4>(&mut stream).await? != [0; 4] {
        return None;
    }
    stream.write_all(&[1]).await.ok()?;
    let init = read::<25>(&mut stream).await?;
    Some(Viewer {
        stream,
        desktop: init[24],
    })
}
