//! Triggers.

use std::{collections::BTreeMap, sync::Arc};

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use pilothouse_chaos::workflow_object::{self, RunPolicy as Policy};
use pilothouse_cluster::{ComponentId, Error as ClusterError, kinds};
use pilothouse_triggers::{
    engine,
    guarding::asks,
    images::images_of,
    rollout,
    spec::{DecisionRecord, Outcome, TriggerSpec, TriggerStatus, WhileAway, WorkloadKind, validate},
    workload::{Workload, watches},
};
use serde_json::json;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, DecisionKind, DecisionView, ErrorCode, Permission, Topic, TriggerForm, TriggerPreview,
        TriggerView, TriggersOverview, WorkloadEntry,
    },
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    session::Live,
    trigger_desk::page,
    trigger_forms::{away_view, condition_view, guards_view, target_view},
    workflows::{reach_view, verdict_word},
};

pub(crate) fn pairs(images: &BTreeMap<String, String>) -> Vec<String> {
    images.iter().map(|(container, image)| format!("{container}={image}")).collect()
}

pub(crate) fn workload_entry(kind: WorkloadKind, object: &DynamicObject) -> WorkloadEntry {
    let value = serde_json::to_value(object).unwrap_or_default();
    let number = |count: i64| u32::try_from(count).unwrap_or(0);
    WorkloadEntry {
        kind: kind.as_str().to_owned(),
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        images: pairs(&images_of(&value)),
        ready: number(rollout::ready(kind, &value)),
        wanted: number(rollout::wanted(kind, &value)),
    }
}

pub(crate) fn decision_word(outcome: Outcome) -> DecisionKind {
    match outcome {
        Outcome::Fired => DecisionKind::Fired,
        Outcome::Waited => DecisionKind::Waited,
        Outcome::Skipped => DecisionKind::Skipped,
        Outcome::Missed => DecisionKind::Missed,
        Outcome::WouldFire => DecisionKind::WouldFire,
    }
}

pub(crate) fn read_status(object: &DynamicObject) -> TriggerStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

fn taken(name: &str, namespace: &str) -> AppError {
    AppError::new(ErrorCode::Exists, format!("there is a trigger {name} in {namespace} already"))
        .with_hint("give this one another name, or change that one")
}

impl App {
    fn decision_view(&self, live: &Live, trigger_namespace: &str, record: &DecisionRecord) -> DecisionView {
        let run = record.run.clone().filter(|_| record.decision == Outcome::Fired);
        let run_namespace = run.as_ref().map(|run| {
            let index = live.index();
            let found = [kinds::WORKFLOW, kinds::CHAOS_ENGINE]
                .iter()
                .flat_map(|kind| index.list(kind))
                .find(|object| object.metadata.name.as_ref() == Some(run));
            found.and_then(|o| o.metadata.namespace.clone()).unwrap_or_else(|| trigger_namespace.to_owned())
        });
        DecisionView {
            time: record.time.to_string(),
            workload: record.workload.clone(),
            revision: record.revision.clone(),
            decision: decision_word(record.decision),
            reason: record.reason.clone(),
            old_images: pairs(&record.old_images),
            new_images: pairs(&record.new_images),
            run,
            asks: record.run.clone().filter(|_| asks(record)),
            run_namespace,
            verdict: record.verdict.as_deref().map(verdict_word),
        }
    }

    fn trigger_view(&self, live: &Live, object: &DynamicObject) -> Option<TriggerView> {
        let name = object.metadata.name.clone()?;
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let status = read_status(object);
        let spec: std::result::Result<TriggerSpec, _> =
            serde_json::from_value(object.data.get("spec").cloned().unwrap_or_default());
        let (spec, problem) = match spec {
            Ok(spec) => {
                let not_ready = status.conditions.iter().find(|c| c["type"] == "Ready" && c["status"] == "False");
                let problem = validate(&spec)
                    .first()
                    .map(ToString::to_string)
                    .or_else(|| not_ready.and_then(|c| c["message"].as_str()).map(str::to_owned));
                (Some(spec), problem)
            }
            // Written by another version or by hand: it is shown with what is wrong, and can be deleted.
            Err(error) => (None, Some(format!("it cannot be read: {error}"))),
        };
        let mut decisions: Vec<DecisionView> =
            status.decisions.iter().map(|record| self.decision_view(live, &namespace, record)).collect();
        decisions.sort_by(|a, b| b.time.cmp(&a.time));
        let engine = live.engine().view(&namespace);
        Some(TriggerView {
            name,
            namespace,
            engine,
            project: spec.as_ref().map(|s| s.project.clone()).unwrap_or_default(),
            workflow: spec.as_ref().map(|s| s.workflow.clone()).unwrap_or_default(),
            target: target_view(spec.as_ref().map(|s| &s.target)),
            when: spec.as_ref().map(|s| condition_view(&s.when)),
            guards: guards_view(&spec.as_ref().map(|s| s.guards.clone()).unwrap_or_default()),
            while_away: away_view(spec.as_ref().map_or(WhileAway::Offer, |s| s.while_away)),
            suspended: spec.is_some_and(|s| s.suspended),
            observed: status.observed.iter().map(|o| o.name.clone()).collect(),
            problem,
            decisions,
        })
    }

