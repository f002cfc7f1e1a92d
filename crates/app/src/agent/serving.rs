//! What the agent does besides what the app does by itself, and how it stands.

use std::collections::BTreeMap;

use pilothouse_chaos::{names::sync_lease, project::Project, workflow_object::WorkflowObject};
use pilothouse_cluster::{ComponentId, WatchState, kinds};
use pilothouse_triggers::spec::{Outcome, TriggerStatus};

use super::needs::{Config, ProjectNeed};
use crate::{App, Result, session::Live};

/// How one chaos project stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectState {
    /// Its namespace.
    pub namespace: String,
    /// Its id.
    pub id: String,
    /// Whether this agent looks after it now; otherwise another one does, or nobody.
    pub in_charge: bool,
    /// The state in its status (`InSync`, `Conflict`, `Failed`…); empty before the first sync.
    pub state: String,
    /// When it was last synced, in seconds since 1970.
    pub last_sync: Option<i64>,
    /// How many of its workflows are in which state.
    pub workflows: BTreeMap<String, usize>,
}

/// How the triggers of one namespace stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineState {
    /// The namespace.
    pub namespace: String,
    /// Whether this agent's engine serves them now.
    pub in_charge: bool,
    /// How many triggers there are.
    pub triggers: usize,
    /// How many decisions of which kind their statuses remember.
    pub decisions: BTreeMap<&'static str, usize>,
}

/// How the agent stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentState {
    /// Whether it is connected.
    pub connected: bool,
    /// Why it cannot do its work; it is ready when there is nothing here.
    pub problems: Vec<String>,
    /// What keeps single projects from being looked after or runs from being followed, though the agent works.
    pub notes: Vec<String>,
    /// The projects that it is to look after and that are there.
    pub projects: Vec<ProjectState>,
    /// The triggers of each namespace.
    pub engines: Vec<EngineState>,
    /// How many runs there are by phase and verdict.
    pub runs: BTreeMap<(String, String), usize>,
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fired => "fired",
        Outcome::Waited => "waited",
        Outcome::Skipped => "skipped",
        Outcome::Missed => "missed",
        Outcome::WouldFire => "would_fire",
    }
}

impl App {
    /// Takes a configuration for this agent's own: who its commits are by, and where its projects may lead. A project
    /// that leads elsewhere by now is not synced, as in the window before somebody pressed Sync.
    ///
    /// # Errors
    /// `app.storage`; `app.fields` when the author is no name and address.
    pub async fn agree_to(&self, config: &Config) -> Result<()> {
        self.set_identity(config.author.name.clone(), config.author.email.clone()).await?;
        let agreed: Vec<_> = config
            .needs
            .projects
            .iter()
            .map(|one| (one.namespace.clone(), one.id.clone(), one.url.clone(), one.branch.clone()))
            .collect();
        self.replace_consents(&config.cluster, &agreed).await
    }

    /// Whether the kinds of chaos projects and triggers are served; they may be installed while the agent waits.
    pub fn has_chaos_kinds(&self) -> bool {
        self.maybe_live().is_some_and(|live| live.has(ComponentId::Pilothouse))
    }

