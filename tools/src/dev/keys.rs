//! The first signing key.

use std::{fs, path::Path};

use anyhow::Context;
use catalog_signing_keys::create_file;
use chrono::{DateTime, Utc};

/// Generates a signing key unless the directory has one.
///
/// # Errors
/// If the directory cannot be read or written.
pub fn ensure_key(directory: &Path, now: DateTime<Utc>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        if entry?.path().extension().is_some_and(|extension| extension == "pem") {
            return Ok(());
        }
    }
    create_file(directory, now.into()).with_context(|| format!("cannot create a signing key in {}", directory.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_generated_once() {
        let directory = std::env::temp_dir().join(format!("catalog-keys-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        ensure_key(&directory, now).unwrap();
        ensure_key(&directory, now + chrono::TimeDelta::days(1)).unwrap();
        let made: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(made.len(), 1);
        assert!(made[0].to_string_lossy().starts_with("20261121T100000Z-"), "{made:?}");
        fs::remove_dir_all(&directory).unwrap();
    }
}
