//! Unpacks container images of `deploy/images/make`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::{programs, scratch::Scratch};

/// An unpacked image.
pub struct Image {
    /// Names of the image.
    pub names: Vec<String>,
    /// The part `config` of the image configuration: user, entrypoint, environment …
    pub config: Value,
    /// Digest of the manifest.
    pub digest: String,
    root: PathBuf,
    _scratch: Scratch,
}

impl Image {
    /// Builds the image with this name from the programs of this build, and unpacks the image.
    ///
    /// # Panics
    /// If the image cannot be built.
    pub fn make(name: &str) -> Self {
        let scratch = Scratch::new(None);
        // Builds for tests are not optimised, so they are large.
        let output = make(scratch.path(), &["--limit", "1000", name]);
        assert!(output.status.success(), "deploy/images/make {name}: {}", String::from_utf8_lossy(&output.stderr));
        let opened = scratch.path().join("opened");
        unpack(&scratch.path().join(format!("{name}.tar")), &opened);
        let read = |path: &str| -> Value { serde_json::from_slice(&fs::read(opened.join(path)).expect(path)).expect(path) };
        let blob = |descriptor: &Value| format!("blobs/{}", descriptor["digest"].as_str().expect("a digest").replace(':', "/"));
        let index = read("index.json");
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
        let manifest = read(&blob(&index["manifests"][0]));
        let root = scratch.path().join("root");
        for layer in manifest["layers"].as_array().expect("layers") {
            unpack(&opened.join(blob(layer)), &root);
        }
        let names = index["manifests"].as_array().expect("manifests").iter();
        let names = names.map(|named| named["annotations"]["io.containerd.image.name"].as_str().expect("a name").to_owned());
        Self { names: names.collect(), config: read(&blob(&manifest["config"]))["config"].clone(), digest, root, _scratch: scratch }
    }

    /// Returns the root directory of the image.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the paths of all files and links in the image.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory of the image") {
                let entry = entry.expect("an entry of the image");
                if entry.file_type().expect("a kind of file").is_dir() {
                    directories.push(entry.path());
                } else {
                    files.push(Path::new("/").join(entry.path().strip_prefix(&self.root).expect("inside")));
                }
            }
        }
        files.sort();
        files
    }

    /// Returns the environment variables (`Env`) of the image.
    pub fn environment(&self) -> Vec<(String, String)> {
        let settings = self.config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
        settings.filter_map(|setting| setting.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Returns a list of texts of the image configuration, such as `Entrypoint`.
    pub fn words(&self, name: &str) -> Vec<String> {
        self.config[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

/// Runs `deploy/images/make` for the programs of this build.
///
/// # Panics
/// If the script cannot be run.
pub fn make(out: &Path, args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/images/make");
    let built = programs::catalog().parent().expect("a program lies in a directory");
    Command::new(script)
        .arg("--programs")
        .arg(built)
        .arg("--out")
        .arg(out)
        .args(args)
        .output()
        .expect("deploy/images/make can be run with python3")
}

fn unpack(archive: &Path, into: &Path) {
    fs::create_dir_all(into).expect("the scratch directory can be written");
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--preserve-permissions", "--numeric-owner", "--file"]).arg(archive).arg("--directory").arg(into);
    let output = tar.output().expect("tar can be run");
    assert!(output.status.success(), "{}: {}", archive.display(), String::from_utf8_lossy(&output.stderr));
}
