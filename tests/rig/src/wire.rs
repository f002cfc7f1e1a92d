//! A bad wire: a TCP relay in front of a server that cuts, stalls, trickles, delays, resets or refuses on demand.
//!
//! It hands bytes on as they are, so TLS and SSH pass through it unharmed until the fault comes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{At, Result};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: bytes are handed on.
    #[default]
    None,
    /// Both ends are closed once this many bytes have gone this way.
    Cut(Way, u64),
    /// The client's end is closed once this many bytes have gone up; the server is given what came after, and its
    /// answer is thrown away. So the server does what it was asked and the client never hears of it.
    Deafen(u64),
    /// Nothing goes this way any more after this many bytes; the connection stays open.
    Stall(Way, u64),
    /// One byte at a time goes this way, with this pause after each, once this many bytes have gone at full speed.
    Trickle(Way, u64, Duration),
    /// Each piece of what goes this way comes this much later.
    Delay(Way, Duration),
    /// The connection is taken and reset at the client's first byte.
    Reset,
}

/// A relay. It ends, with all its connections, when this value is dropped.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    shared: Arc<Shared>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    up: AtomicU64,
    down: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    usual: Fault,
    next: VecDeque<Fault>,
    connections: u64,
    live: Vec<TcpStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// Starts a relay to `port` of this machine.
    pub fn before(port: u16) -> Result<Self> {
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { target, state: Mutex::default(), up, down });
        let listener = TcpListener::bind("127.0.0.1:0").at("listen", "127.0.0.1")?;
        let port = listener.local_addr().at("listen", "127.0.0.1")?.port();
        let wire = Self { port, shared, listener: Mutex::new(None) };
        wire.listen(listener);
        Ok(wire)
    }

    /// The relay's own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `url` with the relay's port instead of the server's.
    pub fn url(&self, url: &str) -> String {
        url.replacen(&format!(":{}/", self.shared.target.port()), &format!(":{}/", self.port), 1)
    }

    /// A line for known_hosts with the relay's port instead of the server's.
    pub fn host_key_line(&self, line: &str) -> String {
        line.replacen(&format!(":{} ", self.shared.target.port()), &format!(":{} ", self.port), 1)
    }

    /// What happens to every connection from now on.
    pub fn usually(&self, fault: Fault) {
        self.shared.state().usual = fault;
    }

    /// What happens to the next connections, in order; those after them go as usual.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().next = faults.into_iter().collect();
    }

    /// How many connections were taken so far.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// How many bytes have gone this way so far, over all connections.
    pub fn carried(&self, way: Way) -> u64 {
        match way {
            Way::Up => self.shared.up.load(Ordering::Acquire),
            Way::Down => self.shared.down.load(Ordering::Acquire),
        }
    }

    /// Ends the connections that are open now.
    pub fn cut_all(&self) {
        for stream in self.shared.state().live.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Refuses connections, and ends those that are open, until [`Wire::plug_in`].
    pub fn unplug(&self) {
        self.shared.state().open = false;
        // Wakes the listener so that it sees the end and closes its socket.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let thread = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        // A program that is being started beside us holds a copy of the socket until it runs.
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.cut_all();
    }

    /// Takes connections again, on the same port.
    pub fn plug_in(&self) -> Result<()> {
        if !self.shared.state().open {
            self.listen(TcpListener::bind(("127.0.0.1", self.port)).at("listen again", "127.0.0.1")?);
        }
        Ok(())
    }

    fn listen(&self, listener: TcpListener) {
        self.shared.state().open = true;
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let fault = {
                    let mut state = shared.state();
                    if !state.open {
                        return;
                    }
                    state.connections += 1;
                    state.next.pop_front().unwrap_or(state.usual)
                };
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { continue };
                // A connection that breaks is what this is for.
                std::thread::spawn(move || connect(&shared, stream, fault).ok());
            }
        });
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// Relays one connection until it ends.
fn connect(shared: &Arc<Shared>, client: TcpStream, fault: Fault) -> std::io::Result<()> {
    if fault == Fault::Reset {
        // Closing a socket with unread bytes in it resets the connection.
        client.peek(&mut [0])?;
        return Ok(());
    }
    let server = TcpStream::connect(shared.target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared.state().live.extend([client.try_clone()?, server.try_clone()?]);
    let (from, to, there) = (client.try_clone()?, server.try_clone()?, Arc::clone(shared));
    let up = std::thread::spawn(move || hand_on(&there, from, to, Way::Up, fault));
    let _ = hand_on(shared, server, client, Way::Down, fault);
    let _ = up.join();
    Ok(())
}

/// Hands on bytes one way until the end, or until the fault.
fn hand_on(shared: &Shared, mut from: TcpStream, mut to: TcpStream, way: Way, fault: Fault) -> std::io::Result<()> {
    let total = if way == Way::Up { &shared.up } else { &shared.down };
    let mut gone: u64 = 0;
    let mut buffer = [0; 16 * 1024];
    loop {
        // Up to the byte where the fault comes, and no further.
        let room = match fault {
            Fault::Cut(w, at) | Fault::Stall(w, at) if w == way => at.saturating_sub(gone),
            Fault::Trickle(w, at, _) if w == way => at.saturating_sub(gone).max(1),
            Fault::Deafen(at) if way == Way::Up && gone < at => at - gone,
            _ => u64::MAX,
        };
        if room == 0 {
            if matches!(fault, Fault::Cut(..)) {
                let _ = from.shutdown(Shutdown::Both);
                return to.shutdown(Shutdown::Both);
            }
            // Stalled: what comes is read and kept from the other end, until one of the two goes.
            while from.read(&mut buffer)? > 0 {}
            return Ok(());
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(buffer.len());
        let count = from.read(&mut buffer[..room])?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        match fault {
            Fault::Delay(w, pause) if w == way => std::thread::sleep(pause),
            Fault::Trickle(w, at, pause) if w == way && gone >= at => std::thread::sleep(pause),
            _ => {}
        }
        gone += count as u64;
        total.fetch_add(count as u64, Ordering::AcqRel);
        match fault {
            Fault::Deafen(at) if way == Way::Up && gone == at => {
                to.write_all(&buffer[..count])?;
                // The client hears the end; what it still sends is handed on.
                from.shutdown(Shutdown::Write)?;
            }
            // Once the client is deaf, writing to it fails and the answer is thrown away.
            Fault::Deafen(_) if way == Way::Down => drop(to.write_all(&buffer[..count])),
            _ => to.write_all(&buffer[..count])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut back = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut &stream, &mut back);
                    let _ = back.shutdown(Shutdown::Write);
                });
            }
        });
        port
    }

    fn say(wire: &Wire, text: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", wire.port()))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        stream.write_all(text)?;
        let _ = stream.shutdown(Shutdown::Write);
        let mut heard = Vec::new();
        let mut buffer = [0; 64];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(heard),
                Ok(count) => heard.extend(&buffer[..count]),
                Err(error) if heard.is_empty() => return Err(error),
                Err(_) => return Ok(heard),
            }
        }
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let wire = Wire::before(echo()).unwrap();
        assert_eq!(say(&wire, b"0123456789").unwrap(), b"0123456789");
        wire.next([
            Fault::Cut(Way::Up, 4),
            Fault::Cut(Way::Down, 3),
            Fault::Stall(Way::Down, 2),
            Fault::Trickle(Way::Down, 5, Duration::from_millis(1)),
            Fault::Delay(Way::Up, Duration::from_millis(5)),
            Fault::Reset,
        ]);
        assert!(say(&wire, b"0123456789").unwrap_or_default().len() <= 4);
        assert!(say(&wire, b"0123456789").unwrap().len() <= 3);
        assert_eq!(say(&wire, b"0123456789").unwrap(), b"01", "and then nothing");
        assert_eq!(say(&wire, b"0123456789").unwrap(), b"0123456789");
        assert_eq!(say(&wire, b"0123456789").unwrap(), b"0123456789");
        assert!(say(&wire, b"0123456789").is_err());
        assert_eq!(say(&wire, b"as usual").unwrap(), b"as usual");
        assert_eq!(wire.connections(), 8);
        assert!(wire.carried(Way::Up) > 40 && wire.carried(Way::Down) > 30);
    }

    #[test]
    fn an_unplugged_wire_refuses_until_it_is_plugged_in() {
        let wire = Wire::before(echo()).unwrap();
        wire.unplug();
        let refused = TcpStream::connect(("127.0.0.1", wire.port())).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        wire.plug_in().unwrap();
        assert_eq!(say(&wire, b"again").unwrap(), b"again");
    }
}
