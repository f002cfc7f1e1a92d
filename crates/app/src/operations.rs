//! Long operations: progress for the window, and a way to stop them.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{
    EventSink, Result,
    contract::{AppError, ErrorCode, OperationPhase, OperationProgress},
};

type Running = Arc<Mutex<HashMap<String, CancellationToken>>>;

fn lock(running: &Running) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The operations that run now.
pub struct Operations {
    running: Running,
    events: Arc<dyn EventSink>,
}

/// One running operation.
#[derive(Clone)]
pub struct Operation {
    id: String,
    token: CancellationToken,
    events: Arc<dyn EventSink>,
}

struct Entry {
    id: String,
    running: Running,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.id);
    }
}

impl Operations {
    /// No operations yet; progress goes to `events`.
    pub fn new(events: Arc<dyn EventSink>) -> Self {
        Self { running: Running::default(), events }
    }

    /// Runs `work` as the operation `id`. When it is cancelled the work is dropped at its next await, and its
    /// blocking parts see the token.
    ///
    /// # Errors
    /// The work's own error; `app.cancelled` when it was cancelled; `app.exists` when the id is in use.
    pub async fn run<T, F>(&self, id: String, label: &str, work: impl FnOnce(Operation) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let token = CancellationToken::new();
        {
            let mut running = lock(&self.running);
            if id.is_empty() || id.len() > 100 || running.contains_key(&id) {
                return Err(AppError::new(
                    ErrorCode::Exists,
                    format!("the operation id {id:?} is in use or not usable"),
                ));
            }
            running.insert(id.clone(), token.clone());
        }
        let entry = Entry { id: id.clone(), running: self.running.clone() };
        let operation = Operation { id, token: token.clone(), events: self.events.clone() };
        operation.send(label, 0, None, OperationPhase::Running);
        let outcome = tokio::select! {
            biased;
            outcome = work(operation.clone()) => outcome,
            () = token.cancelled() => Err(cancelled()),
        };
        drop(entry);
        let phase = match &outcome {
            Ok(_) => OperationPhase::Done,
            Err(e) if matches!(e.code, ErrorCode::Cancelled | ErrorCode::GitCancelled) => OperationPhase::Cancelled,
            Err(_) => OperationPhase::Failed,
        };
        operation.send(label, 0, None, phase);
        outcome
    }

    /// Cancels an operation; false when it is not running.
    pub fn cancel(&self, id: &str) -> bool {
        let token = lock(&self.running).get(id).cloned();
        token.is_some_and(|token| {
            token.cancel();
            true
        })
    }

    /// Cancels all.
    pub fn cancel_all(&self) {
        let tokens: Vec<_> = lock(&self.running).values().cloned().collect();
        tokens.iter().for_each(CancellationToken::cancel);
    }
}

/// The error of a cancelled operation.
pub(crate) fn cancelled() -> AppError {
    AppError::new(ErrorCode::Cancelled, "cancelled")
}

impl Operation {
    fn send(&self, label: &str, done: u32, total: Option<u32>, phase: OperationPhase) {
        self.events.progress(OperationProgress {
            operation: self.id.clone(),
            label: label.to_owned(),
            done,
            total,
            phase,
        });
    }

    /// Says what is being done now.
    pub fn step(&self, label: &str, done: u32, total: Option<u32>) {
        self.send(label, done, total, OperationPhase::Running);
    }

    /// True once the user cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The token, for parts that wait on it.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Stops here when the user cancelled.
    ///
    /// # Errors
    /// `app.cancelled`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(cancelled()) } else { Ok(()) }
    }
}
