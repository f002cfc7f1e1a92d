//! Going back: an earlier deploy's choices, and the values files as they were deployed then.

use std::{collections::BTreeMap, sync::Arc};

use pilothouse_delivery::deploy::{Rollback, rollback};
use pilothouse_git::{BareClone, CommitId, ExpectedChange, PublishOutcome, PublishRequest, RepoPath};

use crate::{
    App, Result,
    commits::{FILE_LIMIT, check_message},
    contract::{
        ActivityKind, AppError, CommitOutcome, DeployChoice, RestoreValues, RollbackView, RunRef, Topic, ValuesFile,
        ValuesThen,
    },
    environments::run_entry,
    gitops::{Fetched, commit_entry},
    journal::{Begin, End, Intent},
    values::text_diff,
};

/// Both versions of a values file.
struct Versions {
    then: Option<Vec<u8>>,
    now: Option<Vec<u8>>,
    blob: Option<pilothouse_git::BlobId>,
}

/// Reads a file as of `commit`, which must be in the history of `tip`, and as it is now. Blocks.
fn versions(clone: &BareClone, tip: &CommitId, commit: &CommitId, path: &RepoPath) -> pilothouse_git::Result<Versions> {
    let then = clone.read(commit, path, FILE_LIMIT)?;
    let now = clone.read(tip, path, FILE_LIMIT)?;
    Ok(Versions {
        then: then.map(|content| content.bytes),
        blob: now.as_ref().map(|content| content.blob.clone()),
        now: now.map(|content| content.bytes),
    })
}

