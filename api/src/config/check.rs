//! Turning raw setting text into checked values, collecting every complaint.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

/// A secret setting. Printing it shows nothing.
pub type Secret = SecretString;

/// Everything that is wrong with the given settings.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} wrong or missing:", if self.0.len() == 1 { "a setting is" } else { "some settings are" })?;
        for complaint in &self.0 {
            writeln!(f, "  {complaint}")?;
        }
        write!(f, "see --help for every setting")
    }
}

impl std::error::Error for ConfigError {}

/// Collects complaints while settings are parsed; [`Checker::finish`] reports them together.
#[derive(Default)]
pub struct Checker {
    complaints: Vec<String>,
}

impl Checker {
    /// Parses `raw` and checks it with `valid`; on failure notes a complaint and returns `None`.
    pub fn value<T: FromStr>(&mut self, name: &str, raw: &str, allowed: &str, valid: impl Fn(&T) -> bool) -> Option<T> {
        let parsed = raw.trim().parse().ok().filter(|value| valid(value));
        if parsed.is_none() {
            self.complain(name, raw, allowed);
        }
        parsed
    }

    /// A duration such as `50ms`, `15m` or `30d`, between two bounds.
    pub fn duration(&mut self, name: &str, raw: &str, min: Duration, max: Duration) -> Option<Duration> {
        let parsed = humantime::parse_duration(raw.trim()).ok().filter(|d| (min..=max).contains(d));
        if parsed.is_none() {
            let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
            self.complain(name, raw, &format!("a duration like 50ms, 15m or 30d, from {min} to {max}"));
        }
        parsed
    }

    /// A secret from the environment variable `name`, or from the file named by `<name>_FILE`
    /// (`file`). Never from an argument: arguments are visible to every user of the machine.
    pub fn secret(&mut self, name: &str, file: Option<&PathBuf>) -> Option<Secret> {
        let direct = std::env::var(name).ok().filter(|value| !value.is_empty());
        match (direct, file) {
            (Some(_), Some(_)) => {
                self.complaints.push(format!("{name}: set either {name} or {name}_FILE, not both"));
                None
            }
            (Some(value), None) => Some(value.into()),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned().into()),
                Err(error) => {
                    self.complaints.push(format!("{name}_FILE: cannot read {}: {error}", path.display()));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// A secret that must be there.
    pub fn required_secret(&mut self, name: &str, file: Option<&PathBuf>) -> Option<Secret> {
        let before = self.complaints.len();
        let secret = self.secret(name, file);
        if secret.is_none() && self.complaints.len() == before {
            self.missing(name, "set it, or name a file that holds it in");
        }
        secret
    }

    /// Notes that a required setting is absent.
    pub fn missing(&mut self, name: &str, advice: &str) {
        self.complaints.push(format!("{name} is missing: {advice} {name}_FILE"));
    }

    /// Notes a complaint in its usual form.
    pub fn complain(&mut self, name: &str, given: &str, allowed: &str) {
        self.complaints.push(format!("{name}={given:?} is not allowed: give {allowed}"));
    }

    /// Notes a complaint in words of its own, for secrets and for settings that depend on each other.
    pub fn note(&mut self, complaint: impl Into<String>) {
        self.complaints.push(complaint.into());
    }

    /// The checked settings, or every complaint. `settings` is `Some` unless a complaint was noted.
    ///
    /// # Errors
    /// If any complaint was noted.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, ConfigError> {
        match settings {
            Some(settings) if self.complaints.is_empty() => Ok(settings),
            _ => Err(ConfigError(self.complaints)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_setting_is_reported_with_its_name_the_given_and_the_allowed() {
        let mut check = Checker::default();
        let number = check.value::<u32>("DATABASE_MAX_CONNECTIONS", "many", "a whole number from 1 to 1000", |n| *n > 0);
        let ttl = check.duration("AUTH_ACCESS_TOKEN_TTL", "1", Duration::from_mins(1), Duration::from_hours(24));
        let text = check.finish(number.zip(ttl)).unwrap_err().to_string();
        assert!(text.contains(r#"DATABASE_MAX_CONNECTIONS="many" is not allowed: give a whole number from 1 to 1000"#));
        assert!(text.contains("AUTH_ACCESS_TOKEN_TTL=\"1\""), "{text}");
        assert!(text.contains("from 1m to 1day"), "{text}");
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
