//! Parsing of raw settings into checked values. All validation errors are collected.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

/// A secret setting. Printing it shows nothing.
pub type Secret = SecretString;

/// All validation errors of the settings.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} invalid or missing:", if self.0.len() == 1 { "a setting is" } else { "some settings are" })?;
        for error in &self.0 {
            writeln!(f, "  {error}")?;
        }
        write!(f, "see --help for every setting")
    }
}

impl std::error::Error for ConfigError {}

/// Collects validation errors while settings are parsed; [`Checker::finish`] returns them together.
#[derive(Default)]
pub struct Checker {
    errors: Vec<String>,
}

impl Checker {
    /// Parses `raw` and checks it with `valid`; on failure adds an error and returns `None`.
    pub fn value<T: FromStr>(&mut self, name: &str, raw: &str, allowed: &str, valid: impl Fn(&T) -> bool) -> Option<T> {
        let parsed = raw.trim().parse().ok().filter(|value| valid(value));
        if parsed.is_none() {
            self.reject(name, raw, allowed);
        }
        parsed
    }

    /// Parses a duration such as `50ms`, `15m` or `30d`, between two bounds.
    pub fn duration(&mut self, name: &str, raw: &str, min: Duration, max: Duration) -> Option<Duration> {
        let parsed = humantime::parse_duration(raw.trim()).ok().filter(|d| (min..=max).contains(d));
        if parsed.is_none() {
            let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
            self.reject(name, raw, &format!("a duration like 50ms, 15m or 30d, from {min} to {max}"));
        }
        parsed
    }

    /// Reads a secret from the environment variable `name`, or from the file named by `<name>_FILE`
    /// (`file`). Never from an argument: arguments are visible to every user of the machine.
    pub fn secret(&mut self, name: &str, file: Option<&PathBuf>) -> Option<Secret> {
        let direct = std::env::var(name).ok().filter(|value| !value.is_empty());
        match (direct, file) {
            (Some(_), Some(_)) => {
                self.errors.push(format!("{name}: set either {name} or {name}_FILE, not both"));
                None
            }
            (Some(value), None) => Some(value.into()),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned().into()),
                Err(error) => {
                    self.errors.push(format!("{name}_FILE: cannot read {}: {error}", path.display()));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// Reads a required secret.
    pub fn required_secret(&mut self, name: &str, file: Option<&PathBuf>) -> Option<Secret> {
        let before = self.errors.len();
        let secret = self.secret(name, file);
        if secret.is_none() && self.errors.len() == before {
            self.missing(name, "set it, or name a file that holds it in");
        }
        secret
    }

    /// Adds the error of a required setting that is missing.
    pub fn missing(&mut self, name: &str, advice: &str) {
        self.errors.push(format!("{name} is missing: {advice} {name}_FILE"));
    }

    /// Adds the error of a value that is not allowed.
    pub fn reject(&mut self, name: &str, given: &str, allowed: &str) {
        self.errors.push(format!("{name} must be {allowed}, not {given:?}"));
    }

    /// Adds another error, such as one about a secret or about settings that depend on each other.
    pub fn add_error(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }

    /// Returns the checked settings. `settings` is `Some` unless an error was added.
    ///
    /// # Errors
    /// All errors that were added.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, ConfigError> {
        match settings {
            Some(settings) if self.errors.is_empty() => Ok(settings),
            _ => Err(ConfigError(self.errors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invalid_setting_is_reported_with_its_name_its_value_and_what_is_allowed() {
        let mut check = Checker::default();
        let number = check.value::<u32>("DATABASE_MAX_CONNECTIONS", "many", "a whole number from 1 to 1000", |n| *n > 0);
        let ttl = check.duration("AUTH_ACCESS_TOKEN_TTL", "1", Duration::from_mins(1), Duration::from_hours(24));
        let text = check.finish(number.zip(ttl)).unwrap_err().to_string();
        assert!(text.contains(r#"DATABASE_MAX_CONNECTIONS must be a whole number from 1 to 1000, not "many""#));
        assert!(text.contains("AUTH_ACCESS_TOKEN_TTL must be") && text.contains("from 1m to 1day, not \"1\""), "{text}");
    }

    #[test]
    fn a_secret_file_loses_its_trailing_newline_only() {
        let path = std::env::temp_dir().join(format!("catalog-secret-{}", std::process::id()));
        std::fs::write(&path, " s3cret \n").unwrap();
        let secret = Checker::default().secret("CATALOG_TEST_UNSET", Some(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&secret), " s3cret ");
    }
}
