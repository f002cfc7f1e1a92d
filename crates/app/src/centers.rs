//! Connections to installations of ChaosCenter.

use pilothouse_chaos::{
    backend::{Backend, RunCard},
    center::{Center, GitAccess},
    run::Verdict as Found,
};
use pilothouse_cluster::web::Connection;
use pilothouse_git::{Credential, RemoteUrl};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, CenterConnection, CenterExperiment, CenterFault, CenterForm, CenterGitOps,
        CenterGitOpsForm, CenterProject, CenterProjectView, CenterRun, CenterRunView, ErrorCode, FieldProblem, Topic,
        Verdict,
    },
    git_servers::api_token,
    journal::{Begin, End, Intent},
    workflows::verdict_view,
};

const SETTING: &str = "chaosCenters";
/// The most connections that are kept.
const MOST: usize = 50;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    id: String,
    name: String,
    url: String,
}

fn keychain_name(id: &str) -> String {
    format!("center:{id}")
}

fn field(name: &str, message: &str) -> AppError {
    AppError::fields(vec![FieldProblem { field: name.into(), message: message.into() }])
}

fn run_view(run: &RunCard) -> CenterRun {
    let none = if run.phase.ended() { Verdict::NotAvailable } else { Verdict::Awaited };
    CenterRun {
        id: run.id.clone(),
        phase: run.phase_word.clone(),
        ended: run.phase.ended(),
        verdict: run.verdict.map_or(none, |found: Found| verdict_view(found)),
        score: run.score,
        at: run.at.clone(),
    }
}

/// A run of which nothing but its start is known.
fn just_started(id: String) -> CenterRunView {
    let (phase, verdict) = ("Queued".to_owned(), Verdict::Awaited);
    let run = CenterRun { id, phase, ended: false, verdict, score: None, at: None };
    CenterRunView { run, faults: Vec::new(), warnings: vec!["Its state could not be asked yet.".to_owned()] }
}

impl App {
    async fn kept_centers(&self) -> Result<Vec<Kept>> {
        let text = self.storage.setting(SETTING).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    async fn keep_centers(&self, all: &[Kept]) -> Result<()> {
        let text = serde_json::to_string(all).map_err(|e| AppError::internal(e.to_string()))?;
        self.storage.set_setting(SETTING, Some(text)).await
    }

    /// An installation that may be asked now.
    async fn center_at(&self, url: &str, token: SecretString) -> Result<Center> {
        if self.maybe_live().is_some_and(|live| live.cluster.is_practice()) {
            let words = "nothing leaves this computer while you practise, so ChaosCenter is not asked";
            return Err(AppError::blocked(words).with_hint("connect to a real context first"));
        }
        let connection = Connection { authority_pem: self.authority_pem().await?, ..Connection::default() };
        let url = url.to_owned();
        // The system's authorities are read from the disk each time: they may have changed.
        crate::blocking(move || Ok(Center::at(&url, token, &connection)?)).await
    }

    async fn center(&self, id: &str) -> Result<(Kept, Center)> {
        let kept = self.kept_centers().await?.into_iter().find(|one| one.id == id);
        let kept = kept.ok_or_else(|| AppError::not_found("this connection to ChaosCenter is not kept any more"))?;
        let token = self.keychain.get(&keychain_name(&kept.id)).await?.ok_or_else(|| {
            AppError::new(ErrorCode::NoCredential, format!("no token is kept for {}", kept.name))
                .with_hint("forget the connection, and add it again with a token")
        })?;
        let center = self.center_at(&kept.url, token).await?;
        Ok((kept, center))
    }

    fn checked_center(form: &CenterForm) -> Result<(String, String, SecretString)> {
        let (name, url) = (form.name.trim().to_owned(), form.url.trim().trim_end_matches('/').to_owned());
        if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
            return Err(field("name", "Give the connection a name of up to 60 characters."));
        }
        let token = api_token(form.credential.clone())?.token;
        Ok((name, url, token))
    }

    /// The connections.
    pub async fn chaos_centers(&self) -> Result<Vec<CenterConnection>> {
        let mut found = Vec::new();
        for one in self.kept_centers().await? {
            // A keychain that does not answer is told about where a token is needed.
            let has_token = self.keychain.get(&keychain_name(&one.id)).await.is_ok_and(|token| token.is_some());
            found.push(CenterConnection { id: one.id, name: one.name, url: one.url, has_token });
        }
        Ok(found)
    }

