//! TLS in front of git's HTTP program.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cgi::Incoming;
use super::door::{Answer, Door, Request};
use super::tls::Certificate;
use crate::error::Result;
use crate::tls_listener::{Connection, TlsListener, finish};

/// A running HTTPS server: a thread for each connection.
#[derive(Debug)]
pub(super) struct Https {
    pub(super) port: u16,
    pub(super) ca_pem: String,
    pub(super) door: Arc<Door>,
    _listener: TlsListener,
}

impl Https {
    pub(super) fn start(dir: &Path, certificate: Certificate<'_>, username: &str, token: &str) -> Result<Self> {
        let door = Arc::new(Door::new(username, token));
        let visit = Visit { door: Arc::clone(&door), root: dir.join("repos"), user: username.to_owned() };
        let listener = TlsListener::start(certificate, move |connection, ended| visit.serve(connection, ended))?;
        Ok(Self { port: listener.port, ca_pem: listener.trust.clone(), door, _listener: listener })
    }
}

/// What every connection needs.
struct Visit {
    door: Arc<Door>,
    root: PathBuf,
    user: String,
}

impl Visit {
    /// Serves one request; every answer closes the connection.
    fn serve(&self, mut tls: Connection, ended: &AtomicBool) -> io::Result<()> {
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
                while !ended.load(Ordering::Acquire) && tls.read(&mut [0; 64])? > 0 {}
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

fn reply(tls: &mut Connection, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Rig\r\n");
    for (key, value) in headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    let stream = tls.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    finish(tls)
}
