//! Temporary directories. They are removed even if the test process is killed.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::programs::RunAs;

const PREFIX: &str = "catalog-tests-";

/// A directory of this process, removed on drop. If this process is killed, the process guard of the server in the directory
/// removes it, or the next run does.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Creates an empty directory, owned by `owner` if given.
    pub fn new(owner: Option<RunAs>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory can be written");
        if let Some(owner) = owner {
            chown(&path, Some(owner.uid), Some(owner.gid)).expect("root can change the owner of a directory");
        }
        Self(path)
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the directories of killed test processes.
fn sweep() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        let has_ended = owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists());
        if has_ended {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
