//! Aborts the start when a child exits.

use anyhow::anyhow;
use tokio::sync::watch;

/// The state of the start, shared by all children.
#[derive(Clone)]
pub struct Startup(watch::Sender<State>);

#[derive(Debug, PartialEq, Eq)]
enum State {
    Starting,
    Failed(String),
    Complete,
}

impl Default for Startup {
    fn default() -> Self {
        Self(watch::Sender::new(State::Starting))
    }
}

impl Startup {
    /// Whether the shop has started. From then on, a child that exits is restarted.
    pub fn is_complete(&self) -> bool {
        *self.0.borrow() == State::Complete
    }

    /// Fails the start, unless it is complete or has failed.
    pub fn fail(&self, cause: String) {
        self.0.send_if_modified(|state| {
            let first = *state == State::Starting;
            if first {
                *state = State::Failed(cause);
            }
            first
        });
    }

    /// Completes the start.
    ///
    /// # Errors
    /// If a child has exited.
    pub fn complete(&self) -> anyhow::Result<()> {
        let mut result = Ok(());
        self.0.send_modify(|state| match state {
            State::Failed(cause) => result = Err(anyhow!(cause.clone())),
            State::Starting | State::Complete => *state = State::Complete,
        });
        result
    }

    /// Waits until a child has exited, and returns the cause.
    pub async fn failed(&self) -> anyhow::Error {
        let mut state = self.0.subscribe();
        match state.wait_for(|state| matches!(state, State::Failed(_))).await.as_deref() {
            Ok(State::Failed(cause)) => anyhow!(cause.clone()),
            // Unreachable, because `self` holds the sender.
            _ => std::future::pending().await,
        }
    }
}
