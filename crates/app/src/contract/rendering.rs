//! Rendered manifests and what they change.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::TextDiff;

/// What rendered manifests are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum RenderAgainst {
    /// Those of the values file as it is in Git now.
    Committed,
    /// The objects that are in the cluster.
    Live,
}

/// What renders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RenderEngine {
    /// Helm's command was found.
    Found {
        /// The command.
        path: String,
        /// Its version, such as `v4.1.4`.
        version: String,
    },
    /// There is none that can be used; nothing is rendered.
    Missing {
        /// Why, and what works without it.
        words: String,
        /// Where it was searched.
        searched: Vec<String>,
    },
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ObjectChange {
    /// It would be made.
    Added,
    /// It would be removed.
    Removed,
    /// It would become another.
    Changed,
    /// It stays as it is.
    Same,
    /// What is in the cluster may not be read.
    Unreadable,
}

/// One object of a rendering. The values of Secrets are hidden in all its texts; equal ones have equal words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RenderedObject {
    /// Tells the objects of one answer apart.
    pub id: String,
    /// `group/version`, or the version alone for the core.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace; none for what lies outside of them.
    pub namespace: Option<String>,
    /// What happens to it.
    pub change: ObjectChange,
    /// The change, line by line.
    pub diff: TextDiff,
    /// The rendered manifest; empty when the object goes.
    pub text: String,
    /// When Helm or Argo CD runs it, for hooks: `pre-install`, `PreSync`.
    pub hook: Option<String>,
    /// The template it comes from, such as `cart/templates/deployment.yaml`.
    pub source: Option<String>,
    /// More about the change, in a sentence.
    pub words: Option<String>,
}

/// The manifests of a release, and what they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RenderedValues {
    /// What rendered them.
    pub engine: RenderEngine,
    /// The chart: its name and version, and where it was read. Empty while nothing is rendered.
    pub chart: String,
    /// The release's name.
    pub release: String,
    /// The namespace it goes to.
    pub namespace: String,
    /// The objects, in the order of the rendering; then those that go.
    pub objects: Vec<RenderedObject>,
    /// What to know about the rendering, each a sentence.
    pub notes: Vec<String>,
}
