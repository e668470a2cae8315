//! Ids and pixel formats as JSON.

use rfb_proto::PixelFormat;
use rfb_proto::encoding::Encoding;
use rfb_proto::message::pseudo::LedState;
use rfb_proto::message::{ClipboardFlags, ExtendedClipboard, Extensions, FenceFlags, PointerEvent, Screen, XvpCode};
use rfb_proto::security::SecurityType;

#[test]
fn ids_are_names_or_numbers() {
    for (encoding, json) in [
        (Encoding::TIGHT, "\"Tight\""),
        (Encoding::EXTENDED_CLIPBOARD, "\"Extended Clipboard\""),
        (Encoding(-9999), "-9999"),
        (Encoding(9999), "9999"),
    ] {
        assert_eq!(serde_json::to_string(&encoding).unwrap(), json);
        assert_eq!(serde_json::from_str::<Encoding>(json).unwrap(), encoding);
        assert_eq!(
            serde_json::from_str::<Encoding>(&encoding.0.to_string()).unwrap(),
            encoding
        );
    }
    assert_eq!(
        serde_json::from_str::<SecurityType>("\"VeNCrypt\"").unwrap(),
        SecurityType::VENCRYPT
    );
    for wrong in ["256", "-1", "\"off\"", "1.5", "null"] {
        assert!(serde_json::from_str::<XvpCode>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn pixel_formats_are_their_fields() {
    let json = serde_json::to_value(PixelFormat::RGB888).unwrap();
    assert_eq!(json["bits_per_pixel"], 32);
    assert_eq!(json["red_shift"], 16);
    let mut shorter = json.clone();
    shorter.as_object_mut().unwrap().remove("padding");
    for json in [json, shorter] {
        assert_eq!(
            serde_json::from_value::<PixelFormat>(json).unwrap(),
            PixelFormat::RGB888
        );
    }
}

/// None, one, several, all and unknown bits have one form, and are read from it.
#[test]
fn a_mask_is_always_an_array() {
    for (mask, json) in [
        (0, r#"[]"#),
        (1, r#"["BlockBefore"]"#),
        (0x8000_0005, r#"["BlockBefore","SyncNext","Request"]"#),
        (0x12, r#"["BlockAfter","0x10"]"#),
        (
            u32::MAX,
            r#"["BlockBefore","BlockAfter","SyncNext","Request","0x7ffffff8"]"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&FenceFlags(mask)).unwrap(), json);
        for json in [json, &mask.to_string()] {
            assert_eq!(
                serde_json::from_str::<FenceFlags>(json).unwrap(),
                FenceFlags(mask),
                "{json}"
            );
        }
    }
    for wrong in [
        "[\"Request\", \"none\"]",
        "\"Request\"",
        "-1",
        "4294967296",
        "[1]",
        "[\"0x100000000\"]",
        "null",
    ] {
        assert!(serde_json::from_str::<FenceFlags>(wrong).is_err(), "{wrong}");
    }
    assert!(serde_json::from_str::<LedState>("[\"caps\", \"0x100\"]").is_err());
    assert_eq!(serde_json::to_string(&LedState(6)).unwrap(), r#"["num","caps"]"#);

    let flags = ClipboardFlags::NOTIFY.with(ClipboardFlags::TEXT);
    let notify = serde_json::to_value(ExtendedClipboard::Notify { flags }).unwrap();
    assert_eq!(notify["Notify"]["flags"], serde_json::json!(["text", "notify"]));
    for (buttons, names) in [
        (0, &[][..]),
        (1, &["left"]),
        (5, &["left", "right"]),
        (0x18, &["wheel up", "wheel down"]),
        (0x83, &["left", "middle", "back"]),
    ] {
        let event = PointerEvent::new(buttons, 3, 4, &Extensions::NONE);
        assert_eq!(
            serde_json::to_value(event).unwrap()["buttons"],
            serde_json::json!(names)
        );
    }
    let all = PointerEvent::new(0x7fff, 3, 4, &Extensions::ALL);
    let shown = serde_json::to_value(all).unwrap();
    assert_eq!(shown["buttons"].as_array().unwrap().last().unwrap(), "0x7e00");
    assert_eq!(shown["x"], 3);
    let screen = Screen {
        id: 1,
        x: 0,
        y: 0,
        width: 640,
        height: 480,
        flags: 3,
    };
    assert_eq!(
        serde_json::to_value(screen).unwrap()["flags"],
        serde_json::json!(["0x3"])
    );
}
