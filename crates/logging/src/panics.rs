//! Logs panics, or returns them as errors where they are caught.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook},
};

thread_local! {
    /// Whether this thread is inside [`catch`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// A panic with its location, its message and, with `RUST_BACKTRACE`, its backtrace.
#[derive(Debug)]
pub struct Panic(String);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Panic {}

/// Sets a hook that logs every panic outside [`catch`] as `panic`, with the fields of the spans of its thread.
pub(crate) fn log_panics() {
    set_hook(Box::new(|info| {
        let panic = describe(info);
        if CATCHING.get() {
            CAUGHT.set(Some(panic));
        } else {
            tracing::error!(error = %panic, "panic");
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> Panic {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("panicked at {location}: {}", message_of(info.payload()));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text = format!("{text}\n{backtrace}");
    }
    Panic(text)
}

fn message_of(payload: &dyn Any) -> &str {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// Runs `work`. A panic is returned and not logged, so that the calling code can log it with its own context.
///
/// # Errors
/// If `work` panics.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    // If another hook is set, for example in tests, the location is unknown.
    result.map_err(|payload| CAUGHT.take().unwrap_or_else(|| Panic(format!("panicked: {}", message_of(&*payload)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_has_the_message_of_the_panic() {
        assert_eq!(catch(|| 1).unwrap(), 1);
        let panic = catch(|| panic!("no price for {}", 7)).unwrap_err().to_string();
        assert!(panic.contains("no price for 7"), "{panic}");
        assert!(!CATCHING.get());
    }
}
