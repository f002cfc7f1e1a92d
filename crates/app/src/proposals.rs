//! Where a branch takes no push: the change on a branch of its own, and the provider's page to ask for it to be merged.

use pilothouse_git::{
    BlobId, ExpectedChange, Identity, Proposal, Provider, PublishOutcome, PublishRequest, RemoteUrl, Scheme,
    new_request_url,
};

use crate::{
    App, Result,
    commits::Change,
    contract::{AppError, CommitOutcome, CommitValues, ErrorCode, ProposedCommit, SaveWorkflow},
    gitops::{Fetched, commit_entry},
    journal::{Begin, End, Intent},
    operations::Operation,
};

/// What kind of server a remote is on, and where its pages are.
struct Pages {
    provider: Option<Provider>,
    base: String,
}

/// The provider behind a GitServer's word, or, where there is none, behind a well-known host.
fn provider(word: &str, host: &str) -> Option<Provider> {
    match word {
        "github" => Some(Provider::GitHub),
        "gitlab" => Some(Provider::GitLab),
        "gerrit" => Some(Provider::Gerrit),
        "bitbucket" if host == "bitbucket.org" => Some(Provider::BitbucketCloud),
        "bitbucket" => Some(Provider::BitbucketServer),
        _ => match host {
            "github.com" => Some(Provider::GitHub),
            "gitlab.com" => Some(Provider::GitLab),
            "bitbucket.org" => Some(Provider::BitbucketCloud),
            _ => None,
        },
    }
}

/// The repository's path on its server.
fn path_of(url: &RemoteUrl) -> String {
    let text = url.display();
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map(|(_, path)| path),
        None => text.split_once(':').map(|(_, path)| path),
    };
    path.unwrap_or_default().trim_matches('/').to_owned()
}

impl App {
    fn pages(&self, url: &RemoteUrl) -> Pages {
        let host = url.host().unwrap_or_default().to_owned();
        let servers = self.maybe_live().map(|live| self.objects(&live).git_servers).unwrap_or_default();
        let server = servers.iter().find(|server| server.host.eq_ignore_ascii_case(&host));
        let provider = provider(server.map_or("", |server| server.provider.as_str()), &host);
        let base = match (url.scheme(), server) {
            (Scheme::Https, _) => format!("https://{}", url.authority()),
            (_, Some(server)) if server.https_port != 443 => format!("https://{host}:{}", server.https_port),
            _ => format!("https://{host}"),
        };
        Pages { provider, base }
    }

    /// Pushes a values file's new text as a branch of its own.
    pub async fn propose_values(
        &self,
        request: CommitValues,
        branch: String,
        operation: String,
    ) -> Result<ProposedCommit> {
        let change = self.values_change(request)?;
        let repository = self.gitops().await?;
        self.operations
            .run(operation, "Pushing a branch", |operation| async move {
                let fetched = self.fetch(&repository.url, &repository.usual_branch, Some(&operation)).await?;
                self.propose(&repository.url, fetched, change, branch, &operation).await
            })
            .await
    }

    /// Pushes a chaos workflow's new text as a branch of its own.
    pub async fn propose_workflow(
        &self,
        request: SaveWorkflow,
        branch: String,
        operation: String,
    ) -> Result<ProposedCommit> {
        let (change, url, target) = self.workflow_change(request).await?;
        self.operations
            .run(operation, "Pushing a branch", |operation| async move {
                let fetched = self.fetched_for(&url, &target, Some(&operation)).await?;
                self.propose(&url, fetched, change, branch, &operation).await
            })
            .await
    }

