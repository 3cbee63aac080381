use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    address::Envelope,
    transport::smtp::{Error, response::Response},
};

use super::super::{chaos::Setting, mailbox::Limits, message::Message};
use super::*;

struct Inbox {
    mailbox: Arc<Mailbox>,
    chaos: Arc<Chaos>,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Inbox {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mailbox = Arc::new(Mailbox::open(None, Limits { messages: 100, bytes: 2 * MAX_MESSAGE }).unwrap());
        let chaos = Arc::new(Chaos::default());
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::clone(&mailbox), Arc::clone(&chaos), stop.clone()));
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(address.port()).build();
        Self { mailbox, chaos, transport, address, stop }
    }

    async fn send(&self, to: &str, mail: &str) -> Result<Response, Error> {
        let envelope = Envelope::new(Some("shop@example.com".parse().unwrap()), vec![to.parse().unwrap()]).unwrap();
        self.transport.send_raw(&envelope, mail.as_bytes()).await
    }

    fn mails(&self) -> Vec<Message> {
        self.mailbox.messages(|_| true)
    }
}

#[tokio::test]
async fn a_mail_arrives_with_its_envelope_and_unstuffed_dots() {
    let inbox = Inbox::start().await;
    inbox.send("editor@example.com", "Subject: hello\r\n\r\n.dot\r\n..\r\nend").await.unwrap();
    let kept = inbox.mails();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].from, "shop@example.com");
    assert_eq!(kept[0].to, ["editor@example.com"]);
    assert_eq!(kept[0].subject.as_deref(), Some("hello"));
    assert_eq!(kept[0].text, ".dot\n..\nend\n");
}

#[tokio::test]
async fn some_recipients_are_always_rejected() {
    let inbox = Inbox::start().await;
    let rejected = inbox.send("refuse.me@example.com", "\r\n").await.unwrap_err();
    assert_eq!(rejected.status().map(u16::from), Some(550));
    let busy = inbox.send("busy.me@example.com", "\r\n").await.unwrap_err();
    assert_eq!(busy.status().map(u16::from), Some(451));
    assert!(inbox.mails().is_empty());
}

#[tokio::test]
async fn fault_injection_applies_to_every_recipient() {
    let inbox = Inbox::start().await;
    for (mode, code) in [(Mode::Reject, 550), (Mode::Defer, 451), (Mode::Busy, 421)] {
        inbox.chaos.set(Setting { mode, times: Some(1) });
        let error = inbox.send("editor@example.com", "\r\n").await.unwrap_err();
        assert_eq!(error.status().map(u16::from), Some(code), "{mode:?}: {error:?}");
        inbox.send("editor@example.com", "\r\n").await.unwrap();
    }
    assert_eq!(inbox.mails().len(), 3);
}

#[tokio::test]
async fn a_dropped_mail_is_stored_without_a_reply() {
    let inbox = Inbox::start().await;
    inbox.chaos.set(Setting { mode: Mode::Drop, times: Some(1) });
    let error = inbox.send("editor@example.com", "Subject: crash\r\n\r\n").await.unwrap_err();
    assert_eq!(error.status(), None, "{error:?}");
    assert_eq!(inbox.mails().len(), 1);
}

/// Sends SMTP commands, and returns the code of each reply.
async fn dialogue(address: SocketAddr, lines: &[&str]) -> Vec<String> {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let mut codes = Vec::new();
    let mut answer = String::new();
    for line in std::iter::once(&"").chain(lines) {
        stream.write_all(line.as_bytes()).await.unwrap();
        answer.clear();
        stream.read_line(&mut answer).await.unwrap();
        codes.push(answer.split(' ').next().unwrap_or_default().trim().to_owned());
    }
    codes
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_rejected_and_the_connection_stays_open() {
    let inbox = Inbox::start().await;
    let line = format!("{}\r\n", "x".repeat(100_000));
    let large = format!("{}.\r\n", line.repeat(MAX_MESSAGE / line.len() + 1));
    let start = ["HELO me\r\n", "MAIL FROM:<a@example.com>\r\n", "RCPT TO:<b@example.com>\r\n", "DATA\r\n"];
    let mut lines = start.to_vec();
    lines.push(&large);
    lines.extend(&start[1..]);
    lines.extend(["small\r\n.\r\n", "QUIT\r\n"]);
    let codes = dialogue(inbox.address, &lines).await;
    assert_eq!(codes, ["220", "250", "250", "250", "354", "552", "250", "250", "354", "250", "221"]);
    assert_eq!(inbox.mails().len(), 1);
}

#[tokio::test]
async fn invalid_commands_get_an_error_and_too_long_lines_close_the_connection() {
    let inbox = Inbox::start().await;
    let endless = "x".repeat(usize::try_from(MAX_LINE).unwrap());
    let codes = dialogue(inbox.address, &["\0\u{fffd}\r\n", "RCPT TO:<a@example.com>\r\n", &endless]).await;
    assert_eq!(codes, ["220", "500", "503", "421"]);
}

#[tokio::test]
async fn stopping_closes_open_connections() {
    let inbox = Inbox::start().await;
    let mut stream = BufReader::new(TcpStream::connect(inbox.address).await.unwrap());
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    inbox.stop.cancel();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\r\n421 "), "{answer}");
}
