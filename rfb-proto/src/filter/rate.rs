//! How fast input may come.

use alloc::vec::Vec;
use core::time::Duration;

use crate::framing::Verdict;
use crate::message::{ClientMessage, GiiSubtype, PointerEvent, QemuClientMessage};

/// Bounds how many input events a client may send in a second: a bucket that fills with time.
///
/// When it is empty, movements and presses are withheld. What was pressed can always be let go, or a key would repeat
/// for ever on the server; an event that presses several buttons, which can be let go one by one, counts as many times. So no
/// more than twice as many events as the rate says can pass.
///
/// ```
/// use core::time::Duration;
/// use rfb_proto::filter::InputRate;
/// use rfb_proto::framing::Verdict;
/// use rfb_proto::message::KeyEvent;
///
/// let mut rate = InputRate::new(10, 1);
/// let key = |down| KeyEvent { down, padding: [0; 2], keysym: 0x61 }.into();
/// assert_eq!(rate.judge(Duration::ZERO, &key(1)), Verdict::Pass);
/// assert_eq!(rate.judge(Duration::ZERO, &key(0)), Verdict::Pass); // let go
/// assert_eq!(rate.judge(Duration::from_millis(99), &key(1)), Verdict::Withhold);
/// assert_eq!(rate.judge(Duration::from_millis(100), &key(1)), Verdict::Pass);
/// ```
#[derive(Debug, Clone)]
pub struct InputRate {
    /// How long it takes until one more event may come.
    interval: Duration,
    /// The longest time that is saved up.
    most: Duration,
    /// Time that is saved up.
    saved: Duration,
    /// Time that has to pass before any is saved up again: what an event took that was not there.
    owed: Duration,
    /// When that was.
    at: Option<Duration>,
    /// Keys that are down on the server.
    keys: Vec<Key>,
    /// Buttons that are down on the server.
    buttons: u16,
}

/// A key: by its keysym, or QEMU's by the code of the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Keysym(u32),
    Code(u32),
}

/// Keys that can be down at a time. No user has more fingers.
const MOST_KEYS: usize = 32;

impl InputRate {
    /// `per_second` events, of which up to `burst` can come at once. With `0` none passes.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second);
        // Without a rate nothing is saved up, and no time is enough.
        let most = interval.map_or(Duration::ZERO, |interval| interval.saturating_mul(burst));
        let interval = interval.unwrap_or(Duration::MAX);
        Self {
            interval,
            most,
            saved: most,
            owed: Duration::ZERO,
            at: None,
            keys: Vec::new(),
            buttons: 0,
        }
    }

    /// Judges a message of the client. `now` is the time since any fixed moment; what is no input passes.
    pub fn judge(&mut self, now: Duration, message: &ClientMessage) -> Verdict {
        match message {
            ClientMessage::KeyEvent(event) => self.key(now, Key::Keysym(event.keysym), event.down != 0),
            ClientMessage::QemuClientMessage(QemuClientMessage::ExtendedKeyEvent(event)) => {
                self.key(now, Key::Code(event.keycode), event.down != 0)
            }
            ClientMessage::PointerEvent(event) => self.pointer(now, event),
            ClientMessage::Gii(gii) if gii.subtype() == GiiSubtype::EVENTS => Verdict::of(self.spend(now)),
            _ => Verdict::Pass,
        }
    }

    fn key(&mut self, now: Duration, key: Key, down: bool) -> Verdict {
        let held = self.keys.iter().position(|held| *held == key);
        match held {
            Some(index) if !down => {
                self.keys.swap_remove(index);
                Verdict::Pass
            }
            // It repeats.
            Some(_) => Verdict::of(self.spend(now)),
            None => {
                let passes = (!down || self.keys.len() < MOST_KEYS) && self.spend(now);
                if passes && down {
                    self.keys.push(key);
                }
                Verdict::of(passes)
            }
        }
    }

    fn pointer(&mut self, now: Duration, event: &PointerEvent) -> Verdict {
        if self.spend(now) {
            let pressed = (event.buttons & !self.buttons).count_ones();
            self.owe(self.interval.saturating_mul(pressed.saturating_sub(1)));
            self.buttons = event.buttons;
            return Verdict::Pass;
        }
        let still_down = event.buttons & self.buttons;
        if still_down == self.buttons {
            return Verdict::Withhold;
        }
        // Something is let go. What is pressed in the same event is not.
        self.buttons = still_down;
        if still_down == event.buttons {
            return Verdict::Pass;
        }
        let event = PointerEvent {
            buttons: still_down,
            ..*event
        };
        Verdict::instead(&event.into())
    }

    /// Whether one more event may come now.
    fn spend(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at.unwrap_or(now));
        self.at = Some(now.max(self.at.unwrap_or_default()));
        let left = passed.saturating_sub(self.owed);
        self.owed = self.owed.saturating_sub(passed);
        self.saved = self.saved.saturating_add(left).min(self.most);
        match self.saved.checked_sub(self.interval) {
            Some(saved) => {
                self.saved = saved;
                true
            }
            None => false,
        }
    }

    /// So much is taken, now or from what comes.
    fn owe(&mut self, time: Duration) {
        let lacking = time.saturating_sub(self.saved);
        self.saved = self.saved.saturating_sub(time);
        self.owed = self.owed.saturating_add(lacking);
    }
}
