//! Files that are mounted from Secrets.

use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};

use crate::validate::SecretKey;

/// Parent directory of all mounted files.
const DIRECTORY: &str = "/etc/catalog";
/// Directory of the signing keys.
pub const SIGNING_KEYS: &str = "/etc/catalog/signing-keys";
/// Readable by the group of the pod.
const MODE: i32 = 0o440;

/// Volumes of a pod and their mounts.
#[derive(Default)]
pub struct Files {
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// Mounts of the volumes.
    pub mounts: Vec<VolumeMount>,
}

impl Files {
    /// Mounts one key of a Secret as `file`, and returns its path.
    pub fn mount(&mut self, volume: &str, key: &SecretKey, file: &str) -> String {
        let item = KeyToPath { key: key.key.clone(), path: file.into(), ..KeyToPath::default() };
        let directory = format!("{DIRECTORY}/{volume}");
        self.add(volume, &key.secret, Some(vec![item]), &directory);
        format!("{directory}/{file}")
    }

    /// Mounts all signing keys, so that a rotation needs no restart.
    pub fn mount_signing_keys(&mut self, secret: &str) {
        self.add("signing-keys", secret, None, SIGNING_KEYS);
    }

    /// Mounts the passwords of all login roles, so that a rotation needs no restart.
    pub fn mount_login_roles(&mut self, secret: &str, directory: &str) {
        self.add("login-roles", secret, None, directory);
    }

    fn add(&mut self, volume: &str, secret: &str, items: Option<Vec<KeyToPath>>, directory: &str) {
        let source =
            SecretVolumeSource { secret_name: Some(secret.into()), default_mode: Some(MODE), items, ..SecretVolumeSource::default() };
        self.volumes.push(Volume { name: volume.into(), secret: Some(source), ..Volume::default() });
        self.mounts.push(VolumeMount {
            name: volume.into(),
            mount_path: directory.into(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
}
