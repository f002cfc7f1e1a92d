//! What enabling GitOps for a chaos project would do to files and objects.

use pilothouse_chaos::{
    document::folder_of,
    plan::{Action, Planned},
    project::{self, Absent, Project},
    sync,
};
use pilothouse_cluster::Name;
use pilothouse_git::{Credential, RemoteUrl, probe_push};

use crate::{
    App, Result,
    chaos_git::ProjectGit,
    contract::{AppError, ChaosProjectForm, FieldProblem, PlaceSeen, PreviewItem, PreviewWhat, ProjectPreview},
    values::small,
};

fn item(planned: Planned) -> Option<PreviewItem> {
    let what = match planned.action {
        Action::Nothing | Action::Record { .. } => PreviewWhat::Same,
        Action::Create { .. } => PreviewWhat::Import,
        Action::Update { .. } => PreviewWhat::Update,
        Action::Adopt { .. } => PreviewWhat::Export,
        Action::Merge { .. } => PreviewWhat::Merge,
        Action::MarkDeleted { .. } => PreviewWhat::Missing,
        Action::Conflict => PreviewWhat::Conflict,
        Action::Invalid(_) => PreviewWhat::Invalid,
        // What is removed is a placeholder that nobody made.
        Action::Drop => return None,
    };
    Some(PreviewItem {
        workflow: planned.workflow,
        path: planned.path,
        what,
        message: Some(planned.message).filter(|words| !words.is_empty()),
        line: planned.line.map(small),
    })
}

impl App {
    /// What enabling a project with this form would do, or leading it there when it is on; with `take_along`, workflows
    /// without a file there are committed. Nothing is written anywhere but into this machine's clone.
    ///
    /// # Errors
    /// As for enabling it; `app.fields` where the branch is not there.
    pub async fn preview_project(&self, form: ChaosProjectForm, take_along: bool) -> Result<ProjectPreview> {
        let live = self.chaos_live()?;
        if let Err(error) = Name::parse("project", &form.id) {
            return Err(AppError::fields(vec![FieldProblem { field: "id".into(), message: error.to_string() }]));
        }
        let place = self.place(&form).await?;
        let credential = self.form_credential(&form, &place).await?;
        let check = self.check_remote(&place.shown, place.url.clone(), credential.clone().unwrap_or_default()).await?;
        let branch = match form.branch.trim() {
            "" => check.default_branch.unwrap_or_else(|| "main".into()),
            branch => branch.to_owned(),
        };
        if !check.empty && !check.branches.contains(&branch) {
            let message = format!("The repository has no branch {branch}.");
            return Err(AppError::fields(vec![FieldProblem { field: "branch".into(), message }]));
        }
        let cannot_write = self.cannot_write(&place.url, credential.clone().unwrap_or_default()).await?;
        let git = ProjectGit {
            app: self.arc()?,
            url: place.url.clone(),
            branch: branch.clone(),
            operation: None,
            credential,
        };
        let absent = if take_along { Absent::TakeAlong } else { Absent::Ask };
        let (snapshot, planned) = sync::preview(&live.cluster, &form.namespace, &form.id, &git, absent).await?;
        let now = project::get(&live.cluster, &form.namespace, &form.id).await.ok();
        let other = |now: &Project| !now.url.is_empty() && (now.url != place.shown || now.branch != branch);
        let on = now.as_ref().filter(|now| now.enabled);
        let seen = on.map(|now| PlaceSeen { url: now.url.clone(), branch: now.branch.clone() });
        let follows = now.filter(other).map(|now| format!("{} ({})", now.url, now.branch));
        Ok(ProjectPreview {
            branch,
            empty: check.empty,
            folder: folder_of(&form.id),
            cannot_write,
            follows,
            seen,
            items: planned.into_iter().filter_map(item).collect(),
            complete: snapshot.complete,
        })
    }

    /// Why nothing can be pushed to a remote, as far as its server says so before anything is pushed.
    pub(crate) async fn cannot_write(&self, url: &RemoteUrl, credential: Credential) -> Result<Option<String>> {
        let access = self.access(url, credential, None).await?;
        let at = url.clone();
        Ok(self.git(move || probe_push(&at, &access)).await.err().map(|error| error.message))
    }
}
