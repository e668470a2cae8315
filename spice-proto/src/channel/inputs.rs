//! The inputs channel: keyboard and pointer.

use crate::channel::{common, messages};
use crate::fields::layout;
use crate::ids::{KeyboardModifiers, MouseButton, MouseButtons, ScanCode};

messages! {
    /// Messages of the inputs channel from server to client.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_INPUTS_INIT`: the first message.
        101 INIT => Init(Init),
        /// `SPICE_MSG_INPUTS_KEY_MODIFIERS`.
        102 KEY_MODIFIERS => KeyModifiers(KeyModifiers, shared),
        /// `SPICE_MSG_INPUTS_MOUSE_MOTION_ACK`: four motions or positions were taken.
        111 MOUSE_MOTION_ACK => MouseMotionAck,
    }
}

messages! {
    /// Messages of the inputs channel from client to server.
    pub enum ClientMessage: common common::ClientMessage {
        /// `SPICE_MSGC_INPUTS_KEY_DOWN`.
        101 KEY_DOWN => KeyDown(Key, shared),
        /// `SPICE_MSGC_INPUTS_KEY_UP`.
        102 KEY_UP => KeyUp(Key, shared),
        /// `SPICE_MSGC_INPUTS_KEY_MODIFIERS`.
        103 KEY_MODIFIERS => KeyModifiers(KeyModifiers, shared),
        /// `SPICE_MSGC_INPUTS_KEY_SCANCODE`.
        104 KEY_SCANCODE => KeyScancode(KeyScancode),
        /// `SPICE_MSGC_INPUTS_MOUSE_MOTION`.
        111 MOUSE_MOTION => MouseMotion(MouseMotion),
        /// `SPICE_MSGC_INPUTS_MOUSE_POSITION`.
        112 MOUSE_POSITION => MousePosition(MousePosition),
        /// `SPICE_MSGC_INPUTS_MOUSE_PRESS`.
        113 MOUSE_PRESS => MousePress(MouseClick, shared),
        /// `SPICE_MSGC_INPUTS_MOUSE_RELEASE`.
        114 MOUSE_RELEASE => MouseRelease(MouseClick, shared),
    }
}

layout! {
    /// The locks of the guest's keyboard, at first.
    pub struct Init {
        /// Those that are on.
        keyboard_modifiers: KeyboardModifiers,
    }
}

layout! {
    /// The locks of the keyboard.
    pub struct KeyModifiers {
        /// Those that are on.
        modifiers: KeyboardModifiers,
    }
}

layout! {
    /// A key went down or up.
    pub struct Key {
        /// Up to four bytes of PC scan code, the first one lowest.
        code: u32,
    }
}

impl Key {
    /// The key of this scan code (set 1, as of a PC/AT's keyboard) goes down, for [`ClientMessage::KeyDown`].
    /// `extended`: the code has 0xe0 in front of it.
    #[must_use]
    pub const fn down(code: u8, extended: bool) -> Self {
        Self::bytes(code & !ScanCode::RELEASED.0, extended)
    }

    /// As [`Key::down`]; the key goes up, for [`ClientMessage::KeyUp`].
    #[must_use]
    pub const fn up(code: u8, extended: bool) -> Self {
        Self::bytes(code | ScanCode::RELEASED.0, extended)
    }

    const fn bytes(code: u8, extended: bool) -> Self {
        let bytes = if extended {
            [ScanCode::EXTENDED.0, code, 0, 0]
        } else {
            [code, 0, 0, 0]
        };
        Self {
            code: u32::from_le_bytes(bytes),
        }
    }
}

layout! {
    /// Scan codes as they come from a keyboard.
    pub struct KeyScancode {
        ;
        /// The bytes.
        data: rest,
    }
}

layout! {
    /// The pointer moved by so much (server mode).
    pub struct MouseMotion {
        /// Pixels to the right.
        dx: i32,
        /// Pixels down.
        dy: i32,
        /// Buttons that are down.
        buttons_state: MouseButtons,
    }
}

layout! {
    /// The pointer is there (client mode).
    pub struct MousePosition {
        /// Pixels from the left of the display.
        x: u32,
        /// Pixels from its top.
        y: u32,
        /// Buttons that are down.
        buttons_state: MouseButtons,
        /// The display.
        display_id: u8,
    }
}

layout! {
    /// A button went down or up.
    pub struct MouseClick {
        /// The button.
        button: MouseButton,
        /// Buttons that are down.
        buttons_state: MouseButtons,
    }
}
