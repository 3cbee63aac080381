//! The process's limit of open files, which must not be reached before the limit of connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that a process has open besides its connections: database, NATS, listeners, the runtime's own.
const OTHER_FILES: u64 = 512;

/// Raises the soft limit of open files (`ulimit -n`, often 1024) as far as `connections` need it and the hard limit allows.
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
