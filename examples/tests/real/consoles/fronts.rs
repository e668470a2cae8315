//! nginx before the gateway, which ends TLS there: with the PROXY protocol, and with `X-Forwarded-For`. And OpenStack's own
//! client, which asks the API for a console as it asks Nova.

use std::net::SocketAddr;

use super::{LISTENERS, at, certificate, console, guest, still, vnc_server};
use crate::devtools::Browser;
use crate::gateway::{BEARER, Gateway};
use crate::ports::free_port;
use crate::process::{Folder, Process, wait_for};

/// From where nginx connects: what comes from there is believed, and nothing else.
const FROM: &str = "127.0.0.9";

/// nginx that takes TLS at two ports: one passes bytes on behind a PROXY header, the other requests.
fn nginx(folder: &Folder, web: SocketAddr, proxied: SocketAddr, forwarded: SocketAddr) -> Process {
    let tls = "ssl_certificate front/server-cert.pem; ssl_certificate_key front/server-key.pem;";
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
stream {{
    server {{ listen {proxied} ssl; {tls} proxy_bind {FROM}; proxy_protocol on; proxy_pass {web}; }}
}}
http {{
    access_log off; client_body_temp_path nginx-body; proxy_temp_path nginx-proxy;
    server {{
        listen {forwarded} ssl; {tls}
        location / {{
            proxy_bind {FROM}; proxy_pass http://{web}; proxy_http_version 1.1;
            proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        }}
    }}
}}
"
    );
    let file = folder.write("nginx.conf", text);
    let process = Process::start(folder, "nginx", "/usr/sbin/nginx", |command| {
        command.arg("-p").arg(folder.path()).arg("-c").arg(file);
    });
    wait_for("nginx", || std::net::TcpStream::connect(forwarded).ok());
    process
}

/// A browser that reaches the gateway over nginx, whichever way, shows the guest, and the gateway knows where the browser
/// is: not at nginx.
fn is_seen_behind_nginx(key: &str, which: usize) {
    let folder = Folder::new();
    let mut address = None;
    let mut host = still(&folder, "qemu", |command| {
        command.args(["-vga", "std"]);
        address = Some(vnc_server(command, ",share=ignore"));
    });
    let expected = host.picture();
    certificate(&folder);
    let ports = [free_port(), free_port()];
    let vm = guest("vm", "vnc", &[at(address.expect("an address")) + "auth = [\"none\"]\n"]);
    let listeners = LISTENERS
        .replace("[public]\n", &format!("[public]\nurl = \"https://{}\"\n", ports[which]))
        .replace("[listen]\n", &format!("[listen]\n{key} = [\"{FROM}/32\"]\n"));
    let gateway = Gateway::start(&folder, &(listeners + &vm));
    let web = gateway.websocket.expect("the web listener");
    let _nginx = nginx(&folder, web, ports[0], ports[1]);
    let access = gateway.access("vm", "vnc", "novnc");
    assert!(access.url.starts_with("https://"), "{}", access.url);
    let mut browser = Browser::open(&folder, "nginx", &access.url);
    browser.shows(&expected);
    let (_, sessions) = gateway.call("GET /v1/sessions", "", "");
    let sessions: serde_json::Value = serde_json::from_str(&sessions).expect("JSON");
    let peer = sessions["sessions"][0]["peer"].as_str().expect("a peer").to_owned();
    assert!(peer.starts_with("127.0.0.1"), "{peer}");
}

#[test]
#[ignore = "needs QEMU, Chromium, noVNC and nginx"]
fn nginx_with_the_proxy_protocol() {
    is_seen_behind_nginx("proxy_protocol", 0);
}

#[test]
#[ignore = "needs QEMU, Chromium, noVNC and nginx"]
fn nginx_with_x_forwarded_for() {
    is_seen_behind_nginx("forwarded", 1);
}

/// `openstack console url show` finds the server by its name, and gets the URL of each kind of console that it has.
#[test]
#[ignore = "needs python3-openstackclient"]
fn openstack_console_url_show() {
    let folder = Folder::new();
    certificate(&folder);
    folder.write("ticket", "hypervisors-own");
    let named = "[[guest]]\nid = \"52b2e44e-e561-464c-88f3-2fc6a1ecea2b\"\nname = \"db-7\"\n";
    let consoles = [
        ("vnc", "auth = [\"none\"]\n"),
        ("spice", "ticket_file = \"ticket\"\n"),
        ("serial", ""),
    ];
    let consoles = consoles.map(|(protocol, more)| console(protocol, &[at(free_port()) + more]));
    let vm = named.to_owned() + &consoles.concat();
    let gateway = Gateway::start(&folder, &(LISTENERS.to_owned() + &vm));
    let web = gateway.websocket.expect("the web listener");
    for (version, option, page) in [
        ("2.1", "--novnc", "vnc_lite.html?path=%3Ftoken%3D"),
        ("2.8", "--novnc", "vnc_lite.html?path=%3Ftoken%3D"),
        ("2.90", "--novnc", "vnc_lite.html?path=%3Ftoken%3D"),
        ("2.90", "--spice", "spice_auto.html?token="),
        ("2.90", "--serial", "serial.html?token="),
    ] {
        let name = format!("openstack-{version}{option}");
        let (status, said) = Process::run(&folder, &name, "openstack", |command| {
            command
                .args(["--os-auth-type", "admin_token", "--os-token", BEARER])
                .args(["--os-endpoint", &format!("http://{}/v2.1", gateway.api)])
                .args(["--os-compute-api-version", version])
                .args(["console", "url", "show", option, "-f", "value", "-c", "url", "db-7"]);
        });
        assert_eq!(status, Some(0), "{name}: {said}");
        assert!(said.contains(&format!("http://{web}/{page}")), "{name}: {said}");
    }
}
