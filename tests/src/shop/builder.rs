//! Builds and starts shops.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgPoolOptions;

use super::{Network, Shop, Source, SuiteLock};
use crate::{
    api::Api,
    inbox::Inbox,
    nats::Nats,
    people::Account,
    postgres::Postgres,
    process::{Environment, Process, Role},
    shared::{self, Shared},
};

/// Options of a shop.
#[allow(clippy::struct_excessive_bools, reason = "the options are independent")]
pub struct Builder {
    roles: Vec<Role>,
    environment: Environment,
    private_nats: bool,
    private_postgres: bool,
    proxied: bool,
    alone: bool,
    second: bool,
    allow_error_logs: bool,
}

impl Default for Builder {
    /// The API, the notifier, the tracker and an inbox, on the shared servers.
    fn default() -> Self {
        Self {
            roles: vec![Role::Serve, Role::Notifier, Role::Tracker],
            environment: Environment::new(),
            private_nats: false,
            private_postgres: false,
            proxied: false,
            alone: false,
            second: false,
            allow_error_logs: false,
        }
    }
}

impl Builder {
    /// Starts only the API: no mail is sent, and no view is counted.
    #[must_use]
    pub fn only_api(mut self) -> Self {
        self.roles = vec![Role::Serve];
        self
    }

    /// Starts these roles (and the inbox, if the notifier is among them).
    #[must_use]
    pub fn roles(mut self, roles: &[Role]) -> Self {
        self.roles = roles.to_vec();
        self
    }

    /// Sets a setting of every role.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Starts a nats-server for this shop alone, so that the test may stop it.
    #[must_use]
    pub fn private_nats(mut self) -> Self {
        self.private_nats = true;
        self
    }

    /// Starts a PostgreSQL for this shop alone, so that the test may stop it.
    #[must_use]
    pub fn private_postgres(mut self) -> Self {
        self.private_postgres = true;
        self
    }

    /// Puts proxies between the roles and their servers.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Runs no other test concurrently, because this one measures times.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Starts a second shop in a test. It doesn't take the lock of the suite, which the first shop holds.
    #[must_use]
    pub fn beside_another(mut self) -> Self {
        self.second = true;
        self
    }

    /// Allows errors in the logs, because the test causes faults.
    #[must_use]
    pub fn allow_error_logs(mut self) -> Self {
        self.allow_error_logs = true;
        self
    }

    /// Starts the shop, and waits until all roles are ready.
    ///
    /// # Panics
    /// If it can't be started.
    pub async fn start(self) -> Shop {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shop{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let shared = tokio::task::spawn_blocking(Shared::get).await.expect("the shared servers run");
        let suite_lock = if self.second {
            SuiteLock::None
        } else if self.alone {
            SuiteLock::Exclusive { _guard: shared.suite_lock.clone().write_owned().await }
        } else {
            SuiteLock::Shared { _guard: shared.suite_lock.clone().read_owned().await }
        };
        let nats = if self.private_nats { Source::Own(Nats::private().await) } else { Source::Shared(&shared.nats) };
        let postgres = if self.private_postgres { Source::Own(Postgres::private().await) } else { Source::Shared(&shared.postgres) };
        let mut environment = shared::settings(&postgres.url(&name), &nats.url(), &name);
        environment.insert("AUTH_SIGNING_KEYS_DIR".into(), shared.keys.display().to_string());
        let people = if self.private_postgres { shared::prepare(&postgres, &environment).await } else { shared.people.clone() };
        postgres.create_database(&name, shared::TEMPLATE).await;
        let network = if self.proxied { Some(Network::start(&postgres, &nats, &name, &mut environment).await) } else { None };
        environment.extend(self.environment);
        if environment.contains_key("CURRENCY") {
            // The template has no products, so that its currency can be changed.
            let mut migrate = Process::start(&["migrate"], &environment);
            assert!(migrate.ended().await.success(), "{}", migrate.report());
        }
        let inbox = if self.roles.contains(&Role::Notifier) { Some(open_inbox(&mut environment, 0).await) } else { None };
        let anyone = Api::anonymous("http://127.0.0.1:9", Some(shared.contract.clone()));
        let as_account = |account: &Account| anyone.with_token(&account.token);
        let database = PgPoolOptions::new().max_connections(2).connect_lazy(&postgres.url(&name)).expect("a URL of our own making");
        let mut shop = Shop {
            owner: as_account(&people.owner),
            ada: as_account(&people.ada),
            grace: as_account(&people.grace),
            carol: as_account(&people.carol),
            dave: as_account(&people.dave),
            anyone,
            people,
            database,
            name,
            processes: Vec::new(),
            environment,
            inbox,
            network,
            nats,
            postgres,
            allow_error_logs: self.allow_error_logs,
            _suite_lock: suite_lock,
        };
        for role in &self.roles {
            shop.launch(*role);
        }
        for role in &self.roles {
            shop.wait_until_ready(*role).await;
        }
        shop
    }
}

impl Shop {
    /// Kills the mail server.
    ///
    /// # Panics
    /// If the shop has none.
    pub fn kill_inbox(&mut self) {
        self.inbox.as_mut().expect("a shop with a notifier has an inbox").0.kill();
    }

    /// Restarts the mail server on its port, without its mails.
    ///
    /// # Panics
    /// If the port is in use.
    pub async fn restart_inbox(&mut self) {
        let port = self.environment["MAIL_PORT"].parse().expect("a port");
        self.inbox = Some(open_inbox(&mut self.environment, port).await);
    }
}

async fn open_inbox(environment: &mut Environment, port: u16) -> (Process, Inbox) {
    let smtp = format!("127.0.0.1:{port}");
    let addresses = [("SMTP_ADDRESS", smtp.as_str()), ("INBOX_ADDRESS", "127.0.0.1:0"), ("OPS_ADDRESS", "127.0.0.1:0")];
    let settings = addresses.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let process = Process::role(Role::Inbox, &settings);
    let smtp = process.address("SMTP_ADDRESS").await;
    let http = process.address("INBOX_ADDRESS").await;
    environment.insert("MAIL_SERVER".into(), smtp.ip().to_string());
    environment.insert("MAIL_PORT".into(), smtp.port().to_string());
    (process, Inbox::new(format!("http://{http}")))
}
