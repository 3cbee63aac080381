//! Settings of `catalogctl dev`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use catalog_process::{
    config::{Checker, Secret},
    listener::reachable,
};
use catalog_values::Currency;
use clap::Args;
use nix::unistd::Uid;

use super::ports::{self, ListenAddress};

/// Settings of `catalogctl dev`, as given.
#[derive(Args)]
pub struct SettingsArgs {
    /// Data directory [default: /var/lib/catalog as root, otherwise ~/.local/share/catalog]
    #[arg(long, env = "CATALOG_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the API
    #[arg(long, env = "HTTP_ADDRESS", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    http_address: String,
    /// URL of the API for clients [default: from `HTTP_ADDRESS`]
    #[arg(long, env = "PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Address of the inbox page
    #[arg(long, env = "INBOX_ADDRESS", default_value = "127.0.0.1:8025", value_name = "ADDRESS:PORT")]
    inbox_address: String,
    /// Currency of all prices, ISO 4217; fixed at the first start [default: EUR]
    #[arg(long, env = "CURRENCY", value_name = "CODE")]
    currency: Option<String>,
    /// Username of the superuser
    #[arg(long, env = "SUPERUSER_USERNAME", default_value = "admin", value_name = "NAME")]
    superuser_username: String,
    /// E-mail address of the superuser
    #[arg(long, env = "SUPERUSER_EMAIL", default_value = "admin@example.com", value_name = "ADDRESS")]
    superuser_email: String,
    /// File with the password of the superuser, if not in `SUPERUSER_PASSWORD` [default: generated]
    #[arg(long, env = "SUPERUSER_PASSWORD_FILE", value_name = "FILE")]
    superuser_password_file: Option<PathBuf>,
}

/// Checked settings.
pub struct Settings {
    /// Data directory, as an absolute path.
    pub data_dir: PathBuf,
    /// Address of the API; its port is not 0 after [`Settings::check_addresses`].
    pub http_address: SocketAddr,
    /// Address of the inbox page; its port is not 0 after [`Settings::check_addresses`].
    pub inbox_address: SocketAddr,
    /// Username of the superuser.
    pub superuser_username: String,
    /// E-mail address of the superuser.
    pub superuser_email: String,
    /// Password of the superuser, if one is configured.
    pub superuser_password: Option<Secret>,
    public_url: Option<String>,
    currency: Option<Currency>,
}

impl SettingsArgs {
    /// Returns the data directory as an absolute path.
    ///
    /// # Errors
    /// If the setting is empty.
    pub fn data_dir(&self) -> anyhow::Result<PathBuf> {
        let directory = self.data_dir.clone().unwrap_or_else(default_directory);
        std::path::absolute(directory).context("CATALOG_DATA_DIR is empty: set it to a directory, or unset it")
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If any setting is invalid.
    pub fn check(&self) -> anyhow::Result<Settings> {
        let mut check = Checker::default();
        let data_dir = self.data_dir()?;
        let http = check.value("HTTP_ADDRESS", &self.http_address, "an address and port such as 127.0.0.1:8080", |_| true);
        let inbox = check.value("INBOX_ADDRESS", &self.inbox_address, "an address and port such as 127.0.0.1:8025", |_| true);
        let currency =
            self.currency.as_deref().map(|code| check.value("CURRENCY", code, "an ISO 4217 code such as EUR, USD or JPY", |_| true));
        let superuser_password = check.secret("SUPERUSER_PASSWORD", self.superuser_password_file.as_ref());
        let (http_address, inbox_address) = check.finish(http.zip(inbox))?;
        Ok(Settings {
            data_dir,
            http_address,
            inbox_address,
            superuser_username: self.superuser_username.clone(),
            superuser_email: self.superuser_email.clone(),
            superuser_password,
            public_url: self.public_url.clone(),
            currency: currency.flatten(),
        })
    }
}

impl Settings {
    /// Checks that servers can listen on the addresses, and replaces port 0 by a free one.
    ///
    /// # Errors
    /// Every address that is in use or unusable.
    pub fn check_addresses(&mut self) -> anyhow::Result<()> {
        let (mut taken, mut problems) = (Vec::new(), Vec::new());
        for (setting, address) in [("HTTP_ADDRESS", &mut self.http_address), ("INBOX_ADDRESS", &mut self.inbox_address)] {
            if address.port() == 0 {
                address.set_port(ports::find_free_port(&taken)?);
            } else if taken.contains(&address.port()) {
                problems.push(ListenAddress::configured(setting, *address).describe_conflict("has the port of HTTP_ADDRESS", &taken));
            } else if let Some(error) = ports::find_bind_error(*address) {
                problems.push(ListenAddress::configured(setting, *address).describe_conflict(&error, &taken));
            }
            taken.push(address.port());
        }
        if problems.is_empty() { Ok(()) } else { bail!(problems.join("\n")) }
    }

