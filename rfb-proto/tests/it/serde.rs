//! Ids and pixel formats as JSON.

use rfb_proto::PixelFormat;
use rfb_proto::encoding::Encoding;
use rfb_proto::message::XvpCode;
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
