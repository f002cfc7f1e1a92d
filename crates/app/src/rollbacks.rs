//! Going back: an earlier deploy's choices, and the values files as they were deployed then.

use std::collections::BTreeMap;

use pilothouse_delivery::deploy::{Rollback, rollback};
use pilothouse_git::{BareClone, CommitId, ExpectedChange, RepoPath};

use crate::{
    App, Result,
    commits::{FILE_LIMIT, WholeFiles, check_message},
    contract::{
        ActivityKind, AppError, CommitOutcome, DeployChoice, RestoreValues, RollbackView, RunRef, ValuesFile,
        ValuesThen,
    },
    environments::run_entry,
    gitops::{Fetched, commit_entry},
    operations::Operation,
    values::text_diff,
};

/// Both versions of a values file.
pub(crate) struct Versions {
    then: Option<Vec<u8>>,
    now: Option<Vec<u8>>,
    blob: Option<pilothouse_git::BlobId>,
}

/// Reads a file as of `commit`, which must be in the history of `tip`, and as it is now. Blocks.
pub(crate) fn versions(
    clone: &BareClone,
    tip: &CommitId,
    commit: &CommitId,
    path: &RepoPath,
) -> pilothouse_git::Result<Versions> {
    let then = clone.read(commit, path, FILE_LIMIT)?;
    let now = clone.read(tip, path, FILE_LIMIT)?;
    Ok(Versions {
        then: then.map(|content| content.bytes),
        blob: now.as_ref().map(|content| content.blob.clone()),
        now: now.map(|content| content.bytes),
    })
}

/// Values files to put back: each with the commit it is taken from, and its content id as it was shown.
pub(crate) struct PutBack {
    pub(crate) files: Vec<(RepoPath, CommitId, Option<String>)>,
    pub(crate) message: String,
    /// For the timeline.
    pub(crate) words: String,
    /// The page about it.
    pub(crate) page: String,
}

