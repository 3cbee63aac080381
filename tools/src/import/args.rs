//! The command line of `catalogctl import`.

use std::{
    io::IsTerminal,
    net::IpAddr,
    path::{Path, PathBuf},
};

use catalog_process::config::{Checker, ConfigError, Secret};
use catalog_rows::Charset;
use clap::Args;
use reqwest::Url;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    mapping::Mapping,
    numbers::Notation,
    source::{FileFormat, Source},
};

const EXAMPLES: &str = "\
Fields: sku, name, brand, description, categories (separated by |), price, currency, url, released_on,
quantity, attributes.<name>

Examples:
  catalogctl import products.ndjson
  catalogctl import ikea.csv --delimiter ';' --decimal-comma --set currency=SAR \\
      --map sku=item_id,name=name,categories=category,price=price \\
      --map url=link,description=short_description,attributes.width=width
  catalogctl import entries.json --map name=title,url=uri,released_on=date --sku-from url --set price=0
  catalogctl import preise.csv --encoding windows-1252 --map 'sku=EAN,name=Titel,price=\"Preis, EUR\"'

Rows are numbered from 1. Row 17 is line 18 of a spreadsheet, because the header is not counted and blank rows are.
Quotes in CSV follow RFC 4180: a quote inside a quoted cell is doubled, and an unquoted cell contains none.
At the first quote that doesn't, reading ends and nothing is imported. CSV has at most 110 columns with unique names.

Numbers have a decimal point and no separators, unless --decimal-comma is given. Dates must be unambiguous: 2024-05-23,
20240523, 23.05.2024, 23 May 2024 and similar forms are accepted, also with a time; 05/06/2024 and 24-01-05 are rejected.

Exit status: 0 all rows were imported, 3 some rows were rejected (each is listed), 1 the import failed.
The password is read from CATALOG_PASSWORD, --password-file or a prompt.
With https, SSL_CERT_FILE and SSL_CERT_DIR replace the certificate authorities of the system, and --ca-file adds to them.
The proxy is taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.";

/// Settings of `catalogctl import`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// JSON ({"items": [...]} or [...]), NDJSON or CSV
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of the file [default: from its name]
    #[arg(long, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// Encoding of the file, such as windows-1252 or utf-16le [default: UTF-8, or UTF-16 if the file starts with a byte order mark]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Delimiter of CSV: one character, or tab
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// Read numbers such as 1299,50, 1.299,50 or 1 299,50; 1.299 is 1299, and 19.99 is rejected. JSON numbers are not affected
    #[arg(long)]
    decimal_comma: bool,
    /// Column of each field, each column once; repeatable [default: columns have the names of fields]. Quote a name with a comma:
    /// --map 'price="Price, EUR"'
    #[arg(long, value_name = "FIELD=COLUMN,...")]
    map: Vec<String>,
    /// Value of a field in every row, such as currency=EUR; repeatable
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Generate the sku from this field, such as url
    #[arg(long, value_name = "FIELD")]
    sku_from: Option<String>,
    /// Print the rows that would be sent, without sending them
    #[arg(long)]
    dry_run: bool,
    /// URL of the API
    #[arg(long, env = "CATALOG_URL", default_value = "http://localhost:8080", value_name = "URL")]
    url: String,
    /// Certificates of certificate authorities to trust in addition to the system's, PEM
    #[arg(long, env = "CATALOG_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Username of an admin
    #[arg(long, env = "CATALOG_USERNAME", value_name = "NAME")]
    username: Option<String>,
    /// File with the password
    #[arg(long, env = "CATALOG_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Checked settings.
pub struct ImportSettings {
    pub source: Source,
    pub mapping: Mapping,
    /// `None` only prints the rows.
    pub target: Option<Target>,
}

/// An API and the credentials of an admin.
pub struct Target {
    /// Base URL without a trailing slash.
    pub url: String,
    /// Certificate authorities to trust in addition to the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    pub username: String,
    /// `None` is read from a prompt.
    pub password: Option<Secret>,
}

