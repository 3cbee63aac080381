//! Fault injection, so that tests can see how senders handle faults.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// How the server treats mail.
///
/// Whatever the mode, a recipient whose local part starts with `refuse` gets 550, and with `busy` 451.
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
    Refuse,
    /// Stores the mail and closes the connection without a reply, as a crash between the two would.
    Drop,
}

/// The current mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// How mail is treated.
    pub mode: Mode,
    /// How many more times it applies before the mode is `normal` again; without it, until it is changed.
    #[serde(default)]
    pub times: Option<u32>,
}

/// The mode, shared by all connections.
#[derive(Default)]
pub struct Chaos(Mutex<Setting>);

impl Chaos {
    /// The current mode.
    pub fn setting(&self) -> Setting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets it.
    pub fn set(&self, setting: Setting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = setting;
    }

    /// Whether `mode` applies now; if so, it counts against `times`.
    pub fn applies(&self, mode: Mode) -> bool {
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
    fn a_mode_with_times_applies_that_often_and_then_things_are_normal() {
        let chaos = Chaos::default();
        chaos.set(Setting { mode: Mode::Drop, times: Some(2) });
        assert!(!chaos.applies(Mode::Busy));
        assert!(chaos.applies(Mode::Drop));
        assert!(chaos.applies(Mode::Drop));
        assert!(!chaos.applies(Mode::Drop));
        assert_eq!(chaos.setting(), Setting::default());
    }

    #[test]
    fn a_mode_without_times_stays() {
        let chaos = Chaos::default();
        chaos.set(Setting { mode: Mode::Defer, times: None });
        assert!((0..3).all(|_| chaos.applies(Mode::Defer)));
    }
}
