//! The text that `catalogctl dev` prints when the shop has started.

use std::{net::SocketAddr, path::Path};

use catalog_process::listener::reachable;
use secrecy::{ExposeSecret, SecretString};

use super::{ports::Ports, samples};

pub struct Greeting<'a> {
    /// URL of the API.
    pub url: &'a str,
    /// Address of the inbox page.
    pub inbox: SocketAddr,
    /// Username of the superuser.
    pub username: &'a str,
    /// Password of the superuser, if it was generated.
    pub password: Option<&'a SecretString>,
    /// Password of the second admin.
    pub editor_password: &'a SecretString,
    pub ports: Ports,
    pub currency: &'a str,
    /// The data directory.
    pub root: &'a Path,
}

impl Greeting<'_> {
    pub fn text(&self) -> String {
        let Self { url, username, .. } = self;
        let inbox = reachable(self.inbox);
        let password = self.password.map_or("<the configured password>", ExposeSecret::expose_secret);
        let editor_password = self.editor_password.expose_secret();
        let editor = samples::EDITOR;
        let Ports { serve, notifier, tracker, fulfiller, .. } = self.ports;
        let (root, currency) = (self.root.display(), self.currency);
        format!(
            r#"
  The shop is running.

    products   {url}/v1/products
    API docs   {url}/docs
    inbox      http://{inbox}   (mail to admins and customers)
    metrics    http://127.0.0.1:{serve}/metrics (serve), :{notifier} (notifier), :{tracker} (tracker), :{fulfiller} (fulfiller)

    sign in    {username} / {password}
    or         {editor} / {editor_password}

  Try it in another terminal:

    curl -s '{url}/v1/products?limit=3&sort=-price'

    TOKEN=$(curl -s {url}/v1/auth/login -H 'Content-Type: application/json' \
      -d '{{"username":"{username}","password":"{password}"}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    curl -s {url}/v1/products -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
      -d '{{"sku":"my-first","name":"My first product","price":{{"amount":"5","currency":"{currency}"}}}}'

    kill -9 $(cat {root}/run/notifier.pid)     # it is restarted

  Data is kept in {root}. Ctrl-C stops everything; the next start takes seconds.
  To start with an empty shop, stop it and: rm -rf {root}
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_password_is_not_printed() {
        let (given, generated) = (SecretString::from("given"), SecretString::from("generated"));
        let mut greeting = Greeting {
            url: "http://127.0.0.1:8080",
            inbox: ([0, 0, 0, 0], 8025).into(),
            username: "admin",
            password: Some(&given),
            editor_password: &generated,
            ports: Ports::default(),
            currency: "EUR",
            root: Path::new("/var/lib/catalog"),
        };
        assert!(greeting.text().contains("admin / given"));
        greeting.password = None;
        assert!(!greeting.text().contains("admin / given"));
        assert!(greeting.text().contains("http://127.0.0.1:8025 "));
    }
}
