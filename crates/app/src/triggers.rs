//! Triggers.

use std::{collections::BTreeMap, sync::Arc};

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use pilothouse_chaos::workflow_object::{self, RunPolicy as Policy};
use pilothouse_cluster::{ComponentId, Error as ClusterError, Name, kinds};
use pilothouse_triggers::{
    decide::{Workload, watches},
    images::images_of,
    spec::{
        DecisionRecord, Guards, ImageChanged, Outcome, TargetSpec, TriggerSpec, TriggerStatus, When, WorkloadKind,
        validate,
    },
};
use serde_json::{Value, json};

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, DecisionKind, DecisionView, FieldProblem, LabelEntry, Permission, Topic, TriggerForm,
        TriggerGuards, TriggerPreview, TriggerTarget, TriggerView, TriggersOverview, WorkloadEntry,
    },
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    session::Live,
    workflows::{reach_view, verdict_word},
};

fn kind_of(text: &str) -> Result<WorkloadKind> {
    [WorkloadKind::Deployment, WorkloadKind::StatefulSet].into_iter().find(|kind| kind.as_str() == text).ok_or_else(
        || {
            let message = "Choose a Deployment or a StatefulSet.".to_owned();
            AppError::fields(vec![FieldProblem { field: "target.kind".into(), message }])
        },
    )
}

fn spec_of(form: &TriggerForm) -> Result<TriggerSpec> {
    Ok(TriggerSpec {
        project: form.project.clone(),
        workflow: form.workflow.clone(),
        target: TargetSpec {
            kind: kind_of(&form.target.kind)?,
            namespace: form.target.namespace.clone(),
            names: form.target.names.clone(),
            labels: form.target.labels.iter().map(|l| (l.key.clone(), l.value.clone())).collect(),
        },
        when: When { image_changed: ImageChanged { containers: form.containers.clone() } },
        guards: Guards {
            wait_for_rollout: form.guards.wait_for_rollout,
            soak_seconds: form.guards.soak_seconds,
            cooldown_seconds: form.guards.cooldown_seconds,
            max_per_day: form.guards.max_per_day,
        },
        suspended: form.suspended,
    })
}

fn pairs(images: &BTreeMap<String, String>) -> Vec<String> {
    images.iter().map(|(container, image)| format!("{container}={image}")).collect()
}

fn workload_entry(kind: WorkloadKind, object: &DynamicObject) -> WorkloadEntry {
    let number =
        |pointer: &str| object.data.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let images = serde_json::to_value(object).map(|value| images_of(&value)).unwrap_or_default();
    WorkloadEntry {
        kind: kind.as_str().to_owned(),
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        images: pairs(&images),
        ready: number("/status/readyReplicas").unwrap_or(0),
        wanted: number("/spec/replicas").unwrap_or(1),
    }
}

fn read_status(object: &DynamicObject) -> TriggerStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

/// The page about triggers.
const PAGE: &str = "/triggers";

