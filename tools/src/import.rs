//! `catalogctl import`: sends the rows of a file to the bulk endpoint.

mod args;
mod client;
mod dates;
mod map_option;
mod mapping;
mod numbers;
mod report;
mod slug;
mod source;
mod stream;
mod transport;
mod value;

use std::{io::Write, ops::ControlFlow, process::ExitCode, sync::Arc};

use anyhow::Context;
pub use args::ImportArgs;
use args::ImportSettings;
use catalog_process::output::print_line;
use catalog_rows::Fault;
use client::Session;
use source::ParsedRow;

/// Exit status when some rows were rejected.
const SOME_REJECTED: u8 = 3;

/// Runs the command.
///
/// # Errors
/// Invalid settings, a file that cannot be read, or an API that cannot be reached or rejects the request.
pub async fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let ImportSettings { source, mapping, target } = args.check()?;
    let Some(target) = target else {
        return tokio::task::spawn_blocking(move || print_rows(&source, &mapping)).await?;
    };
    let password = match target.password.clone() {
        Some(password) => password,
        None => rpassword::prompt_password(format!("Password of {}: ", target.username)).context("cannot read the password")?.into(),
    };
    let session = Session::start(&target, &password).await?;
    let mapping = Arc::new(mapping);
    let (rows, reading) = stream::rows(source.clone(), mapping.clone());
    let outcome = session.import(transport::streamed_body(rows)).await;
    // An error in the file aborts the request, so the file's error is the cause of the API's.
    reading.await?.context("nothing was imported")?;
    let outcome = outcome?;
    let errors = report::errors(&outcome, &source, &mapping);
    write!(std::io::stderr(), "{}{errors}", report::warnings(&outcome))?;
    print_line(&report::summary(&outcome))?;
    Ok(if outcome.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REJECTED) })
}

/// Prints the rows that would be sent.
fn print_rows(source: &source::Source, mapping: &mapping::Mapping) -> anyhow::Result<ExitCode> {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut failure = None;
    let (mut rejected, mut blank) = (0, 0);
    source.read(mapping, |file| file, &mut |number, found| {
        let faults = match found {
            ParsedRow::Record(record) => {
                let mapped = mapping.row(&record);
                if mapped.faults.is_empty() {
                    failure = writeln!(output, "{}", mapped.row).err();
                }
                mapped.faults
            }
            ParsedRow::Unreadable(reason) => vec![Fault::of_row(reason)],
            ParsedRow::Blank => {
                blank += 1;
                Vec::new()
            }
        };
        if !faults.is_empty() {
            rejected += 1;
            let mut lines = String::new();
            for fault in &faults {
                report::push(&mut lines, number, "", fault.field().as_deref(), &fault.detail);
            }
            failure = failure.take().or_else(|| write!(std::io::stderr(), "{lines}").err());
        }
        if failure.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if blank > 0 {
        writeln!(std::io::stderr(), "{blank} blank {} skipped", report::rows(blank))?;
    }
    match failure.or_else(|| output.flush().err()) {
        Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        // A closed pipe, as of `head`, is not an error.
        _ => Ok(if rejected == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_REJECTED) }),
    }
}
