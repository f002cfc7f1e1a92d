//! What can go wrong in this crate.

pub use pilothouse_cluster::Reason;

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