    async fn propose(
        &self,
        url: &RemoteUrl,
        fetched: Fetched,
        change: Change,
        branch: String,
        operation: &Operation,
    ) -> Result<ProposedCommit> {
        let identity: Identity = self.author().await?;
        change.check_message()?;
        let target = fetched.branch.clone();
        if branch.trim().is_empty() || branch == target {
            return Err(AppError::new(ErrorCode::GitBadBranch, format!("{branch:?} is not the name of a new branch"))
                .with_hint("give the branch a name of its own"));
        }
        let base_blob = change.base_blob.as_deref().map(BlobId::parse).transpose()?;
        let base_text = self.outbox.text_behind(url.as_str(), change.path.as_str(), base_blob.as_ref()).await?;
        let request = PublishRequest {
            changes: vec![ExpectedChange {
                path: change.path.clone(),
                base_blob,
                base_text: base_text.map(String::into_bytes),
                new: change.text.map(String::into_bytes),
            }],
            identity,
            message: change.message,
        };
        let begin = Begin {
            kind: change.kind,
            words: format!("{} on a branch for review", change.words),
            context: self.context_name(),
            object: None,
            intent: Intent::Other,
        };
        let pages = self.pages(url);
        let access = self.access(url, self.credential(url).await?, Some(operation)).await?;
        let entry = self.journal.enter(begin).await?;
        operation.step("Pushing a branch", 1, None);
        let (clone, onto, wanted) = (fetched.clone.clone(), target.clone(), branch);
        let review = pages.provider == Some(Provider::Gerrit);
        // Followed to its end even when the operation is cancelled meanwhile, as every push is.
        let (app, address) = (self.arc()?, url.clone());
        let follow = tokio::spawn(async move {
            let push = move || {
                if review {
                    clone.publish_for_review(&access, &onto, &request)
                } else {
                    clone.publish_to_branch(&access, &onto, &wanted, &request)
                }
            };
            let outcome = app.git(push).await;
            let published = |proposal: &Proposal| matches!(proposal.outcome, PublishOutcome::Published { .. });
            app.note_push(&address, &outcome, published).await;
            if let Ok(Proposal { outcome: PublishOutcome::Conflict { .. }, .. }) = &outcome {
                let error = AppError::blocked("somebody changed the same lines meanwhile; nothing was pushed");
                let _: Result<()> = entry.close_with(Err(error), |()| End::default()).await;
                return outcome;
            }
            let end = |proposal: &Proposal| match &proposal.outcome {
                PublishOutcome::Published { commit, .. } => {
                    End { commit: Some(commit.id.to_string()), ..End::default() }
                }
                _ => End::default(),
            };
            entry.close_with(outcome, end).await
        });
        let proposal = follow.await.map_err(|e| AppError::internal(format!("the push ended early: {e}")))??;
        let lossy = |bytes: Option<Vec<u8>>| bytes.map(|b| String::from_utf8_lossy(&b).into_owned());
        let outcome = match proposal.outcome {
            PublishOutcome::Published { commit, replays, merged } => {
                CommitOutcome::Published { commit: commit_entry(commit), replays, merged, blob: None, text: None }
            }
            PublishOutcome::Unchanged { .. } => CommitOutcome::Unchanged,
            PublishOutcome::Conflict { path, base, ours, theirs, their_blob, their_commit } => {
                CommitOutcome::Conflict {
                    path: path.to_string(),
                    base: lossy(base),
                    ours: lossy(ours),
                    theirs: lossy(theirs),
                    their_blob: their_blob.map(|b| b.to_string()),
                    their_commit: Some(commit_entry(their_commit)),
                }
            }
        };
        let page = pages
            .provider
            .and_then(|provider| new_request_url(provider, &pages.base, &path_of(url), &proposal.branch, &target));
        let url = proposal.page.or(page).filter(|page| page.starts_with("https://"));
        Ok(ProposedCommit { branch: proposal.branch, target, outcome, url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_known_by_word_or_by_host() {
        assert_eq!(provider("github", "git.corp.example"), Some(Provider::GitHub));
        assert_eq!(provider("bitbucket", "bitbucket.org"), Some(Provider::BitbucketCloud));
        assert_eq!(provider("bitbucket", "git.corp.example"), Some(Provider::BitbucketServer));
        assert_eq!(provider("", "gitlab.com"), Some(Provider::GitLab));
        assert_eq!(provider("", "gitlab.com.evil.example"), None);
    }

    #[test]
    fn the_path_is_the_repositorys() {
        for text in
            ["https://github.com/acme/gitops.git", "git@github.com:acme/gitops.git", "ssh://git@h:22/acme/gitops"]
        {
            assert_eq!(path_of(&RemoteUrl::parse(text).unwrap()), "acme/gitops", "{text}");
        }
    }
}
