//! Deploying an environment, and going back to an earlier deploy.

use std::collections::BTreeMap;

use pilothouse_cluster::ComponentId;
use pilothouse_delivery::{
    Objects,
    deploy::{
        AppChange, AppChoice, Choices, FileState, Outside, app_changes, changes, plan, preflight, render, rollback,
        shown_digest, start_deploy,
    },
    environment,
};
use pilothouse_values::{Source, effective, read};
use serde_json::{Map, Value};

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, DeployPreview, DeployRequest, DeployStarted, PreflightCheck, ReleaseChange,
        SwitchChange, SwitchedKey, Topic, ValuesFile, ValuesFileState,
    },
    journal::{self, Begin, End, Intent},
    values::{small, text_of},
};

/// How many values of a switch are listed.
const MOST_KEYS: usize = 40;

/// The request as choices. Where it goes back to an earlier run, the tags that are still that run's keep its images.
fn choices_of(objects: &Objects, request: &DeployRequest) -> Result<Choices> {
    let then = match &request.rollback_of {
        Some(run) => rollback(objects, &request.flow, &request.env, run)?.choices.applications,
        None => Vec::new(),
    };
    let choices = request.choices.iter().map(|c| {
        let choice = AppChoice {
            application: c.application.clone(),
            tag: c.tag.clone(),
            values_override: c.values_override,
            digest: None,
        };
        let same = then.iter().find(|one| one.application == c.application && one.plain_tag() == choice.plain_tag());
        AppChoice { digest: same.and_then(|one| one.digest.clone()), ..choice }
    });
    Ok(Choices { applications: choices.collect() })
}

/// Refuses what is done to production without the name that the user has to type.
pub(crate) fn confirmed(production: bool, context: &str, wanted: &str, typed: Option<&str>) -> Result<()> {
    if !production || typed == Some(wanted) {
        return Ok(());
    }
    Err(AppError::blocked(format!("{context} is marked as production"))
        .with_hint(format!("type {wanted} to confirm it")))
}

fn release_change(one: AppChange) -> ReleaseChange {
    ReleaseChange {
        changed: one.is_change(),
        application: one.application,
        version: one.version,
        next_version: one.next_version,
        digest: one.digest,
        next_digest: one.next_digest,
        values_override: one.values_override,
        next_override: one.next_override,
    }
}

/// What reading a file, or not reading it any more, does to a chart's values.
fn switched(file: &str, defaults: Option<&str>, on: bool) -> Result<Vec<SwitchedKey>> {
    let nothing = Value::Object(Map::new());
    let defaults = defaults.and_then(|text| read(text).ok()).unwrap_or_else(|| nothing.clone());
    let usual: BTreeMap<String, String> =
        effective(&defaults, &nothing, &[]).into_iter().map(|line| (line.path.clone(), line.text())).collect();
    let lines = effective(&defaults, &read(file)?, &[]);
    Ok(lines
        .into_iter()
        .filter(|line| line.source == Source::File)
        .filter_map(|line| {
            let (without, with) = (usual.get(&line.path).cloned(), Some(line.text()));
            let (before, after) = if on { (without, with) } else { (with, without) };
            (before != after).then_some(SwitchedKey { path: line.path, before, after })
        })
        .collect())
}

