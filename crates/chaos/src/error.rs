//! What can go wrong in this crate.

pub use pilothouse_cluster::Reason;

use crate::document::Problem;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which chaos work fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document was refused: not readable, not a workflow, or not acceptable where it lies.
    #[error("{0}")]
    Refused(Problem),
    /// A template was asked for with a parameter it lacks or with a value out of bounds.
    #[error("parameter {name}: {message}")]
    Parameter {
        /// The parameter's name.
        name: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A template, project, workflow or run does not exist.
    #[error("{what} {name} was not found")]
    NotFound {
        /// The kind of thing looked for, in words.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The project id, workflow name or another name given by the user cannot be used.
    #[error("{what} {name:?} cannot be used: {why}")]
    BadName {
        /// What the name is for.
        what: &'static str,
        /// The name.
        name: String,
        /// The rule it breaks.
        why: String,
    },
    /// A project that is switched on already follows another repository or branch, which is somebody's choice.
    #[error(
        "there is a project {id} in {namespace} already, which follows {url} ({branch}); choose another id, or switch \
         GitOps off for it first"
    )]
    Taken {
        /// The project's id.
        id: String,
        /// Its namespace.
        namespace: String,
        /// The repository that it follows.
        url: String,
        /// The branch that it follows.
        branch: String,
    },
    /// The Git side failed; `code` is the Git engine's own.
    #[error("{message}")]
    Git {
        /// The Git engine's code, such as `git.auth`.
        code: String,
        /// The Git engine's words.
        message: String,
    },
    /// The cluster refused or could not be reached.
    #[error(transparent)]
    Cluster(#[from] pilothouse_cluster::Error),
    /// Git or the cluster kept changing while a sync was being applied; nothing is lost, the next pass continues.
    #[error("the project changed {attempts} times while it was being synced; try again in a moment")]
    Contended {
        /// How many passes were tried.
        attempts: u32,
    },
    /// A project was switched off, or made to follow something else, while a sync of it was under way; the sync ended.
    #[error("the sync of {name} ended: {why}")]
    Superseded {
        /// The project's id.
        name: String,
        /// What changed.
        why: &'static str,
    },
    /// A workflow is not in a state that allows what was asked (no conflict to resolve, not deleted in Git…).
    #[error("{name}: {why}")]
    WrongState {
        /// The workflow's name.
        name: String,
        /// Which state it is in and which is needed.
        why: String,
    },
    /// A run that nobody asked for at this moment would start outside its project's namespace.
    #[error(
        "{name} would run in the namespace {namespace}, not in its project's ({project_namespace}): only a person may \
         start it there, so run it by hand, or take the namespace out of its file"
    )]
    Elsewhere {
        /// The workflow's name.
        name: String,
        /// The namespace that its document names.
        namespace: String,
        /// The project's namespace.
        project_namespace: String,
    },
    /// What a person was shown before deciding is not what would be done now.
    #[error("{name}: {why}; look again before you go on")]
    PreviewStale {
        /// The workflow's name.
        name: String,
        /// What differs.
        why: String,
    },
    /// ChaosCenter's API could not be asked, or did not answer as it should.
    #[error(transparent)]
    Center(#[from] pilothouse_cluster::web::WebError),
    /// ChaosCenter answered that it does not do it.
    #[error("{host} would not {action}: {words}")]
    CenterRefused {
        /// The server.
        host: String,
        /// What was asked.
        action: &'static str,
        /// Its words, without any credential.
        words: String,
    },
    /// A run that nobody asked for at this moment would reach something that nobody agreed to.
    #[error("{name} does not run by itself: {why}. Run it by hand, or agree to it on the workflow's page")]
    NotAgreed {
        /// The workflow's name.
        name: String,
        /// What it would reach.
        why: String,
    },
}

impl Error {
    /// A stable code for the edge.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(_) => "chaos.refused",
            Self::Parameter { .. } => "chaos.parameter",
            Self::NotFound { .. } => "chaos.not_found",
            Self::BadName { .. } => "chaos.bad_name",
            Self::Taken { .. } => "chaos.taken",
            Self::Git { code, .. } => code,
            Self::Cluster(error) => error.code(),
            Self::Contended { .. } => "chaos.contended",
            Self::Superseded { .. } => "chaos.superseded",
            Self::WrongState { .. } => "chaos.wrong_state",
            Self::Elsewhere { .. } => "chaos.elsewhere",
            Self::PreviewStale { .. } => "chaos.preview_stale",
            Self::NotAgreed { .. } => "chaos.not_agreed",
            Self::Center(error) => error.code(),
            Self::CenterRefused { .. } => "chaos.center_refused",
        }
    }
}