    /// How the agent stands.
    pub async fn agent_state(&self, config: &Config) -> AgentState {
        let Some(live) = self.maybe_live() else {
            let problems = vec!["it is not connected to the API server".to_owned()];
            return AgentState { problems, ..AgentState::default() };
        };
        let mut state = AgentState { connected: true, ..AgentState::default() };
        if !live.has(ComponentId::Pilothouse) {
            state.problems.push("the kinds ChaosProject, ChaosWorkflow and EventTrigger are not installed".to_owned());
            return state;
        }
        let index = live.index();
        for kind in [kinds::CHAOS_PROJECT, kinds::CHAOS_WORKFLOW, kinds::EVENT_TRIGGER] {
            let words = match index.state(&kind) {
                WatchState::Live | WatchState::Polling => continue,
                WatchState::Starting => "they are being read".to_owned(),
                WatchState::Absent => "the cluster does not serve them".to_owned(),
                WatchState::Forbidden(words) | WatchState::Retrying(words) => words,
            };
            state.problems.push(format!("{} cannot be followed: {words}", kind.resource_name()));
        }
        // Runs are started without these, and how they end is not known.
        for kind in [kinds::WORKFLOW, kinds::CHAOS_ENGINE, kinds::CHAOS_RESULT] {
            if let WatchState::Forbidden(words) = index.state(&kind) {
                state.notes.push(format!("{} cannot be followed: {words}", kind.resource_name()));
            }
        }
        let there: Vec<Project> = live.list(&kinds::CHAOS_PROJECT).iter().filter_map(|o| Project::read(o)).collect();
        for need in &config.needs.projects {
            let found = there.iter().find(|one| one.namespace == need.namespace && one.id == need.id);
            if let Some(problem) = self.credential_problem(need).await {
                state.problems.push(problem);
            }
            if let Some(why) = self.keeping.refusal(&need.namespace, &need.id) {
                let lease = sync_lease(&need.id);
                state.problems.push(format!("the Lease {lease} in {} cannot be had: {why}", need.namespace));
            }
            match found {
                None => state.notes.push(format!("there is no ChaosProject {} in {}", need.id, need.namespace)),
                Some(project) => {
                    if let Some(note) = note_of(need, project) {
                        state.notes.push(note);
                    }
                    state.projects.push(self.project_state(&live, project));
                }
            }
        }
        for namespace in config.needs.served() {
            if let Some(why) = live.engine().view(namespace).problem {
                state.problems.push(format!("nobody here serves the triggers in {namespace}: {why}"));
            }
            state.engines.push(engine_state(&live, namespace));
        }
        for run in self.known_runs(&live, None) {
            let verdict = run.verdict.map_or_else(String::new, |verdict| format!("{verdict:?}"));
            *state.runs.entry((format!("{:?}", run.phase), verdict)).or_default() += 1;
        }
        state
    }

    async fn credential_problem(&self, need: &ProjectNeed) -> Option<String> {
        let url = self.remote(&need.url).ok()?;
        match self.kept_credential(&url).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!(
                "there is no credential {} for the project {}: the Secret needs the key {0}.token, or {0}.key for SSH",
                need.credential, need.id
            )),
            Err(error) => Some(error.message),
        }
    }

    fn project_state(&self, live: &Live, project: &Project) -> ProjectState {
        let mut workflows: BTreeMap<String, usize> = BTreeMap::new();
        let objects = live.list(&kinds::CHAOS_WORKFLOW);
        let here = objects.iter().filter(|object| object.metadata.namespace.as_deref() == Some(&project.namespace));
        for object in here.filter_map(|object| WorkflowObject::read(object)) {
            if object.project == project.id {
                let word = object.state.map_or("Unknown", |state| state.as_str());
                *workflows.entry(word.to_owned()).or_default() += 1;
            }
        }
        let last_sync = project.last_sync.as_ref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        ProjectState {
            namespace: project.namespace.clone(),
            id: project.id.clone(),
            in_charge: self.keeping.holds(&project.namespace, &project.id),
            state: project.state.clone().unwrap_or_default(),
            last_sync: last_sync.map(|time| time.as_second()),
            workflows,
        }
    }
}

/// What keeps a project that is there from being looked after.
fn note_of(need: &ProjectNeed, project: &Project) -> Option<String> {
    if !project.enabled {
        return Some(format!("GitOps is off for the project {}", project.id));
    }
    let elsewhere = project.url != need.url || project.branch != need.branch;
    elsewhere.then(|| {
        format!(
            "the project {} follows {} ({}), and the configuration agrees to {} ({}) only",
            project.id,
            shown(&project.url),
            shown(&project.branch),
            shown(&need.url),
            need.branch
        )
    })
}

/// A text of somebody else's for whoever can reach this agent: one line, short, and without what may stand before an
/// address' host.
fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.find('/').unwrap_or(rest.len());
            let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[host..])
        }
        None => text,
    }
}

fn engine_state(live: &Live, namespace: &str) -> EngineState {
    let objects = live.list(&kinds::EVENT_TRIGGER);
    let here = objects.iter().filter(|object| object.metadata.namespace.as_deref() == Some(namespace));
    let mut decisions = BTreeMap::new();
    let mut triggers = 0;
    for object in here {
        triggers += 1;
        let status = object.data.get("status").cloned();
        let status = status.and_then(|status| serde_json::from_value::<TriggerStatus>(status).ok());
        for record in status.iter().flat_map(|status| &status.decisions) {
            *decisions.entry(outcome_word(record.decision)).or_default() += 1;
        }
    }
    let in_charge = live.engine().view(namespace).here;
    EngineState { namespace: namespace.to_owned(), in_charge, triggers, decisions }
}
