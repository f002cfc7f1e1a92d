//! The Git engine: bare clones and nothing else.
//!
//! Files are read from and written to the object database, so links, hooks, filters and odd names in somebody's
//! repository never touch a disk. Every push is a plain fast-forward; when others were quicker, our change is laid
//! onto theirs, or both versions are handed back. Nothing here ever forces a push.
//!
//! The API blocks: call it from a thread that may wait.

mod access;
mod agent;
mod backoff;
mod bare_clone;
mod blame;
mod blob;
mod deadline;
mod depth;
mod error;
mod fetch;
mod harm;
mod hint;
mod history;
mod host_certificate;
mod host_key;
mod ids;
mod key;
mod known_hosts;
mod last_changes;
mod listing;
mod merge;
mod old_key;
mod preflight;
mod private_ca;
mod probe;
mod propose;
mod proxy;
mod publish;
mod push;
mod rejection;
mod remote_state;
mod remote_url;
mod repo_path;
mod rescue;
mod revert;
mod session;
mod signing;
mod tag;
mod tls;
mod tree;
mod well_known;
mod why;
mod write;

pub use access::{Access, Credential, Limits, Observer, Phase, Progress};
pub use bare_clone::BareClone;
pub use blame::{Blame, BlameRange};
pub use depth::Depth;
pub use error::{Error, Kind, Result};
pub use fetch::FetchOutcome;
pub use harm::Harm;
pub use history::{CommitInfo, HistoryLimits, HistoryPage, WalkEnd};
pub use host_key::HostKey;
pub use ids::{BlobId, CommitId};
pub use key::{KeyInfo, KeyPair, generate_ed25519, inspect_private_key};
pub use known_hosts::{KnownHosts, Trust};
pub use listing::{FolderEntry, FolderItem, FolderPage};
pub use merge::{Merge, merge_text};
pub use probe::{Branch, RemoteRefs, probe, probe_push};
pub use propose::{Proposal, Provider, new_request_url};
pub use proxy::{ProxyChoice, Variables};
pub use publish::{ExpectedChange, MergeCheck, PublishOutcome, PublishRequest};
pub use remote_state::{KeptCommits, RemoteReport, RemoteState, WayOut};
pub use remote_url::{RemoteUrl, Scheme, UrlSecret};
pub use repo_path::RepoPath;
pub use rescue::Rescue;
pub use revert::{Revert, RevertConflict};
pub use signing::SigningKey;
pub use tls::TlsProblem;
pub use tree::{EntryKind, FILE_LIMIT, FileContent, TreeEntry};
pub use write::{FileChange, Identity};