fn lossy(bytes: &Option<Vec<u8>>) -> String {
    bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

impl App {
    /// An earlier deploy as choices for a new one; nothing is written.
    pub async fn preview_rollback(&self, run: RunRef) -> Result<RollbackView> {
        let (live, _) = self.platform()?;
        let back = rollback(&self.objects(&live), &run.flow, &run.env, &run.run)?;
        let (values, values_unknown) = match self.fetch_gitops(None).await {
            Ok((_, fetched)) => (self.values_then(&run, &back, fetched).await?, None),
            Err(error) => (Vec::new(), Some(error.message)),
        };
        let choice = |one: &pilothouse_delivery::deploy::AppChoice| DeployChoice {
            application: one.application.clone(),
            tag: one.tag.clone(),
            values_override: one.values_override,
        };
        Ok(RollbackView {
            entry: run_entry(&back.run),
            choices: back.choices.applications.iter().map(choice).collect(),
            notes: back.notes,
            values,
            values_unknown,
        })
    }

    async fn values_then(&self, run: &RunRef, back: &Rollback, fetched: Fetched) -> Result<Vec<ValuesThen>> {
        let mut all = Vec::new();
        for (application, commit) in &back.values {
            let file = ValuesFile { flow: run.flow.clone(), env: run.env.clone(), app: application.clone() };
            let path = file.path()?;
            let mut one = ValuesThen {
                application: application.clone(),
                path: path.to_string(),
                commit: None,
                unknown: None,
                same: false,
                removes: false,
                diff: None,
                blob: None,
            };
            let known = commit.as_deref().and_then(|commit| CommitId::parse(commit).ok());
            let (Some(commit), Some(tip)) = (known, fetched.tip.clone()) else {
                one.unknown = Some(
                    "Argo CD does not say any more which commit it deployed then; it remembers the last ten.".into(),
                );
                all.push(one);
                continue;
            };
            let (clone, at) = (fetched.clone.clone(), path.clone());
            let read = self.git(move || Ok((versions(&clone, &tip, &commit, &at)?, clone.commit_info(&commit)?))).await;
            match read {
                Ok((versions, info)) => {
                    one.same = versions.then == versions.now;
                    one.removes = versions.then.is_none() && versions.now.is_some();
                    one.blob = versions.blob.as_ref().map(ToString::to_string);
                    one.diff = (!one.same).then(|| text_diff(&lossy(&versions.now), &lossy(&versions.then)));
                    one.commit = Some(commit_entry(info));
                }
                // The repository may have been rewritten or replaced since.
                Err(error) => one.unknown = Some(error.message),
            }
            all.push(one);
        }
        Ok(all)
    }

    /// Puts values files back as an earlier run deployed them, with one commit. Their content comes from Git, not from
    /// the window; a file that is not as it was shown any more is left alone, and with it all others.
    pub async fn restore_values(&self, request: RestoreValues, operation: String) -> Result<CommitOutcome> {
        let identity = self.author().await?;
        check_message(&request.message)?;
        let (live, _) = self.platform()?;
        let back = rollback(&self.objects(&live), &request.run.flow, &request.run.env, &request.run.run)?;
        let mut wanted: BTreeMap<String, (RepoPath, CommitId, Option<String>)> = BTreeMap::new();
        for file in &request.files {
            let commit = back.values.iter().find(|(name, _)| *name == file.application).and_then(|(_, c)| c.as_deref());
            let commit = commit.ok_or_else(|| {
                AppError::blocked(format!("which values {} was deployed with is not known", file.application))
            })?;
            let path = ValuesFile {
                flow: request.run.flow.clone(),
                env: request.run.env.clone(),
                app: file.application.clone(),
            }
            .path()?;
            wanted.insert(file.application.clone(), (path, CommitId::parse(commit)?, file.blob.clone()));
        }
        if wanted.is_empty() {
            return Err(AppError::blocked("choose at least one file"));
        }
        let app = self.arc()?;
        self.operations
            .run(operation, "Putting values files back", |operation| async move {
                let (repository, mut fetched) = self.fetch_gitops(Some(&operation)).await?;
                // What waits was made earlier, and goes out earlier; what it changed is not as it was shown any more.
                if !self.outbox.of(repository.url.as_str()).await?.is_empty() {
                    for (path, ..) in wanted.values() {
                        self.send_what_waits(&repository.url, &fetched.branch, path, &operation).await?;
                    }
                    fetched = self.fetch_gitops(Some(&operation)).await?.1;
                }
                let Some(tip) = fetched.tip.clone() else {
                    return Err(AppError::blocked("the repository is empty by now"));
                };
                let names: Vec<String> = wanted.keys().cloned().collect();
                let clone = fetched.clone.clone();
                let changes = self
                    .git(move || {
                        let mut changes = Vec::new();
                        for (path, commit, blob) in wanted.into_values() {
                            let both = versions(&clone, &tip, &commit, &path)?;
                            if both.blob.as_ref().map(ToString::to_string) != blob {
                                return Ok(None);
                            }
                            if both.then != both.now {
                                changes.push(ExpectedChange {
                                    path,
                                    base_blob: both.blob,
                                    base_text: both.now,
                                    new: both.then,
                                });
                            }
                        }
                        Ok(Some(changes))
                    })
                    .await?;
                let changes =
                    changes.ok_or_else(|| AppError::blocked("the files changed meanwhile; look at them again"))?;
                if changes.is_empty() {
                    return Ok(CommitOutcome::Unchanged);
                }
                let message = request.message.trim().to_owned();
                let publish = PublishRequest { changes, identity, message };
                let access =
                    self.access(&repository.url, self.credential(&repository.url).await?, Some(&operation)).await?;
                let RunRef { flow, env, run } = request.run;
                let begin = Begin {
                    kind: ActivityKind::Values,
                    words: format!("Put the values of {} in {flow}/{env} back as of {run}", names.join(", ")),
                    context: self.context_name(),
                    object: None,
                    intent: Intent::Other,
                };
                let entry = self.journal.enter(begin).await?;
                operation.step("Committing and pushing", 1, None);
                // Followed to its end even when the operation is cancelled: the timeline must say what came of it.
                let (clone, branch) = (fetched.clone.clone(), fetched.branch.clone());
                let follow = tokio::spawn(async move {
                    // Files are put back whole: joined with somebody else's change they would be neither's.
                    let refuse = Arc::new(|_: &RepoPath, _: &[u8]| false);
                    let outcome = app.git(move || clone.publish_checked(&access, &branch, &publish, refuse)).await;
                    let outcome = outcome.and_then(|outcome| match outcome {
                        PublishOutcome::Published { commit, replays, merged } => Ok(CommitOutcome::Published {
                            commit: commit_entry(commit),
                            replays,
                            merged,
                            blob: None,
                            text: None,
                        }),
                        PublishOutcome::Unchanged { .. } => Ok(CommitOutcome::Unchanged),
                        PublishOutcome::Conflict { path, their_commit, .. } => Err(AppError::blocked(format!(
                            "{} changed {path} meanwhile; nothing was pushed",
                            their_commit.author_name
                        ))),
                    });
                    let done = entry
                        .close_with(outcome, |outcome| End {
                            commit: match outcome {
                                CommitOutcome::Published { commit, .. } => Some(commit.id.clone()),
                                _ => None,
                            },
                            url: Some(format!("/environments/{flow}/{env}")),
                            ..End::default()
                        })
                        .await;
                    app.changes.tell(Topic::Repository);
                    app.changes.tell(Topic::Environments);
                    done
                });
                follow.await.map_err(|e| AppError::internal(format!("the commit ended early: {e}")))?
            })
            .await
    }
}
