//! What can go wrong with a delivery.

/// One field of a form or an object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldProblem {
    /// The field, such as `repository`, or the path in an object, such as `spec.order`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl FieldProblem {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// Everything this crate can refuse.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or could not be reached.
    #[error(transparent)]
    Cluster(#[from] pilothouse_cluster::Error),
    /// The form has problems.
    #[error("{}", first(.0))]
    Form(Vec<FieldProblem>),
    /// The platform has a GitOps repository already.
    #[error(
        "`{namespace}` already has the GitOps repository `{name}`; a platform reads only one. Use it, or delete it first"
    )]
    RepositoryExists {
        /// The platform's namespace.
        namespace: String,
        /// The Codebase.
        name: String,
    },
    /// A flow, an environment or an application is not there.
    #[error("there is no {what} `{name}`; it may have been deleted meanwhile")]
    Unknown {
        /// `deployment flow`, `environment`, `application` or `TriggerTemplate`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A deploy or clean run of the environment is in progress.
    #[error("`{run}` is still running in this environment; wait for it to end, or cancel it")]
    Busy {
        /// The PipelineRun.
        run: String,
    },
    /// A deploy lacks something or holds something unsafe.
    #[error("the deploy cannot be started: {0}")]
    Choice(String),
    /// A TriggerTemplate does not hold a PipelineRun this crate can fill in.
    #[error("the TriggerTemplate `{name}` cannot be used: {why}")]
    Template {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// A stable code for the edge, such as `delivery.busy`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.code(),
            Self::Form(_) => "delivery.form",
            Self::RepositoryExists { .. } => "delivery.repository_exists",
            Self::Unknown { .. } => "delivery.unknown",
            Self::Busy { .. } => "delivery.busy",
            Self::Choice(_) => "delivery.choice",
            Self::Template { .. } => "delivery.template",
        }
    }
}

fn first(problems: &[FieldProblem]) -> String {
    problems.first().map_or_else(|| "the form has problems".to_owned(), |one| format!("{}: {}", one.field, one.message))
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
