//! TLS in front of git's HTTP program.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::cgi::Incoming;
use super::door::{Answer, Door, Request};
use super::tls::{Certificate, Tls as TlsSide};
use crate::error::{At, Result};

/// A running HTTPS server: a thread for each connection.
#[derive(Debug)]
pub(super) struct Https {
    pub(super) port: u16,
    pub(super) ca_pem: String,
    pub(super) door: Arc<Door>,
    ended: Arc<AtomicBool>,
}

impl Https {
    pub(super) fn start(dir: &Path, certificate: Certificate<'_>, username: &str, token: &str) -> Result<Self> {
        let TlsSide { config, trust, .. } = TlsSide::new(certificate)?;
        let listener = TcpListener::bind("127.0.0.1:0").at("listen", "127.0.0.1")?;
        let port = listener.local_addr().at("listen", "127.0.0.1")?.port();
        let door = Arc::new(Door::new(username, token));
        let ended = Arc::new(AtomicBool::new(false));
        let (at_door, at_end, root, user) =
            (Arc::clone(&door), Arc::clone(&ended), dir.join("repos"), username.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if at_end.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let visit = Visit {
                    config: Arc::clone(&config),
                    door: Arc::clone(&at_door),
                    ended: Arc::clone(&at_end),
                    root: root.clone(),
                    user: user.clone(),
                };
                // A client that goes away in the middle is part of the tests.
                std::thread::spawn(move || visit.serve(stream).ok());
            }
        });
        Ok(Self { port, ca_pem: trust, door, ended })
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the listener so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What one connection needs.
struct Visit {
    config: Arc<ServerConfig>,
    door: Arc<Door>,
    ended: Arc<AtomicBool>,
    root: PathBuf,
    user: String,
}

type Tls = BufReader<StreamOwned<ServerConnection, TcpStream>>;

impl Visit {
    /// Serves one request; every answer closes the connection.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        let mut tls = BufReader::new(StreamOwned::new(connection, stream));
        let Some(mut incoming) = Incoming::head(&mut tls)? else { return Ok(()) };
        let authorization = incoming.header("authorization").map(str::to_owned);
        self.door.note(Request {
            method: incoming.method.clone(),
            target: incoming.target.clone(),
            host: incoming.header("host").unwrap_or_default().to_owned(),
            authorization: authorization.clone(),
        });
        if incoming.header("expect").is_some() {
            tls.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        incoming.read_body(&mut tls)?;
        let mut target = incoming.target.clone();
        let locked = [("WWW-Authenticate".to_owned(), "Basic realm=\"rig\"".to_owned())];
        match self.door.answer_to(&target) {
            Some((_, Answer::Status(status))) => return reply(&mut tls, status, &[], b""),
            Some((_, Answer::Page)) => {
                let html = [("Content-Type".to_owned(), "text/html".to_owned())];
                return reply(&mut tls, 200, &html, b"<html>Please log in to the guest network</html>");
            }
            Some((_, Answer::Words(status, mut headers, text))) => {
                headers.push(("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned()));
                return reply(&mut tls, status, &headers, text.as_bytes());
            }
            Some((prefix, Answer::Redirect(base))) => {
                let place = format!("{base}{}", &target[prefix.len()..]);
                return reply(&mut tls, 302, &[("Location".to_owned(), place)], b"");
            }
            Some((_, Answer::Silence)) => {
                while !self.ended.load(Ordering::Acquire) && tls.read(&mut [0; 64])? > 0 {}
                return Ok(());
            }
            Some((_, Answer::Locked)) => return reply(&mut tls, 401, &locked, b""),
            Some((_, Answer::ReadOnly)) if target.contains("git-receive-pack") => {
                let status = if self.door.lets_in(authorization.as_deref()) { 403 } else { 401 };
                return reply(&mut tls, status, &locked, b"");
            }
            Some((prefix, Answer::Alias)) => target = format!("/{}", &target[prefix.len()..]),
            Some((_, Answer::ReadOnly)) | None => {}
        }
        if !self.door.lets_in(authorization.as_deref()) {
            return reply(&mut tls, 401, &locked, b"");
        }
        if let Some(words) = refusal(&self.root, &target) {
            let plain = [("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned())];
            return reply(&mut tls, 403, &plain, words.as_bytes());
        }
        let answer = incoming.run(&self.root, &target, &self.user)?;
        reply(&mut tls, answer.status, &answer.headers, &answer.body)
    }
}

/// Why the asked repository takes no pushes, when a push is asked for.
fn refusal(root: &Path, target: &str) -> Option<String> {
    if !target.contains("git-receive-pack") {
        return None;
    }
    let (name, _) = target.trim_start_matches('/').split_once(".git/")?;
    std::fs::read_to_string(root.join(format!("{name}.git")).join(super::repository::REFUSAL)).ok()
}

fn reply(tls: &mut Tls, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Rig\r\n");
    for (key, value) in headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    let stream = tls.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.shutdown(std::net::Shutdown::Write)?;
    // Waiting for the client's end keeps a reset from eating the answer.
    let _ = io::copy(&mut stream.sock, &mut io::sink());
    Ok(())
}
