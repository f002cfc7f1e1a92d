//! One HTTP request, answered by `git http-backend`.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The largest request body, in bytes.
const MAX_BODY: usize = 256 * 1024 * 1024;

/// A request, read whole.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Reads the head; `None` when the client went without asking.
    pub(super) fn head(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = line(reader)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let mut incoming = Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() };
        loop {
            let line = line(reader)?;
            if line.is_empty() {
                return Ok(Some(incoming));
            }
            if let Some((key, value)) = line.split_once(':') {
                incoming.headers.push((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    /// Reads the body, chunked or counted.
    pub(super) fn read_body(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        let chunked = self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = self.header("content-length").and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
        if !chunked {
            return self.take(reader, length);
        }
        loop {
            let text = line(reader)?;
            let size = text.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| odd("chunk size"))?;
            if size == 0 {
                while !line(reader)?.is_empty() {}
                return Ok(());
            }
            self.take(reader, size)?;
            line(reader)?;
        }
    }

    fn take(&mut self, reader: &mut impl BufRead, size: usize) -> io::Result<()> {
        if self.body.len() + size > MAX_BODY {
            return Err(odd("body size"));
        }
        let start = self.body.len();
        self.body.resize(start + size, 0);
        reader.read_exact(&mut self.body[start..])
    }

    /// Has git answer for the repositories in `root`, as if `path` had been asked.
    pub(super) fn run(&mut self, root: &Path, path: &str, user: &str) -> io::Result<Outgoing> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &self.method)
            .env("REMOTE_USER", user)
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("SERVER_PROTOCOL", "HTTP/1.1")
            .env("CONTENT_LENGTH", self.body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (header, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
            ("accept", "HTTP_ACCEPT"),
        ] {
            if let Some(value) = self.header(header) {
                command.env(variable, value);
            }
        }
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let body = std::mem::take(&mut self.body);
        let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&body)));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        let mut rest = output.stdout.as_slice();
        let mut answer = Outgoing { status: 200, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            match line.split_once(':') {
                Some((key, value)) if key.eq_ignore_ascii_case("status") => {
                    answer.status = value.trim().split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(500);
                }
                Some((key, value)) => answer.headers.push((key.to_owned(), value.trim().to_owned())),
                None => return Err(odd("answer of git http-backend")),
            }
        }
        answer.body = rest.to_vec();
        Ok(answer)
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(64 * 1024).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot read the {what}"))
}
