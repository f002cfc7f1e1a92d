//! Values files beside each other.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CommitEntry, ValueSource};

/// An application's effective values in all environments of a flow, where they differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesMatrix {
    /// The environments, in their order.
    pub environments: Vec<MatrixEnvironment>,
    /// The keys that differ.
    pub rows: Vec<MatrixRow>,
    /// How many keys are the same everywhere.
    pub same: u32,
}

/// A column of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MatrixEnvironment {
    /// Its name.
    pub name: String,
    /// It has a values file.
    pub exists: bool,
    /// What is missing from its column, in words.
    pub problem: Option<String>,
}

/// A key that is not the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MatrixRow {
    /// The key path.
    pub path: String,
    /// A cell for each environment; none where the key does not exist.
    pub cells: Vec<Option<MatrixCell>>,
}

/// An environment's value of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MatrixCell {
    /// The value on one line.
    pub value: String,
    /// Which layer set it.
    pub source: ValueSource,
}

/// What taking a key over does to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum PromotionChange {
    /// It gets the key.
    Added,
    /// It loses the key.
    Removed,
    /// The key gets another value.
    Changed,
}

/// Who changed a key since the common ancestor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum PromotionSide {
    /// Only the source.
    Source,
    /// Only the target: taking the source's value over undoes that.
    Target,
    /// Both, and differently.
    Both,
    /// There is no common ancestor.
    Unknown,
}

/// A key in which two environments' files differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PromotionRow {
    /// The key path.
    pub path: String,
    /// The value in the common ancestor, on one line.
    pub base: Option<String>,
    /// The value in the source.
    pub source: Option<String>,
    /// The value in the target.
    pub target: Option<String>,
    /// What taking it over does.
    pub change: PromotionChange,
    /// Who changed it.
    pub changed_in: PromotionSide,
}

/// What could be taken over from one environment's values file to another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// The keys that differ.
    pub rows: Vec<PromotionRow>,
    /// The common ancestor: the source as it was when the target was last changed. None when there is none.
    pub base: Option<CommitEntry>,
    /// The target has a values file.
    pub target_exists: bool,
    /// The target's text, on which the chosen keys are put.
    pub target_text: String,
    /// The target's version; none while it has no file.
    pub target_blob: Option<String>,
}
