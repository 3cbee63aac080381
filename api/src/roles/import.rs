//! `catalog import`: a signed-in client of the bulk endpoint.

mod args;
mod client;
mod dates;
mod mapping;
mod report;
mod slug;
mod source;
mod stream;
mod transport;

use std::{io::Write, ops::ControlFlow, process::ExitCode, sync::Arc};

use anyhow::Context;
pub use args::ImportArgs;
use args::ImportSettings;
use client::Session;

use super::output::print_line;

/// Exit status when some rows were refused.
const SOME_REFUSED: u8 = 3;

/// Runs the role.
///
/// # Errors
/// Wrong settings, a file that cannot be read, or an API that cannot be reached or refuses.
pub async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let ImportSettings { source, mapping, target } = args.check()?;
    let Some(target) = target else {
        tokio::task::spawn_blocking(move || print_rows(&source, &mapping)).await??;
        return Ok(ExitCode::SUCCESS);
    };
    let password = match target.password.clone() {
        Some(password) => password,
        None => rpassword::prompt_password(format!("Password of {}: ", target.username)).context("cannot ask for the password")?.into(),
    };
    let session = Session::start(&target, &password).await?;
    let mapping = Arc::new(mapping);
    let (rows, reading) = stream::rows(source.clone(), mapping.clone());
    let outcome = session.import(transport::pieces(rows)).await;
    // Where the file is at fault, the API only saw a request that broke off.
    reading.await??;
    let outcome = outcome?;
    let errors = report::errors(&outcome, &source, &mapping);
    write!(std::io::stderr(), "{}{errors}", report::warnings(&outcome))?;
    print_line(&report::summary(&outcome))?;
    Ok(if outcome.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REFUSED) })
}

/// Prints the rows as they would be sent.
fn print_rows(source: &source::Source, mapping: &mapping::Mapping) -> anyhow::Result<()> {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut failure = None;
    source.read(mapping, |file| file, &mut |number, found| {
        let written = match found {
            Ok(record) => writeln!(output, "{}", mapping.row(&record)),
            Err(why) => writeln!(std::io::stderr(), "row {number}: {why}"),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match failure.or_else(|| output.flush().err()) {
        // Whoever reads the rows has seen enough.
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
