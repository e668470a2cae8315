//! A TCP proxy that cuts connections between a statement and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::race::MARK;

/// What it has done.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) statements: AtomicUsize,
    pub(crate) cut: AtomicUsize,
}

/// Starts one in front of an engine; its address. It ends with the runtime.
pub(crate) async fn start(engine: String) -> (String, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let counts = Arc::new(Counts::default());
    let shared = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (counts, engine) = (Arc::clone(&shared), engine.clone());
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(engine).await {
                    forward(client, server, &counts).await;
                }
            });
        }
    });
    (address, counts)
}

/// A statement that spends holds the attempt, in hexadecimal digits.
fn is_marked(bytes: &[u8]) -> bool {
    let mark: String = base16ct::lower::encode_string(&MARK);
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

async fn forward(mut client: TcpStream, mut server: TcpStream, counts: &Counts) {
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(len @ 1..) = read else { return };
                if server.write_all(&up[..len]).await.is_err() {
                    return;
                }
                if !is_marked(&up[..len]) {
                    continue;
                }
                // Every fourth: the engine has answered, and the answer is lost.
                if counts.statements.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
                    counts.cut.fetch_add(1, Ordering::Relaxed);
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(len @ 1..) = read else { return };
                if client.write_all(&down[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}
