//! Environments and deployments.

use std::collections::BTreeMap;

use pilothouse_cluster::{ComponentId, kinds};
use pilothouse_delivery::{
    ApplicationState, Run, RunStatus,
    deploy::{AppChoice, Choices, FileState, Outside, changes, plan, preflight, render},
    environment, start_deploy,
};
use pilothouse_git::CommitId;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, ApplicationView, DeployPreview, DeployRequest, DeployRunEntry, DeployStarted,
        DeployStatus, DriftView, EnvironmentView, HealthView, OverrideState, PreflightCheck, SyncView, TagEntry, Topic,
        ValuesFile, ValuesFileState,
    },
    gitops::Fetched,
    journal::{self, Begin, End, Intent},
};

fn run_entry(run: &Run) -> DeployRunEntry {
    DeployRunEntry {
        name: run.name.clone(),
        status: match run.status {
            RunStatus::Pending => DeployStatus::Pending,
            RunStatus::Running => DeployStatus::Running,
            RunStatus::Succeeded => DeployStatus::Succeeded,
            RunStatus::Failed => DeployStatus::Failed,
            RunStatus::Cancelled => DeployStatus::Cancelled,
        },
        reason: run.reason.clone(),
        started_at: run.started.clone().or_else(|| run.created.clone()),
        finished_at: run.finished.clone(),
    }
}

fn choices_of(request: &DeployRequest) -> Choices {
    let choices = request.choices.iter().map(|c| AppChoice {
        application: c.application.clone(),
        tag: c.tag.clone(),
        values_override: c.values_override,
        digest: None,
    });
    Choices { applications: choices.collect() }
}

/// Refuses a deploy to production whose environment the user has not typed.
fn confirmed(production: bool, context: &str, request: &DeployRequest) -> Result<()> {
    if !production || request.confirm.as_deref() == Some(request.env.as_str()) {
        return Ok(());
    }
    Err(AppError::blocked(format!("{context} is marked as production"))
        .with_hint(format!("type {} to deploy here", request.env)))
}

/// What Git says about one application's values file.
struct FileFacts {
    state: ValuesFileState,
    drift: Option<DriftView>,
}

/// Looks at values files in a clone: is the file there, and is what was deployed what is there now? Blocks.
fn look(
    fetched: &Fetched,
    flow: &str,
    env: &str,
    applications: &[(String, Option<String>)],
) -> pilothouse_git::Result<BTreeMap<String, FileFacts>> {
    let mut facts = BTreeMap::new();
    for (app, deployed) in applications {
        let file = ValuesFile { flow: flow.to_owned(), env: env.to_owned(), app: app.clone() };
        let Ok(path) = file.path() else { continue };
        let content = match &fetched.tip {
            Some(tip) => fetched.clone.read(tip, &path, pilothouse_values::LIMIT),
            None => Ok(None),
        };
        let (state, now) = match content {
            Ok(Some(content)) => (ValuesFileState::Present, Some(content.blob)),
            Ok(None) => (ValuesFileState::Absent, None),
            // A link or a huge file: Helm would not read it either; opening it says why.
            Err(_) => (ValuesFileState::Unknown, None),
        };
        let mut drift = None;
        if let (Some(tip), Some(deployed)) = (&fetched.tip, deployed)
            && let Ok(then) = CommitId::parse(deployed)
        {
            // The deployed commit may be older than the clone's history; then nothing is said.
            let before = fetched.clone.read(&then, &path, pilothouse_values::LIMIT);
            if before.is_ok_and(|content| content.map(|c| c.blob) != now)
                && let Some(last) = fetched.clone.last_change(tip, &path)?
            {
                drift = Some(DriftView { committed: last.id.to_string(), deployed: deployed.clone() });
            }
        }
        facts.insert(app.clone(), FileFacts { state, drift });
    }
    Ok(facts)
}

impl App {
    /// What the clone says about the values files of an environment; nothing while there is no clone.
    async fn file_facts(
        &self,
        flow: &str,
        env: &str,
        applications: &[ApplicationState],
    ) -> BTreeMap<String, FileFacts> {
        let Ok(Some(repository)) = self.maybe_gitops().await else { return BTreeMap::new() };
        let Ok(Some(fetched)) = self.on_disk(&repository.url).await else { return BTreeMap::new() };
        let wanted: Vec<(String, Option<String>)> =
            applications.iter().map(|a| (a.name.clone(), a.deployed_values.clone())).collect();
        let (flow, env) = (flow.to_owned(), env.to_owned());
        // The page is worth showing without these facts.
        self.git(move || look(&fetched, &flow, &env, &wanted)).await.unwrap_or_default()
    }

