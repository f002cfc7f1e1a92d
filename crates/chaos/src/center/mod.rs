//! ChaosCenter's API: projects, experiments, runs and GitOps of an installation, for somebody with a token of theirs.
//!
//! Queries as the installation's own command line sends them. Answers are bounded, every id in them is checked before it
//! is used, and no query ever asks for the Git credentials that ChaosCenter would show in clear.

mod wire;

use async_trait::async_trait;
use pilothouse_cluster::web::{ApiToken, Connection, Http, Scheme, WebError};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::backend::{Backend, Experiment, GitOps, Listed, ProjectCard, RunCard, RunDetail};
use crate::error::{Error, Result};
use wire::{Graph, Single};

/// The entries asked for at once.
const PAGE: usize = 50;
/// The most pages read of one list.
const PAGES: usize = 20;

/// How ChaosCenter is let into a Git repository. It keeps what it is given unencrypted, and shows it to every owner.
pub enum GitAccess {
    /// A token over HTTPS.
    Token(SecretString),
    /// A private key over SSH.
    Ssh(SecretString),
}

/// An installation of ChaosCenter.
#[derive(Debug)]
pub struct Center {
    http: Http,
}

const PROJECTS: &str = "list the projects";
const LIST_EXPERIMENTS: &str = "query listExperiment($projectID: ID!, $request: ListExperimentRequest!) { \
    listExperiment(projectID: $projectID, request: $request) { totalNoOfExperiments experiments { experimentID name \
    experimentType cronSyntax infra { infraID name } recentExperimentRunDetails { experimentRunID phase resiliencyScore } } } }";
const LIST_RUNS: &str = "query listExperimentRun($projectID: ID!, $request: ListExperimentRunRequest!) { \
    listExperimentRun(projectID: $projectID, request: $request) { totalNoOfExperimentRuns experimentRuns { \
    experimentRunID experimentID experimentName phase resiliencyScore updatedAt } } }";
const GET_RUN: &str = "query getExperimentRun($projectID: ID!, $experimentRunID: ID, $notifyID: ID) { \
    getExperimentRun(projectID: $projectID, experimentRunID: $experimentRunID, notifyID: $notifyID) { experimentRunID \
    notifyID experimentID experimentName phase resiliencyScore faultsPassed faultsFailed faultsAwaited faultsStopped \
    faultsNa totalFaults weightages { faultName weightage } executionData updatedAt } }";
const RUN: &str = "mutation runChaosExperiment($experimentID: String!, $projectID: ID!) { \
    runChaosExperiment(experimentID: $experimentID, projectID: $projectID) { notifyID } }";
const STOP: &str = "mutation stopExperimentRuns($projectID: ID!, $experimentID: String!, $experimentRunID: String, \
    $notifyID: String) { stopExperimentRuns(projectID: $projectID, experimentID: $experimentID, experimentRunID: \
    $experimentRunID, notifyID: $notifyID) }";
/// Asks for none of the secrets that the same answer could hold.
const GITOPS: &str = "query getGitOpsDetails($projectID: ID!) { getGitOpsDetails(projectID: $projectID) { enabled \
    projectID branch repoURL authType } }";
const ENABLE: &str = "mutation enableGitOps($projectID: ID!, $configurations: GitConfig!) { \
    enableGitOps(projectID: $projectID, configurations: $configurations) }";
const DISABLE: &str = "mutation disableGitOps($projectID: ID!) { disableGitOps(projectID: $projectID) }";

/// Marks the name of a run that was asked for and is known by its notification only.
const NOTIFIED: &str = "notify:";

impl Center {
    /// The installation at a base address, over HTTPS; plain HTTP is taken on this machine only.
    ///
    /// # Errors
    /// [`Error::Center`] when a token may not be sent there; nothing is sent yet.
    pub fn at(base: &str, token: SecretString, connection: &Connection) -> Result<Self> {
        let refused = |why| Error::Center(WebError::Address { address: "ChaosCenter's address".to_owned(), why });
        let url = Url::parse(base.trim()).map_err(|_| refused("it is not an address; it begins with https://"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("give the address of its first page, without anything after a ? or a #"));
        }
        let token = ApiToken { username: String::new(), token };
        Ok(Self { http: Http::new(url, Scheme::Bearer, &token, connection)? })
    }

