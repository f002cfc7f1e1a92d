//! Interoperability with ChaosCenter in Git: what it would refuse, the fixes, and its labels.

use std::collections::BTreeMap;

use pilothouse_chaos::{
    Severity as Seriousness, WorkflowDocument,
    document::{folder_of, is_candidate},
    mend::{Around, mend, remarks},
    names::digest,
    project::Project,
    remap::{Experiments, INFRA_ID, Remap, WORKFLOW_ID, remap, ties},
};
use pilothouse_git::{BlobId, EntryKind, ExpectedChange, RepoPath};

use crate::{
    App, Result,
    chaos_git::ProjectGit,
    commits::{FILE_LIMIT, WholeFiles},
    contract::{
        ActivityKind, AppError, CommitOutcome, ErrorCode, FieldProblem, InfraTie, ProjectTies, RemapForm, RemapPreview,
        RemappedFile, Severity, Topic, WorkflowRemark,
    },
    gitops::Fetched,
    values::{small, text_diff},
};

/// The most files of a project that are looked at for labels.
const MOST_FILES: usize = 5_000;
/// The most workflows that are asked which infrastructure their project uses.
const ASKED: usize = 200;

/// A file with its blob and its text.
struct Read {
    path: RepoPath,
    blob: BlobId,
    text: String,
}

/// A move worked out: the preview, and what a commit would put.
struct Moved {
    preview: RemapPreview,
    changes: Vec<ExpectedChange>,
}

/// The value of a label in a text, without reading the text as YAML.
pub(crate) fn quick_label<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let after = |line: &'t str| line.trim_start().strip_prefix(label)?.strip_prefix(':');
    let value = text.lines().take(60).find_map(after)?;
    let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then_some(value)
}

fn work_out(files: &[Read], form: &RemapForm, project: &str) -> Result<Moved> {
    let infra: BTreeMap<String, String> = form
        .infras
        .iter()
        .map(|one| (one.from.trim().to_owned(), one.to.trim().to_owned()))
        .filter(|(from, to)| from != to)
        .collect();
    let problem = |message: String| AppError::fields(vec![FieldProblem { field: "infras".into(), message }]);
    if let Some(empty) = infra.iter().find_map(|(from, to)| to.is_empty().then_some(from)) {
        return Err(problem(format!("Say which infrastructure takes the place of {empty}.")));
    }
    let experiments = if form.forget_experiments { Experiments::Forget } else { Experiments::Keep };
    let how = Remap { infra, experiments };
    let (mut shown, mut changes, mut problems, mut seen) = (Vec::new(), Vec::new(), Vec::new(), String::new());
    for file in files {
        let moved = match remap(&file.text, &how) {
            Ok(moved) if moved.changed.is_empty() => continue,
            Ok(moved) => moved,
            // A file that is no workflow has nothing to move.
            Err(_) if WorkflowDocument::parse(&file.text).is_err() => continue,
            Err(error) => {
                problems.push(format!("{}: {error}", file.path));
                continue;
            }
        };
        seen.push_str(&format!("{}\n{}\n{}\n", file.path, file.blob, digest(&moved.text)));
        shown.push(RemappedFile { path: file.path.to_string(), diff: text_diff(&file.text, &moved.text) });
        changes.push(ExpectedChange {
            path: file.path.clone(),
            base_blob: Some(file.blob.clone()),
            base_text: None,
            new: Some(moved.text.into_bytes()),
        });
    }
    let message = format!("Move the chaos workflows of {project} to another ChaosCenter");
    Ok(Moved { preview: RemapPreview { files: shown, problems, message, digest: digest(&seen) }, changes })
}

impl App {
    async fn known_project(&self, id: &str) -> Result<(Project, ProjectGit)> {
        let live = self.chaos_live()?;
        let project = self.project(&live, id).await?;
        let git = self.project_git(&project, None)?;
        Ok((project, git))
    }

    /// What is known about a text of a project besides itself.
    fn around(&self, project: &Project, name: &str) -> Result<Around> {
        let live = self.chaos_live()?;
        let mut named: BTreeMap<String, usize> = BTreeMap::new();
        for object in self.workflow_objects(&live, &project.namespace, &project.id).iter().take(ASKED) {
            if let Some(infra) = quick_label(&object.manifest, INFRA_ID) {
                *named.entry(infra.to_owned()).or_default() += 1;
            }
        }
        // Where files disagree there is no telling which one is meant.
        let infra = if named.len() == 1 { named.into_keys().next() } else { None };
        Ok(Around { stem: Some(name.to_owned()).filter(|name| !name.is_empty()), infra })
    }

