//! Keeps a fault in the engine from taking more than the engine with it, and a launcher that hangs from holding it up.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;

use crate::error::{Error, Result};
use crate::launcher::LaunchError;

/// How long a launcher may take for one answer. Every other trigger waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// The launcher's answer, or that there was none. What it was asked is dropped then; a run that it made all the same is
/// found when it is asked again.
pub(super) async fn in_time<T>(
    asked: impl Future<Output = std::result::Result<T, LaunchError>>,
) -> std::result::Result<T, LaunchError> {
    within(PATIENCE, asked).await
}

async fn within<T>(
    patience: Duration,
    asked: impl Future<Output = std::result::Result<T, LaunchError>>,
) -> std::result::Result<T, LaunchError> {
    let late = |_| {
        let message = format!("nothing was heard of it within {} seconds", patience.as_secs());
        Err(LaunchError { message, retry: true })
    };
    tokio::time::timeout(patience, asked).await.unwrap_or_else(late)
}

/// Does work of the engine to its end, or to a panic in it. What it works on is dropped either way, so that nobody sees
/// anything half changed; whoever holds the Lease for it can then give that up.
///
/// # Errors
/// [`Error::Broken`] after a panic.
pub async fn unharmed(work: impl Future<Output = ()>) -> Result<()> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| Error::Broken { why: words(&*panic) })
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("no reason is given").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_launcher_that_hangs_is_asked_again_later() {
        let hangs = std::future::pending::<std::result::Result<(), LaunchError>>();
        let error = within(Duration::from_millis(5), hangs).await.unwrap_err();
        assert!(error.retry && error.message.contains("nothing was heard"), "{error}");
        let refuses = async { Err::<(), _>(LaunchError { message: "no".into(), retry: false }) };
        assert_eq!(within(PATIENCE, refuses).await.unwrap_err().message, "no");
        assert!(within(PATIENCE, async { Ok(()) }).await.is_ok());
    }

    #[tokio::test]
    async fn a_fault_is_an_error_and_goes_no_further() {
        assert!(unharmed(async {}).await.is_ok());
        let counted = [1_usize];
        let error = unharmed(async move {
            tokio::task::yield_now().await;
            assert_eq!(counted.len(), 2, "miscounted");
        })
        .await
        .unwrap_err();
        assert_eq!(error.code(), "triggers.broken");
        assert!(error.to_string().contains("miscounted"), "{error}");
    }
}
