//! Masks, capabilities and ids as JSON.

use serde_json::{Value, json};
use spice_proto::agent::{AnnounceCapabilities, caps};
use spice_proto::caps::{Capabilities, CapabilityWords, common, main};
use spice_proto::channel::display::Head;
use spice_proto::channel::display::draw::QMask;
use spice_proto::channel::display::shape::Point;
use spice_proto::channel::inputs::KeyModifiers;
use spice_proto::channel::main::MouseMode;
use spice_proto::ids::{
    AgentMouseButtons, ChannelType, CompositeFlags, CursorFlags, ImageType, KeyboardModifiers, MaskFlags, MigrateFlags,
    MonitorsFlags, MouseButtons, MouseModes, RopDescriptor, StreamFlags, SurfaceFlags,
};
use spice_proto::link::{LinkMess, LinkReply};

fn value(of: &impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

/// None, one, several, all and unknown bits have one form.
#[test]
fn a_mask_is_always_an_array() {
    for (mask, shown) in [
        (value(&KeyboardModifiers(0)), json!([])),
        (value(&KeyboardModifiers(1)), json!(["SCROLL_LOCK"])),
        (value(&KeyboardModifiers(6)), json!(["NUM_LOCK", "CAPS_LOCK"])),
        (
            value(&KeyboardModifiers(7)),
            json!(["SCROLL_LOCK", "NUM_LOCK", "CAPS_LOCK"]),
        ),
        (value(&KeyboardModifiers(0x42)), json!(["NUM_LOCK", "0x40"])),
        (value(&KeyboardModifiers(0xfff8)), json!(["0xfff8"])),
        (value(&MouseModes(3)), json!(["SERVER", "CLIENT"])),
        (value(&MouseButtons(5)), json!(["LEFT", "RIGHT"])),
        (value(&AgentMouseButtons(10)), json!(["LEFT", "RIGHT"])),
        (value(&MigrateFlags(3)), json!(["NEED_FLUSH", "NEED_DATA_TRANSFER"])),
        (value(&CursorFlags(2)), json!(["CACHE_ME"])),
        (value(&SurfaceFlags::PRIMARY), json!(["PRIMARY"])),
        (value(&StreamFlags(0x81)), json!(["TOP_DOWN", "0x80"])),
        (
            value(&MonitorsFlags(u32::MAX)),
            json!(["USE_POS", "PHYSICAL_SIZE", "0xfffffffc"]),
        ),
        (value(&RopDescriptor::OP_PUT), json!(["OP_PUT"])),
        // The operator of a composition has bits that are no names.
        (value(&CompositeFlags(0x8_0003)), json!(["HAS_MASK", "0x3"])),
    ] {
        assert_eq!(mask, shown);
    }
    // And in messages, whose other fields stay as they are.
    let modifiers = KeyModifiers {
        modifiers: KeyboardModifiers(3),
    };
    assert_eq!(value(&modifiers), json!({ "modifiers": ["SCROLL_LOCK", "NUM_LOCK"] }));
    let mode = MouseMode {
        supported_modes: MouseModes(3),
        current_mode: MouseModes::CLIENT,
    };
    assert_eq!(value(&mode)["current_mode"], json!(["CLIENT"]));
    let mask = QMask {
        flags: MaskFlags(0),
        pos: Point { x: 1, y: 2 },
        bitmap: None,
    };
    assert_eq!(value(&mask)["flags"], json!([]));
    let head = Head {
        monitor_id: 0,
        surface_id: 0,
        width: 1,
        height: 1,
        x: 0,
        y: 0,
        flags: 0x81,
    };
    assert_eq!(value(&head)["flags"], json!(["0x81"]));
    // What is one value of many is no mask.
    assert_eq!(value(&ImageType::QUIC), "QUIC");
    assert_eq!(value(&ImageType(77)), 77);
}

#[test]
fn capabilities_are_arrays_of_the_same_form() {
    let capabilities = Capabilities {
        common: CapabilityWords::of(&[common::AUTH_SASL, common::MINI_HEADER, 40]),
        channel: CapabilityWords::of(&[main::NAME_AND_UUID, 9]),
    };
    let named =
        json!({ "common": ["AUTH_SASL", "MINI_HEADER", "0x10000000000"], "channel": ["NAME_AND_UUID", "0x200"] });
    let message = LinkMess {
        connection_id: 7,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        capabilities: capabilities.clone(),
    };
    let shown = value(&message);
    assert_eq!(shown["capabilities"], named);
    assert_eq!(
        (&shown["connection_id"], &shown["channel_type"]),
        (&json!(7), &json!("MAIN"))
    );
    // A reply does not say what channel it is about, so only the common bits have names.
    let reply = LinkReply {
        capabilities,
        ..LinkReply::refusal(spice_proto::ids::LinkErrorCode::OK)
    };
    let unnamed = json!({ "common": named["common"], "channel": ["0x202"] });
    assert_eq!(value(&reply)["capabilities"], unnamed);
    assert_eq!(value(&Capabilities::default()), json!({ "common": [], "channel": [] }));

    let announce = AnnounceCapabilities {
        request: 1,
        caps: CapabilityWords::of(&[caps::CLIPBOARD_SELECTION, caps::CLIPBOARD_BY_DEMAND, 63]),
    };
    let names = json!(["CLIPBOARD_BY_DEMAND", "CLIPBOARD_SELECTION", "0x8000000000000000"]);
    assert_eq!(value(&announce), json!({ "request": 1, "caps": names }));
    assert_eq!(value(&caps::names(&announce.caps)), names);
    // Words that hold no bit are not shown, and those between are.
    assert_eq!(
        value(&CapabilityWords::of(&[1, 65]).with(96).without(96)),
        json!(["0x20000000000000002"])
    );
}
