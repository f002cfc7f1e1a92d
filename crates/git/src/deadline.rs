//! Time limits around a library that has none.
//!
//! Git's library blocks in system calls, and its own time limits are process-wide switches behind `unsafe`. So each
//! conversation runs on a thread of its own while the caller watches the pulse; a conversation that falls silent, or
//! is no longer wanted, is left behind and stops at its next callback or when its socket ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::access::{Access, Progress};
use crate::error::{Error, Result};

/// Signs of life of a conversation.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: Mutex<Instant>,
    left: AtomicBool,
    committed: AtomicBool,
    abandoned: Mutex<Option<Error>>,
}

impl Pulse {
    fn new() -> Arc<Self> {
        let (left, committed) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { last: Mutex::new(Instant::now()), left, committed, abandoned: Mutex::default() })
    }

    /// Something moved. `false` when nobody waits for the result any more.
    pub(crate) fn beat(&self, access: &Access, progress: &Progress) -> bool {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let wanted = !self.left.load(Ordering::Acquire);
        if wanted {
            access.report(progress);
        }
        wanted
    }

    /// From here on the server may act on what it got, so stopping would only hide the result.
    pub(crate) fn commit(&self) {
        self.committed.store(true, Ordering::Release);
    }

    /// Tells the caller why the conversation ends, and then never goes on: for the rare place where the library would
    /// do harm if it were told to stop. The thread and its socket stay until the process ends.
    pub(crate) fn abandon(&self, why: Error) -> ! {
        *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        loop {
            std::thread::park();
        }
    }

    /// Whether the caller has gone.
    pub(crate) fn left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    fn silence(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Runs `work` on a thread and waits for it as long as it lives and is wanted. `release` runs when it is left behind.
pub(crate) fn run<T: Send + 'static>(
    access: &Access,
    host: &str,
    doing: &'static str,
    release: impl FnOnce(),
    work: impl FnOnce(&Arc<Pulse>) -> Result<T> + Send + 'static,
) -> Result<T> {
    if access.cancelled() {
        return Err(Error::Cancelled);
    }
    let pulse = Pulse::new();
    let (sender, receiver) = sync_channel(1);
    let inner = Arc::clone(&pulse);
    std::thread::Builder::new()
        .name("git".to_owned())
        .spawn(move || {
            // Nobody listening any more is no failure.
            let _ = sender.send(work(&inner));
        })
        .map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))?;
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Internal(format!("the conversation with {host} ended unexpectedly while {doing}")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let abandoned = pulse.abandoned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failure = if let Some(why) = abandoned {
            why
        } else if access.cancelled() && !pulse.committed.load(Ordering::Acquire) {
            Error::Cancelled
        } else if pulse.silence() > access.limits.stall {
            Error::Timeout { host: host.to_owned(), seconds: access.limits.stall.as_secs(), doing }
        } else {
            continue;
        };
        pulse.left.store(true, Ordering::Release);
        release();
        return Err(failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Limits, Observer};

    #[test]
    fn silence_ends_the_wait() {
        let access = Access { limits: Limits { stall: Duration::ZERO, ..Limits::default() }, ..Access::default() };
        let (keep, held) = std::sync::mpsc::channel::<()>();
        let mut released = false;
        let outcome = run(
            &access,
            "h",
            "fetching",
            || released = true,
            move |_| {
                let _ = held.recv();
                Ok(())
            },
        );
        assert!(matches!(outcome, Err(Error::Timeout { .. })) && released);
        drop(keep);
    }

    #[test]
    fn an_abandoned_conversation_is_told_at_once_and_goes_no_further() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let outcome = run::<()>(
            &Access::default(),
            "h",
            "x",
            || {},
            move |pulse| {
                if !pulse.left() {
                    pulse.abandon(Error::NothingChanged);
                }
                let _ = sender.send(());
                Ok(())
            },
        );
        assert!(matches!(outcome, Err(Error::NothingChanged)));
        assert!(receiver.try_recv().is_err());
    }

    struct Stop;

    impl Observer for Stop {
        fn progress(&self, _: &Progress) {}

        fn cancelled(&self) -> bool {
            true
        }
    }

    #[test]
    fn an_unwanted_conversation_is_not_begun_and_a_panic_is_an_error() {
        let access = Access::default().with_observer(Arc::new(Stop));
        assert!(matches!(run(&access, "h", "x", || {}, |_| Ok(())), Err(Error::Cancelled)));
        let outcome = run::<()>(&Access::default(), "h", "x", || {}, |_| panic!("for the test"));
        assert!(matches!(outcome, Err(Error::Internal(_))));
    }
}