    /// Signs in at an installation without keeping anything; its projects.
    pub async fn test_chaos_center(&self, form: CenterForm) -> Result<Vec<CenterProject>> {
        let (_, url, token) = Self::checked_center(&form)?;
        let found = self.center_at(&url, token).await?.projects().await?;
        Ok(found.items.into_iter().map(|one| CenterProject { id: one.id, name: one.name }).collect())
    }

    /// Adds a connection, once its token is found good.
    pub async fn add_chaos_center(&self, form: CenterForm) -> Result<CenterConnection> {
        let (name, url, token) = Self::checked_center(&form)?;
        let all = self.kept_centers().await?;
        if all.iter().any(|one| one.name == name) {
            return Err(field("name", "There is a connection of this name already."));
        }
        if all.len() >= MOST {
            return Err(AppError::blocked("there are fifty connections already; forget one first"));
        }
        self.center_at(&url, token.clone()).await?.projects().await?;
        let id = format!("{:016x}", fastrand::u64(..));
        let begin = Begin {
            kind: ActivityKind::Credential,
            words: format!("Keep a token for the ChaosCenter {name}"),
            context: None,
            object: None,
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = async {
            // The token first: a connection without one would be of no use.
            self.keychain.set(&keychain_name(&id), token).await?;
            // Others may have come and gone while the installation was asked.
            let mut all = self.kept_centers().await?;
            all.push(Kept { id: id.clone(), name: name.clone(), url: url.clone() });
            self.keep_centers(&all).await
        };
        entry.close_with(outcome.await, |()| End::default()).await?;
        self.changes.tell(Topic::Chaos);
        Ok(CenterConnection { id, name, url, has_token: true })
    }

    /// Forgets a connection and its token.
    pub async fn forget_chaos_center(&self, id: String) -> Result<()> {
        let mut all = self.kept_centers().await?;
        all.retain(|one| one.id != id);
        self.keychain.delete(&keychain_name(&id)).await?;
        self.keep_centers(&all).await?;
        self.changes.tell(Topic::Chaos);
        Ok(())
    }

    /// An installation's projects.
    pub async fn center_projects(&self, id: String) -> Result<Vec<CenterProject>> {
        let found = self.center(&id).await?.1.projects().await?;
        Ok(found.items.into_iter().map(|one| CenterProject { id: one.id, name: one.name }).collect())
    }

    /// A project's experiments with their last runs, and how it stands to Git.
    pub async fn center_project(&self, id: String, project: String) -> Result<CenterProjectView> {
        let (_, center) = self.center(&id).await?;
        let (experiments, git) = tokio::join!(center.experiments(&project), center.gitops(&project));
        let experiments = experiments?;
        // Only owners may see it, which is no reason to hide the experiments.
        let (git_ops, git_ops_problem) = match git {
            Ok(git) => {
                let view = CenterGitOps { enabled: git.enabled, url: git.url, branch: git.branch, auth: git.auth };
                (Some(view), None)
            }
            Err(error) => (None, Some(error.to_string())),
        };
        let items = experiments.items.into_iter().map(|one| CenterExperiment {
            last_run: one.last_run.as_ref().map(run_view),
            id: one.id,
            name: one.name,
            schedule: one.schedule,
            place: one.place,
        });
        Ok(CenterProjectView { experiments: items.collect(), complete: experiments.complete, git_ops, git_ops_problem })
    }

    /// The runs of an experiment, newest first.
    pub async fn center_runs(&self, id: String, project: String, experiment: String) -> Result<Vec<CenterRun>> {
        let (_, center) = self.center(&id).await?;
        Ok(center.runs(&project, Some(&experiment)).await?.items.iter().map(run_view).collect())
    }

    /// A run in full.
    pub async fn center_run(&self, id: String, project: String, run: String) -> Result<CenterRunView> {
        let (_, center) = self.center(&id).await?;
        let found = center.run(&project, &run).await?;
        let mut view = run_view(&found.card);
        // Until it has an id it goes by what its start gave.
        if view.id.is_empty() {
            view.id = run;
        }
        let faults = found.faults.into_iter().map(|fault| CenterFault {
            verdict: verdict_view(fault.verdict),
            share: fault.probe_success_percentage,
            weight: fault.weight,
            why: fault.why,
            name: fault.name,
        });
        Ok(CenterRunView { run: view, faults: faults.collect(), warnings: found.warnings })
    }

    /// Does something at an installation that the timeline is to show.
    async fn at_center<T>(
        &self,
        words: String,
        kind: ActivityKind,
        work: impl Future<Output = pilothouse_chaos::Result<T>>,
    ) -> Result<T> {
        let begin = Begin { kind, words, context: None, object: None, intent: Intent::Other };
        let entry = self.journal.enter(begin).await?;
        let outcome = work.await.map_err(AppError::from);
        let done = entry.close_with(outcome, |_| End::default()).await;
        self.changes.tell(Topic::Chaos);
        done
    }

    /// Runs an experiment. `confirm` is its name, as the person who asked for it was shown it.
    ///
    /// # Errors
    /// `app.confirmationNeeded` when it is called otherwise; nothing was started then.
    pub async fn run_center_experiment(
        &self,
        id: String,
        project: String,
        experiment: String,
        confirm: String,
    ) -> Result<CenterRunView> {
        let (kept, center) = self.center(&id).await?;
        let all = center.experiments(&project).await?;
        let known = all.items.iter().find(|one| one.id == experiment);
        let name = known.map(|one| one.name.clone());
        if name.as_deref() != Some(confirm.as_str()) {
            let words = format!("the experiment that you saw is not called {confirm} any more; nothing was started");
            return Err(AppError::new(ErrorCode::ConfirmationNeeded, words).with_hint("look at the list again"));
        }
        let words = format!("Run the experiment {confirm} at the ChaosCenter {}", kept.name);
        let started = self.at_center(words, ActivityKind::Run, center.start(&project, &experiment)).await;
        let run = started.map_err(|error| match error.code {
            ErrorCode::ProviderTimeout | ErrorCode::ProviderNetwork => {
                error.with_hint("it may have been started all the same: look at its runs before you ask again")
            }
            _ => error,
        })?;
        // It is started: an answer about its state that does not come must not look as if it were not.
        Ok(self.center_run(id, project, run.clone()).await.unwrap_or_else(|_| just_started(run)))
    }

    /// Stops a run.
    pub async fn stop_center_run(&self, id: String, project: String, experiment: String, run: String) -> Result<()> {
        let (kept, center) = self.center(&id).await?;
        let words = format!("Stop a run at the ChaosCenter {}", kept.name);
        self.at_center(words, ActivityKind::Run, center.stop(&project, &experiment, &run)).await
    }

    /// Switches GitOps on for a project of an installation.
    pub async fn enable_center_git_ops(&self, id: String, project: String, form: CenterGitOpsForm) -> Result<()> {
        let url = RemoteUrl::parse(form.url.trim())?;
        let branch = form.branch.trim();
        if branch.is_empty() {
            return Err(field("branch", "Name the branch. ChaosCenter takes only one that is there already."));
        }
        let access = match self.credential_of(form.credential, &url).await? {
            Credential::Token { token, .. } => GitAccess::Token(token),
            Credential::SshKey { private_key, passphrase: None, .. } => GitAccess::Ssh(private_key),
            Credential::SshKey { .. } => {
                return Err(field("passphrase", "ChaosCenter takes keys without a passphrase only."));
            }
            Credential::None | Credential::SshAgent { .. } => {
                return Err(field("kind", "ChaosCenter needs a token or a private key of its own."));
            }
        };
        let (kept, center) = self.center(&id).await?;
        let words = format!("Switch GitOps on for a project of the ChaosCenter {}", kept.name);
        let work = center.enable_gitops(&project, url.as_str(), branch, &access);
        self.at_center(words, ActivityKind::Chaos, work).await
    }

    /// Switches GitOps off for a project of an installation; repository and experiments stay.
    pub async fn disable_center_git_ops(&self, id: String, project: String) -> Result<()> {
        let (kept, center) = self.center(&id).await?;
        let words = format!("Switch GitOps off for a project of the ChaosCenter {}", kept.name);
        self.at_center(words, ActivityKind::Chaos, center.disable_gitops(&project)).await
    }
}
