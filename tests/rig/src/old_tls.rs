//! A server that speaks TLS 1.0 and nothing newer: OpenSSL's own, told to go below its usual security level.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::error::{At, Error, Result};
use crate::git_host::tls::{Certificate, Tls};
use crate::leash::Leash;

/// A running server. It ends when this value is dropped or this process ends.
#[derive(Debug)]
pub struct OldTls {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The authority's certificate in PEM.
    pub ca_pem: String,
    _leash: Leash,
    _dir: tempfile::TempDir,
}

impl OldTls {
    /// Starts the server.
    pub fn start() -> Result<Self> {
        let Tls { trust, own, key, .. } = Tls::new(Certificate::For(&["127.0.0.1"]))?;
        let dir = tempfile::tempdir().at("make a folder", "the system's temporary folder")?;
        let (certificate, private) = (dir.path().join("server.crt"), dir.path().join("server.key"));
        fs::write(&certificate, own).at("write the certificate", &certificate)?;
        fs::write(&private, key).at("write the key", &private)?;
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .at("find a free port", "127.0.0.1")?
                .port();
            let mut command = Command::new("openssl");
            command
                .args(["s_server", "-quiet", "-tls1", "-cipher", "ALL:@SECLEVEL=0", "-accept"])
                .arg(format!("127.0.0.1:{port}"))
                .arg("-cert")
                .arg(&certificate)
                .arg("-key")
                .arg(&private);
            let mut leash = Leash::start(&command, &dir.path().join("log"))?;
            for _ in 0..200 {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() && leash.running() {
                    return Ok(Self { port, ca_pem: trust, _leash: leash, _dir: dir });
                }
                if !leash.running() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(25));
            }
        }
        Err(Error::NotReady { what: "openssl s_server found no free port".to_owned(), log: String::new() })
    }
}
