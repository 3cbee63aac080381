//! `catalog admin`: manages admins in the database.

use std::{
    io::{self, BufRead, IsTerminal},
    path::PathBuf,
};

use anyhow::{Context, bail};
use catalog_process::{
    config::{Checker, Secret},
    output::print_line,
};
use catalog_values::text::Text;
use chrono::{DateTime, SubsecRound, Utc};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use garde::Validate;
use sqlx::PgPool;

use crate::{
    config::DatabaseArgs,
    database,
    identity::{self, AdminPatch, NewAdmin, passwords},
    release,
};

/// Admins per query of `list`.
const PAGE: u16 = 200;

/// Settings of `catalog admin`.
#[derive(Args)]
pub struct AdminArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create an admin
    Create {
        /// 1 to 64 letters, digits, '.', '_', '-' or '@'
        #[arg(value_name = "USERNAME")]
        username: String,
        /// E-mail address: changes of products are mailed to it
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        /// Name to show
        #[arg(long, value_name = "NAME")]
        full_name: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List all admins
    List,
    /// Deactivate an admin, who cannot sign in any more, and revoke all sessions
    Deactivate {
        /// Username of the admin
        #[arg(value_name = "USERNAME")]
        username: String,
    },
    /// Set the password of an admin or of the superuser, and revoke all sessions
    SetPassword {
        /// Username of the admin
        #[arg(value_name = "USERNAME")]
        username: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// A password is read from PASSWORD, a file, a prompt on a terminal, or the first line of standard input. Not from an argument,
/// because every user of the machine can see those.
#[derive(Args)]
struct PasswordArgs {
    /// File with the password [default: the variable PASSWORD, else a prompt or standard input]
    #[arg(long, env = "PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs the role.
///
/// # Errors
/// Invalid settings, a database of another release, or an invalid command.
pub async fn run(args: AdminArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let database = args.database.check(&mut check);
    let pool = &database::primary(&check.finish(database)?);
    release::check_schema(pool).await?;
    let now = Utc::now().trunc_subsecs(6);
    match args.command {
        Command::Create { username, email, full_name, password } => {
            let password = password.read()?;
            let new = NewAdmin { username, email: email.into_nfc(), password, full_name: full_name.into_nfc() };
            create(pool, new, now).await
        }
        Command::List => list(pool).await,
        Command::Deactivate { username } => deactivate(pool, &username, now).await,
        Command::SetPassword { username, password } => set_password(pool, &username, &password, now).await,
    }
}

async fn create(pool: &PgPool, new: NewAdmin, now: DateTime<Utc>) -> anyhow::Result<()> {
    new.validate().map_err(identity::Error::from)?;
    let hash = passwords::hash(&new.password)?;
    let admin = identity::create(&mut *pool.acquire().await?, &new, &hash, now).await?;
    Ok(print_line(&format!("admin {} created: {}", admin.username, admin.id))?)
}

async fn list(pool: &PgPool) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["USERNAME", "EMAIL", "NAME", "STATE", "CREATED", "ID"]);
    let mut after = None;
    loop {
        let (admins, next) = identity::list(pool, after, PAGE).await?;
        for admin in admins {
            let state = match (admin.is_active, admin.is_superuser) {
                (false, _) => "deactivated",
                (true, true) => "superuser",
                (true, false) => "active",
            };
            let created = admin.created_at.format("%Y-%m-%d %H:%M UTC").to_string();
            let name = admin.full_name.unwrap_or_default();
            table.add_row([admin.username, admin.email, name, state.to_owned(), created, admin.id.to_string()]);
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(print_line(&table.trim_fmt())?)
}

async fn deactivate(pool: &PgPool, username: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
    let admin = find_admin(pool, username).await?;
    identity::deactivate(pool, admin.id, now).await?;
    Ok(print_line(&format!("admin {} deactivated, all sessions revoked", admin.username))?)
}

async fn set_password(pool: &PgPool, username: &str, password: &PasswordArgs, now: DateTime<Utc>) -> anyhow::Result<()> {
    let admin = find_admin(pool, username).await?;
    let patch = AdminPatch { password: Some(password.read()?), ..AdminPatch::default() };
    patch.validate().map_err(identity::Error::from)?;
    let hash = patch.password.as_ref().map(passwords::hash).transpose()?.unwrap_or_default();
    identity::set_password(pool, admin.id, &hash, now).await?;
    Ok(print_line(&format!("password of {} changed, all sessions revoked", admin.username))?)
}

async fn find_admin(pool: &PgPool, username: &str) -> anyhow::Result<identity::AdminAccount> {
    identity::find_by_username(pool, username).await.with_context(|| format!("admin {username:?}"))
}

impl PasswordArgs {
    fn read(&self) -> anyhow::Result<Secret> {
        let mut check = Checker::default();
        let password = check.secret("PASSWORD", self.password_file.as_ref());
        check.finish(Some(()))?;
        password.map_or_else(read_password, Ok)
    }
}

fn read_password() -> anyhow::Result<Secret> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned().into());
    }
    let password = rpassword::prompt_password("Password: ").context("cannot read the password")?;
    if rpassword::prompt_password("Again: ").context("cannot read the password")? != password {
        bail!("the passwords differ; run the command again");
    }
    Ok(password.into())
}
