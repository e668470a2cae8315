//! Tokens: who may send, and what happens to those who do so without.

use bytes::Bytes;
use spice_proto::agent::{Delivery, TokenError, Tokens};
use spice_proto::channel::main::{AgentData, AgentDisconnected, AgentToken, ClientMessage, Init, ServerMessage, Uuid};
use spice_proto::ids::{LinkErrorCode, MouseModes};

fn init(agent_connected: u32, agent_tokens: u32) -> ServerMessage {
    ServerMessage::Init(Init {
        session_id: 1,
        display_channels_hint: 1,
        supported_mouse_modes: MouseModes::SERVER,
        current_mouse_mode: MouseModes::SERVER,
        agent_connected,
        agent_tokens,
        multi_media_time: 0,
        ram_hint: 0,
    })
}

fn gone() -> ServerMessage {
    ServerMessage::AgentDisconnected(AgentDisconnected {
        error_code: LinkErrorCode::OK,
    })
}

fn data() -> AgentData {
    AgentData {
        data: Bytes::from_static(b"x"),
    }
}

fn tokens(num_tokens: u32) -> AgentToken {
    AgentToken { num_tokens }
}

#[test]
fn each_side_spends_what_the_other_gave() {
    let mut account = Tokens::new();
    assert_eq!(account.server_message(&init(1, 2)), Ok(None));
    assert_eq!(account.client_message(&ClientMessage::AgentStart(tokens(1))), Ok(None));
    assert!(account.is_connected() && account.is_started());
    assert_eq!((account.client(), account.server()), (2, 1));
    for left in [1, 0] {
        let spent = account.client_message(&ClientMessage::AgentData(data()));
        assert_eq!((spent, account.client()), (Ok(Some(Delivery::Delivered)), left));
    }
    let before = account.clone();
    let overdrawn = account.client_message(&ClientMessage::AgentData(data()));
    assert_eq!((overdrawn, &account), (Err(TokenError::ClientHasNone), &before));
    account.server_message(&ServerMessage::AgentToken(tokens(5))).unwrap();
    assert_eq!(account.client(), 5);

    let spent = account.server_message(&ServerMessage::AgentData(data()));
    assert_eq!(spent, Ok(Some(Delivery::Delivered)));
    let overdrawn = account.server_message(&ServerMessage::AgentData(data()));
    assert_eq!(overdrawn, Err(TokenError::ServerHasNone));
    account.client_message(&ClientMessage::AgentToken(tokens(3))).unwrap();
    assert_eq!(account.server(), 3);
    // Messages about something else.
    let uuid = ServerMessage::Uuid(Uuid { uuid: [0; 16] });
    assert_eq!(account.server_message(&uuid), Ok(None));
    assert_eq!(account.client_message(&ClientMessage::AttachChannels), Ok(None));
}

#[test]
fn without_an_agent_nothing_is_delivered() {
    let mut account = Tokens::new();
    account.server_message(&init(0, 10)).unwrap();
    assert!(!account.is_connected());
    for message in [
        ClientMessage::AgentStart(tokens(9)),
        ClientMessage::AgentToken(tokens(9)),
    ] {
        assert_eq!(account.client_message(&message), Ok(None));
        assert_eq!((account.server(), account.is_started()), (0, false));
    }
    let discarded = account.client_message(&ClientMessage::AgentData(data()));
    assert_eq!((discarded, account.client()), (Ok(Some(Delivery::Discarded)), 10));
}

/// What was in flight when the agent went away is thrown away by the receiver, also when another one came.
#[test]
fn data_in_flight_is_discarded() {
    let mut account = Tokens::new();
    account.server_message(&init(1, 10)).unwrap();
    account
        .client_message(&ClientMessage::AgentStart(tokens(u32::MAX)))
        .unwrap();
    account.server_message(&gone()).unwrap();
    let discarded = Ok(Some(Delivery::Discarded));
    assert_eq!(account.client_message(&ClientMessage::AgentData(data())), discarded);
    assert_eq!(account.server_message(&ServerMessage::AgentData(data())), discarded);
    account
        .server_message(&ServerMessage::AgentConnectedTokens(tokens(7)))
        .unwrap();
    assert_eq!(account.client_message(&ClientMessage::AgentData(data())), discarded);
    assert_eq!(account.client(), 7);
    let early = account.client_message(&ClientMessage::AgentToken(tokens(1)));
    assert_eq!(early, Err(TokenError::NotStarted));
    account.client_message(&ClientMessage::AgentStart(tokens(4))).unwrap();
    assert_eq!(account.server(), 4, "the new number replaces what was left");
    let delivered = Ok(Some(Delivery::Delivered));
    assert_eq!(account.client_message(&ClientMessage::AgentData(data())), delivered);
    assert_eq!(account.server_message(&ServerMessage::AgentData(data())), delivered);
}

/// `AGENT_CONNECTED` names no number: the client goes on with what it has.
#[test]
fn the_old_way_to_connect() {
    let mut account = Tokens::new();
    account.server_message(&init(1, 10)).unwrap();
    account.client_message(&ClientMessage::AgentStart(tokens(1))).unwrap();
    account.client_message(&ClientMessage::AgentData(data())).unwrap();
    account.server_message(&gone()).unwrap();
    account.server_message(&ServerMessage::AgentConnected).unwrap();
    assert_eq!(
        (account.client(), account.is_connected(), account.is_started()),
        (9, true, false)
    );
}

#[test]
fn accounts_do_not_overflow() {
    let mut account = Tokens::new();
    account.connect(Some(u32::MAX));
    account.start(u32::MAX);
    for _ in 0..5 {
        account.server_gives(u32::MAX);
        account.client_gives(u32::MAX).unwrap();
    }
    assert_eq!(account.client(), 6 * u64::from(u32::MAX));
    assert_eq!(account.server(), 6 * u64::from(u32::MAX));
}

#[test]
fn texts() {
    let texts = [
        TokenError::ClientHasNone,
        TokenError::ServerHasNone,
        TokenError::NotStarted,
    ]
    .map(|e| e.to_string());
    assert_eq!(
        texts,
        [
            "the client sent AGENT_DATA without a token",
            "the server sent AGENT_DATA without a token",
            "the client gave tokens before AGENT_START",
        ]
    );
}
