//! Fault injection, to test how senders handle faults.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Response of the server to mail. In every mode, a recipient whose local part starts with `refuse` gets 550, and with `busy` 451.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Accepts every mail.
    #[default]
    Normal,
    /// 421 instead of a greeting, then the connection is closed.
    Busy,
    /// 451 for each recipient: a transient rejection.
    Defer,
    /// 550 for each recipient: a permanent rejection.
    #[serde(rename = "refuse")]
    Reject,
    /// Stores the mail and closes the connection without a reply, like a crash.
    Drop,
}

/// A mode and its duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub mode: Mode,
    /// Number of times that the mode applies before it is `normal` again. Without it, until it is changed.
    #[serde(default)]
    pub times: Option<u32>,
}

/// The mode, shared by all connections.
#[derive(Default)]
pub struct Chaos(Mutex<Setting>);

impl Chaos {
    pub fn setting(&self) -> Setting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, setting: Setting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = setting;
    }

    /// Returns whether `mode` applies, and decrements `times` if so.
    pub fn take(&self, mode: Mode) -> bool {
        let mut setting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if setting.mode != mode {
            return false;
        }
        match &mut setting.times {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                if *left == 0 {
                    *setting = Setting::default();
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_with_times_applies_that_often() {
        let chaos = Chaos::default();
        chaos.set(Setting { mode: Mode::Drop, times: Some(2) });
        assert!(!chaos.take(Mode::Busy));
        assert!(chaos.take(Mode::Drop));
        assert!(chaos.take(Mode::Drop));
        assert!(!chaos.take(Mode::Drop));
        assert_eq!(chaos.setting(), Setting::default());
    }

    #[test]
    fn a_mode_without_times_applies_until_it_is_changed() {
        let chaos = Chaos::default();
        chaos.set(Setting { mode: Mode::Defer, times: None });
        assert!((0..3).all(|_| chaos.take(Mode::Defer)));
    }
}
