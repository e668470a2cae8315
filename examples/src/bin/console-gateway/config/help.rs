//! Every key, for people.

/// What `--help-config` prints.
pub(crate) const HELP: &str = r#"Paths count from the folder of the file. A secret is the first line of a file, or env:NAME in its place.

[api]                                   # for portals and operators
listen = "127.0.0.1:8774"
token_file = "api.token"                # sent as X-Auth-Token or Authorization: Bearer; at least 16 characters
certificate = "api.pem"                 # with private_key: TLS; without them only loopback addresses may be bound
private_key = "api.key"

[public]                                # what users are told: may differ from what is bound (NAT, load balancer)
url = "https://console.example.org"     # base of access URLs; left out: host and the port of web or web_plain
host = "console.example.org"            # in .vv files and migration messages
spice_port = 5900                       # of the listener `spice`; 0 or left out: none in .vv files;
spice_tls_port = 5901                   # of `spice_tls`;          "bound": the port that the listener got
host_subject = "CN=console.example.org" # of the certificate; may be left out
ca = "public-ca.pem"                    # goes into .vv files; needed with spice_tls_port

[listen]                                # each may be left out
spice = "0.0.0.0:5900"
spice_tls = "0.0.0.0:5901"
web = "0.0.0.0:443"                     # with TLS: pages, access URLs, WebSockets, HTTP CONNECT
web_plain = "127.0.0.1:6080"            # the same without TLS: for loopback, or for the peers of `forwarded`
vnc = "0.0.0.0:5910"                    # RFB for native viewers: VeNCrypt X509Plain; the token is user or password
gateways = "10.0.0.5:7000"              # for the other gateways of the store: SPICE channels whose session is here. Left out: a
                                        # port of the address by which this machine reaches the store; with memory: none
certificate = "server.pem"              # of spice_tls, web and vnc
private_key = "server.key"
proxy_protocol = ["10.0.0.0/8"]         # from these peers a PROXY header (v1, v2) comes first, or nothing is served
forwarded = ["10.0.0.0/8"]              # from these peers X-Forwarded-For, -Proto, -Host and -Port are believed
origins = ["https://portal.example.org"]  # whose pages may connect, beside those of the gateway

[store]                                 # may be left out, as each of its keys but for pepper_file
url = "memory"                          # or sqlite:gateway.db, postgres://.., redis://..
pepper_file = "pepper"                  # what tokens are hashed with: at least 32 bytes; needed for all but memory
gateway_id = "gw1"                      # unique among the gateways of one store; left out: made up

[tokens]
ttl_seconds = 600                       # unless a request says otherwise; at most a day
spice_ttl_seconds = 60                  # of the password inside a .vv
reconnect_seconds = 0                   # a session that broke may come again within this time

[operate]
audit = "audit.jsonl"                   # what happened to tokens and sessions; opened anew at SIGHUP
drain_seconds = 30                      # for open consoles, at SIGTERM
serial_ports = "10000:20000"            # handed out by POST /v1/serial-ports: the last one not

[limits]                                # of connections; left out: by the file descriptors that the process may have
accepted = 4096                         # that have said nothing yet: of the web listeners, and as many of SPICE and VNC
linked = 4096                           # that have said what they want, and shown no good token yet: the same
open = 16384                            # that were let in: two descriptors each
api = 64                                # to the API: without its token, and as many with it

[pages]                                 # folders; Debian's by default
novnc = "/usr/share/novnc"
spice_html5 = "/usr/share/spice-html5"
xterm = "/usr/share/nodejs/xterm"       # of Debian's node-xterm, or the package `xterm` of npm

[policy]                                # may be left out, as each of its keys; consoles and requests can only narrow it
view_only = false
clipboard = "both"                      # both, to-guest, from-guest, none
files = "both"                          # the same
withheld = ["usbredir", "webdav"]       # SPICE channels that no viewer gets

[[guest]]                               # a virtual machine
id = "52b2e44e-e561-464c-88f3-2fc6a1ecea2b"
name = "db-7"                           # may be left out
hypervisor_name = "instance-0000002a"   # by which its hypervisors know it; left out: name or id
project = "tenant-a"                    # may be left out
  [[guest.console]]                     # one for each that it has
  protocol = "spice"                    # spice, vnc, serial, mks
  require_tls = false                   # true: viewers without TLS are refused
    [[guest.console.place]]             # where it is (the first), and where this guest, and no other, may go
    host = "node1.internal"             # what is dialled
    announced = ["10.1.0.11"]           # other names under which hypervisors announce this host in a migration
    port = 5900
    tls_port = 5901                     # used when it is there; needs ca
    move_ports = "5900-5999"            # at which ports of this host a move may arrive; left out: port and tls_port
    ca = "hypervisors-ca.pem"
    host_subject = "CN=node1.internal"  # of its certificate; without it the name is checked
    ticket_file = "db-7.ticket"         # the hypervisor's own password: no tenant ever has it
    qmp = "unix:/run/qemu/db-7.qmp"     # QEMU's monitor: without ticket_file the gateway sets tickets there itself
    client_certificate = "gw.pem"       # for hypervisors that ask for the gateway's certificate
    client_key = "gw.key"
  [[guest.console]]
  protocol = "vnc"
    [guest.console.policy]              # of this console
    view_only = false
    [[guest.console.place]]
    host = "node1.internal"             # or unix = "/run/qemu/db-7.vnc"
    port = 5910
    auth = ["x509vnc", "vnc", "none"]   # what may be spoken, best first, and nothing else: x509plain, x509vnc, x509none, vnc, none
    user = "console"                    # for x509plain
    password_file = "db-7.vnc"          # without it, and with qmp: the viewer is asked for what was set over the API
    ca = "hypervisors-ca.pem"           # for x509
  [[guest.console]]
  protocol = "serial"                   # several: serial ports in order
    [[guest.console.place]]
    host = "127.0.0.1"                  # or unix
    port = 10000                        # or tls_port with ca
  [[guest.console]]
  protocol = "mks"
    [[guest.console.place]]
    host = "esx1.internal"
    port = 902
    internal_access_path_file = "mks.json"  # {"ticket","cfgFile","thumbprint"}; inline as internal_access_path without a ticket

[resolve]                               # consoles that are not in this file; may be left out
nova = { url = "https://nova.example/v2.1", token_file = "nova.token", ca = "ca.pem", protocol = "vnc" }
libvirt = { url = "https://resolver:8081/consoleresolver/", certificate = "c.pem", private_key = "k.pem", ca = "ca.pem" }
websockify = { path = "tokens.cfg", protocol = "vnc" }  # a token file, or a folder of them
allow = ["10.1.0.0/16:5900-5999"]       # where their answers may lead: NETWORK:PORT[-PORT], IPv6 in brackets
"#;
