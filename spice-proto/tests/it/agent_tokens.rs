//! Tokens of the agent: which side may send, what follows if it sends without one, and conversations that begin anew.

use bytes::Bytes;
use spice_proto::Limits;
use spice_proto::agent::{
    Agreed, AnnounceCapabilities, ClipboardRelease, Conversation, ConversationError, Delivery, Message, Pieces,
    TokenError, Tokens, caps,
};
use spice_proto::caps::CapabilityWords;
use spice_proto::channel::main::{AgentData, AgentDisconnected, AgentToken, ClientMessage, Init, ServerMessage, Uuid};
use spice_proto::ids::{AgentMessageType, LinkErrorCode, MouseModes};

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

fn announce(bits: &[u32]) -> Message {
    Message::AnnounceCapabilities(AnnounceCapabilities {
        request: 1,
        caps: CapabilityWords::of(bits),
    })
}

fn body(message: &Message) -> AgentData {
    let data = Pieces::new(message).unwrap().next().unwrap();
    AgentData { data }
}

#[test]
fn a_conversation_decodes_by_what_was_announced_before() {
    let release = Message::ClipboardRelease(ClipboardRelease { selection: None });
    let mut conversation = Conversation::new(&Limits::default());
    conversation.server_message(&init(1, 10), |_, _| ()).unwrap();
    let mut heard = Vec::new();
    let mut from_client = |message: ClientMessage| {
        conversation
            .client_message(&message, |_, message| heard.push(message))
            .map(|_| ())
    };
    from_client(ClientMessage::AgentStart(tokens(10))).unwrap();
    from_client(ClientMessage::AgentData(body(&release))).unwrap();
    from_client(ClientMessage::AgentData(body(&announce(&[caps::CLIPBOARD_SELECTION])))).unwrap();
    from_client(ClientMessage::AgentData(body(&release))).unwrap();
    assert_eq!(conversation.agreed(), Agreed::NOTHING);
    let both = announce(&[caps::CLIPBOARD_SELECTION, caps::REPLY]);
    let mut from_server = |message: ServerMessage| {
        conversation
            .server_message(&message, |_, message| heard.push(message))
            .unwrap();
    };
    from_server(ServerMessage::AgentData(body(&both)));
    // In the old form it is too short now, which does not end the conversation.
    from_server(ServerMessage::AgentData(body(&release)));
    assert_eq!(conversation.agreed(), Agreed::of(&[caps::CLIPBOARD_SELECTION]));
    assert_eq!(heard.len(), 5);
    assert_eq!(
        (&heard[0], &heard[2], &heard[3]),
        (&Ok(release.clone()), &Ok(release.clone()), &Ok(both))
    );
    let short = heard[4].as_ref().unwrap_err().to_string();
    assert_eq!(
        short,
        "ClipboardRelease.selection at byte 0: truncated: needs 1 bytes, 0 left"
    );
    // Another agent may know less.
    conversation.server_message(&gone(), |_, _| ()).unwrap();
    assert_eq!(conversation.agreed(), Agreed::NOTHING);
}

/// A client completes what it began, whatever becomes of the agent; the rest is thrown away, also when it comes
/// behind `AGENT_START`, where it costs tokens again.
#[test]
fn a_client_completes_what_it_began() {
    let long = Message::Unknown(crate::agent::frame(AgentMessageType(99), &[7; 3000]));
    let pieces: Vec<ClientMessage> = Pieces::new(&long)
        .unwrap()
        .map(|data| ClientMessage::AgentData(AgentData { data }))
        .collect();
    let [first, rest] = &pieces[..] else { panic!() };
    let start = ClientMessage::AgentStart(tokens(10));
    let connected = ServerMessage::AgentConnectedTokens(tokens(3));
    let begun = || {
        let mut conversation = Conversation::new(&Limits::default());
        conversation.server_message(&init(1, 10), |_, _| ()).unwrap();
        conversation.client_message(&start, |_, _| ()).unwrap();
        conversation.client_message(first, |_, _| panic!("not whole")).unwrap();
        conversation.server_message(&gone(), |_, _| ()).unwrap();
        conversation
    };
    let unheard = |_, _: Result<_, _>| panic!("of the old agent");
    for late in [false, true] {
        let mut conversation = begun();
        if !late {
            assert_eq!(
                conversation.client_message(rest, unheard),
                Ok(Some(Delivery::Discarded))
            );
        }
        conversation.server_message(&connected, |_, _| ()).unwrap();
        conversation.client_message(&start, |_, _| ()).unwrap();
        if late {
            assert_eq!(
                conversation.client_message(rest, unheard),
                Ok(Some(Delivery::Delivered))
            );
        }
        assert_eq!(conversation.tokens().client(), if late { 2 } else { 3 });
        let mut heard = 0;
        for piece in &pieces {
            let delivery = conversation.client_message(piece, |_, message| {
                assert_eq!(message, Ok(long.clone()));
                heard += 1;
            });
            assert_eq!(delivery, Ok(Some(Delivery::Delivered)));
        }
        assert_eq!(heard, 1);
    }
    // A new message in place of the rest: spice-server takes it for the rest, which it is too long for.
    let mut conversation = begun();
    conversation.server_message(&connected, |_, _| ()).unwrap();
    conversation.client_message(&start, |_, _| ()).unwrap();
    let error = conversation.client_message(first, unheard).unwrap_err();
    assert_eq!(
        error.to_string(),
        "AgentData.data at byte 972: 2048 is above the limit of 972"
    );
    // What begins while no agent is there is not for the next one, and has to keep to the rules.
    let mut conversation = Conversation::new(&Limits::default());
    assert_eq!(
        conversation.client_message(first, unheard),
        Ok(Some(Delivery::Discarded))
    );
    conversation.server_message(&connected, |_, _| ()).unwrap();
    conversation.client_message(&start, |_, _| ()).unwrap();
    assert_eq!(
        conversation.client_message(rest, unheard),
        Ok(Some(Delivery::Delivered))
    );
    conversation.server_message(&gone(), |_, _| ()).unwrap();
    let short = ClientMessage::AgentData(data());
    let error = conversation.client_message(&short, unheard).unwrap_err();
    assert!(matches!(error, ConversationError::Stream(_)));
}

