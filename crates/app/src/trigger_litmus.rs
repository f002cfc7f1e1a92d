//! Litmus' policies: those of the cluster read and taken over, and a trigger written for clusters that run its tracker.

use std::{collections::BTreeSet, sync::Arc};

use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use pilothouse_chaos::{remap::WORKFLOW_ID, workflow_object::WorkflowObject};
use pilothouse_cluster::{ComponentId, Error as ClusterError, Name, kinds};
use pilothouse_triggers::{
    engine::kind_of as object_kind,
    litmus::{
        Policy, export,
        import::{Workflows, import},
    },
    spec::WorkloadKind,
    workload::{Workload, watches},
};
use serde_json::{Value, json};

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, ErrorCode, ExperimentChoice, FieldProblem, LabelEntry, LitmusDifference, LitmusExport,
        LitmusImport, LitmusLoss, LitmusPolicies, LitmusPolicy, LitmusWritten, Topic, TriggerForm, WriteLitmus,
    },
    interop::quick_label,
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    session::Live,
    trigger_forms::{spec_of, view_of},
};

/// The most policies that are shown.
const MOST: u32 = 500;
/// The page about Litmus' policies.
const PAGE: &str = "/triggers/litmus";

fn whole(object: &DynamicObject) -> Result<Value> {
    serde_json::to_value(object).map_err(|error| AppError::internal(error.to_string()))
}

