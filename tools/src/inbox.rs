//! `catalogctl inbox`: accepts any mail and shows it, for `catalogctl dev` and for tests.

mod chaos;
mod handlers;
mod mailbox;
mod message;
mod page;
mod smtp;

use std::{path::PathBuf, sync::Arc};

use catalog_process::{
    config::{Checker, OpsArgs},
    listener::listen,
    server::respond_without_body,
    supervisor::Supervisor,
};
use clap::Args;

use self::{
    chaos::Chaos,
    mailbox::{Limits, Mailbox},
};

/// Settings of `catalogctl inbox`.
#[derive(Args)]
pub struct InboxArgs {
    /// Address of the SMTP server, which has neither encryption nor authentication
    #[arg(long, env = "SMTP_ADDRESS", default_value = "127.0.0.1:1025", value_name = "ADDRESS:PORT")]
    smtp_address: String,
    /// Address of the web page with the mail; JSON at /api/messages
    #[arg(long, env = "INBOX_ADDRESS", default_value = "127.0.0.1:8025", value_name = "ADDRESS:PORT")]
    inbox_address: String,
    /// Directory that keeps the mail across restarts, one file each [default: in memory only]
    #[arg(long, env = "INBOX_DIR", value_name = "DIR")]
    inbox_dir: Option<PathBuf>,
    /// Maximum number of mails; beyond it the oldest are deleted
    #[arg(long, env = "INBOX_MAX_MESSAGES", default_value = "10000", value_name = "N")]
    inbox_max_messages: String,
    /// Maximum size of all mails together; beyond it the oldest are deleted
    #[arg(long, env = "INBOX_MAX_BYTES", default_value = "134217728", value_name = "BYTES")]
    inbox_max_bytes: String,
    #[command(flatten)]
    ops: OpsArgs,
}

/// Runs the command.
///
/// # Errors
/// Invalid settings, listeners that cannot be opened, a directory that cannot be used, or a task that ended.
pub async fn run(args: InboxArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let smtp = check.value("SMTP_ADDRESS", &args.smtp_address, "an address and port such as 127.0.0.1:1025", |_| true);
    let page = check.value("INBOX_ADDRESS", &args.inbox_address, "an address and port such as 127.0.0.1:8025", |_| true);
    let messages = check
        .value("INBOX_MAX_MESSAGES", &args.inbox_max_messages, "a whole number from 1 to 1000000", |n: &usize| (1..=1_000_000).contains(n));
    // With a lower limit, the largest mail could not be stored.
    let allowed = format!("a whole number of at least {}", smtp::MAX_MESSAGE);
    let bytes = check.value("INBOX_MAX_BYTES", &args.inbox_max_bytes, &allowed, |n: &usize| *n >= smtp::MAX_MESSAGE);
    let ops = args.ops.check(&mut check);
    let settings = smtp.zip(page).zip(messages.zip(bytes)).zip(ops);
    let (((smtp_address, page_address), (messages, bytes)), ops) = check.finish(settings)?;

    let mut supervisor = Supervisor::start(ops, respond_without_body)?;
    let mailbox = Arc::new(Mailbox::open(args.inbox_dir, Limits { messages, bytes })?);
    let chaos = Arc::new(Chaos::default());
    let smtp_listener = listen("SMTP_ADDRESS", smtp_address)?;
    let page_listener = listen("INBOX_ADDRESS", page_address)?;
    supervisor.spawn("SMTP", smtp::serve(smtp_listener, Arc::clone(&mailbox), Arc::clone(&chaos), supervisor.stop()));
    supervisor.spawn("inbox page", handlers::serve(page_listener, mailbox, chaos, supervisor.stop()));
    supervisor.readiness().ready();
    supervisor.run().await
}
