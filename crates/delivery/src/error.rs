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
    /// The GitOps repository that is there is being deleted.
    #[error("the Codebase `{name}` is being deleted; a repository can be made or brought back when it is gone")]
    BeingDeleted {
        /// The Codebase.
        name: String,
    },
    /// What is to be changed is not as it was shown.
    #[error("{what} was changed meanwhile; look at it again before changing it")]
    Changed {
        /// The object.
        what: String,
    },
    /// The platform would not do it, or it would do harm.
    #[error("{0}")]
    Refused(String),
    /// The provider's API refused or could not be reached.
    #[error(transparent)]
    Provider(#[from] crate::provider::ProviderError),
    /// An object of this name is there already; nothing was written.
    #[error("there is a {what} named `{name}` in this namespace already. Choose another name; nothing was written")]
    Exists {
        /// The kind.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Codebases live on the Git server that is to be deleted.
    #[error(
        "`{server}` is the Git server of {}. Delete or move {} first",
        codebases.join(", "), if codebases.len() == 1 { "it" } else { "them" }
    )]
    InUse {
        /// The GitServer.
        server: String,
        /// The Codebases.
        codebases: Vec<String>,
    },
    /// Somebody else is creating the GitOps repository at this moment.
    #[error("{holder} is creating the GitOps repository at this moment. Look again in a minute")]
    Underway {
        /// Who, as far as it is known.
        holder: String,
    },
    /// A write of several objects failed in the middle, and what was written could not all be taken back.
    #[error("{0}")]
    HalfDone(String),
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
    /// What would be done is not what was shown; nothing was done.
    #[error("{what} is not what was shown any more; nothing was done")]
    PreviewStale {
        /// Such as `what would be deployed to shop/dev`.
        what: String,
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
            Self::BeingDeleted { .. } => "delivery.being_deleted",
            Self::Changed { .. } => "delivery.changed",
            Self::Refused(_) => "delivery.refused",
            Self::Provider(error) => error.code(),
            Self::Exists { .. } => "delivery.exists",
            Self::InUse { .. } => "delivery.in_use",
            Self::Underway { .. } => "delivery.underway",
            Self::HalfDone(_) => "delivery.half_done",
            Self::Unknown { .. } => "delivery.unknown",
            Self::Busy { .. } => "delivery.busy",
            Self::PreviewStale { .. } => "delivery.preview_stale",
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
