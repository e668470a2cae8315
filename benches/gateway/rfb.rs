//! Just enough of RFB 3.8 for a server that lets everybody in, and for its viewer.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const VERSION: &[u8; 12] = b"RFB 003.008\n";
const NONE: u8 = 1;
const VENCRYPT: u8 = 19;
const X509_NONE: u32 = 260;
const X509_PLAIN: u32 = 262;
/// 1024 by 768 pixels of 32 bits, and the name `bench`.
const SERVER_INIT: &[u8] = b"\x04\0\x03\0\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\x05bench";
/// SetEncodings (Raw, CopyRect, Tight, ZRLE), and the request for the whole framebuffer.
pub const WANTED: &[u8; 30] = b"\x02\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\x07\0\0\0\x10\x03\0\0\0\0\0\x04\0\x03\0";

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn hear<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// The server, up to the beginning of TLS.
pub async fn offer_vencrypt(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    say(stream, VERSION).await?;
    hear::<12>(stream).await?;
    say(stream, &[1, VENCRYPT]).await?;
    hear::<1>(stream).await?;
    say(stream, &[0, 2]).await?;
    hear::<2>(stream).await?;
    say(stream, &[0]).await?;
    say(stream, &[1]).await?;
    say(stream, &X509_NONE.to_be_bytes()).await?;
    hear::<4>(stream).await?;
    say(stream, &[1]).await
}

/// The server, with the security type None.
pub async fn offer_none(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    say(stream, VERSION).await?;
    hear::<12>(stream).await?;
    say(stream, &[1, NONE]).await?;
    hear::<1>(stream).await?;
    say(stream, &[0; 4]).await
}

/// The server, from ClientInit to ServerInit.
pub async fn serve_init(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    hear::<1>(stream).await?;
    say(stream, SERVER_INIT).await
}

/// The viewer, up to the beginning of TLS, with X509Plain.
pub async fn choose_vencrypt(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    choose(stream, VENCRYPT).await?;
    hear::<2>(stream).await?;
    say(stream, &[0, 2]).await?;
    if hear::<1>(stream).await? != [0] {
        return Err(wrong("VeNCrypt 0.2 is refused"));
    }
    let [count] = hear::<1>(stream).await?;
    let mut offered = vec![0; usize::from(count) * 4];
    stream.read_exact(&mut offered).await?;
    if !offered.chunks(4).any(|kind| kind == X509_PLAIN.to_be_bytes()) {
        return Err(wrong("X509Plain is not offered"));
    }
    say(stream, &X509_PLAIN.to_be_bytes()).await?;
    if hear::<1>(stream).await? != [1] {
        return Err(wrong("X509Plain is refused"));
    }
    Ok(())
}

/// The viewer's log-in inside of TLS, with a token as its password.
pub async fn log_in(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), token: &str) -> io::Result<()> {
    let (user, length) = (b"viewer", token.len() as u32);
    let mut login = (user.len() as u32).to_be_bytes().to_vec();
    login.extend_from_slice(&length.to_be_bytes());
    login.extend_from_slice(user);
    login.extend_from_slice(token.as_bytes());
    say(stream, &login).await?;
    enter(stream).await
}

/// The viewer, with the security type None.
pub async fn choose_none(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    choose(stream, NONE).await?;
    enter(stream).await
}

async fn choose(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), kind: u8) -> io::Result<()> {
    hear::<12>(stream).await?;
    say(stream, VERSION).await?;
    let [count] = hear::<1>(stream).await?;
    let mut offered = vec![0; usize::from(count)];
    stream.read_exact(&mut offered).await?;
    if !offered.contains(&kind) {
        return Err(wrong("the security type is not offered"));
    }
    say(stream, &[kind]).await
}

/// From the result of the log-in to ServerInit; then the first request.
async fn enter(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    if hear::<4>(stream).await? != [0; 4] {
        return Err(wrong("not let in"));
    }
    say(stream, &[1]).await?;
    let mut init = [0; 24];
    stream.read_exact(&mut init).await?;
    let name = u32::from_be_bytes([init[20], init[21], init[22], init[23]]);
    let mut name = vec![0; name as usize];
    stream.read_exact(&mut name).await?;
    say(stream, WANTED).await
}
