//! `make bench`: how close reads and orders come to what this machine can do.

use anyhow::bail;
use catalog_tests::bench::{bare, lists, load, orders, run, starvation};

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["reads"] => tokio::runtime::Runtime::new()?.block_on(run::run()),
        ["orders"] => tokio::runtime::Runtime::new()?.block_on(orders::run()),
        ["starvation"] => tokio::runtime::Runtime::new()?.block_on(starvation::run()),
        // What follows are the children of a run.
        ["bare", canned] => tokio::runtime::Runtime::new()?.block_on(bare::serve(serde_json::from_str(canned)?)),
        ["load", plan] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let outcome = runtime.block_on(load::generate(serde_json::from_str(plan)?))?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        ["lists", plan] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let outcome = runtime.block_on(lists::generate(serde_json::from_str(plan)?))?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        _ => bail!("say what to measure: reads, orders or starvation"),
    }
}