    /// The server's name.
    pub fn host(&self) -> String {
        self.http.host()
    }

    /// One operation of the GraphQL API; the value of its one field.
    async fn ask<T: DeserializeOwned>(
        &self,
        action: &'static str,
        query: &str,
        variables: Value,
        secret: Option<&SecretString>,
    ) -> Result<T> {
        let body = json!({"query": query, "variables": variables});
        // A server, or one before it, that repeats what it was given must not bring it to light.
        let http = secret.map_or_else(|| self.http.clone(), |secret| self.http.hiding(secret));
        let answer = http.post(action, &["api", "query"], &body).await?;
        let graph: Graph = answer.json()?;
        if let Some(first) = graph.errors.first() {
            return Err(Error::CenterRefused { host: self.host(), action, words: http.masked(&first.message) });
        }
        let field = graph.data.and_then(|data| data.into_iter().next()).map(|(_, value)| value);
        let unexpected = |words: &str| Error::Center(self.http.unexpected(&answer, words));
        let value = field.ok_or_else(|| unexpected("neither data nor an error came"))?;
        // The library's own words quote what came.
        serde_json::from_value(value)
            .map_err(|_| unexpected("the data are not those that ChaosCenter's schema describes"))
    }

    /// An id of theirs, as far as it can be one.
    fn id(&self, id: &str) -> Result<()> {
        if wire::is_id(id) {
            return Ok(());
        }
        Err(Error::CenterRefused {
            host: self.host(),
            action: "name its objects",
            words: format!("{:?} is not an id", wire::clean(id)),
        })
    }

    /// Reads a list page by page.
    async fn pages<T, W: DeserializeOwned + wire::Page<T>>(
        &self,
        action: &'static str,
        query: &str,
        project: &str,
        filter: Value,
    ) -> Result<Listed<T>> {
        self.id(project)?;
        let mut items = Vec::new();
        for page in 0..PAGES {
            let mut request =
                json!({"pagination": {"page": page, "limit": PAGE}, "sort": {"field": "TIME", "ascending": false}});
            if let (Some(request), Some(filter)) = (request.as_object_mut(), filter.as_object()) {
                request.extend(filter.clone());
            }
            let answer: W = self.ask(action, query, json!({"projectID": project, "request": request}), None).await?;
            let (total, found) = answer
                .entries()
                .map_err(|id| self.id(&id).err().unwrap_or(Error::NotFound { what: "the id", name: String::new() }))?;
            let came = found.len();
            items.extend(found);
            if items.len() >= total || came == 0 {
                return Ok(Listed { complete: items.len() >= total, items });
            }
        }
        Ok(Listed { items, complete: false })
    }

    /// Switches GitOps on for a project. ChaosCenter clones the repository and commits a file `.info` to it.
    ///
    /// # Errors
    /// [`Error::CenterRefused`] with ChaosCenter's words, without the credential.
    pub async fn enable_gitops(&self, project: &str, url: &str, branch: &str, access: &GitAccess) -> Result<()> {
        self.id(project)?;
        let (kind, field, secret) = match access {
            GitAccess::Token(token) => ("TOKEN", "token", token),
            GitAccess::Ssh(key) => ("SSH", "sshPrivateKey", key),
        };
        let mut form = json!({"branch": branch, "repoURL": url, "authType": kind});
        form[field] = json!(secret.expose_secret());
        let variables = json!({"projectID": project, "configurations": form});
        let done: bool = self.ask("switch GitOps on", ENABLE, variables, Some(secret)).await?;
        self.carried_out(done, "switch GitOps on")
    }