impl App {
    fn decision_view(&self, live: &Live, trigger_namespace: &str, record: &DecisionRecord) -> DecisionView {
        let run_namespace = record.run.as_ref().map(|run| {
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
            decision: match record.decision {
                Outcome::Fired => DecisionKind::Fired,
                Outcome::Waited => DecisionKind::Waited,
                Outcome::Skipped => DecisionKind::Skipped,
                Outcome::Missed => DecisionKind::Missed,
            },
            reason: record.reason.clone(),
            old_images: pairs(&record.old_images),
            new_images: pairs(&record.new_images),
            run: record.run.clone(),
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
        let target = spec.as_ref().map(|s| &s.target);
        let guards = spec.as_ref().map(|s| s.guards.clone()).unwrap_or_default();
        let engine = live.engine().view(&namespace);
        Some(TriggerView {
            name,
            namespace,
            engine,
            project: spec.as_ref().map(|s| s.project.clone()).unwrap_or_default(),
            workflow: spec.as_ref().map(|s| s.workflow.clone()).unwrap_or_default(),
            target: TriggerTarget {
                kind: target.map(|t| t.kind.as_str().to_owned()).unwrap_or_default(),
                namespace: target.map(|t| t.namespace.clone()).unwrap_or_default(),
                names: target.map(|t| t.names.clone()).unwrap_or_default(),
                labels: target
                    .into_iter()
                    .flat_map(|t| &t.labels)
                    .map(|(key, value)| LabelEntry { key: key.clone(), value: value.clone() })
                    .collect(),
            },
            containers: spec.as_ref().map(|s| s.when.image_changed.containers.clone()).unwrap_or_default(),
            guards: TriggerGuards {
                wait_for_rollout: guards.wait_for_rollout,
                soak_seconds: guards.soak_seconds,
                cooldown_seconds: guards.cooldown_seconds,
                max_per_day: guards.max_per_day,
            },
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
            let record = status.decisions.iter().find(|d| d.run.as_deref() == Some(run))?;
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
        Ok(TriggersOverview { crds_installed: true, triggers, can_manage })
    }

    /// Deployments and StatefulSets of a namespace or of all.
    pub async fn workloads(&self, namespace: Option<String>) -> Result<Vec<WorkloadEntry>> {
        let live = self.live()?;
        let mut found = Vec::new();
        for (kind, which) in
            [(WorkloadKind::Deployment, kinds::DEPLOYMENT), (WorkloadKind::StatefulSet, kinds::STATEFUL_SET)]
        {
            found.extend(live.list(&which).iter().map(|object| workload_entry(kind, object)));
        }
        found.retain(|w| namespace.as_ref().is_none_or(|wanted| w.namespace == *wanted));
        found.sort_by(|a, b| (&a.namespace, &a.name, &a.kind).cmp(&(&b.namespace, &b.name, &b.kind)));
        Ok(found)
    }

    /// The problems of a form that stop it, by field.
    fn trigger_problems(&self, form: &TriggerForm, spec: &TriggerSpec) -> Vec<FieldProblem> {
        let mut problems: Vec<FieldProblem> =
            validate(spec).into_iter().map(|p| FieldProblem { field: p.field, message: p.message }).collect();
        if let Err(error) = Name::parse("name", &form.name) {
            problems.push(FieldProblem { field: "name".into(), message: error.to_string() });
        }
        problems
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
        let spec = spec_of(&form)?;
        let problems = self.trigger_problems(&form, &spec);
        if !problems.is_empty() {
            return Err(AppError::fields(problems));
        }
        let project = self.project(&live, &form.project).await?;
        let object = Self::trigger_object(&form.name, &project.namespace, &spec)?;
        let kind = spec.target.kind;
        let which = if kind == WorkloadKind::StatefulSet { kinds::STATEFUL_SET } else { kinds::DEPLOYMENT };
        let mut matches = Vec::new();
        for found in live.list(&which) {
            let value = serde_json::to_value(&*found).map_err(|e| AppError::internal(e.to_string()))?;
            if watches(&spec, &Workload::read(kind, &value)) {
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
        let yaml = serde_yaml::to_string(&object).map_err(|e| AppError::internal(e.to_string()))?;
        Ok(TriggerPreview { yaml, matches, reach, warnings })
    }

    /// Creates a trigger or changes it.
    pub async fn save_trigger(&self, form: TriggerForm) -> Result<()> {
        let live = self.chaos_live()?;
        only_by_hand(live.cluster.is_production(), live.name())?;
        let spec = spec_of(&form)?;
        let problems = self.trigger_problems(&form, &spec);
        if !problems.is_empty() {
            return Err(AppError::fields(problems));
        }
        let project = self.project(&live, &form.project).await?;
        let what =
            if spec.target.names.is_empty() { "matching workloads".into() } else { spec.target.names.join(", ") };
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words: format!(
                "Save the trigger {}: when the image of {what} in {} changes, run {}",
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
        let url = Some(PAGE.to_owned());
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
        // Whoever makes a trigger wants its workflow to run on events, and saw what it reaches; the policy says so to
        // everybody.
        let (which, seen) = ((spec.project.as_str(), spec.workflow.as_str()), form.seen.as_deref());
        workflow_object::set_run_policy(cluster, namespace, which, Policy::OnEvent, seen).await?;
        let api = cluster.api(&kinds::EVENT_TRIGGER, namespace);
        let object = Self::trigger_object(name, namespace, spec)?;
        match cluster.in_time("the trigger", api.create(&PostParams::default(), &object)).await {
            Ok(_) => Ok(()),
            Err(ClusterError::Conflict { exists: true, .. }) => {
                // The whole spec is replaced, over exactly the version that was read.
                let mut present = cluster.in_time("the trigger", api.get(name)).await?;
                present.data["spec"] = object.data["spec"].clone();
                cluster.in_time("the trigger", api.replace(name, &PostParams::default(), &present)).await?;
                Ok(())
            }
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
        let url = Some(PAGE.to_owned());
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
