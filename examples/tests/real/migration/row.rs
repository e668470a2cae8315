//! The cases: what a line of a table says.

use super::front::Fault;
use super::host::{Absent, Leg};
use super::links::to_client;
use super::scene::Scene;
use crate::engines;
use crate::process::Folder;
use crate::viewer::Desktop;

/// In which way the viewer follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It is connected before the guest has moved, and begins anew there.
    SemiSeamless,
    /// The same, and its channels go on where they were.
    Seamless,
    /// It is one that can do neither, and is sent away when the guest has moved.
    SwitchHost,
}

impl Kind {
    /// The message that tells the viewer so.
    pub(crate) fn message(self) -> u16 {
        match self {
            Self::SemiSeamless => to_client::MIGRATE_BEGIN,
            Self::Seamless => to_client::MIGRATE_BEGIN_SEAMLESS,
            Self::SwitchHost => to_client::MIGRATE_SWITCH_HOST,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Program {
    Spicy,
    RemoteViewer,
}

/// What the gateway was told of the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    Well,
    WithAnotherTicket,
    NotAtAll,
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) program: Program,
    /// Between viewer and gateway.
    pub(crate) viewer: Leg,
    /// Between gateway and hypervisors.
    pub(crate) hypervisors: Leg,
    /// Of the link to the target.
    pub(crate) fault: Option<Fault>,
    pub(crate) known: Known,
    pub(crate) absent: Absent,
    /// Whether there is a gateway: without one, the recorder is in front of the source itself.
    pub(crate) gateway: bool,
    /// How many gateways there are on one store: the recorder deals connections out to them in turn.
    pub(crate) gateways: usize,
    /// haproxy does so in its place, behind it, and the store is this engine. Without it, it is a file of SQLite.
    pub(crate) balanced: Option<engines::Kind>,
    /// Whether the guest has a VNC console too, behind haproxy and inside TLS.
    pub(crate) vnc: bool,
}

impl Row {
    pub(crate) fn new(kind: Kind, program: Program, viewer: Leg, hypervisors: Leg) -> Self {
        Self {
            kind,
            program,
            viewer,
            hypervisors,
            fault: None,
            known: Known::Well,
            absent: Absent::Zero,
            gateway: true,
            gateways: 1,
            balanced: None,
            vnc: false,
        }
    }

    /// Sets the scene, with the guest on the viewer's screen.
    pub(crate) fn play(&self, story: impl FnOnce(&mut Scene<'_>)) {
        let folder = Folder::new();
        let desktop = Desktop::start(&folder);
        let mut scene = Scene::start(self, &folder, &desktop);
        scene.takes_keys();
        scene.types("a");
        story(&mut scene);
        scene.was_dealt_out();
    }
}