    fn carried_out(&self, done: bool, action: &'static str) -> Result<()> {
        let words = || "it said no, without a reason".to_owned();
        done.then_some(()).ok_or_else(|| Error::CenterRefused { host: self.host(), action, words: words() })
    }
}

#[async_trait]
impl Backend for Center {
    async fn projects(&self) -> Result<Listed<ProjectCard>> {
        let mut items = Vec::new();
        for page in 1..=PAGES {
            let (page, limit) = (page.to_string(), PAGE.to_string());
            let answer =
                self.http.get(PROJECTS, &["auth", "list_projects"], &[("page", &page), ("limit", &limit)]).await?;
            let list: wire::Projects = answer.json()?;
            // Nobody's projects come as a sentence.
            let Some(data) = list.data else { return Ok(Listed { items, complete: true }) };
            let came = data.projects.len();
            for one in data.projects {
                self.id(&one.project_id)?;
                items.push(ProjectCard { id: one.project_id, name: wire::clean(&one.name), role: None });
            }
            if items.len() >= data.total || came == 0 {
                return Ok(Listed { complete: items.len() >= data.total, items });
            }
        }
        Ok(Listed { items, complete: false })
    }

    async fn gitops(&self, project: &str) -> Result<GitOps> {
        self.id(project)?;
        let found: wire::GitOpsDetails =
            self.ask("read how a project stands to Git", GITOPS, json!({"projectID": project}), None).await?;
        Ok(found.view())
    }

    async fn disable_gitops(&self, project: &str) -> Result<()> {
        self.id(project)?;
        let done: bool = self.ask("switch GitOps off", DISABLE, json!({"projectID": project}), None).await?;
        self.carried_out(done, "switch GitOps off")
    }

    async fn experiments(&self, project: &str) -> Result<Listed<Experiment>> {
        self.pages::<_, wire::Experiments>("list the experiments", LIST_EXPERIMENTS, project, json!({})).await
    }

    async fn runs(&self, project: &str, experiment: Option<&str>) -> Result<Listed<RunCard>> {
        let mut filter = json!({});
        if let Some(id) = experiment {
            self.id(id)?;
            filter = json!({"experimentIDs": [id]});
        }
        self.pages::<_, wire::Runs>("list the runs", LIST_RUNS, project, filter).await
    }

    async fn run(&self, project: &str, run: &str) -> Result<RunDetail> {
        self.id(project)?;
        let variables = match run.strip_prefix(NOTIFIED) {
            Some(notify) => {
                self.id(notify)?;
                json!({"projectID": project, "notifyID": notify})
            }
            None => {
                self.id(run)?;
                json!({"projectID": project, "experimentRunID": run})
            }
        };
        let found: wire::FullRun = self.ask("read a run", GET_RUN, variables, None).await?;
        let detail = found.view();
        if !detail.card.id.is_empty() {
            self.id(&detail.card.id)?;
        }
        Ok(detail)
    }

    async fn start(&self, project: &str, experiment: &str) -> Result<String> {
        self.id(project)?;
        self.id(experiment)?;
        let variables = json!({"projectID": project, "experimentID": experiment});
        let started: Single = self.ask("run an experiment", RUN, variables, None).await?;
        self.id(&started.notify_id)?;
        Ok(format!("{NOTIFIED}{}", started.notify_id))
    }

    async fn stop(&self, project: &str, experiment: &str, run: &str) -> Result<()> {
        self.id(project)?;
        self.id(experiment)?;
        let mut variables = json!({"projectID": project, "experimentID": experiment});
        match run.strip_prefix(NOTIFIED) {
            Some(notify) => {
                self.id(notify)?;
                variables["notifyID"] = json!(notify);
            }
            None => {
                // Without a run's id, ChaosCenter would stop every run of the experiment.
                self.id(run)?;
                variables["experimentRunID"] = json!(run);
            }
        }
        let done: bool = self.ask("stop a run", STOP, variables, None).await?;
        self.carried_out(done, "stop a run")
    }
}
