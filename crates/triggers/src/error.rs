//! What can go wrong in this crate.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which trigger work fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster refused or could not be reached.
    #[error(transparent)]
    Cluster(#[from] pilothouse_cluster::Error),
    /// An `EventTrigger` object cannot be read as one.
    #[error("EventTrigger {name} cannot be read: {why}")]
    Unreadable {
        /// The object's name.
        name: String,
        /// Which field and why.
        why: String,
    },
    /// A trigger's spec breaks a rule.
    #[error("EventTrigger {name}: {problem}")]
    Invalid {
        /// The object's name.
        name: String,
        /// The first problem.
        problem: crate::spec::FieldProblem,
    },
    /// Somebody else kept changing the trigger; the next pass tries again.
    #[error("EventTrigger {name} changed {attempts} times while its status was being written")]
    Contended {
        /// The object's name.
        name: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The engine met a fault of its own and ended; what it knew is in the triggers' statuses.
    #[error("the trigger engine stopped at a fault of its own, and starts again in a moment: {why}")]
    Broken {
        /// What the fault says of itself.
        why: String,
    },
}

impl Error {
    /// A stable code for the edge.
    pub fn code(&self) -> &str {
        match self {
            Self::Cluster(error) => error.code(),
            Self::Unreadable { .. } => "triggers.unreadable",
            Self::Invalid { .. } => "triggers.invalid",
            Self::Contended { .. } => "triggers.contended",
            Self::Broken { .. } => "triggers.broken",
        }
    }
}

/// Why something that a person or another program wrote cannot be followed, in words for the person who reads them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reason(String);

impl From<String> for Reason {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<&str> for Reason {
    fn from(words: &str) -> Self {
        Self(words.to_owned())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl std::ops::Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}
