//! What happens between the moment in which a guest's place is known and that in which its viewer is in.

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::authd::Authd;
use crate::program::Folder;

/// A way to a hypervisor on which nothing passes until it is opened.
struct Barrier {
    listener: TcpListener,
    port: u16,
}

impl Barrier {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// The connection that the gateway has made.
    async fn reached(&self) -> TcpStream {
        timeout(PATIENCE, self.listener.accept())
            .await
            .expect("a dial")
            .unwrap()
            .0
    }
}

/// Lets everything pass to the hypervisor at this port.
fn open_to(mut stream: TcpStream, port: u16) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut hypervisor = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut hypervisor).await;
    })
}

fn moves(service: &Service) {
    assert_eq!(call(service, "PUT /v1/guests/vm1/place", r#"{"place":1}"#).status, 204);
}

#[tokio::test]
async fn a_move_while_a_log_in_is_on_its_way_ends_the_session() {
    let (barrier, authd) = (Barrier::start().await, Authd::start(true));
    let folder = Folder::new();
    folder.write("mks.json", authd.access_path(&authd.thumbprint, "the-ticket"));
    let place = |port: u16| format!("host = \"127.0.0.1\"\nport = {port}\ninternal_access_path_file = \"mks.json\"");
    let places = format!(
        "{}\n[[guest.console.place]]\n{}",
        place(barrier.port),
        place(authd.port)
    );
    let guests = guest("vm1", "mks", &places);
    let service = Service::start_in(folder, &with("[tokens]\nreconnect_seconds = 30", &guests));
    let token = token(&service, r#"{"guest":"vm1","protocol":"mks"}"#);
    let (web, shown) = (service.web(), token.clone());
    let viewer = tokio::spawn(async move { websocket(web, &shown).await });
    let dialled = barrier.reached().await;
    moves(&service);
    let _way = open_to(dialled, authd.port);
    let mut socket = viewer.await.unwrap().expect("it is in");
    assert_eq!(close_code(&mut socket).await, Some(4410));
    soon("the end", || sessions(&service).is_empty()).await;
    let mut socket = websocket(web, &token).await.expect("the new place");
    assert_eq!(receive(&mut socket, 8).await, b"mks here");
}

#[tokio::test]
async fn a_move_in_the_middle_of_a_handshake_is_followed() {
    let (barrier, here, there) = (Barrier::start().await, fakes::vnc("here"), fakes::vnc("there"));
    let place = |port: u16| format!("host = \"127.0.0.1\"\nport = {port}\nauth = [\"none\"]");
    let places = format!("{}\n[[guest.console.place]]\n{}", place(barrier.port), place(there));
    let service = Service::start(&with_guests(&guest("vm1", "vnc", &places)));
    let token = token(&service, r#"{"guest":"vm1","protocol":"vnc"}"#);
    let mut socket = websocket(service.web(), &token).await.unwrap();
    let dialled = barrier.reached().await;
    moves(&service);
    let _way = open_to(dialled, here);
    vnc::desktop(&mut socket).await;
    let at = format!("127.0.0.1:{there}");
    soon("the new place", || {
        sessions(&service).iter().any(|session| session["place"] == at.as_str())
    })
    .await;
}

/// A gateway that is full says so before a viewer is let in, and the token is good afterwards.
#[tokio::test]
async fn a_full_gateway_takes_no_use() {
    let serial = fakes::Serial::start();
    let place = format!("host = \"127.0.0.1\"\nport = {}", serial.port);
    let (own, vnc) = (fakes::vnc("own"), guest("vm2", "vnc", ""));
    let vnc = vnc + &format!("host = \"127.0.0.1\"\nport = {own}\nauth = [\"none\"]\n");
    let guests = guest("vm1", "serial", &place) + &vnc;
    let service = Service::start(&with("[limits]\nopen = 1", &guests));
    let token = |guest: &str, protocol: &str| {
        let wanted = format!(r#"{{"guest":"{guest}","protocol":"{protocol}"}}"#);
        token(&service, &wanted)
    };
    let (picture, tunnel) = (token("vm2", "vnc"), token("vm2", "vnc"));
    let first = websocket(service.web(), &token("vm1", "serial"))
        .await
        .expect("a console");
    assert_eq!(websocket(service.web(), &picture).await.err(), Some(503));
    let authority = format!("127.0.0.1:{own}");
    let through = async || tunnels::connect(service.web(), &authority, tunnels::bearer(&tunnel)).await;
    assert_eq!(through().await.err(), Some(503));
    let refused = "console_gateway_refusals_total{reason=\"full\"} 2";
    let metrics = call(&service, "GET /metrics", "").body;
    assert!(metrics.contains(refused), "{metrics}");
    drop(first);
    soon("the end", || sessions(&service).is_empty()).await;
    let mut socket = websocket(service.web(), &picture).await.expect("the use is left");
    vnc::desktop(&mut socket).await;
    drop(socket);
    soon("the end", || sessions(&service).is_empty()).await;
    through().await.expect("the use is left");
}
