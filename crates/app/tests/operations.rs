//! Long operations report progress and stop when told.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::sync::{Arc, Mutex};

use pilothouse_app::{
    AppError, EventSink, Result,
    contract::{Changed, ErrorCode, Notice, OperationPhase, OperationProgress},
    operations::Operations,
};

#[derive(Default)]
struct Collects {
    progress: Mutex<Vec<OperationProgress>>,
}

impl EventSink for Collects {
    fn changed(&self, _: Changed) {}
    fn progress(&self, event: OperationProgress) {
        self.progress.lock().unwrap().push(event);
    }
    fn notice(&self, _: Notice, _: bool) {}
}

fn phases(events: &Collects) -> Vec<OperationPhase> {
    events.progress.lock().unwrap().iter().map(|p| p.phase).collect()
}

#[tokio::test]
async fn a_cancelled_operation_ends_at_once_and_says_so() {
    let events = Arc::new(Collects::default());
    let operations = Operations::new(events.clone());
    let (ready, begun) = tokio::sync::oneshot::channel();
    let work = operations.run("op-1".into(), "waiting", |operation| async move {
        let _ = ready.send(operation);
        std::future::pending::<Result<()>>().await
    });
    let cancel = async {
        let operation = begun.await.unwrap();
        assert!(!operation.is_cancelled());
        assert!(operations.cancel("op-1"));
        operation
    };
    let (outcome, operation) = tokio::join!(work, cancel);
    assert_eq!(outcome.unwrap_err().code, ErrorCode::Cancelled);
    assert!(operation.is_cancelled(), "blocking parts see it too");
    assert_eq!(phases(&events), [OperationPhase::Running, OperationPhase::Cancelled]);
    assert!(!operations.cancel("op-1"), "it is gone");
}

#[tokio::test]
async fn progress_and_the_end_are_reported() {
    let events = Arc::new(Collects::default());
    let operations = Operations::new(events.clone());
    let done = operations.run("op-2".into(), "counting", |operation| async move {
        operation.step("one of two", 1, Some(2));
        Ok(7)
    });
    assert_eq!(done.await.unwrap(), 7);
    let failed = operations.run("op-2".into(), "failing", |_| async { Err::<(), _>(AppError::blocked("no")) });
    assert_eq!(failed.await.unwrap_err().code, ErrorCode::Blocked);
    use OperationPhase as P;
    assert_eq!(phases(&events), [P::Running, P::Running, P::Done, P::Running, P::Failed]);
}

#[tokio::test]
async fn an_id_names_one_operation_at_a_time() {
    let operations = Operations::new(Arc::new(Collects::default()));
    let outer = operations.run("same".into(), "outer", |_| async {
        Ok(operations.run("same".into(), "inner", |_| async { Ok(()) }).await.unwrap_err().code)
    });
    assert_eq!(outer.await.unwrap(), ErrorCode::Exists);
}
