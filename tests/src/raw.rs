//! HTTP/1.1 connections with control over every byte, for partial requests and closed connections.

use std::{io, net::IpAddr};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::wait::DEFAULT_TIMEOUT;

/// A connection.
pub struct Raw(BufReader<TcpStream>);

/// A response.
#[derive(Debug, Clone)]
pub struct RawResponse {
    /// HTTP status.
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    /// Body.
    pub body: String,
}

impl RawResponse {
    /// Whether the response has `Connection: close`.
    pub fn says_close(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

impl Raw {
    /// Connects to `base` (scheme, host and port).
    ///
    /// # Panics
    /// If nothing listens there.
    pub async fn connect(base: &str) -> Self {
        Self::connect_from(base, [127, 0, 0, 1].into(), None).await
    }

    /// Connects from an address of this machine, with a receive buffer of a size in bytes.
    ///
    /// # Panics
    /// If nothing listens there.
    pub async fn connect_from(base: &str, source: IpAddr, receive_buffer: Option<u32>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).expect("a buffer of this size");
        }
        socket.bind((source, 0).into()).expect("an address of this machine");
        let address = base.trim_start_matches("http://").parse().expect("an address");
        let stream = socket.connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self(BufReader::new(stream))
    }

    /// Sends bytes at once.
    ///
    /// # Errors
    /// If the server has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref()).await
    }

    /// Reads a response with a length.
    ///
    /// # Errors
    /// If the connection ends before it is complete.
    ///
    /// # Panics
    /// If it isn't received in time, or isn't HTTP.
    pub async fn response(&mut self) -> io::Result<RawResponse> {
        timeout(DEFAULT_TIMEOUT, self.read_response()).await.expect("a response in time")
    }

    async fn read_response(&mut self) -> io::Result<RawResponse> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed after {head:?}")));
            }
        }
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(RawResponse { status, head, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Reads until the server closes, and returns the number of bytes.
    ///
    /// # Errors
    /// If the connection is reset.
    ///
    /// # Panics
    /// If the server doesn't close in time.
    pub async fn read_to_end(&mut self) -> io::Result<usize> {
        timeout(DEFAULT_TIMEOUT, self.0.read_to_end(&mut Vec::new())).await.expect("the server closes in time")
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.0.get_ref().set_zero_linger().expect("a TCP socket");
    }
}
