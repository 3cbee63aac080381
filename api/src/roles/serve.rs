//! `catalog serve`: the public API with the relay inside.

use clap::Args;

use super::supervisor::Supervisor;
use crate::{
    config::{ApiArgs, AuthArgs, CatalogueArgs, Checker, DatabaseArgs, EventsArgs, OpsArgs, ViewsArgs},
    database::Database,
};

/// Settings of `catalog serve`.
#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    events: EventsArgs,
    #[command(flatten)]
    views: ViewsArgs,
    #[command(flatten)]
    auth: AuthArgs,
    #[command(flatten)]
    ops: OpsArgs,
}

/// Runs the role.
///
/// # Errors
/// Wrong settings, listeners that cannot be opened, or a task that ended.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let ops = args.ops.check(&mut check);
    let database = args.database.check(&mut check);
    let (ops, database) = check.finish(ops.zip(database))?;
    let supervisor = Supervisor::start(ops).await?;
    let _database = Database::new(&database);
    supervisor.run().await
}
