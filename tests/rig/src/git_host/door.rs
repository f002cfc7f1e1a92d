//! Who may come in, what was asked, and the answers a test wants instead of the real ones.

use std::sync::{Mutex, PoisonError};

use crate::base64::base64;

/// An answer given instead of git's.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An empty answer with this HTTP status.
    Status(u16),
    /// A web page, as captive portals give.
    Page,
    /// This status, these headers, and this plain text.
    Words(u16, Vec<(String, String)>, String),
    /// A redirect: this text, and then the rest of the asked path.
    Redirect(String),
    /// Nothing at all, until the client goes.
    Silence,
    /// The password is asked for and every one is wrong.
    Locked,
    /// The real answer to reading; pushing is forbidden.
    ReadOnly,
    /// The real answer, of the repository whose path follows the prefix: another address of the same thing.
    Alias,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// The `Host` header.
    pub host: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// The door of an HTTPS server.
#[derive(Debug)]
pub(super) struct Door {
    expected: String,
    answers: Mutex<Vec<(String, Answer)>>,
    requests: Mutex<Vec<Request>>,
}

impl Door {
    pub(super) fn new(username: &str, token: &str) -> Self {
        let expected = format!("Basic {}", base64(format!("{username}:{token}").as_bytes()));
        Self { expected, answers: Mutex::default(), requests: Mutex::default() }
    }

    pub(super) fn answer(&self, prefix: &str, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|(old, _)| old != prefix);
        answers.push((prefix.to_owned(), answer));
    }

    pub(super) fn forget(&self, prefix: &str) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).retain(|(old, _)| old != prefix);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// The answer for a path, with the longest prefix that asks for one.
    pub(super) fn answer_to(&self, target: &str) -> Option<(String, Answer)> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = answers.iter().filter(|(prefix, _)| target.starts_with(prefix));
        asked.max_by_key(|(prefix, _)| prefix.len()).cloned()
    }

    pub(super) fn lets_in(&self, authorization: Option<&str>) -> bool {
        authorization == Some(self.expected.as_str())
    }
}