    /// What is wrong with a text, here or for ChaosCenter only, line by line, with the fixes.
    pub async fn workflow_remarks(&self, project: String, name: String, text: String) -> Result<Vec<WorkflowRemark>> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &project).await?;
        let around = self.around(&project, &name)?;
        let found = crate::blocking(move || Ok(remarks(&text, &around))).await?;
        Ok(found
            .into_iter()
            .map(|remark| WorkflowRemark {
                id: remark.id,
                line: remark.problem.line.map(small),
                severity: match remark.problem.severity {
                    Seriousness::Error => Severity::Error,
                    Seriousness::Warning => Severity::Warning,
                },
                only_chaos_center: remark.problem.code.starts_with("chaoscenter."),
                code: remark.problem.code,
                message: remark.problem.message,
                fix: remark.fix,
            })
            .collect())
    }

    /// A text with the fixes of these remarks; every other byte of it stays.
    pub async fn mend_workflow(&self, project: String, name: String, text: String, ids: Vec<String>) -> Result<String> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &project).await?;
        let around = self.around(&project, &name)?;
        crate::blocking(move || Ok(mend(&text, &around, &ids)?)).await
    }

    /// A project's workflow files at the branch's tip, and whether these are all.
    async fn workflow_files(&self, project: &Project, git: &ProjectGit) -> Result<(Fetched, Vec<Read>, bool)> {
        let fetched = git.fetched().await?;
        let Some(tip) = fetched.tip.clone() else { return Ok((fetched, Vec::new(), true)) };
        let (clone, folder) = (fetched.clone.clone(), RepoPath::parse(&folder_of(&project.id))?);
        let read = move || {
            let mut entries = clone.list(&tip, Some(&folder), MOST_FILES + 1)?;
            let complete = entries.len() <= MOST_FILES;
            entries.truncate(MOST_FILES);
            let mut files = Vec::new();
            for entry in entries {
                let is_file = matches!(entry.kind, EntryKind::File | EntryKind::Executable);
                if !is_file || !is_candidate(&entry.path) {
                    continue;
                }
                let blob = BlobId::parse(&entry.blob)?;
                // What cannot be read as a text has no labels.
                let Ok(Some(bytes)) = clone.read_blob(&blob, FILE_LIMIT) else { continue };
                let (Ok(text), Ok(path)) = (String::from_utf8(bytes), RepoPath::parse(&entry.path)) else { continue };
                files.push(Read { path, blob, text });
            }
            Ok((files, complete))
        };
        let (files, complete) = self.git(read).await?;
        Ok((fetched, files, complete))
    }

    /// What ties a project's files to installations of ChaosCenter.
    pub async fn project_ties(&self, project: String) -> Result<ProjectTies> {
        let (project, git) = self.known_project(&project).await?;
        let (_, files, complete) = self.workflow_files(&project, &git).await?;
        crate::blocking(move || {
            let (mut infras, mut experiments) = (BTreeMap::<String, u32>::new(), 0);
            for file in &files {
                let Ok(document) = WorkflowDocument::parse(&file.text) else { continue };
                let mut found = ties(&document, &file.text);
                found.retain(|tie| !tie.value.is_empty());
                experiments += u32::from(found.iter().any(|tie| tie.label == WORKFLOW_ID));
                // A file that names one infrastructure in several places is one file.
                let mut named: Vec<&str> = found
                    .iter()
                    .filter(|tie| tie.label != WORKFLOW_ID && tie.label != "revision_id")
                    .map(|tie| tie.value.as_str())
                    .collect();
                named.sort_unstable();
                named.dedup();
                for one in named {
                    *infras.entry(one.to_owned()).or_default() += 1;
                }
            }
            let mut infras: Vec<_> = infras.into_iter().map(|(id, files)| InfraTie { id, files }).collect();
            infras.sort_by(|a, b| b.files.cmp(&a.files).then_with(|| a.id.cmp(&b.id)));
            Ok(ProjectTies { infras, experiments, files: small(files.len()), complete })
        })
        .await
    }

    /// What moving a project's files to another installation would change.
    pub async fn preview_remap(&self, project: String, form: RemapForm) -> Result<RemapPreview> {
        let (project, git) = self.known_project(&project).await?;
        let (_, files, _) = self.workflow_files(&project, &git).await?;
        crate::blocking(move || Ok(work_out(&files, &form, &project.id)?.preview)).await
    }

    /// Moves a project's files to another installation, as it was shown, in one commit; then syncs the project.
    ///
    /// # Errors
    /// `chaos.previewStale` when a file is another by now; nothing was written then.
    pub async fn remap_project(
        &self,
        project: String,
        form: RemapForm,
        seen: String,
        message: String,
        operation: String,
    ) -> Result<CommitOutcome> {
        crate::commits::check_message(&message)?;
        let live = self.chaos_live()?;
        let project = self.project(&live, &project).await?;
        self.operations
            .run(operation, "Moving the workflows", |operation| async move {
                let git = self.project_git(&project, Some(&operation))?;
                operation.step("Fetching what others pushed", 0, Some(3));
                let (fetched, files, _) = self.workflow_files(&project, &git).await?;
                let id = project.id.clone();
                let moved = crate::blocking(move || work_out(&files, &form, &id)).await?;
                if moved.preview.digest != seen {
                    let words = "the files are others now than those you saw; nothing was written";
                    return Err(
                        AppError::new(ErrorCode::ChaosPreviewStale, words).with_hint("look at the change again")
                    );
                }
                if moved.changes.is_empty() {
                    return Ok(CommitOutcome::Unchanged);
                }
                let files = WholeFiles {
                    changes: moved.changes,
                    message,
                    kind: ActivityKind::Chaos,
                    words: format!("Move the chaos workflows of {} to another ChaosCenter", project.id),
                    page: format!("/chaos/{}", project.id),
                };
                let outcome = self.publish_whole(&git.url, fetched, files, &operation).await?;
                if project.enabled {
                    operation.step("Syncing the project", 2, Some(3));
                    // The commit stands; what keeps the sync from working is said in the project's state.
                    if let Err(error) = self.sync(&live, &project, Some(&operation)).await {
                        tracing::warn!(%error, project = %project.id, "the sync after a move failed");
                    }
                }
                self.changes.tell(Topic::Chaos);
                Ok(outcome)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::InfraChange;

    fn file(name: &str, infra: &str) -> Read {
        let text = format!(
            "# c\napiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\n  labels:\n    infra_id: '{infra}' # theirs\n    workflow_id: w\nspec: {{entrypoint: a, templates: [{{name: a}}]}}\n"
        );
        Read {
            path: RepoPath::parse(&format!("litmus/shop/{name}.yaml")).unwrap(),
            blob: BlobId::parse("0123456789012345678901234567890123456789").unwrap(),
            text,
        }
    }

    #[test]
    fn a_move_changes_labels_only_and_knows_what_was_shown() {
        let files = [file("a", "old"), file("b", "other"), Read { text: "not: [".into(), ..file("c", "old") }];
        let form =
            RemapForm { infras: vec![InfraChange { from: "old".into(), to: "new".into() }], forget_experiments: false };
        let moved = work_out(&files, &form, "shop").unwrap();
        assert_eq!(
            moved.preview.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
            ["litmus/shop/a.yaml"]
        );
        assert_eq!((moved.preview.files[0].diff.added, moved.preview.files[0].diff.removed), (1, 1));
        let new = String::from_utf8(moved.changes[0].new.clone().unwrap()).unwrap();
        assert_eq!(new, files[0].text.replace("'old'", "'new'"));
        let forget = RemapForm { forget_experiments: true, ..form.clone() };
        let forgotten = work_out(&files, &forget, "shop").unwrap();
        assert_eq!(forgotten.preview.files.len(), 2);
        assert_ne!(forgotten.preview.digest, moved.preview.digest);
        let empty = RemapForm { infras: vec![InfraChange { from: "old".into(), to: " ".into() }], ..form };
        assert!(work_out(&files, &empty, "shop").is_err());
        assert_eq!(quick_label(&files[0].text, INFRA_ID), Some("old"));
    }
}