    /// An environment with its applications.
    pub async fn environment(&self, flow: String, env: String) -> Result<EnvironmentView> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let found = environment(&objects, &flow, &env)?;
        let mut facts = self.file_facts(&flow, &env, &found.applications).await;
        let can_deploy = self.may(&live, "create", &kinds::PIPELINE_RUN, Some(&platform)).await;
        let chaos_runs = self.known_runs(&live, None);
        let mut applications = Vec::new();
        for app in found.applications {
            let last_verdict = self.last_verdict(&live, &chaos_runs, &found.namespace, &app.name);
            let fact = facts.remove(&app.name);
            let tag = |tag: pilothouse_delivery::Tag| TagEntry {
                name: tag.name,
                digest: tag.digest,
                created: tag.created,
                latest: tag.latest,
                stable: tag.stable,
            };
            applications.push(ApplicationView {
                version: app.version,
                digest: app.digest,
                values_override: OverrideState { live: app.values_override.live, stored: app.values_override.stored },
                values_file: fact.as_ref().map_or(ValuesFileState::Unknown, |f| f.state),
                health: HealthView { status: app.health.status, message: app.health.message },
                sync: SyncView { status: app.sync.status, why: app.sync.why },
                drift: fact.and_then(|f| f.drift).filter(|_| app.values_override.live),
                tags: app.tags.tags.into_iter().map(tag).collect(),
                images: app.images,
                urls: app.urls,
                last_verdict,
                name: app.name,
            });
        }
        Ok(EnvironmentView {
            flow: found.flow,
            name: found.name,
            order: u32::try_from(found.order).unwrap_or(0),
            namespace: found.namespace,
            cluster: found.cluster,
            trigger_type: found.trigger_type,
            status: found.status,
            message: found.message,
            applications,
            busy: found.busy.is_some(),
            runs: found.runs.iter().map(run_entry).collect(),
            can_deploy,
        })
    }

    /// The exact PipelineRun, the checks before it and what it changes.
    pub async fn preview_deploy(&self, request: DeployRequest) -> Result<DeployPreview> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let choices = choices_of(&request);
        let checks = self.deploy_checks(&request, &choices).await?;
        // An incomplete choice has no PipelineRun yet; the checks say what is missing.
        let Ok(planned) = plan(&objects, &request.flow, &request.env, &choices) else {
            return Ok(DeployPreview { yaml: String::new(), checks, changes: Vec::new() });
        };
        let template = objects.templates.iter().flatten().find(|t| t.meta.name == planned.template);
        let yaml = match template {
            Some(template) => {
                let run = render(template, &planned, &platform, "xxxx")?;
                serde_yaml::to_string(&run).map_err(|e| AppError::internal(e.to_string()))?
            }
            None => String::new(),
        };
        Ok(DeployPreview { yaml, checks, changes: changes(&objects, &planned)? })
    }

    async fn deploy_checks(&self, request: &DeployRequest, choices: &Choices) -> Result<Vec<PreflightCheck>> {
        let (live, _) = self.platform()?;
        let objects = self.objects(&live);
        let found = environment(&objects, &request.flow, &request.env)?;
        let facts = self.file_facts(&request.flow, &request.env, &found.applications).await;
        let state = |state| match state {
            ValuesFileState::Present => FileState::Present,
            ValuesFileState::Absent => FileState::Absent,
            ValuesFileState::Unknown => FileState::Unknown,
        };
        let mut outside = Outside {
            values_files: facts.into_iter().map(|(name, fact)| (name, state(fact.state))).collect(),
            remote_branch: None,
        };
        if let Ok(Some(repository)) = self.maybe_gitops().await {
            outside.remote_branch = self.remote_note(&repository.url).await?.default_branch;
        }
        let checks = preflight(&objects, &request.flow, &request.env, choices, &outside)?;
        Ok(checks
            .into_iter()
            .map(|c| PreflightCheck {
                id: c.id.to_owned(),
                label: c.label.to_owned(),
                ok: c.ok,
                why: c.why,
                blocking: c.blocking,
            })
            .collect())
    }

    /// Creates the PipelineRun.
    pub async fn deploy(&self, request: DeployRequest) -> Result<DeployStarted> {
        let (live, platform) = self.platform()?;
        self.need(&live, ComponentId::Tekton)?;
        confirmed(live.cluster.is_production(), live.name(), &request)?;
        let choices = choices_of(&request);
        // What is in Git now decides, not what was there when the page was opened. A server that cannot be reached
        // is no reason not to deploy what is in the cluster's own sources.
        if request.choices.iter().any(|c| c.values_override)
            && let Err(error) = self.fetch_gitops(None).await
        {
            tracing::warn!(%error, "the GitOps repository could not be fetched before a deploy");
        }
        let checks = self.deploy_checks(&request, &choices).await?;
        if let Some(check) = checks.iter().find(|c| c.blocking && !c.ok) {
            let why = check.why.clone().unwrap_or_else(|| check.label.clone());
            return Err(AppError::blocked(format!("the deploy cannot be started: {why}")));
        }
        let tags: Vec<String> = request.choices.iter().map(|c| format!("{} {}", c.application, c.tag)).collect();
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: format!("Deploy {} to {}: {}", request.flow, request.env, tags.join(", ")),
            context: Some(live.name().to_owned()),
            object: None,
            intent: Intent::Deploy {
                namespace: platform.clone(),
                flow: request.flow.clone(),
                environment: request.env.clone(),
                since: journal::now(),
            },
        };
        let id = self.journal.begin(begin).await?;
        let objects = self.objects(&live);
        let outcome = start_deploy(&live.cluster, &platform, &objects, &request.flow, &request.env, &choices).await;
        let page = format!("/environments/{}/{}", request.flow, request.env);
        let run = self
            .journal
            .close_with(id, outcome.map_err(AppError::from), |run| End {
                object: Some(format!("PipelineRun/{platform}/{run}")),
                url: Some(page),
                ..End::default()
            })
            .await?;
        self.changes.tell(Topic::Environments);
        Ok(DeployStarted { run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_is_deployed_to_by_its_typed_name() {
        let request = |confirm: Option<&str>| DeployRequest {
            flow: "shop".into(),
            env: "live".into(),
            choices: Vec::new(),
            confirm: confirm.map(str::to_owned),
        };
        assert!(confirmed(false, "dev", &request(None)).is_ok());
        assert!(confirmed(true, "eu-prod", &request(Some("live"))).is_ok());
        for wrong in [None, Some(""), Some("eu-prod"), Some("Live")] {
            assert!(confirmed(true, "eu-prod", &request(wrong)).is_err(), "{wrong:?}");
        }
    }
}
