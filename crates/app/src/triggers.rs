//! Triggers.

use crate::{
    App, Result,
    contract::{TriggerForm, TriggerPreview, TriggersOverview, WorkloadEntry},
};

impl App {
    /// The triggers, what they decided, and who is in charge of them.
    pub async fn list_triggers(&self) -> Result<TriggersOverview> {
        Err(self.not_ready())
    }

    /// Deployments and StatefulSets of a namespace or of all.
    pub async fn workloads(&self, _namespace: Option<String>) -> Result<Vec<WorkloadEntry>> {
        Err(self.not_ready())
    }

    /// The exact object and what it matches now.
    pub async fn preview_trigger(&self, _form: TriggerForm) -> Result<TriggerPreview> {
        Err(self.not_ready())
    }

    /// Creates a trigger or changes it.
    pub async fn save_trigger(&self, _form: TriggerForm) -> Result<()> {
        Err(self.not_ready())
    }

    /// Switches a trigger off or on.
    pub async fn suspend_trigger(&self, _namespace: String, _name: String, _suspended: bool) -> Result<()> {
        Err(self.not_ready())
    }

    /// Deletes a trigger.
    pub async fn delete_trigger(&self, _namespace: String, _name: String) -> Result<()> {
        Err(self.not_ready())
    }
}