impl Versions {
    /// What putting the file of then back means.
    pub(crate) fn tell(&self, one: &mut ValuesThen) {
        one.same = self.then == self.now;
        one.removes = self.then.is_none() && self.now.is_some();
        one.blob = self.blob.as_ref().map(ToString::to_string);
        one.diff = (!one.same).then(|| text_diff(&lossy(&self.now), &lossy(&self.then)));
    }
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
            all.push(self.file_then(&file, commit.as_deref(), &fetched).await?);
        }
        Ok(all)
    }

    /// A values file as a deploy of a commit had it, and what putting it back means.
    pub(crate) async fn file_then(
        &self,
        file: &ValuesFile,
        commit: Option<&str>,
        fetched: &Fetched,
    ) -> Result<ValuesThen> {
        let path = file.path()?;
        let mut one = ValuesThen {
            application: file.app.clone(),
            path: path.to_string(),
            commit: None,
            unknown: None,
            same: false,
            removes: false,
            diff: None,
            blob: None,
        };
        let known = commit.and_then(|commit| CommitId::parse(commit).ok());
        let (Some(commit), Some(tip)) = (known, fetched.tip.clone()) else {
            one.unknown =
                Some("Argo CD does not say any more which commit it deployed then; it remembers the last ten.".into());
            return Ok(one);
        };
        let clone = fetched.clone.clone();
        let read = self.git(move || Ok((versions(&clone, &tip, &commit, &path)?, clone.commit_info(&commit)?))).await;
        match read {
            Ok((versions, info)) => {
                versions.tell(&mut one);
                one.commit = Some(commit_entry(info));
            }
            // The repository may have been rewritten or replaced since.
            Err(error) => one.unknown = Some(error.message),
        }
        Ok(one)
    }

    /// Puts values files back as an earlier run deployed them, with one commit. Their content comes from Git, not from
    /// the window; a file that is not as it was shown any more is left alone, and with it all others.
    pub async fn restore_values(&self, request: RestoreValues, operation: String) -> Result<CommitOutcome> {
        self.author().await?;
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
        let RunRef { flow, env, run } = request.run;
        let names: Vec<String> = wanted.keys().cloned().collect();
        let back = PutBack {
            files: wanted.into_values().collect(),
            message: request.message.trim().to_owned(),
            words: format!("Put the values of {} in {flow}/{env} back as of {run}", names.join(", ")),
            page: format!("/environments/{flow}/{env}"),
        };
        self.operations
            .run(
                operation,
                "Putting values files back",
                |operation| async move { self.put_back(back, &operation).await },
            )
            .await
    }

    /// Puts values files back with one commit; a file that is not as it was shown any more is left alone, and with it
    /// all others.
    pub(crate) async fn put_back(&self, back: PutBack, operation: &Operation) -> Result<CommitOutcome> {
        let PutBack { files, message, words, page } = back;
        let (repository, mut fetched) = self.fetch_gitops(Some(operation)).await?;
        // What waits was made earlier, and goes out earlier; what it changed is not as it was shown any more.
        if !self.outbox.of(repository.url.as_str()).await?.is_empty() {
            for (path, ..) in &files {
                self.send_what_waits(&repository.url, &fetched.branch, path, operation).await?;
            }
            fetched = self.fetch_gitops(Some(operation)).await?.1;
        }
        let Some(tip) = fetched.tip.clone() else {
            return Err(AppError::blocked("the repository is empty by now"));
        };
        let clone = fetched.clone.clone();
        let changes = self
            .git(move || {
                let mut changes = Vec::new();
                for (path, commit, blob) in files {
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
        let changes = changes.ok_or_else(|| AppError::blocked("the files changed meanwhile; look at them again"))?;
        if changes.is_empty() {
            return Ok(CommitOutcome::Unchanged);
        }
        let files = WholeFiles { kind: ActivityKind::Values, changes, message, words, page };
        self.publish_whole(&repository.url, fetched, files, operation).await
    }
}

#[cfg(test)]
mod tests {
    use pilothouse_git::{FileChange, Identity, RemoteUrl};

    use super::*;

    #[test]
    fn what_had_no_file_then_loses_it_and_what_lost_it_gets_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let url = RemoteUrl::local(&folder.path().join("remote")).unwrap();
        let clone = BareClone::open_or_create(&folder.path().join("clone"), &url).unwrap();
        let author = Identity { name: "Robin".into(), email: "robin@example.com".into() };
        let path = RepoPath::parse("shop/dev/cart-values.yaml").unwrap();
        let readme = FileChange { path: RepoPath::parse("README.md").unwrap(), content: Some(b"Hello\n".to_vec()) };
        let write = |text: &str| FileChange { path: path.clone(), content: Some(text.as_bytes().to_vec()) };
        let before = clone.commit(None, &[readme], &author, "Begin").unwrap();
        let added = clone.commit(Some(&before), &[write("a: 1\nb: 2\n")], &author, "Add").unwrap();
        let gone = FileChange { path: path.clone(), content: None };
        let removed = clone.commit(Some(&added), &[gone], &author, "Remove").unwrap();

        let told = |tip: &CommitId, then: &CommitId| {
            let mut one = ValuesThen {
                application: "cart".into(),
                path: path.to_string(),
                commit: None,
                unknown: None,
                same: false,
                removes: false,
                diff: None,
                blob: None,
            };
            versions(&clone, tip, then, &path).unwrap().tell(&mut one);
            one
        };
        let away = told(&added, &before);
        assert!(away.removes && !away.same && away.blob.is_some(), "{away:?}");
        assert_eq!(away.diff.map(|diff| (diff.added, diff.removed)), Some((0, 2)));
        let back = told(&removed, &added);
        assert!(!back.removes && !back.same && back.blob.is_none(), "{back:?}");
        assert_eq!(back.diff.map(|diff| (diff.added, diff.removed)), Some((2, 0)));
        let same = told(&added, &added);
        assert!(same.same && !same.removes && same.diff.is_none(), "{same:?}");
        let never = told(&removed, &before);
        assert!(never.same && !never.removes, "{never:?}");
    }
}