    /// The images that a trigger's run was started for.
    pub(crate) fn image_of_run(&self, live: &Live, run: &str) -> Option<String> {
        live.list(&kinds::EVENT_TRIGGER).iter().find_map(|object| {
            let status = read_status(object);
            let fired = |d: &&DecisionRecord| d.decision == Outcome::Fired && d.run.as_deref() == Some(run);
            let record = status.decisions.iter().find(fired)?;
            Some(record.new_images.values().cloned().collect::<Vec<_>>().join(", "))
        })
    }

    /// The triggers, what they decided, and who is in charge of them.
    pub async fn list_triggers(&self) -> Result<TriggersOverview> {
        let live = self.live()?;
        if !live.has(ComponentId::Pilothouse) {
            let why = "Pilothouse's kinds are not installed in this cluster.".to_owned();
            return Ok(TriggersOverview {
                crds_installed: false,
                triggers: Vec::new(),
                can_manage: Permission { allowed: false, why: Some(why) },
                places: Vec::new(),
            });
        }
        let objects = live.list(&kinds::EVENT_TRIGGER);
        let mut triggers: Vec<TriggerView> = objects.iter().filter_map(|o| self.trigger_view(&live, o)).collect();
        triggers.sort_by(|a, b| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)));
        let namespace = live
            .list(&kinds::CHAOS_PROJECT)
            .first()
            .and_then(|p| p.metadata.namespace.clone())
            .or_else(|| live.chosen_platform());
        let can_manage = self.may(&live, "create", &kinds::EVENT_TRIGGER, namespace.as_deref()).await;
        let places = self.trigger_places(&live).await;
        Ok(TriggersOverview { crds_installed: true, triggers, can_manage, places })
    }

    /// The workloads of a namespace or of all that a trigger can watch.
    pub async fn workloads(&self, namespace: Option<String>) -> Result<Vec<WorkloadEntry>> {
        let live = self.live()?;
        let mut found = Vec::new();
        for kind in WorkloadKind::ALL {
            found.extend(live.list(&engine::kind_of(kind)).iter().map(|object| workload_entry(kind, object)));
        }
        found.retain(|w| namespace.as_ref().is_none_or(|wanted| w.namespace == *wanted));
        found.sort_by(|a, b| (&a.namespace, &a.name, &a.kind).cmp(&(&b.namespace, &b.name, &b.kind)));
        Ok(found)
    }

    fn trigger_object(name: &str, namespace: &str, spec: &TriggerSpec) -> Result<DynamicObject> {
        let object = json!({
            "apiVersion": kinds::EVENT_TRIGGER.api_version(),
            "kind": kinds::EVENT_TRIGGER.kind,
            "metadata": { "name": name, "namespace": namespace },
            "spec": spec,
        });
        serde_json::from_value(object).map_err(|e| AppError::internal(e.to_string()))
    }

    /// The exact object and what it matches now.
    pub async fn preview_trigger(&self, form: TriggerForm) -> Result<TriggerPreview> {
        let live = self.chaos_live()?;
        let spec = self.sound_spec(&form)?;
        let project = self.project(&live, &form.project).await?;
        let object = Self::trigger_object(&form.name, &project.namespace, &spec)?;
        let kind = spec.target.kind;
        let which = engine::kind_of(kind);
        let mut matches = Vec::new();
        for found in live.list(&which) {
            let value = serde_json::to_value(&*found).map_err(|e| AppError::internal(e.to_string()))?;
            if watches(&spec, &Workload::read(kind, value)) {
                matches.push(workload_entry(kind, &found));
            }
        }
        matches.sort_by(|a, b| a.name.cmp(&b.name));
        let mut warnings = Vec::new();
        if matches.is_empty() {
            warnings.push("Nothing in the cluster matches now; the trigger waits for a workload that does.".to_owned());
        }
        let mut reach = None;
        let workflows = self.workflow_objects(&live, &project.namespace, &project.id);
        match workflows.iter().find(|w| w.workflow == form.workflow) {
            None => {
                warnings.push(format!("The workflow {} is not in the cluster yet; sync its project.", form.workflow))
            }
            Some(found) => {
                let shown = reach_view(found, &project.namespace)?;
                warnings.extend(shown.blocked.clone());
                reach = Some(shown);
                if found.run_policy != Policy::OnEvent {
                    let now = "run when a trigger asks; now it does not.";
                    warnings.push(format!("Saving lets the workflow {} {now}", form.workflow));
                }
            }
        }
        let names: Vec<&str> = matches.iter().map(|one| one.name.as_str()).collect();
        for other in live.list(&kinds::EVENT_TRIGGER) {
            let same = serde_json::from_value::<TriggerSpec>(other.data.get("spec").cloned().unwrap_or_default())
                .is_ok_and(|other| {
                    other.workflow == spec.workflow
                        && (other.target.kind, &other.target.namespace) == (kind, &spec.target.namespace)
                        && other.target.names.iter().any(|name| names.contains(&name.as_str()))
                });
            let name = other.metadata.name.clone().unwrap_or_default();
            if same && (name != form.name || other.metadata.namespace.as_deref() != Some(&project.namespace)) {
                warnings.push(format!("The trigger {name} runs this workflow for some of these workloads already."));
            }
        }
        let yaml = serde_yaml::to_string(&object).map_err(|e| AppError::internal(e.to_string()))?;
        Ok(TriggerPreview { yaml, matches, reach, warnings })
    }

    /// Creates a trigger.
    ///
    /// # Errors
    /// `app.exists` when there is one of that name; it stays as it is.
    pub async fn save_trigger(&self, form: TriggerForm) -> Result<()> {
        let live = self.chaos_live()?;
        only_by_hand(live.cluster.is_production(), live.name())?;
        let spec = self.sound_spec(&form)?;
        let project = self.project(&live, &form.project).await?;
        let what =
            if spec.target.names.is_empty() { "matching workloads".into() } else { spec.target.names.join(", ") };
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words: format!(
                "Save the trigger {}: when {what} in {} changes, run {}",
                form.name, spec.target.namespace, form.workflow
            ),
            context: Some(live.name().to_owned()),
            object: Some(format!("EventTrigger/{}/{}", project.namespace, form.name)),
            intent: Intent::Object {
                api: kinds::EVENT_TRIGGER.api_version(),
                kind: kinds::EVENT_TRIGGER.kind.into(),
                namespace: project.namespace.clone(),
                name: form.name.clone(),
            },
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = self.write_trigger(&live, &project.namespace, &form, &spec).await;
        let url = Some(page(&project.namespace, &form.name));
        entry.close_with(outcome, |()| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Triggers);
        Ok(())
    }

    async fn write_trigger(
        &self,
        live: &Arc<Live>,
        namespace: &str,
        form: &TriggerForm,
        spec: &TriggerSpec,
    ) -> Result<()> {
        let (cluster, name) = (&live.cluster, form.name.as_str());
        let api = cluster.api(&kinds::EVENT_TRIGGER, namespace);
        if cluster.in_time("the trigger", api.get_opt(name)).await?.is_some() {
            return Err(taken(name, namespace));
        }
        // Whoever makes a trigger wants its workflow to run on events, and saw what it reaches; the policy says so to
        // everybody.
        let (which, seen) = ((spec.project.as_str(), spec.workflow.as_str()), form.seen.as_deref());
        workflow_object::set_run_policy(cluster, namespace, which, Policy::OnEvent, seen).await?;
        let object = Self::trigger_object(name, namespace, spec)?;
        match cluster.in_time("the trigger", api.create(&PostParams::default(), &object)).await {
            Ok(_) => Ok(()),
            Err(ClusterError::Conflict { exists: true, .. }) => Err(taken(name, namespace)),
            Err(error) => Err(error.into()),
        }
    }

    /// Switches a trigger off or on.
    pub async fn suspend_trigger(&self, namespace: String, name: String, suspended: bool) -> Result<()> {
        let live = self.chaos_live()?;
        if !suspended {
            only_by_hand(live.cluster.is_production(), live.name())?;
        }
        let words = if suspended { "off" } else { "on" };
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words: format!("Switch the trigger {name} {words}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("EventTrigger/{namespace}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let api = live.cluster.api(&kinds::EVENT_TRIGGER, &namespace);
        let patch = json!({ "spec": { "suspended": suspended } });
        let parameters = PatchParams::default();
        let outcome = live.cluster.in_time("the trigger", api.patch(&name, &parameters, &Patch::Merge(&patch))).await;
        let url = Some(page(&namespace, &name));
        entry.close_with(outcome.map_err(AppError::from), |_| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Triggers);
        Ok(())
    }

    /// Deletes a trigger.
    pub async fn delete_trigger(&self, namespace: String, name: String) -> Result<()> {
        let live = self.chaos_live()?;
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words: format!("Delete the trigger {name}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("EventTrigger/{namespace}/{name}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let api = live.cluster.api(&kinds::EVENT_TRIGGER, &namespace);
        let outcome = live.cluster.in_time("the trigger", api.delete(&name, &DeleteParams::default())).await;
        entry.close_with(outcome.map_err(AppError::from), |_| End::default()).await?;
        self.changes.tell(Topic::Triggers);
        Ok(())
    }
}
