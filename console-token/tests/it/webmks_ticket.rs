//! Tickets of VMware, and their two JSON forms.

use console_token::Secret;
use console_token::webmks::{MksTicket, Thumbprint, TicketError};
use expect_test::expect;
use proptest::prelude::*;

/// `hashlib.sha1(b"certificate").hexdigest()`.
const SHA1: &str = "735ad571c189d7ba84464bf4a9f1d2280175b128";

fn ticket(cfg_file: &str) -> Result<MksTicket, TicketError> {
    let ticket = Secret::presented(b"52b5ae81-8d36-1a2f-0c3b-3d2a4c1e0f9d").unwrap();
    MksTicket::new(ticket, cfg_file, Thumbprint::of(b"certificate"))
}

#[test]
fn thumbprints() {
    let thumbprint = Thumbprint::of(b"certificate");
    let plain = thumbprint.to_string();
    assert_eq!(plain, SHA1);
    let colons = format!("{thumbprint:#}");
    assert_eq!(colons.replace(':', "").to_lowercase(), plain);
    assert_eq!(colons.split(':').map(str::len).collect::<Vec<_>>(), [2; 20]);
    for text in [&plain, &colons, &plain.to_uppercase(), &colons.to_lowercase()] {
        assert_eq!(text.parse(), Ok(thumbprint), "{text}");
    }
    let wrong_place = format!("{}:{}", &plain[..3], &plain[3..]);
    let non_ascii = format!("{}é", &plain[..38]);
    for text in [
        "",
        ":",
        &plain[..38],
        &colons[..56],
        &colons[..59 - 1],
        &wrong_place,
        &non_ascii,
    ] {
        assert_eq!(text.parse::<Thumbprint>(), Err(TicketError::Thumbprint), "{text}");
    }
    for text in [
        format!("{plain}00"),
        format!("{colons}:00"),
        format!("{colons}:"),
        format!("+{}", &plain[1..]),
    ] {
        assert_eq!(text.parse::<Thumbprint>(), Err(TicketError::Thumbprint), "{text}");
    }
    assert_eq!(format!("{thumbprint:?}"), format!("Thumbprint({plain})"));
    assert_eq!(thumbprint.as_bytes()[..2], [0x73, 0x5a]);
}

/// It is sent in a line of text, which it must not end.
#[test]
fn a_path_is_one_line() {
    for path in ["/vmfs/volumes/5b/a b/é.vmx", "[datastore1] vm/vm.vmx", &"x".repeat(255)] {
        let ticket = ticket(path).unwrap();
        assert_eq!(ticket.cfg_file(), path);
        assert_eq!(ticket.thumbprint(), Thumbprint::of(b"certificate"));
        assert_eq!(ticket.ticket().expose().len(), 36);
    }
    for path in ["", "a\r\nPASS b", "a\n", "a\0", "\u{85}", &"x".repeat(256)] {
        assert_eq!(ticket(path).unwrap_err(), TicketError::CfgFile, "{path:?}");
    }
    assert!(!format!("{:?}", ticket("x")).contains("52b5ae81"));
}

