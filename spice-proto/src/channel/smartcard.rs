//! The smartcard channel: cards in readers at the client.

use crate::channel::{common, messages};
use crate::fields::layout;
use crate::ids::VscMessageType;

messages! {
    /// Messages of the smartcard channel from server to client.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_SMARTCARD_DATA`.
        101 DATA => Data(Data),
    }
}

messages! {
    /// Messages of the smartcard channel from client to server.
    pub enum ClientMessage: common common::ClientMessage {
        /// `SPICE_MSGC_SMARTCARD_DATA`.
        101 DATA => Data(Data, shared),
    }
}

layout! {
    /// A message of the virtual smart card protocol (`VSCMsgHeader` and what follows it).
    pub struct Data {
        /// Its kind, which tells what the data are.
        r#type: VscMessageType,
        /// The reader that it is about.
        reader_id: u32;
        length: u32,
        /// The data.
        data: [u8],
    }
}
