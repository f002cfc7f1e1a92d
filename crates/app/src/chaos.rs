//! Chaos projects and workflows.

use crate::{
    App, Result,
    contract::{
        ChaosOverview, ChaosProjectEntry, ChaosProjectForm, ChaosWorkflowEntry, CommitOutcome, Diagnostic,
        ImportedWorkflow, OpenedWorkflow, RemoteCheck, Review, RunPolicy, SaveWorkflow, SyncReport, TemplateChoice,
        WorkflowTemplate,
    },
};

impl App {
    /// The chaos projects.
    pub async fn chaos_overview(&self) -> Result<ChaosOverview> {
        Err(self.not_ready())
    }

    /// Tries a project's repository.
    pub async fn test_project(&self, _form: ChaosProjectForm) -> Result<RemoteCheck> {
        Err(self.not_ready())
    }

    /// Enables GitOps for a project and syncs it once.
    pub async fn enable_project(&self, _form: ChaosProjectForm, _operation: String) -> Result<ChaosProjectEntry> {
        Err(self.not_ready())
    }

    /// Disables GitOps for a project; Git and workflows stay.
    pub async fn disable_project(&self, _id: String) -> Result<()> {
        Err(self.not_ready())
    }

    /// Syncs a project now.
    pub async fn sync_project(&self, _id: String, _operation: String) -> Result<SyncReport> {
        Err(self.not_ready())
    }

    /// A project's workflows.
    pub async fn chaos_workflows(&self, _project: String) -> Result<Vec<ChaosWorkflowEntry>> {
        Err(self.not_ready())
    }

    /// Opens a workflow's file.
    pub async fn open_workflow(&self, _project: String, _name: String) -> Result<OpenedWorkflow> {
        Err(self.not_ready())
    }

    /// Ready-made workflows to start from.
    pub async fn workflow_templates(&self) -> Result<Vec<WorkflowTemplate>> {
        Err(self.not_ready())
    }

    /// The text of a workflow made from a template.
    pub async fn render_template(&self, _choice: TemplateChoice) -> Result<String> {
        Err(self.not_ready())
    }

    /// Problems of a text, without saving it.
    pub async fn check_workflow(&self, _project: String, _text: String) -> Result<Vec<Diagnostic>> {
        Err(self.not_ready())
    }

    /// The change a commit would make.
    pub async fn review_workflow(
        &self,
        _project: String,
        _name: String,
        _text: String,
        _base_blob: Option<String>,
    ) -> Result<Review> {
        Err(self.not_ready())
    }

    /// Commits and pushes a workflow's file, then syncs the project.
    pub async fn save_workflow(&self, _request: SaveWorkflow, _operation: String) -> Result<CommitOutcome> {
        Err(self.not_ready())
    }

    /// Reads a workflow from a file on disk.
    pub async fn import_workflow_file(&self, _project: String, _path: String) -> Result<ImportedWorkflow> {
        Err(self.not_ready())
    }

    /// Says when a workflow runs.
    pub async fn set_run_policy(&self, _project: String, _name: String, _policy: RunPolicy) -> Result<()> {
        Err(self.not_ready())
    }

    /// Deletes a workflow's file from Git, then syncs the project.
    pub async fn delete_workflow(&self, _project: String, _name: String, _operation: String) -> Result<CommitOutcome> {
        Err(self.not_ready())
    }
}