    /// Returns the configured currency, otherwise the currency of the last run.
    pub fn currency(&self, last: Option<&str>) -> String {
        self.currency.map(Currency::code).or(last).unwrap_or("EUR").to_owned()
    }

    /// Returns the URL of the API for this machine.
    pub fn local_url(&self) -> String {
        format!("http://{}", reachable(self.http_address))
    }

    /// Returns `PUBLIC_URL`.
    pub fn public_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| self.local_url())
    }
}

pub fn default_directory() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/var/lib/catalog");
    }
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // XDG Base Directory Specification: a relative XDG_DATA_HOME is ignored.
    let data_home = named("XDG_DATA_HOME").filter(|path| Path::is_absolute(path));
    let data_home = data_home.or_else(|| named("HOME").map(|home| home.join(".local/share")));
    data_home.unwrap_or_else(std::env::temp_dir).join("catalog")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn settings(http: SocketAddr, inbox: SocketAddr) -> Settings {
        Settings {
            data_dir: "/tmp".into(),
            http_address: http,
            inbox_address: inbox,
            superuser_username: "admin".into(),
            superuser_email: "admin@example.com".into(),
            superuser_password: None,
            public_url: None,
            currency: None,
        }
    }

    #[test]
    fn every_address_in_use_is_reported_with_its_setting_and_a_free_one() {
        let listeners = ["127.0.0.1:0", "0.0.0.0:0"].map(|address| TcpListener::bind(address).unwrap());
        let [http, inbox] = listeners.each_ref().map(|listener| ([127, 0, 0, 1], listener.local_addr().unwrap().port()).into());
        let error = settings(http, inbox).check_addresses().unwrap_err().to_string();
        for (setting, flag, address) in [("HTTP_ADDRESS", "--http-address", http), ("INBOX_ADDRESS", "--inbox-address", inbox)] {
            assert!(error.contains(&format!("{setting}={address} is in use by ")), "{error}");
            assert!(error.contains(&format!("{flag} 127.0.0.1:")), "{error}");
        }
    }

    #[test]
    fn one_port_for_both_addresses_is_an_error() {
        let address = ([127, 0, 0, 1], ports::find_free_port(&[]).unwrap()).into();
        let error = settings(address, address).check_addresses().unwrap_err().to_string();
        assert!(error.contains(&format!("INBOX_ADDRESS={address} has the port of HTTP_ADDRESS")), "{error}");
    }

    #[test]
    fn the_public_url_follows_the_address() {
        let mut settings = settings("0.0.0.0:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap());
        settings.check_addresses().unwrap();
        assert_eq!(settings.public_url(), format!("http://127.0.0.1:{}", settings.http_address.port()));
        assert_ne!(settings.http_address.port(), settings.inbox_address.port());
    }

    #[test]
    fn the_currency_of_the_last_run_is_used_again() {
        let settings = settings("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        assert_eq!(settings.currency(None), "EUR");
        assert_eq!(settings.currency(Some("JPY")), "JPY");
    }
}
