//! What may pass between a viewer and its guest: a default, which a console and then a request can narrow.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};

use rfb_proto::filter::{Clipboard, Filter};
use serde::{Deserialize, Serialize};
use spice_proto::ids::ChannelType;
use spice_proto::session::Policy;
use spice_proto::session::policy::{Directions, Settings, Withheld};

use crate::sync::lock;

/// Policies of the connections that are open, by their rules. One takes 11 kB, and nearly all connections have the same.
static SHARED: Mutex<Vec<(Rules, Weak<Policy>)>> = Mutex::new(Vec::new());

/// In which directions something may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    #[default]
    Both,
    ToGuest,
    FromGuest,
    None,
}

/// What may pass. The default is the widest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rules {
    /// No keys and no pointer.
    pub(crate) view_only: bool,
    pub(crate) clipboard: Way,
    pub(crate) files: Way,
    /// SPICE channels that the viewer does not get.
    pub(crate) withheld: BTreeSet<ChannelName>,
}

/// A kind of SPICE channel, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ChannelName(u8);

impl Way {
    const fn of(to_guest: bool, from_guest: bool) -> Self {
        match (to_guest, from_guest) {
            (true, true) => Self::Both,
            (true, false) => Self::ToGuest,
            (false, true) => Self::FromGuest,
            (false, false) => Self::None,
        }
    }

    const fn goes_in(self) -> bool {
        matches!(self, Self::Both | Self::ToGuest)
    }

    const fn comes_out(self) -> bool {
        matches!(self, Self::Both | Self::FromGuest)
    }

    const fn and(self, other: Self) -> Self {
        Self::of(self.goes_in() && other.goes_in(), self.comes_out() && other.comes_out())
    }

    const fn directions(self) -> Directions {
        Directions {
            to_guest: self.goes_in(),
            from_guest: self.comes_out(),
        }
    }

    fn clipboard(allowed: bool) -> Clipboard {
        if allowed { Clipboard::Pass } else { Clipboard::Withhold }
    }
}

impl TryFrom<String> for ChannelName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        // The channels behind the main one, without which there is no session.
        let mut kinds = (2..=11).map(ChannelType);
        let found = kinds.find(|kind| kind.to_string().eq_ignore_ascii_case(&name));
        found
            .map(|kind| Self(kind.0))
            .ok_or_else(|| format!("no channel is called {name:?}"))
    }
}

impl From<ChannelName> for String {
    fn from(name: ChannelName) -> Self {
        ChannelType(name.0).to_string()
    }
}

impl Rules {
    /// What both let pass.
    pub(crate) fn narrowed(&self, by: &Self) -> Self {
        Self {
            view_only: self.view_only || by.view_only,
            clipboard: self.clipboard.and(by.clipboard),
            files: self.files.and(by.files),
            withheld: self.withheld.union(&by.withheld).copied().collect(),
        }
    }

    /// Whether everything passes.
    pub(crate) fn is_widest(&self) -> bool {
        *self == Self::default()
    }

    /// For the relay of SPICE: one that a connection has already, if its rules are these.
    pub(crate) fn spice(&self) -> Arc<Policy> {
        let mut shared = lock(&SHARED);
        let same = shared.iter().find(|(rules, _)| rules == self);
        if let Some(policy) = same.and_then(|(_, policy)| policy.upgrade()) {
            return policy;
        }
        shared.retain(|(_, policy)| 0 < policy.strong_count());
        let policy = Arc::new(self.made());
        shared.push((self.clone(), Arc::downgrade(&policy)));
        policy
    }

    fn made(&self) -> Policy {
        let withheld = self.withheld.iter().map(|name| Withheld::Kind(ChannelType(name.0)));
        let settings = Settings::default()
            .with_view_only(self.view_only)
            .with_clipboard(self.clipboard.directions())
            .with_files(self.files.directions())
            .with_withheld(withheld.collect());
        Policy::new(&settings)
    }

    /// For the relay of RFB.
    pub(crate) fn rfb(&self) -> Filter {
        let filter = if self.view_only {
            Filter::view_only()
        } else {
            Filter::default()
        };
        let to_guest = self.clipboard.goes_in() && !self.view_only;
        filter
            .with_clipboard_to_server(Way::clipboard(to_guest))
            .with_clipboard_to_client(Way::clipboard(self.clipboard.comes_out()))
            .with_files(self.files == Way::Both && !self.view_only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Rules {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn connections_with_the_same_rules_share_their_policy() {
        let with = |files, clipboard| Rules {
            view_only: true,
            clipboard,
            files,
            ..Rules::default()
        };
        let (one, other) = (with(Way::ToGuest, Way::None), with(Way::FromGuest, Way::None));
        let first = one.spice();
        assert!(Arc::ptr_eq(&first, &one.clone().spice()));
        assert!(!Arc::ptr_eq(&first, &other.spice()));
        drop(first);
        let _made_anew = with(Way::None, Way::ToGuest).spice();
        let kept = lock(&SHARED).iter().any(|(rules, _)| *rules == one);
        assert!(!kept, "nobody has it any more");
    }

    #[test]
    fn a_policy_can_only_be_narrowed() {
        let wide = Rules::default();
        assert!(wide.is_widest());
        let console = rules(r#"{"clipboard": "to-guest", "withheld": ["usbredir"]}"#);
        let request = rules(r#"{"clipboard": "from-guest", "withheld": ["webdav"], "view_only": true}"#);
        let both = rules(r#"{"clipboard": "none", "withheld": ["webdav", "usbredir"], "view_only": true}"#);
        assert_eq!(wide.narrowed(&console), console);
        assert_eq!(console.narrowed(&request), both);
        assert_eq!(both.narrowed(&wide), both);
        assert!(!console.is_widest());
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for json in [
            r#"{"clipboard": "all"}"#,
            r#"{"withheld": ["main"]}"#,
            r#"{"withheld": ["nothing"]}"#,
            r#"{"view": true}"#,
        ] {
            assert!(serde_json::from_str::<Rules>(json).is_err(), "{json}");
        }
    }
}