fn shown(object: &DynamicObject) -> LitmusPolicy {
    let value = serde_json::to_value(object).unwrap_or_default();
    let text = |one: &Value, key: &str| {
        let found = one.get(key).and_then(Value::as_str).unwrap_or_default();
        found.chars().take(300).collect::<String>()
    };
    let listed = value.pointer("/spec/conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let words = |one: &Value| {
        let said = [text(one, "key"), text(one, "operator"), text(one, "value")];
        said.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    LitmusPolicy {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        join: value.get("spec").map(|spec| text(spec, "condition_type")).unwrap_or_default(),
        conditions: listed.iter().take(64).map(words).collect(),
        problems: Policy::read(&value).err().unwrap_or_default(),
    }
}

/// The policy as somebody would write it.
fn plain(object: &DynamicObject) -> Result<String> {
    let value = json!({
        "apiVersion": kinds::EVENT_TRACKER_POLICY.api_version(),
        "kind": kinds::EVENT_TRACKER_POLICY.kind,
        "metadata": { "name": object.name_any(), "namespace": object.namespace() },
        "spec": object.data.get("spec").cloned().unwrap_or_default(),
    });
    serde_yaml::to_string(&value).map_err(|error| AppError::internal(error.to_string()))
}

fn losses(all: Vec<export::Unhonoured>) -> Vec<LitmusLoss> {
    all.into_iter().map(|one| LitmusLoss { field: one.field, why: one.why }).collect()
}

impl App {
    /// The policies of the cluster.
    pub async fn litmus_policies(&self) -> Result<LitmusPolicies> {
        let live = self.live()?;
        if !live.discovered().serves(&kinds::EVENT_TRACKER_POLICY) {
            return Ok(LitmusPolicies { known: false, policies: Vec::new(), problem: None });
        }
        let (cluster, bound) = (&live.cluster, ListParams::default().limit(MOST));
        let api = cluster.api_all(&kinds::EVENT_TRACKER_POLICY);
        let (mut found, mut problem) = (Vec::new(), None);
        match cluster.in_time("the policies", api.list(&bound)).await {
            Ok(all) => found = all.items,
            Err(error @ ClusterError::Forbidden { .. }) => {
                problem = Some(format!("Only some namespaces are looked at: {error}"));
                for namespace in self.litmus_namespaces(&live) {
                    let api = cluster.api(&kinds::EVENT_TRACKER_POLICY, &namespace);
                    let some = cluster.in_time("the policies", api.list(&bound)).await;
                    found.extend(some.map(|all| all.items).unwrap_or_default());
                }
            }
            Err(error) => return Err(error.into()),
        }
        let mut policies: Vec<LitmusPolicy> = found.iter().map(shown).collect();
        policies.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(LitmusPolicies { known: true, policies, problem })
    }

    fn litmus_namespaces(&self, live: &Live) -> BTreeSet<String> {
        let projects = live.list(&kinds::CHAOS_PROJECT);
        let own = projects.iter().filter_map(|one| one.namespace());
        own.chain(live.chosen_platform()).chain([live.cluster.default_namespace().to_owned()]).collect()
    }

    /// The workflows by the ids that ChaosCenter gave their experiments.
    fn experiments(&self, live: &Live) -> Workflows {
        let objects = live.list(&kinds::CHAOS_WORKFLOW);
        let workflows = objects.iter().filter_map(|object| WorkflowObject::read(object));
        workflows
            .filter_map(|one| Some((quick_label(&one.manifest, WORKFLOW_ID)?.to_owned(), (one.project, one.workflow))))
            .collect()
    }

    /// What a policy becomes: the triggers, to be looked at and saved, and what is other about them.
    pub async fn import_litmus_policy(
        &self,
        namespace: String,
        name: String,
        chosen: Vec<ExperimentChoice>,
    ) -> Result<LitmusImport> {
        let live = self.chaos_live()?;
        self.need(&live, ComponentId::Litmus)?;
        let api = live.cluster.api(&kinds::EVENT_TRACKER_POLICY, &namespace);
        let object = live.cluster.in_time("the policy", api.get(&name)).await?;
        let policy = Policy::read(&whole(&object)?).map_err(|problems| {
            AppError::blocked(format!("the policy {name} never matches: {}", problems.join("; ")))
                .with_hint("mend it in the cluster, or write a trigger without it")
        })?;
        let mut known = self.experiments(&live);
        known.extend(chosen.into_iter().map(|one| (one.experiment, (one.project, one.workflow))));
        let mut workloads = Vec::new();
        for kind in WorkloadKind::ALL {
            for object in live.list(&object_kind(kind)) {
                workloads.push((kind, whole(&object)?));
            }
        }
        let yaml = plain(&object)?;
        crate::blocking(move || {
            let found = import(&policy, &workloads, &known);
            let difference = |one: pilothouse_triggers::litmus::import::Difference| LitmusDifference {
                about: one.about.to_owned(),
                litmus: one.litmus,
                here: one.here,
            };
            Ok(LitmusImport {
                triggers: found.triggers.iter().map(|(name, spec)| view_of(name, spec)).collect(),
                unknown: found.unknown,
                differences: found.differences.into_iter().map(difference).collect(),
                yaml,
            })
        })
        .await
    }

    /// A trigger as Litmus' own tracker would have it, and what that tracker does not honour. Without an experiment the
    /// id in the workflow's own labels is taken.
    pub async fn export_trigger(
        &self,
        form: TriggerForm,
        namespace: String,
        experiment: Option<String>,
    ) -> Result<LitmusExport> {
        let live = self.live()?;
        let spec = spec_of(&form)?;
        let own = || {
            let all = self.experiments(&live);
            all.into_iter().find(|(_, it)| *it == (form.project.clone(), form.workflow.clone())).map(|(id, _)| id)
        };
        let experiment = experiment.filter(|id| !id.is_empty()).or_else(own).unwrap_or_default();
        let written = export::export(&form.name, &spec, &namespace, &experiment);
        let yaml = |policy: &Value| serde_yaml::to_string(policy).map_err(|e| AppError::internal(e.to_string()));
        Ok(LitmusExport {
            policy: written.policy.as_ref().map(yaml).transpose()?,
            annotations: written.annotations.into_iter().map(|(key, value)| LabelEntry { key, value }).collect(),
            unhonoured: losses(written.unhonoured),
            guards: losses(export::guards_without_effect()),
            experiment,
            workloads: self.taken(&live, &form)?,
        })
    }

    fn taken(&self, live: &Arc<Live>, form: &TriggerForm) -> Result<Vec<String>> {
        let spec = spec_of(form)?;
        let kind = spec.target.kind;
        let mut names = Vec::new();
        for object in live.list(&object_kind(kind)) {
            let read = Workload::read(kind, whole(&object)?);
            if watches(&spec, &read) {
                names.push(read.name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Writes the policy of a trigger, and its annotations if that is wanted, for Litmus' tracker. A policy that says
    /// something else is not written over.
    pub async fn write_litmus(&self, request: WriteLitmus) -> Result<LitmusWritten> {
        let live = self.live()?;
        only_by_hand(live.cluster.is_production(), live.name())?;
        self.need(&live, ComponentId::Litmus)?;
        let WriteLitmus { form, namespace, experiment, annotate, workloads } = request;
        let field = |field: &str, message: &str| {
            AppError::fields(vec![FieldProblem { field: field.into(), message: message.into() }])
        };
        Name::parse("namespace", &namespace).map_err(|error| field("namespace", &error.to_string()))?;
        Name::parse("name", &form.name).map_err(|error| field("name", &error.to_string()))?;
        if annotate && (experiment.is_empty() || experiment.len() > 253 || experiment.chars().any(char::is_control)) {
            return Err(field("experiment", "Name the experiment by its id in ChaosCenter."));
        }
        let spec = spec_of(&form)?;
        let written = export::export(&form.name, &spec, &namespace, &experiment);
        let Some(policy) = written.policy else {
            return Err(field("when", "This condition cannot be said in a policy."));
        };
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words: format!("Write the policy {} for Litmus' tracker in {namespace}", form.name),
            context: Some(live.name().to_owned()),
            object: Some(format!("EventTrackerPolicy/{namespace}/{}", form.name)),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = async {
            write_policy(&live, &namespace, &form.name, policy).await?;
            let mut done = LitmusWritten { annotated: Vec::new(), refused: Vec::new() };
            let (now, parameters) = (self.taken(&live, &form)?, PatchParams::default());
            for name in workloads.into_iter().filter(|name| annotate && now.contains(name)) {
                let api = live.cluster.api(&object_kind(spec.target.kind), &spec.target.namespace);
                let patch = Patch::Merge(json!({ "metadata": { "annotations": written.annotations } }));
                let patched = api.patch(&name, &parameters, &patch);
                match live.cluster.in_time("the workload", patched).await {
                    Ok(_) => done.annotated.push(name),
                    Err(error) => done.refused.push(format!("{name}: {error}")),
                }
            }
            Ok(done)
        }
        .await;
        let url = Some(PAGE.to_owned());
        let done = entry.close_with(outcome, |_| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Triggers);
        Ok(done)
    }
}

async fn write_policy(live: &Live, namespace: &str, name: &str, policy: Value) -> Result<()> {
    let api = live.cluster.api(&kinds::EVENT_TRACKER_POLICY, namespace);
    let wanted = policy["spec"].clone();
    let object: DynamicObject = serde_json::from_value(policy).map_err(|e| AppError::internal(e.to_string()))?;
    match live.cluster.in_time("the policy", api.create(&PostParams::default(), &object)).await {
        Ok(_) => Ok(()),
        Err(ClusterError::Conflict { exists: true, .. }) => {
            let there = live.cluster.in_time("the policy", api.get(name)).await?;
            if there.data.get("spec") == Some(&wanted) {
                return Ok(());
            }
            let message = format!("there is a policy {name} in {namespace} already, and it says something else");
            Err(AppError::new(ErrorCode::Exists, message).with_hint("give this one another name, or delete that one"))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_shown_as_it_is_written_with_what_is_wrong() {
        let object = |spec: Value| -> DynamicObject {
            let object = json!({"apiVersion": "eventtracker.litmuschaos.io/v1", "kind": "EventTrackerPolicy",
                "metadata": {"name": "p", "namespace": "litmus"}, "spec": spec});
            serde_json::from_value(object).unwrap()
        };
        let good = json!({"condition_type": "and", "conditions": [
            {"key": "spec.replicas", "operator": "EqualTo", "value": "3"}, {"key": "spec.paused", "operator": "Change"}]});
        let seen = shown(&object(good));
        assert_eq!(seen.conditions, ["spec.replicas EqualTo 3", "spec.paused Change"]);
        assert!(seen.problems.is_empty());
        let seen = shown(&object(json!({"condition_type": "AND", "conditions": "none"})));
        assert_eq!((seen.join.as_str(), seen.conditions.len()), ("AND", 0));
        assert!(!seen.problems.is_empty());
    }
}
