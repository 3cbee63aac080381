//! Faults on demand, so that suites can see how senders take them.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// How the server treats mail.
///
/// Whatever the mode, a recipient whose local part starts with `refuse` gets 550, and with `busy` 451.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Takes everything.
    #[default]
    Normal,
    /// 421 instead of a greeting, then the connection is closed.
    Busy,
    /// 451 for each recipient: try again later.
    Defer,
    /// 550 for each recipient: never.
    Refuse,
    /// Keeps the mail, but closes the connection instead of answering, as in a crash between the two.
    Drop,
}

/// What is set at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// How mail is treated.
    pub mode: Mode,
    /// How often the mode still strikes before it is `normal` again. Always, when absent.
    #[serde(default)]
    pub times: Option<u32>,
}

/// The mode, shared by all connections.
#[derive(Default)]
pub struct Chaos(Mutex<Setting>);

impl Chaos {
    /// What is set at the moment.
    pub fn setting(&self) -> Setting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets it.
    pub fn set(&self, setting: Setting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = setting;
    }

    /// Whether `mode` strikes now; if so, that counts against its times.
    pub fn strikes(&self, mode: Mode) -> bool {
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
    fn a_mode_with_times_strikes_that_often_and_then_things_are_normal() {
        let chaos = Chaos::default();
        chaos.set(Setting { mode: Mode::Drop, times: Some(2) });
        assert!(!chaos.strikes(Mode::Busy));
        assert!(chaos.strikes(Mode::Drop));
        assert!(chaos.strikes(Mode::Drop));
        assert!(!chaos.strikes(Mode::Drop));
        assert_eq!(chaos.setting(), Setting::default());
    }

    #[test]
    fn a_mode_without_times_stays() {
        let chaos = Chaos::default();
        chaos.set(Setting { mode: Mode::Defer, times: None });
        assert!((0..3).all(|_| chaos.strikes(Mode::Defer)));
    }
}
