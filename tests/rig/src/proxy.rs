//! A proxy for HTTPS connections: CONNECT, over plain HTTP or TLS, with or without a password, well or badly behaved.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::error::{At, Result};
use crate::git_host::Certificate;
use crate::git_host::tls::Tls;

/// How a proxy behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// It lets everybody through.
    Open,
    /// It lets those through who send this in `Proxy-Authorization`: `Basic` and the base64 of `user:password`.
    Guarded(String),
    /// It answers everybody with this status and a web page.
    Page(u16),
    /// It answers everybody as if it let them through, and then sends a web page.
    Liar,
    /// It lets the first one through to the server, and all others to this port of 127.0.0.1 instead.
    Swindler(u16),
    /// It lets everybody through to this port of 127.0.0.1, whatever they ask for: the names need not exist.
    Towards(u16),
}

/// What a client asked of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The request's first line.
    pub line: String,
    /// The `Proxy-Authorization` header.
    pub authorization: Option<String>,
}

/// A running proxy on 127.0.0.1. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    /// The port.
    pub port: u16,
    /// The certificate that would vouch for the proxy itself; empty when it speaks plain HTTP.
    pub ca_pem: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts a proxy that is spoken to over plain HTTP.
    pub fn http(manner: Manner) -> Result<Self> {
        Self::start(manner, None)
    }

    /// Starts a proxy that is spoken to over TLS.
    pub fn https(manner: Manner) -> Result<Self> {
        Self::start(manner, Some(Tls::new(Certificate::For(&["127.0.0.1", "localhost"]))?))
    }

    fn start(manner: Manner, tls: Option<Tls>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").at("listen", "127.0.0.1")?;
        let port = listener.local_addr().at("listen", "127.0.0.1")?.port();
        let (asked, ended) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(AtomicBool::new(false)));
        let (config, ca_pem) = tls.map_or((None, String::new()), |tls| (Some(tls.config), tls.trust));
        let (notes, over) = (Arc::clone(&asked), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let visit = Visit { manner: manner.clone(), asked: Arc::clone(&notes), ended: Arc::clone(&over) };
                let config = config.clone();
                // A client that goes away in the middle is part of the tests.
                std::thread::spawn(move || visit.serve(stream, config).ok());
            }
        });
        Ok(Self { port, ca_pem, asked, ended })
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the listener so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Visit {
    manner: Manner,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl Visit {
    fn serve(&self, stream: TcpStream, config: Option<Arc<ServerConfig>>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match config {
            None => {
                let socket = stream.try_clone()?;
                self.talk(stream, &socket)
            }
            Some(config) => {
                let socket = stream.try_clone()?;
                let connection = ServerConnection::new(config).map_err(io::Error::other)?;
                self.talk(StreamOwned::new(connection, stream), &socket)
            }
        }
    }

    /// Answers requests until one opens a tunnel or the client goes.
    fn talk(&self, mut client: impl Read + Write, socket: &TcpStream) -> io::Result<()> {
        loop {
            let Some(head) = head(&mut client)? else { return Ok(()) };
            let line = head.lines().next().unwrap_or_default().to_owned();
            let authorization = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case("proxy-authorization"))
                .map(|(_, value)| value.trim().to_owned());
            let asked = Asked { line: line.clone(), authorization: authorization.clone() };
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
            let page = "<html>Please log in to the guest network</html>";
            match &self.manner {
                Manner::Page(status) => return answer(&mut client, *status, "", page),
                Manner::Liar => return answer(&mut client, 200, "", page),
                Manner::Guarded(expected) if authorization.as_deref() != Some(expected) => {
                    answer(&mut client, 407, "Proxy-Authenticate: Basic realm=\"rig\"\r\n", page)?;
                }
                Manner::Open | Manner::Guarded(_) | Manner::Swindler(_) | Manner::Towards(_) => {
                    let mut target = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    let earlier = self.asked.lock().unwrap_or_else(PoisonError::into_inner).len();
                    if let (Manner::Swindler(port), 2..) = (&self.manner, earlier) {
                        target = format!("127.0.0.1:{port}");
                    }
                    if let Manner::Towards(port) = &self.manner {
                        target = format!("127.0.0.1:{port}");
                    }
                    let Ok(server) = TcpStream::connect(&target) else {
                        return answer(&mut client, 502, "", "");
                    };
                    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                    client.flush()?;
                    return self.tunnel(client, socket, server);
                }
            }
        }
    }

    /// Carries bytes both ways. One side may be TLS, which cannot be split, so both are asked in turn.
    fn tunnel(&self, mut client: impl Read + Write, socket: &TcpStream, mut server: TcpStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        server.set_nonblocking(true)?;
        let mut buffer = [0; 16 * 1024];
        while !self.ended.load(Ordering::Acquire) {
            let mut idle = true;
            for upwards in [true, false] {
                let read = if upwards { client.read(&mut buffer) } else { server.read(&mut buffer) };
                match read {
                    Ok(0) => return Ok(()),
                    Ok(count) => {
                        idle = false;
                        socket.set_nonblocking(false)?;
                        server.set_nonblocking(false)?;
                        if upwards {
                            server.write_all(&buffer[..count])?
                        } else {
                            client.write_all(&buffer[..count])?
                        }
                        client.flush()?;
                        socket.set_nonblocking(true)?;
                        server.set_nonblocking(true)?;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            if idle {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

/// Reads a request's head, byte by byte so that nothing behind it is taken; `None` when the client has gone.
fn head(client: &mut impl Read) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 * 1024 {
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

fn answer(client: &mut impl Write, status: u16, headers: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Rig\r\n{headers}Content-Type: text/html\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())?;
    client.flush()
}
