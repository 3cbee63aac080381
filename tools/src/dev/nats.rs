//! The nats-server of the shop.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use super::{
    directory::{self, DataDirectory},
    name::Name,
    ports::ListenAddress,
    process::Spec,
};

const USER: &str = "catalog";
/// Largest message: an event with a product before and after a change, each up to 1 MiB, and the envelope.
const MAX_PAYLOAD: &str = "8MB";
/// Timeout of the start. nats-server checks its store before it accepts connections.
const START_TIMEOUT: Duration = Duration::from_mins(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A nats-server with its configuration file.
pub struct Server {
    program: PathBuf,
    configuration: PathBuf,
    password: SecretString,
    port: u16,
}

impl Server {
    /// Writes the configuration file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn prepare(program: PathBuf, directory: &DataDirectory, port: u16) -> anyhow::Result<Self> {
        let password = directory.secret("nats")?;
        let configuration = directory.nats().join("nats.conf");
        // Strings are escaped as in JSON. By default, the server syncs every two minutes, so a power failure would lose
        // acknowledged events.
        let store = serde_json::to_string(&directory.nats().join("jetstream"))?;
        let text = format!(
            "# Written by catalogctl dev at every start.\n\
             listen: \"127.0.0.1:{port}\"\n\
             server_name: catalog\n\
             max_payload: {MAX_PAYLOAD}\n\
             authorization {{ user: {USER}, password: \"{}\" }}\n\
             jetstream {{ store_dir: {store}, sync_interval: always }}\n",
            password.expose_secret()
        );
        directory::write(&configuration, text.as_bytes(), 0o600).with_context(|| format!("cannot write {}", configuration.display()))?;
        Ok(Self { program, configuration, password, port })
    }

    /// Returns the process. Only its warnings and errors are printed.
    pub fn spec(&self) -> Spec {
        Spec {
            name: Name::Nats,
            program: self.program.clone(),
            arguments: vec!["--config".into(), self.configuration.clone().into()],
            environment: Vec::new(),
            removed_variables: &[],
            clear_environment: true,
            user: None,
            addresses: vec![ListenAddress::automatic(self.port)],
            lock_file: None,
            // Hides the warning about plain-text passwords: only this user can read the configuration file.
            is_shown: |line| !["[INF]", "[DBG]", "[TRC]", "Plaintext passwords detected"].iter().any(|part| line.contains(part)),
        }
    }

    /// Waits until the server accepts connections.
    ///
    /// # Errors
    /// If the server doesn't accept connections within [`START_TIMEOUT`].
    pub async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let options = async_nats::ConnectOptions::with_user_and_password(USER.to_owned(), self.password.expose_secret().to_owned());
            match options.connect(format!("127.0.0.1:{}", self.port)).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).with_context(|| format!("nats-server isn't ready after {} s", START_TIMEOUT.as_secs()));
                }
                Err(_) => sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Returns `NATS_URL` of the shop.
    pub fn url(&self) -> String {
        format!("nats://{USER}:{}@127.0.0.1:{}", self.password.expose_secret(), self.port)
    }
}
