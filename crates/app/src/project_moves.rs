//! Where a chaos project's place changes: another repository or branch while it is on, and what switching it off does.

use pilothouse_chaos::{
    document::folder_of,
    plan::SyncState,
    project::{self, Absent, Enable, Project, Seen},
    workflow_object::{RunPolicy, WorkflowObject},
};
use pilothouse_cluster::kinds;
use pilothouse_git::RepoPath;
use serde_json::Value;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, ChaosProjectEntry, ChaosProjectForm, DisablePreview, DisabledWorkflow, PlaceSeen,
    },
    journal::{Begin, End, Intent},
    session::Live,
};

impl App {
    /// Leads a project that is switched on to another repository or branch, or gives it another credential, and syncs
    /// it there once. `seen` is the place that the preview showed it to follow; with `take_along`, workflows that have
    /// no file at the new place are committed there.
    ///
    /// # Errors
    /// `chaos.previewStale` when it follows another place by now; nothing was written then.
    pub async fn change_project(
        &self,
        form: ChaosProjectForm,
        seen: PlaceSeen,
        take_along: bool,
        operation: String,
    ) -> Result<ChaosProjectEntry> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &form.id).await?;
        let place = self.place(&form).await?;
        self.operations
            .run(operation, "Testing the repository", |operation| async move {
                let branch = self.reached(&form, &place).await?;
                operation.step("Changing the place", 1, Some(3));
                let begin = Begin {
                    kind: ActivityKind::Chaos,
                    words: format!("Let the chaos project {} follow {} ({branch})", project.id, place.shown),
                    context: Some(live.name().to_owned()),
                    object: Some(format!("ChaosProject/{}/{}", project.namespace, project.id)),
                    intent: Intent::Other,
                };
                let entry = self.journal.enter(begin).await?;
                let seen = Seen { url: seen.url, branch: seen.branch };
                let to = Enable {
                    id: project.id.clone(),
                    url: place.shown.clone(),
                    branch,
                    auth: place.auth,
                    description: None,
                };
                let absent = if take_along { Absent::TakeAlong } else { Absent::Ask };
                let outcome = project::change(&live.cluster, &project.namespace, &seen, &to, absent).await;
                let page = format!("/chaos/{}", project.id);
                let end = |_: &Project| End { url: Some(page), ..End::default() };
                let changed = entry.close_with(outcome.map_err(AppError::from), end).await?;
                self.consent_to_sync(&live, &changed).await?;
                operation.step("Syncing workflows", 2, Some(3));
                // It follows the new place; what keeps its first sync there from working is said in its state.
                if let Err(error) = self.sync(&live, &changed, Some(&operation)).await {
                    tracing::warn!(%error, project = %changed.id, "the first sync at the new place failed");
                }
                let now = project::get(&live.cluster, &changed.namespace, &changed.id).await?;
                Ok(self.project_entry(&live, now).await)
            })
            .await
    }

    /// What switching GitOps off for a project would do, object by object and file by file.
    pub async fn preview_disable(&self, id: String) -> Result<DisablePreview> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &id).await?;
        let mut workflows = Vec::new();
        for object in self.workflow_objects(&live, &project.namespace, &project.id) {
            workflows.push(self.disabled(&project, &object).await?);
        }
        let running = self.list_runs(Some(project.id.clone())).await?.into_iter().filter(|run| run.running).collect();
        Ok(DisablePreview {
            folder: folder_of(&project.id),
            object: format!("{}/{}", project.namespace, project.id),
            workflows,
            running,
            triggers: triggers_of(&live, &project.id),
            place: PlaceSeen { url: project.url, branch: project.branch },
        })
    }

    async fn disabled(&self, project: &Project, object: &WorkflowObject) -> Result<DisabledWorkflow> {
        let mut stops = Vec::new();
        match object.run_policy {
            RunPolicy::OnSchedule => {
                let next = object.schedule.as_ref().and_then(|schedule| schedule.next.clone());
                stops.push(match next {
                    Some(next) => format!("its schedule: the run at {next} does not start"),
                    None => "its schedule".to_owned(),
                });
            }
            RunPolicy::OnCommit => stops.push("its runs on commit".to_owned()),
            RunPolicy::OnEvent => stops.push("its runs by triggers".to_owned()),
            RunPolicy::Manual => {}
        }
        if object.due.is_some() {
            stops.push("the run that is due for its last commit".to_owned());
        }
        let waiting = match (self.remote(&project.url), RepoPath::parse(&object.path)) {
            (Ok(url), Ok(path)) => self.waiting_text(&url, &project.branch, &path).await?.is_some(),
            _ => false,
        };
        let only_here = match object.state {
            _ if waiting => Some("a commit of it waits on this machine, and can still be pushed from here"),
            Some(SyncState::Ahead) => Some("its change in the cluster is not in Git, and stays in the cluster only"),
            Some(SyncState::Conflict) => Some("its two versions stay as they are, undecided"),
            Some(SyncState::DeletedInGit) => Some("it stays in the cluster only: its file is gone from Git"),
            Some(SyncState::Behind) => Some("its change in Git is not in the cluster, and stays in Git only"),
            _ => None,
        };
        let in_git = object.synced_blob.is_some() && object.state != Some(SyncState::DeletedInGit)
            || matches!(object.state, Some(SyncState::Invalid | SyncState::Conflict));
        Ok(DisabledWorkflow {
            name: object.workflow.clone(),
            object: object.object.clone(),
            file: in_git.then(|| object.path.clone()),
            stops,
            only_here: only_here.map(str::to_owned),
        })
    }
}

/// The triggers that start workflows of a project.
fn triggers_of(live: &Live, project: &str) -> Vec<String> {
    let mut found: Vec<String> = live
        .list(&kinds::EVENT_TRIGGER)
        .iter()
        .filter(|one| one.data.pointer("/spec/project").and_then(Value::as_str) == Some(project))
        .map(|one| {
            let namespace = one.metadata.namespace.clone().unwrap_or_default();
            format!("{namespace}/{}", one.metadata.name.clone().unwrap_or_default())
        })
        .collect();
    found.sort();
    found
}
