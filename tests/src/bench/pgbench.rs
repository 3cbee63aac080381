//! The upper limit of uncached reads: `pgbench` with the prepared statement of the API.

use std::{path::Path, process::Command};

use anyhow::{Context, bail};

use super::numbered_products::id_in_sql;
use crate::{postgres::Postgres, programs};

/// The statement that reads one product by id.
const STATEMENT: &str =
    "SELECT id, sku, name, brand, description, categories, price, url, released_on, attributes, version, created_at, updated_at,
 COALESCE((SELECT on_hand > reserved FROM products.stock s WHERE s.product_id = p.id), true) AS in_stock
 FROM products.products p WHERE p.id = ";

/// Measures reads of one product per second.
///
/// # Errors
/// If pgbench fails.
pub fn measure(
    postgres: &Postgres,
    database: &str,
    products: u64,
    connections: usize,
    seconds: u64,
    scratch: &Path,
) -> anyhow::Result<f64> {
    let id = id_in_sql(":number");
    // In a pgbench script, a statement must be on one line.
    let statement = STATEMENT.replace('\n', "");
    let script = format!("\\set number random(1, {products})\n{statement}{id} AND deleted_at IS NULL;\n");
    run(postgres, database, &script, connections, seconds, scratch)
}

/// Runs a script and returns its transactions per second.
///
/// # Errors
/// If pgbench fails.
pub fn run(postgres: &Postgres, database: &str, script: &str, connections: usize, seconds: u64, scratch: &Path) -> anyhow::Result<f64> {
    let file = scratch.join("pgbench.sql");
    std::fs::write(&file, script)?;
    let mut command = Command::new(programs::servers().postgres("pgbench"));
    command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--host=127.0.0.1", "--username=postgres"]);
    command.arg(format!("--client={connections}")).arg(format!("--time={seconds}")).arg(format!("--port={}", postgres.port()));
    let output = command.arg("--file").arg(&file).arg(database).output().context("pgbench can't be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("pgbench failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.with_context(|| format!("pgbench printed no rate:\n{text}"))
}
