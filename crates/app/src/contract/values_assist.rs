//! Help while a values file is written.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::ValueSource;

/// Something that can be written at the cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesCompletion {
    /// What takes the place of the letters from `from` to the cursor.
    pub insert: String,
    /// The key or value.
    pub label: String,
    /// Its type and default.
    pub detail: String,
    /// What it is for; empty when nobody says.
    pub description: String,
    /// Column at which the replaced letters begin, from 1, in characters.
    pub from: u32,
}

/// What is known of a key of the chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesHover {
    /// The key path.
    pub path: String,
    /// The chart's default.
    pub default: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its type in words.
    pub kind: Option<String>,
    /// The values that the schema allows; empty when it allows any.
    pub allowed: Vec<String>,
    /// The schema requires it.
    pub required: bool,
    /// The schema calls it deprecated.
    pub deprecated: bool,
}

/// How a value is edited by clicking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum FieldKind {
    /// A line of text.
    Text,
    /// A number.
    Number,
    /// On or off.
    Switch,
    /// One of the allowed values.
    Choice,
    /// Something that is edited as text only: an empty list or mapping, null, text of several lines.
    Other,
}

/// A value of the effective result, to be edited by clicking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ValuesField {
    /// The key path.
    pub path: String,
    /// The effective value: text, a number, a boolean, or what YAML makes of it on one line.
    pub value: String,
    /// The chart's default in the same form; none when the chart does not have the key.
    pub default: Option<String>,
    /// Which layer set it.
    pub source: ValueSource,
    /// How it is edited.
    pub kind: FieldKind,
    /// The values to choose from.
    pub allowed: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
    /// It is inside a list of the chart's defaults, which a file replaces as a whole: edit it as text.
    pub fixed: bool,
}
