//! Values files.

use crate::{
    App, Result,
    contract::{CommitOutcome, CommitValues, Diagnostic, EffectiveValues, FlowEntry, OpenedValues, Review, ValuesFile},
};

impl App {
    /// The flows of the platform with their environments.
    pub async fn list_flows(&self) -> Result<Vec<FlowEntry>> {
        Err(self.not_ready())
    }

    /// Opens a values file, or proposes one made from the chart's defaults.
    pub async fn open_values(&self, _file: ValuesFile) -> Result<OpenedValues> {
        Err(self.not_ready())
    }

    /// Problems of a text, without saving it.
    pub async fn check_values(&self, _file: ValuesFile, _text: String) -> Result<Vec<Diagnostic>> {
        Err(self.not_ready())
    }

    /// What Helm would see with this text.
    pub async fn effective_values(&self, _file: ValuesFile, _text: String) -> Result<EffectiveValues> {
        Err(self.not_ready())
    }

    /// The change a commit would make.
    pub async fn review_values(&self, _file: ValuesFile, _text: String, _base_blob: Option<String>) -> Result<Review> {
        Err(self.not_ready())
    }

    /// Commits and pushes a values file.
    pub async fn commit_values(&self, _request: CommitValues, _operation: String) -> Result<CommitOutcome> {
        Err(self.not_ready())
    }
}
