//! Loads recordings: the folder in `SPICE_CAPTURES`, or the copy in `tests/data`.

use std::path::{Path, PathBuf};

use spice_proto::frame::HeaderForm;
use spice_proto::link::{LinkHeader, LinkMess, LinkReply};
use spice_proto::{Limits, caps};

/// One recorded connection.
pub(crate) struct Connection {
    pub(crate) name: String,
    pub(crate) c2s: Vec<u8>,
    pub(crate) s2c: Vec<u8>,
    /// The stream was cut, so its last message need not be whole.
    pub(crate) c2s_cut: bool,
    pub(crate) s2c_cut: bool,
}

/// What the link stage of a connection says, read without a machine.
pub(crate) struct Linked {
    pub(crate) request: LinkMess,
    pub(crate) reply: LinkReply,
    pub(crate) sasl: bool,
    /// The result, if there is one.
    pub(crate) result: Option<u32>,
    /// Where the data stage begins.
    pub(crate) c2s_at: usize,
    pub(crate) s2c_at: usize,
    pub(crate) form: HeaderForm,
}

impl Connection {
    /// The link stage; `None` when no reply accepted it.
    pub(crate) fn linked(&self) -> Option<Linked> {
        let limits = Limits::default();
        let message = |bytes: &[u8]| -> Option<(usize, Vec<u8>)> {
            let header = LinkHeader::decode_slice(bytes).ok()?;
            let end = LinkHeader::LEN + header.size as usize;
            Some((end, bytes.get(LinkHeader::LEN..end)?.to_vec()))
        };
        let (c2s_end, body) = message(&self.c2s)?;
        let request = LinkMess::decode(&body, &limits).ok()?;
        let (s2c_end, body) = message(&self.s2c)?;
        let reply = LinkReply::decode(&body, &limits).ok()?;
        if reply.error.0 != 0 {
            return None;
        }
        let selects = request.capabilities.has_common(caps::common::PROTOCOL_AUTH_SELECTION);
        let mechanism_len = if selects { 4 } else { 0 };
        let mechanism = self
            .c2s
            .get(c2s_end..c2s_end + 4)
            .map(|m| u32::from_le_bytes(m.try_into().unwrap()));
        let mini = |caps: &caps::Capabilities| caps.has_common(caps::common::MINI_HEADER);
        Some(Linked {
            form: HeaderForm::agreed(mini(&request.capabilities), mini(&reply.capabilities)),
            sasl: selects && mechanism == Some(2),
            result: self
                .s2c
                .get(s2c_end..s2c_end + 4)
                .map(|r| u32::from_le_bytes(r.try_into().unwrap())),
            c2s_at: c2s_end + mechanism_len + 128,
            s2c_at: s2c_end + 4,
            request,
            reply,
        })
    }
}

/// Every connection, in the order of scenarios and numbers.
pub(crate) fn all() -> Vec<Connection> {
    let folder = std::env::var_os("SPICE_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures"),
        PathBuf::from,
    );
    let read_dir = |path: &Path| -> Vec<PathBuf> {
        let entries = path
            .read_dir()
            .unwrap_or_else(|error| panic!("SPICE_CAPTURES: {}: {error}", path.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let mut connections = Vec::new();
    for scenario in read_dir(&folder) {
        let scenario_name = scenario.file_name().unwrap().to_string_lossy().into_owned();
        if !scenario_name.starts_with("spice-") {
            continue;
        }
        for json in read_dir(&scenario) {
            let name = json.file_name().unwrap().to_string_lossy().into_owned();
            let Some(number) = name.strip_suffix(".json").filter(|n| n.parse::<u32>().is_ok()) else {
                continue;
            };
            let about: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
            let bytes = |direction: &str| std::fs::read(scenario.join(format!("{number}.{direction}.bin"))).unwrap();
            connections.push(Connection {
                name: format!("{scenario_name}/{number}"),
                c2s: bytes("c2s"),
                s2c: bytes("s2c"),
                c2s_cut: about["cut"]["c2s"].is_string(),
                s2c_cut: about["cut"]["s2c"].is_string(),
            });
        }
    }
    assert!(
        !connections.is_empty(),
        "SPICE_CAPTURES: no connections in {}",
        folder.display()
    );
    connections
}
