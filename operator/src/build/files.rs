//! Files that come from Secrets.

use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};

use crate::validate::SecretKey;

/// Where everything is mounted.
const DIRECTORY: &str = "/etc/catalog";
/// Where the signing keys are mounted.
pub const SIGNING_KEYS: &str = "/etc/catalog/signing-keys";
/// Readable by the pod's group, which is nobody else's.
const MODE: i32 = 0o440;

/// Files that a pod gets.
#[derive(Default)]
pub struct Files {
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// Where they are mounted.
    pub mounts: Vec<VolumeMount>,
}

impl Files {
    /// Mounts one key of a Secret as `file`, and gives its path.
    pub fn mount(&mut self, volume: &str, key: &SecretKey, file: &str) -> String {
        let item = KeyToPath { key: key.key.clone(), path: file.into(), ..KeyToPath::default() };
        let directory = format!("{DIRECTORY}/{volume}");
        self.add(volume, &key.secret, Some(vec![item]), &directory);
        format!("{directory}/{file}")
    }

    /// Mounts the signing keys: all of them, so that a rotation arrives by itself.
    pub fn mount_signing_keys(&mut self, secret: &str) {
        self.add("signing-keys", secret, None, SIGNING_KEYS);
    }

    /// Mounts the passwords of PostgreSQL's login roles: all of them, so that a rotation arrives by itself.
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
