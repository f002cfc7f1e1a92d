//! A port on loopback behind TLS, with a thread for each connection, until the value is dropped.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::{ServerConnection, StreamOwned};

use crate::error::{At, Result};
use crate::git_host::Certificate;
use crate::git_host::tls::Tls;

/// A client's connection; the handshake comes with the first byte that is read.
pub(crate) type Connection = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// A port that is listened at.
#[derive(Debug)]
pub(crate) struct TlsListener {
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
    /// The certificate that clients are told to trust, in PEM.
    pub(crate) trust: String,
    ended: Arc<AtomicBool>,
}

impl TlsListener {
    /// Listens, and has each connection served on a thread of its own. Whoever holds a client up looks at the flag,
    /// which says that the listener has ended.
    pub(crate) fn start<F>(certificate: Certificate<'_>, serve: F) -> Result<Self>
    where
        F: Fn(Connection, &AtomicBool) -> io::Result<()> + Send + Sync + 'static,
    {
        let Tls { config, trust, .. } = Tls::new(certificate)?;
        let listener = TcpListener::bind("127.0.0.1:0").at("listen", "127.0.0.1")?;
        let port = listener.local_addr().at("listen", "127.0.0.1")?.port();
        let ended = Arc::new(AtomicBool::new(false));
        let (over, serve) = (Arc::clone(&ended), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), Ok(tls)) = (stream, ServerConnection::new(Arc::clone(&config))) else { continue };
                let (over, serve) = (Arc::clone(&over), Arc::clone(&serve));
                // A client that goes away in the middle is part of the tests.
                std::thread::spawn(move || serve(BufReader::new(StreamOwned::new(tls, stream)), &over).ok());
            }
        });
        Ok(Self { port, trust, ended })
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the listener so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Ends a connection after its answer was written.
pub(crate) fn finish(connection: &mut Connection) -> io::Result<()> {
    let stream = connection.get_mut();
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.shutdown(Shutdown::Write)?;
    // Waiting for the client's end keeps a reset from eating the answer.
    let _ = io::copy(&mut stream.sock, &mut io::sink());
    Ok(())
}
