//! A message of any channel as shakenfist-spice-protocol has it: that crate has a type for each, and none for all.

use benches::mix::MixedFrame;
use shakenfist_spice_protocol::messages::{self as theirs, WireType};
use shakenfist_spice_protocol::reader::LinkError;
use spice_proto::ids::ChannelType;

const MAIN: ChannelType = ChannelType::MAIN;
const DISPLAY: ChannelType = ChannelType::DISPLAY;
const INPUTS: ChannelType = ChannelType::INPUTS;
const CURSOR: ChannelType = ChannelType::CURSOR;

/// Channel (`_`: any), whether the server says it, and its number.
macro_rules! messages {
    ($($pattern:pat => $message:ident;)*) => {
        pub enum Message {
            $($message(theirs::$message),)*
        }

        impl Message {
            /// `None`: the crate has no type for it.
            pub fn decode(mixed: &MixedFrame) -> Option<Result<Self, LinkError>> {
                let body = &mixed.frame.body;
                match (mixed.channel, mixed.from_server, mixed.frame.header.number) {
                    $($pattern => Some(theirs::$message::decode(body).map(Self::$message)),)*
                    _ => None,
                }
            }

            pub fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$message(message) => message.write(out),)*
                }
            }
        }
    };
}

messages! {
    (_, true, 3) => SetAck;
    (_, true, 4) => Ping;
    (_, true, 7) => Notify;
    (_, false, 1) => AckSync;
    (_, false, 3) => Pong;
    (MAIN, true, 103) => MainInit;
    (MAIN, true, 104) => ChannelsList;
    (MAIN, true, 105) => MainMouseMode;
    (MAIN, true, 106) => MultiMediaTime;
    (MAIN, true, 110) => AgentTokens;
    (MAIN, false, 105) => MouseModeRequest;
    (DISPLAY, true, 123) => StreamData;
    (DISPLAY, true, 304) => DrawCopy;
    (DISPLAY, true, 314) => SurfaceCreate;
    (DISPLAY, true, 317) => DisplayMonitorsConfig;
    (DISPLAY, false, 101) => DisplayInit;
    (DISPLAY, false, 102) => StreamReport;
    (INPUTS, true, 101) => InputsInit;
    (INPUTS, true, 102) | (INPUTS, false, 103) => KeyModifiers;
    (INPUTS, false, 101 | 102) => KeyEvent;
    (INPUTS, false, 104) => KeyScancode;
    (INPUTS, false, 111) => MouseMotion;
    (INPUTS, false, 112) => MousePosition;
    (INPUTS, false, 113 | 114) => MouseButton;
    (CURSOR, true, 101) => CursorInit;
    (CURSOR, true, 103) => CursorSet;
    (CURSOR, true, 104) => CursorMove;
}