impl ImportArgs {
    /// Checks the settings.
    ///
    /// # Errors
    /// All invalid settings.
    pub fn check(&self) -> Result<ImportSettings, ConfigError> {
        let mut check = Checker::default();
        let source = self.source(&mut check);
        let notation = if self.decimal_comma { Notation::Comma } else { Notation::Point };
        let mapping = Mapping::new(&self.map, &self.set, self.sku_from.as_deref(), notation);
        let mapping = mapping.map_err(|faults| faults.into_iter().for_each(|fault| check.add_error(fault))).ok();
        let target = if self.dry_run { Some(None) } else { self.target(&mut check).map(Some) };
        let settings = || Some(ImportSettings { source: source?, mapping: mapping?, target: target? });
        check.finish(settings())
    }

    fn source(&self, check: &mut Checker) -> Option<Source> {
        let format = self.format.or_else(|| FileFormat::from_name(&self.file));
        if format.is_none() {
            check.add_error(format!(
                "the name of {} doesn't end with a known format: set --format to json, ndjson or csv",
                self.file.display()
            ));
        }
        let by_name = if self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv")) { "tab" } else { "," };
        let delimiter = match self.delimiter.as_deref().unwrap_or(by_name) {
            "tab" | "\\t" | "\t" => Some(b'\t'),
            one if one.len() == 1 && !matches!(one, "\"" | "\r" | "\n") => one.bytes().next(),
            other => {
                check.reject("--delimiter", other, "one ASCII character other than a quote or a line end, or tab");
                None
            }
        };
        let charset = self.encoding.as_deref().map_or(Ok(Charset::DETECT), |name| {
            let examples = "the name of an encoding, such as utf-8, utf-16le, windows-1252, iso-8859-2 or shift_jis";
            name.parse().map_err(|()| check.reject("--encoding", name, examples))
        });
        Some(Source { path: self.file.clone(), format: format?, delimiter: delimiter?, charset: charset.ok()? })
    }

    fn target(&self, check: &mut Checker) -> Option<Target> {
        let url = self.url(check);
        let authorities = self.ca_file.as_deref().map_or(Some(Vec::new()), |file| authorities(file, check));
        let username = self.username.clone().filter(|name| !name.is_empty());
        if username.is_none() {
            check.add_error("CATALOG_USERNAME is missing: set it, or use --username");
        }
        let password = check.secret("CATALOG_PASSWORD", self.password_file.as_ref());
        if password.is_none() && self.password_file.is_none() && !std::io::stdin().is_terminal() {
            check.missing("CATALOG_PASSWORD", "set it, or name a file that holds it in");
        }
        Some(Target { url: url?, authorities: authorities?, username: username?, password })
    }

    fn url(&self, check: &mut Checker) -> Option<String> {
        let parsed = Url::parse(self.url.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = parsed else {
            check.reject("CATALOG_URL", &self.url, "an absolute http or https URL");
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            check.add_error(
                "CATALOG_URL must not contain credentials: remove the part before @, and set CATALOG_USERNAME and CATALOG_PASSWORD",
            );
            return None;
        }
        if url.scheme() == "http" && !is_this_machine(&url) {
            tracing::warn!(host = url.host_str(), "password sent unencrypted; use https");
        }
        Some(url.as_str().trim_end_matches('/').to_owned())
    }
}

/// Whether the host is a loopback address or a name below `localhost` (RFC 6761, section 6.3).
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().map_or(host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

fn authorities(file: &Path, check: &mut Checker) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match read {
        Ok(found) if !found.is_empty() => return Some(found),
        Ok(_) => {
            check.reject("CATALOG_CA_FILE", &file.display().to_string(), "a file with a certificate in PEM format; this file has none");
        }
        Err(error) => check.add_error(format!("CATALOG_CA_FILE: cannot read {}: {error}", file.display())),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_and_addresses_are_this_machine() {
        for (url, is_local) in [
            ("http://localhost:8080", true),
            ("http://shop.localhost", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:8080", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(is_this_machine(&Url::parse(url).unwrap()), is_local, "{url}");
        }
    }
}
