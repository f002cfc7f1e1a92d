//! Commits that wait to be pushed, and commits that were kept from being lost.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CommitEntry, CommitOutcome, ErrorCode, TextDiff};

/// How a commit that waits stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum WaitingState {
    /// It goes out as soon as the server can be reached.
    Waiting,
    /// Somebody else changed the same lines; both versions are shown.
    Conflict,
    /// The server does not take it; the problem says why.
    Refused,
    /// The user put it away; its text can still be copied.
    Discarded,
}

/// A commit that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WaitingCommit {
    /// Its number; smaller goes first.
    pub id: u32,
    /// When it was kept.
    pub time: String,
    /// The repository, as people know it.
    pub repository: String,
    /// The branch; none for the repository's own default.
    pub branch: Option<String>,
    /// The file.
    pub path: String,
    /// The page that edits the file.
    pub page: String,
    /// The commit message.
    pub message: String,
    /// The author.
    pub author: String,
    /// How it stands.
    pub state: WaitingState,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub problem: Option<String>,
    /// The same, to act on.
    pub code: Option<ErrorCode>,
    /// How to mend it.
    pub hint: Option<String>,
}

/// What waits to be pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WaitingCommits {
    /// What waits, in the order in which it goes out.
    pub entries: Vec<WaitingCommit>,
    /// What was put away, newest first.
    pub discarded: Vec<WaitingCommit>,
    /// When the next attempt is due.
    pub next_try: Option<String>,
}

/// What a waiting commit changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WaitingChange {
    /// The commit.
    pub commit: WaitingCommit,
    /// The new text; none when the file is removed.
    pub text: Option<String>,
    /// The change against what the editor saw.
    pub diff: TextDiff,
    /// Both versions, while somebody else's change is in the way.
    pub conflict: Option<CommitOutcome>,
}

/// How far a push of what waits came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PushReport {
    /// How many commits went out.
    pub sent: u32,
    /// What still waits.
    pub waiting: WaitingCommits,
    /// Why the rest did not go out.
    pub stopped: Option<String>,
}

/// What the editor shows in place of the branch's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct WaitingNote {
    /// How many commits of this file wait.
    pub count: u32,
    /// When the newest was kept.
    pub time: String,
    /// How the first of them stands.
    pub state: WaitingState,
}

/// A commit that no branch of the server holds any more, or not for certain, kept in the clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RescuedCommit {
    /// What it is kept under.
    pub name: String,
    /// The commit.
    pub commit: CommitEntry,
    /// When it was kept.
    pub kept: String,
}

/// A file of a rescued commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RescuedFile {
    /// The file.
    pub path: String,
    /// What the commit changed in it; none when it is no text.
    pub diff: Option<TextDiff>,
}

/// What a look at the server found that has to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RemoteCondition {
    /// The server's history was replaced.
    Rewritten {
        /// The newest commit that the branch lost; kept in the clone.
        kept: String,
    },
    /// The branch is gone.
    BranchDeleted {
        /// Its newest commit, kept in the clone.
        kept: String,
        /// The server's default branch now, which is used instead.
        default_branch: Option<String>,
        /// Branches that may be used, where the server names no default.
        #[serde(default)]
        branches: Vec<String>,
    },
    /// The branch has another name now, which is used.
    BranchRenamed {
        /// The name.
        to: String,
    },
    /// The server's default branch is another one; the app goes on with the one before.
    DefaultBranchChanged {
        /// The one before.
        from: String,
        /// The one now.
        to: String,
    },
    /// There is no commit yet.
    Empty,
    /// The server names no default branch.
    NoDefaultBranch {
        /// Whether its HEAD names a commit instead.
        detached: bool,
        /// Branches that there are.
        branches: Vec<String>,
    },
    /// The repository names its objects with SHA-256.
    Sha256,
    /// The server takes no changes.
    ReadOnly {
        /// The server's words.
        words: String,
    },
}

/// How the GitOps repository stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStanding {
    /// The branch that is used.
    pub branch: Option<String>,
    /// What has to be told about it.
    pub condition: Option<RemoteCondition>,
    /// Since when.
    pub since: Option<String>,
    /// Commits that were kept from being lost.
    pub rescued: Vec<RescuedCommit>,
}

/// A commit on a branch of its own, for a pull or merge request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ProposedCommit {
    /// The branch that was pushed.
    pub branch: String,
    /// The branch it is meant for.
    pub target: String,
    /// What became of it.
    pub outcome: CommitOutcome,
    /// The provider's page for a new request; none when it is not known.
    pub url: Option<String>,
}
