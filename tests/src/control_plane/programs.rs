//! Finds or builds etcd and kube-apiserver.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Paths of the control plane's binaries.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `etcd` binary.
    pub etcd: PathBuf,
    /// The `kube-apiserver` binary.
    pub kube_apiserver: PathBuf,
}

/// Returns the binaries in `KUBEBUILDER_ASSETS`, or builds them from their Go modules, which takes minutes the first time.
///
/// # Panics
/// If they cannot be built; shows the output of the build.
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        // Builds only what KUBEBUILDER_ASSETS lacks.
        let built = Command::new(cluster().join("build")).args(["etcd", "kube-apiserver"]).stdin(Stdio::null()).output();
        let built = built.expect("deploy/cluster/build can be run");
        assert!(built.status.success(), "deploy/cluster/build failed:\n{}", String::from_utf8_lossy(&built.stderr));
        Programs { etcd: find("etcd"), kube_apiserver: find("kube-apiserver") }
    })
}

/// Returns the directory of the cluster's scripts.
pub fn cluster() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cluster")
}

fn find(name: &str) -> PathBuf {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join(name));
    given.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(script(". ./cache; echo \"$CACHE/bin\"")).join(name))
}

/// Runs a shell command in the directory of the cluster's scripts and returns its output.
///
/// # Panics
/// If it fails.
pub fn script(line: &str) -> String {
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", line]).current_dir(cluster()).stdin(Stdio::null()).output();
    let output = output.expect("bash can be run");
    assert!(output.status.success(), "`{line}` failed in deploy/cluster:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