impl App {
    /// The exact PipelineRun, the checks before it and what it changes.
    pub async fn preview_deploy(&self, request: DeployRequest) -> Result<DeployPreview> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let choices = choices_of(&objects, &request)?;
        let checks = self.deploy_checks(&objects, &request, &choices).await?;
        // An incomplete choice has no PipelineRun yet; the checks say what is missing.
        let Ok(planned) = plan(&objects, &request.flow, &request.env, &choices) else {
            return Ok(DeployPreview {
                yaml: String::new(),
                digest: None,
                checks,
                changes: Vec::new(),
                releases: Vec::new(),
                switches: Vec::new(),
            });
        };
        let template = objects.templates.iter().flatten().find(|t| t.meta.name == planned.template);
        let changes = changes(&objects, &planned)?;
        let (yaml, digest) = match template {
            Some(template) => {
                let run = render(template, &planned, &platform, "xxxx")?;
                let yaml = serde_yaml::to_string(&run).map_err(|e| AppError::internal(e.to_string()))?;
                (yaml, Some(shown_digest(template, &planned, &platform, &changes)?))
            }
            None => (String::new(), None),
        };
        let releases = app_changes(&objects, &planned)?;
        let mut switches = Vec::new();
        for one in releases.iter().filter(|one| one.values_override != one.next_override) {
            switches.push(self.switch_change(&request, &one.application, one.next_override).await?);
        }
        Ok(DeployPreview {
            yaml,
            digest,
            checks,
            changes,
            releases: releases.into_iter().map(release_change).collect(),
            switches,
        })
    }

    /// What the override's switch changes of one application, from what is on this machine.
    async fn switch_change(&self, request: &DeployRequest, application: &str, on: bool) -> Result<SwitchChange> {
        let file = ValuesFile { flow: request.flow.clone(), env: request.env.clone(), app: application.to_owned() };
        let path = file.path()?;
        let mut change = SwitchChange {
            application: application.to_owned(),
            on,
            path: path.to_string(),
            keys: Vec::new(),
            more: 0,
            unknown: None,
        };
        let fetched = match self.maybe_gitops().await {
            Ok(Some(repository)) => self.on_disk(&repository.url).await?,
            _ => None,
        };
        let Some(fetched) = fetched else {
            change.unknown = Some("The GitOps repository is not cloned, so what the file sets is not known.".into());
            return Ok(change);
        };
        let at = path.clone();
        let content = self
            .git(move || match &fetched.tip {
                Some(tip) => fetched.clone.read(tip, &at, pilothouse_values::LIMIT),
                None => Ok(None),
            })
            .await;
        let text = match content {
            Ok(Some(content)) => text_of(&path, content.bytes),
            Ok(None) => {
                change.unknown = Some("The file is not in Git.".into());
                return Ok(change);
            }
            Err(error) => Err(error),
        };
        let defaults = self.charts.get(&self.chart_place(&file)).map(|seen| seen.defaults.text);
        match text.and_then(|text| switched(&text, defaults.as_deref(), on)) {
            Ok(mut keys) => {
                change.more = small(keys.len().saturating_sub(MOST_KEYS));
                keys.truncate(MOST_KEYS);
                change.keys = keys;
            }
            Err(error) => change.unknown = Some(format!("The file cannot be read: {}", error.message)),
        }
        Ok(change)
    }

    async fn deploy_checks(
        &self,
        objects: &Objects,
        request: &DeployRequest,
        choices: &Choices,
    ) -> Result<Vec<PreflightCheck>> {
        let found = environment(objects, &request.flow, &request.env)?;
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
        let checks = preflight(objects, &request.flow, &request.env, choices, &outside)?;
        let place = (request.flow.as_str(), request.env.as_str());
        let verdict = self.verdict_check(objects, place, choices, request.rollback_of.is_some()).await?;
        Ok(checks
            .into_iter()
            .map(|c| PreflightCheck {
                id: c.id.to_owned(),
                label: c.label.to_owned(),
                ok: c.ok,
                why: c.why,
                blocking: c.blocking,
            })
            .chain(verdict)
            .collect())
    }

    /// Creates the PipelineRun that a preview showed.
    ///
    /// # Errors
    /// `delivery.previewStale` when it would be another one, or change something else; nothing was started then.
    pub async fn deploy(&self, request: DeployRequest) -> Result<DeployStarted> {
        let (live, platform) = self.platform()?;
        self.need(&live, ComponentId::Tekton)?;
        confirmed(live.cluster.is_production(), live.name(), &request.env, request.confirm.as_deref())?;
        // What is in Git now decides, not what was there when the page was opened. A server that cannot be reached
        // is no reason not to deploy what is in the cluster's own sources.
        if request.choices.iter().any(|c| c.values_override)
            && let Err(error) = self.fetch_gitops(None).await
        {
            tracing::warn!(%error, "the GitOps repository could not be fetched before a deploy");
        }
        let objects = self.objects(&live);
        let choices = choices_of(&objects, &request)?;
        let checks = self.deploy_checks(&objects, &request, &choices).await?;
        if let Some(check) = checks.iter().find(|c| c.blocking && !c.ok) {
            let why = check.why.clone().unwrap_or_else(|| check.label.clone());
            return Err(AppError::blocked(format!("the deploy cannot be started: {why}")));
        }
        // What can be shown has to be seen. Where the TriggerTemplates cannot be listed, only the start reads them.
        let planned = plan(&objects, &request.flow, &request.env, &choices)?;
        if request.seen.is_none() && objects.templates.iter().flatten().any(|t| t.meta.name == planned.template) {
            let what = format!("what would be deployed to `{}/{}`", request.flow, request.env);
            return Err(pilothouse_delivery::Error::PreviewStale { what }.into());
        }
        let tags: Vec<String> = request.choices.iter().map(|c| format!("{} {}", c.application, c.tag)).collect();
        let back = match &request.rollback_of {
            Some(run) => format!(", back to {run}"),
            None => String::new(),
        };
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: format!("Deploy {} to {}{back}: {}", request.flow, request.env, tags.join(", ")),
            context: Some(live.name().to_owned()),
            object: None,
            intent: Intent::Deploy {
                namespace: platform.clone(),
                flow: request.flow.clone(),
                environment: request.env.clone(),
                since: journal::now(),
            },
        };
        let entry = self.journal.enter(begin).await?;
        let (flow, env, seen) = (&request.flow, &request.env, request.seen.as_deref());
        let outcome = start_deploy(&live.cluster, &platform, &objects, flow, env, &choices, seen).await;
        let page = |run: &str| format!("/environments/{}/{}/runs/{run}", request.flow, request.env);
        let run = entry
            .close_with(outcome.map_err(AppError::from), |run| End {
                object: Some(format!("PipelineRun/{platform}/{run}")),
                url: Some(page(run)),
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
        assert!(confirmed(false, "dev", "live", None).is_ok());
        assert!(confirmed(true, "eu-prod", "live", Some("live")).is_ok());
        for wrong in [None, Some(""), Some("eu-prod"), Some("Live")] {
            assert!(confirmed(true, "eu-prod", "live", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_switch_tells_which_values_change_and_to_what() {
        let key = |path: &str, before: Option<&str>, after: Option<&str>| SwitchedKey {
            path: path.into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let (file, defaults) = ("replicaCount: 2\nport: 80\nnew: x\n", "replicaCount: 1\nport: 80\n");
        let on = switched(file, Some(defaults), true).unwrap();
        assert_eq!(on, [key("replicaCount", Some("1"), Some("2")), key("new", None, Some("x"))]);
        let off = switched(file, Some(defaults), false).unwrap();
        assert_eq!(off[0], key("replicaCount", Some("2"), Some("1")));
        assert_eq!(switched(file, None, true).unwrap().len(), 3, "without the defaults, all that the file sets");
    }
}
