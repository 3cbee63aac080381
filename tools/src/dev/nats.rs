//! The private nats-server.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use super::{
    directory::{self, DataDirectory},
    ports::Place,
    process::{Name, Spec},
};

const USER: &str = "catalog";
/// Largest message: an event with a product before and after a change, each up to 1 MiB, and its frame.
const MAX_PAYLOAD: &str = "8MB";
/// nats-server checks its store before it accepts connections.
const START_LIMIT: Duration = Duration::from_mins(2);
/// Delay between two attempts to connect.
const RETRY: Duration = Duration::from_millis(50);

/// A nats-server whose configuration is written.
pub struct Server {
    program: PathBuf,
    configuration: PathBuf,
    password: SecretString,
    port: u16,
}

impl Server {
    /// Writes the configuration.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn prepare(program: PathBuf, directory: &DataDirectory, port: u16) -> anyhow::Result<Self> {
        let password = directory.secret("nats")?;
        let configuration = directory.nats().join("nats.conf");
        // Strings of this format are JSON's. `sync_interval: always` because by default the server
        // syncs every two minutes, and a power cut would lose acknowledged events.
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

    /// How to run it. It shows warnings and errors only.
    pub fn spec(&self) -> Spec {
        Spec {
            name: Name::Nats,
            program: self.program.clone(),
            arguments: vec!["--config".into(), self.configuration.clone().into()],
            environment: Vec::new(),
            hidden: &[],
            clean: true,
            account: None,
            places: vec![Place::chosen(self.port)],
            lock_file: None,
            // The password is in plain text, in a file that only this user can read.
            shown: |line| !["[INF]", "[DBG]", "[TRC]", "Plaintext passwords detected"].iter().any(|part| line.contains(part)),
        }
    }

    /// Waits until it accepts connections.
    ///
    /// # Errors
    /// If it doesn't within [`START_LIMIT`].
    pub async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let options = async_nats::ConnectOptions::with_user_and_password(USER.to_owned(), self.password.expose_secret().to_owned());
            match options.connect(format!("127.0.0.1:{}", self.port)).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).with_context(|| format!("nats-server isn't ready after {} s", START_LIMIT.as_secs()));
                }
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// `NATS_URL` of the shop.
    pub fn url(&self) -> String {
        format!("nats://{USER}:{}@127.0.0.1:{}", self.password.expose_secret(), self.port)
    }
}
