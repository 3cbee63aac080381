//! `catalog serve`: the public API and its background tasks.

mod housekeeping;

use std::{sync::Arc, time::Duration};

use catalog_process::{
    config::{Checker, ConfigError, OpsArgs, OpsSettings},
    listener::listen,
    server::{self, Limits},
    supervisor::Supervisor,
};
use catalog_values::Currency;
use chrono::TimeDelta;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{
        ApiArgs, ApiSettings, AuthArgs, AuthSettings, CartArgs, CatalogueArgs, DatabaseArgs, DatabaseSettings, EventsArgs, EventsSettings,
        HttpArgs, HttpSettings, ReadArgs, ReadSettings, UploadArgs, UploadSettings, ViewsArgs, ViewsSettings,
    },
    database::{self, Database},
    events::{Nats, Outbox, feed, relay, streams},
    http::{public_url::PublicUrl, read_limit::ReadLimit, rejection},
    identity::Identity,
    orders::{self, Orders},
    products::{Catalogue, handlers::bulk::Uploads},
    release,
    router::{App, router},
    tracking::Reports,
    views::Views,
};

/// Settings of `catalog serve`.
#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    uploads: UploadArgs,
    #[command(flatten)]
    carts: CartArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    reads: ReadArgs,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    views: ViewsArgs,
    #[command(flatten)]
    auth: AuthArgs,
    #[command(flatten)]
    ops: OpsArgs,
}

struct Settings {
    api: ApiSettings,
    http: HttpSettings,
    currency: Currency,
    uploads: UploadSettings,
    cart_ttl: Duration,
    database: DatabaseSettings,
    reads: ReadSettings,
    events: EventsSettings,
    views: ViewsSettings,
    auth: AuthSettings,
    ops: OpsSettings,
}

impl ServeArgs {
    fn check(&self) -> Result<Settings, ConfigError> {
        let mut check = Checker::default();
        let api = self.api.check(&mut check);
        let http = self.http.check(&mut check);
        let currency = self.catalogue.check(&mut check);
        let uploads = self.uploads.check(&mut check);
        let cart_ttl = self.carts.check(&mut check);
        let database = self.database.check(&mut check);
        let reads = self.reads.check(database.as_ref(), &mut check);
        let events = self.events.check(&mut check);
        let views = self.views.check(&mut check);
        let auth = self.auth.check(&mut check);
        let ops = self.ops.check(&mut check);
        let settings = || {
            Some(Settings {
                api: api?,
                http: http?,
                currency: currency?,
                uploads: uploads?,
                cart_ttl: cart_ttl?,
                database: database?,
                reads: reads?,
                events: events?,
                views: views?,
                auth: auth?,
                ops: ops?,
            })
        };
        check.finish(settings())
    }
}

/// Runs the role.
///
/// # Errors
/// Invalid settings, listeners that cannot be opened, or a task that ended.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let settings = args.check()?;
    let mut supervisor = Supervisor::start(settings.ops, rejection::respond)?;
    let listener = listen("HTTP_ADDRESS", settings.api.address)?;
    let database = Database::new(&settings.database, &settings.reads);
    let identity = Identity::new(&database, settings.auth, &settings.api.public_url)?;
    let nats = Nats::connect(&settings.events).await?;
    let outbox = Outbox::new(&settings.api.public_url);
    let catalogue = Catalogue::start(database.clone(), settings.currency, outbox.clone());
    let stop = supervisor.stop();
    let (views, publisher) = Views::new(settings.views, nats.clone(), &settings.api.public_url);

    let readiness = supervisor.readiness().clone();
    readiness.add_dependency("postgresql", {
        let pool = database.primary.clone();
        move || {
            let pool = pool.clone();
            async move { database::ping(&pool).await }
        }
    });
    readiness.add_dependency("nats", {
        let nats = nats.clone();
        move || std::future::ready(if nats.is_connected() { Ok(()) } else { Err("not connected".to_owned()) })
    });

    supervisor.spawn("identity", identity.clone().run(stop.clone()));
    // The publisher stops after the last response of the API, to publish its view.
    let answered = CancellationToken::new();
    supervisor.spawn("view publisher", publisher.run(answered.clone()));
    supervisor.spawn("streams", streams::recreate_missing_until_stopped(nats.clone(), stop.clone()));
    supervisor.spawn("cache invalidation", feed::follow(nats.clone(), catalogue.cache.clone(), stop.clone()));

    let usable = async { Ok(release::wait_until_usable(&readiness, &database.primary, settings.currency).await?) };
    if supervisor.run_start(usable).await?.is_some() {
        supervisor.spawn("schema watch", release::watch_schema(readiness.clone(), database.primary.clone(), stop.clone()));
        supervisor.spawn("relay", relay::run(nats, database.primary.clone(), outbox, stop.clone()));
        supervisor.spawn("housekeeping", housekeeping::run(catalogue.clone(), settings.api.deleted_retention, stop.clone()));
        let orders = Arc::new(Orders::new(catalogue.clone(), TimeDelta::from_std(settings.cart_ttl)?));
        supervisor.spawn("cart expiry", orders::carts::run_cart_expiry(orders.clone(), stop.clone()));
        let app = App {
            identity,
            orders,
            catalogue,
            uploads: Arc::new(Uploads::new(&settings.uploads)),
            views,
            reports: Arc::new(Reports::new(database)),
            read_limit: ReadLimit::new(settings.reads.per_client),
            public_url: PublicUrl(settings.api.public_url.as_str().into()),
        };
        let HttpSettings { max_connections, max_connections_per_client, write_timeout, response_budget } = settings.http;
        server::raise_open_file_limit(max_connections);
        // A proxy opens the connections of many clients.
        let max_per_client = max_connections_per_client.filter(|_| settings.api.trusted_proxy_hops == 0);
        let limits = Limits::new("public", max_connections, max_per_client, write_timeout);
        let router = router(app, settings.api.access_log_sample, settings.api.trusted_proxy_hops, response_budget);
        supervisor.spawn("public API", async move {
            let _last_request_answered = answered.drop_guard();
            server::serve(listener, router, limits, rejection::respond, stop).await;
            Ok(())
        });
        readiness.ready();
        supervisor.run().await?;
    }
    Ok(())
}