/// An agent is there, but the client has not said `AGENT_START`: neither a whole message nor one that ends behind
/// it is heard.
#[test]
fn nothing_is_heard_before_the_start() {
    let unheard = |_, _: Result<_, _>| panic!("before the start");
    let mut conversation = Conversation::new(&Limits::default());
    conversation.server_message(&init(1, 10), |_, _| ()).unwrap();
    let discarded = Ok(Some(Delivery::Discarded));
    let whole = ClientMessage::AgentData(body(&announce(&[caps::REPLY])));
    assert_eq!(conversation.client_message(&whole, unheard), discarded);
    let long = Message::Unknown(crate::agent::frame(AgentMessageType(99), &[7; 3000]));
    let mut pieces = Pieces::new(&long)
        .unwrap()
        .map(|data| ClientMessage::AgentData(AgentData { data }));
    assert_eq!(conversation.client_message(&pieces.next().unwrap(), unheard), discarded);
    conversation
        .client_message(&ClientMessage::AgentStart(tokens(1)), |_, _| ())
        .unwrap();
    let delivered = Ok(Some(Delivery::Delivered));
    assert_eq!(conversation.client_message(&pieces.next().unwrap(), unheard), delivered);
    let mut heard = 0;
    assert_eq!(conversation.client_message(&whole, |_, _| heard += 1), delivered);
    assert_eq!((heard, conversation.tokens().client()), (1, 8));
}

/// spice-gtk forgets what was not over when the agent goes.
#[test]
fn a_server_begins_anew_with_the_agent() {
    let long = Message::Unknown(crate::agent::frame(AgentMessageType(99), &[7; 3000]));
    let pieces: Vec<ServerMessage> = Pieces::new(&long)
        .unwrap()
        .map(|data| ServerMessage::AgentData(AgentData { data }))
        .collect();
    let mut conversation = Conversation::new(&Limits::default());
    conversation.server_message(&init(1, 10), |_, _| ()).unwrap();
    let start = ClientMessage::AgentStart(tokens(2));
    conversation.client_message(&start, |_, _| ()).unwrap();
    conversation
        .server_message(&pieces[0], |_, _| panic!("not whole"))
        .unwrap();
    conversation.server_message(&gone(), |_, _| ()).unwrap();
    let discarded = conversation.server_message(&pieces[1], |_, _| panic!("not heard"));
    assert_eq!(discarded, Ok(Some(Delivery::Discarded)));
    conversation
        .server_message(&ServerMessage::AgentConnected, |_, _| ())
        .unwrap();
    conversation.client_message(&start, |_, _| ()).unwrap();
    let mut heard = 0;
    for piece in &pieces {
        conversation.server_message(piece, |_, _| heard += 1).unwrap();
    }
    assert_eq!((heard, conversation.tokens().server()), (1, 0));
    let overdrawn = conversation.server_message(&pieces[0], |_, _| ());
    assert_eq!(overdrawn, Err(ConversationError::Token(TokenError::ServerHasNone)));
}

#[test]
fn a_stream_that_nobody_would_read_ends_the_conversation() {
    let mut conversation = Conversation::new(&Limits::default());
    conversation.server_message(&init(1, 10), |_, _| ()).unwrap();
    conversation
        .client_message(&ClientMessage::AgentStart(tokens(10)), |_, _| ())
        .unwrap();
    let short = ClientMessage::AgentData(data());
    let error = conversation.client_message(&short, |_, _| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MessageHeader.protocol at byte 0: truncated: needs 4 bytes, 1 left"
    );
    assert!(matches!(error, ConversationError::Stream(_)));
    // From the server a beginning is enough.
    let short = ServerMessage::AgentData(data());
    assert_eq!(
        conversation.server_message(&short, |_, _| ()),
        Ok(Some(Delivery::Delivered))
    );
}
