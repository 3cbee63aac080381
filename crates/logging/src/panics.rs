//! Panics as log lines, and as errors where they are caught.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook},
};

thread_local! {
    /// Whether [`catch`] is on the stack of this thread.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// A panic that was caught: where it was, what it said and, with `RUST_BACKTRACE`, the backtrace.
#[derive(Debug)]
pub struct Panic(String);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Panic {}

/// Logs every panic that is not caught by [`catch`] as `panic`, within the spans of its thread.
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
    let mut text = format!("panicked at {location}: {}", text_of(info.payload()));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text = format!("{text}\n{backtrace}");
    }
    Panic(text)
}

fn text_of(payload: &dyn Any) -> &str {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// Does `work`. A panic of it is not logged but returned, for the caller to log with what it belongs to.
///
/// # Errors
/// The panic.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = CATCHING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    // Where another hook is set, such as in tests, the location is unknown.
    done.map_err(|payload| CAUGHT.take().unwrap_or_else(|| Panic(format!("panicked: {}", text_of(&*payload)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_is_caught_says_what_happened() {
        assert_eq!(catch(|| 1).unwrap(), 1);
        let panic = catch(|| panic!("no price for {}", 7)).unwrap_err().to_string();
        assert!(panic.contains("no price for 7"), "{panic}");
        assert!(!CATCHING.get());
    }
}