#[test]
fn texts() {
    let texts = [
        TicketError::Thumbprint,
        TicketError::CfgFile,
        TicketError::Ticket,
        TicketError::Json,
    ];
    expect![[r#"
        not the thumbprint of a certificate
        not the path of a configuration
        not the form of a ticket
        not the JSON of a ticket"#]]
    .assert_eq(&texts.map(|error| error.to_string()).join("\n"));
}

#[cfg(feature = "serde")]
mod json {
    use console_token::AccessPath;
    use console_token::webmks::ConnectInfo;

    use super::*;

    /// As Nova's driver writes it: `jsonutils.dumps` puts a space behind `:` and `,`.
    #[test]
    fn an_access_path() {
        let text = format!(
            r#"{{"ticket": "52b5ae81-8d36-1a2f-0c3b-3d2a4c1e0f9d", "cfgFile": "[d\u00e9] vm/\"vm\".vmx", "thumbprint": "{SHA1}"}}"#
        );
        let read = MksTicket::from_access_path(&AccessPath::new(text)).unwrap();
        assert_eq!(read, ticket("[dé] vm/\"vm\".vmx").unwrap());
        let written = read.to_access_path();
        assert_eq!(
            written.expose(),
            format!(
                r#"{{"ticket":"52b5ae81-8d36-1a2f-0c3b-3d2a4c1e0f9d","cfgFile":"[dé] vm/\"vm\".vmx","thumbprint":"{SHA1}"}}"#
            )
        );
        assert_eq!(MksTicket::from_access_path(&written), Ok(read));
    }

    #[test]
    fn what_is_no_ticket() {
        let good = format!(r#"{{"ticket":"t","cfgFile":"c","thumbprint":"{SHA1}"}}"#);
        let of = |text: &str| MksTicket::from_access_path(&AccessPath::new(text)).map(|_| ());
        assert_eq!(of(&good), Ok(()));
        assert_eq!(of(&good.replace("{", r#"{"more":[{}],"#)), Ok(()));
        let deep = "[".repeat(100_000);
        for (text, error) in [
            (good.replace(r#""t""#, r#""""#), TicketError::Ticket),
            (good.replace(r#""t""#, r#""t\r\nQUIT""#), TicketError::Ticket),
            (good.replace(r#""t""#, "null"), TicketError::Json),
            (good.replace(r#""c""#, r#""c\r\nQUIT""#), TicketError::CfgFile),
            (good.replace(SHA1, "00"), TicketError::Thumbprint),
            (good.replace("ticket", "Ticket"), TicketError::Json),
            (good.replace("{", r#"{"ticket":"u","#), TicketError::Json),
            (format!("{good} x"), TicketError::Json),
            (good.replace(r#""c""#, &deep), TicketError::Json),
            (good.replace(r#""c""#, &deep[..2000]), TicketError::Json),
            (good.replace('{', &format!("{{{}", " ".repeat(5000))), TicketError::Json),
            ("[]".into(), TicketError::Json),
            ("/not/json".into(), TicketError::Json),
            (String::new(), TicketError::Json),
        ] {
            assert_eq!(of(&text), Err(error), "{}", &text[..text.len().min(200)]);
        }
    }

    /// All seven fields of the specification.
    #[test]
    fn connect_info() {
        let info = ConnectInfo {
            host: "vc.example".into(),
            port: ConnectInfo::PORT_WSS,
            vm_id: "vm-42".into(),
            vm_name: "a \"b\" \u{1}é".into(),
            vc_fqdn: "vc.example".into(),
            session_ticket: Secret::presented(b"cst-VCT-52a7--tp-6B-1E").unwrap(),
            thumbprint: Thumbprint::of(b"certificate"),
        };
        let json = info.to_json();
        expect![[r#"{"host":"vc.example","port":7343,"vmId":"vm-42","vmName":"a \"b\" \u0001é","vcFQDN":"vc.example","sessionTicket":"cst-VCT-52a7--tp-6B-1E","thumbprint":"73:5A:D5:71:C1:89:D7:BA:84:46:4B:F4:A9:F1:D2:28:01:75:B1:28"}"#]].assert_eq(&json);
        assert_eq!(ConnectInfo::from_json(&json), Ok(info));
        for name in [
            "host",
            "port",
            "vmId",
            "vmName",
            "vcFQDN",
            "sessionTicket",
            "thumbprint",
        ] {
            let less = json.replace(&format!("\"{name}\""), "\"other\"");
            assert_eq!(ConnectInfo::from_json(&less), Err(TicketError::Json), "{name}");
        }
        for (from, to, error) in [
            ("7343", "65536", TicketError::Json),
            ("7343", "-1", TicketError::Json),
            ("7343", "\"7343\"", TicketError::Json),
            ("cst-VCT", "cst VCT", TicketError::Ticket),
            ("73:", "73", TicketError::Thumbprint),
        ] {
            assert_eq!(ConnectInfo::from_json(&json.replace(from, to)), Err(error), "{to}");
        }
    }

    proptest! {
        #[test]
        fn tickets_round_trip(ticket in "[!-~]{1,256}", cfg_file in r"\PC{1,60}", certificate: Vec<u8>) {
            let ticket = Secret::presented(ticket.as_bytes()).unwrap();
            let Ok(made) = MksTicket::new(ticket, cfg_file, Thumbprint::of(&certificate)) else { return Ok(()) };
            let path = made.to_access_path();
            let value: serde_json::Value = serde_json::from_str(path.expose()).unwrap();
            prop_assert_eq!(value["cfgFile"].as_str(), Some(made.cfg_file()));
            prop_assert_eq!(value["ticket"].as_str(), Some(made.ticket().expose()));
            prop_assert_eq!(MksTicket::from_access_path(&path), Ok(made));
        }

        #[test]
        fn any_access_path(text in r#"\PC{0,60}|\{("ticket"|"cfgFile"|"thumbprint"|:|,|"a"|\\u00e9|\}){0,12}"#) {
            let _ = MksTicket::from_access_path(&AccessPath::new(text.as_str()));
            let _ = ConnectInfo::from_json(&text);
        }
    }
}

proptest! {
    #[test]
    fn thumbprints_round_trip(certificate: Vec<u8>) {
        let thumbprint = Thumbprint::of(&certificate);
        prop_assert_eq!(thumbprint.to_string().parse(), Ok(thumbprint));
        prop_assert_eq!(format!("{thumbprint:#}").parse(), Ok(thumbprint));
    }

    #[test]
    fn any_thumbprint(text in r"\PC{0,60}|([0-9a-fA-F]{2}:?){18,22}") {
        if let Ok(thumbprint) = text.parse::<Thumbprint>() {
            prop_assert_eq!(thumbprint.to_string(), text.replace(':', "").to_lowercase());
        }
    }
}
