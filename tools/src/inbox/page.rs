//! Renders the pages. Mails are untrusted input, so the templates escape everything.

use chrono::{DateTime, Utc};
use minijinja::{AutoEscape, Environment, Value, context};

use super::message::Message;

/// Renders the list of mails. With `more`, it links to older ones.
///
/// # Errors
/// If the template is invalid.
pub fn list(shown: &[Message], total: usize, more: bool) -> Result<String, minijinja::Error> {
    let rows: Vec<Value> = shown.iter().map(fields).collect();
    let before = shown.last().filter(|_| more).map(|message| message.n);
    render(include_str!("list.html"), context! { messages => rows, total => total, before => before })
}

/// Renders one mail.
///
/// # Errors
/// If the template is invalid.
pub fn message(message: &Message) -> Result<String, minijinja::Error> {
    render(include_str!("message.html"), fields(message))
}

fn fields(message: &Message) -> Value {
    context! {
        n => message.n,
        from => message.from.as_str(),
        to => message.to.join(", "),
        subject => message.subject.as_deref().unwrap_or("(no subject)"),
        date => message.date.map(format_date),
        message_id => message.message_id.as_deref(),
        text => message.text.as_str(),
    }
}

fn format_date(date: DateTime<Utc>) -> String {
    date.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn render(template: &str, context: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.render_str(template, context)
}

#[cfg(test)]
mod tests {
    use super::{super::message::Delivery, *};

    fn mail_with_markup() -> Message {
        let evil = "<script>alert('&\"')</script>";
        let source = format!("Subject: {evil}\r\nMessage-ID: <{evil}>\r\n\r\n{evil}\r\n");
        Message::parse(3, Delivery { from: evil.into(), to: vec![evil.into()], source: source.into() })
    }

    #[test]
    fn mails_are_escaped() {
        for page in [message(&mail_with_markup()).unwrap(), list(&[mail_with_markup()], 1, false).unwrap()] {
            assert!(!page.contains("<script"), "{page}");
            assert!(page.contains("&lt;script&gt;"), "{page}");
        }
    }

    #[test]
    fn a_full_list_links_to_older_mails() {
        assert!(list(&[mail_with_markup()], 9, true).unwrap().contains("?before=3"));
        assert!(!list(&[mail_with_markup()], 9, false).unwrap().contains("?before"));
        assert!(list(&[], 0, false).unwrap().contains("No mail yet"));
    }
}
