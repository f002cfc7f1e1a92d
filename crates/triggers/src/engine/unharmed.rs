//! Keeps a fault in the engine from taking more than the engine with it.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::error::{Error, Result};

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
