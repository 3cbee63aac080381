//! The packages of the workspace, from `cargo metadata`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::siblings::Siblings;

/// A package of the workspace.
pub struct Package {
    /// Folder in the repository, such as `crates/values`.
    pub folder: String,
    /// Root file of the library or, if there is none, of the program.
    pub root: PathBuf,
    /// Folders of the packages of the workspace that it depends on, except for its tests.
    pub uses: Vec<String>,
    /// Names of all packages that it depends on, except for its tests.
    pub dependencies: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<PackageMetadata>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct PackageMetadata {
    manifest_path: PathBuf,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, otherwise `dev` or `build`.
    kind: Option<String>,
    path: Option<PathBuf>,
}

/// Returns all packages of the workspace, in the order of their folders.
///
/// # Panics
/// If `cargo metadata` fails.
pub fn packages() -> Vec<Package> {
    let arguments = ["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let folder = |path: &Path| path.strip_prefix(&metadata.workspace_root).expect("a package of the workspace").display().to_string();
    let package = |package: &PackageMetadata| {
        let is_kind = |target: &&Target, kind: &str| target.kind.iter().any(|known| known == kind);
        let find_target = |kind| package.targets.iter().find(|target| is_kind(target, kind));
        let normal = || package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        Package {
            folder: folder(package.manifest_path.parent().expect("a manifest in a folder")),
            root: find_target("lib").or_else(|| find_target("bin")).expect("a library or a program").src_path.clone(),
            uses: normal().filter_map(|dependency| dependency.path.as_deref().map(folder)).collect(),
            dependencies: normal().map(|dependency| dependency.name.clone()).collect(),
        }
    };
    let mut packages: Vec<_> = metadata.packages.iter().map(package).collect();
    packages.sort_by(|a, b| a.folder.cmp(&b.folder));
    packages
}

/// Formats the dependencies between packages, except those of `tests`, as a Mermaid flowchart.
pub fn flowchart(packages: &[Package]) -> String {
    let packages = packages.iter().filter(|package| package.folder != "tests");
    let uses = |package: &Package| package.uses.iter().map(|used| (used.clone(), Vec::new())).collect::<BTreeMap<_, _>>();
    let uses = packages.map(|package| (package.folder.clone(), uses(package))).collect();
    Siblings { parent: "workspace".into(), uses }.flowchart()
}
