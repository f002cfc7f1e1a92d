//! What a values file was before, and who wrote it.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CommitEntry, TextDiff};

/// A part of a values file's history, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesHistory {
    /// Its versions.
    pub versions: Vec<ValuesVersionEntry>,
    /// Give this to the next call to go on; none when nothing is left.
    pub next: Option<String>,
    /// Why there may be older versions that are not told, in words.
    pub cut: Option<String>,
}

/// A commit that changed a values file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesVersionEntry {
    /// The commit.
    pub commit: CommitEntry,
    /// When the environment ran this version, newest first; of what Argo CD remembers.
    pub ran: Vec<RanEntry>,
}

/// A deploy that Argo CD remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RanEntry {
    /// When it was deployed, RFC 3339.
    pub time: Option<String>,
    /// The tag that was deployed with it.
    pub tag: Option<String>,
    /// It is what runs now.
    pub current: bool,
}

/// A values file as a commit left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesVersion {
    /// Its text; none when the commit removed the file.
    pub text: Option<String>,
    /// What the commit changed.
    pub change: TextDiff,
    /// From the branch's version to this one: what going back to it means.
    pub back: TextDiff,
}

/// Which commit each line of a values file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesBlame {
    /// The lines, from the first to the last.
    pub ranges: Vec<BlameEntry>,
    /// The commits that they name.
    pub commits: Vec<CommitEntry>,
}

/// Lines that come from one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct BlameEntry {
    /// The first line's number, from 1.
    pub first: u32,
    /// How many lines.
    pub lines: u32,
    /// The commit's place in the list; none where it is older than what was looked at.
    pub commit: Option<u32>,
}
