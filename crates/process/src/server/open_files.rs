//! The limit of open files of this process. It must be higher than the limit of connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Number of open files besides HTTP connections: connections to dependencies, listeners, and files of the runtime.
const OTHER_FILES: u64 = 512;

/// Raises the soft limit of open files (`ulimit -n`, often 1024) to what `connections` need, or to the hard limit if that is lower.
pub fn raise_open_file_limit(connections: usize) {
    let needed = connections as u64 + OTHER_FILES;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < needed {
            setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard)?;
        }
        Ok(soft.max(needed.min(hard)))
    });
    match raised {
        Ok(limit) if limit < needed => {
            tracing::warn!(limit, needed, "HTTP_MAX_CONNECTIONS needs more open files than the hard limit (ulimit -Hn) allows");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}
