//! The trigger editor: what a target takes now, what is wrong with a form, an existing trigger opened and changed, and a
//! trigger tried on a workload.

use std::sync::Arc;

use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, PostParams},
};
use pilothouse_chaos::workflow_object::{self, RunPolicy as Policy};
use pilothouse_cluster::{Cluster, Error as ClusterError, Kind, Name, WatchState, kinds};
use pilothouse_triggers::{
    backtest,
    condition::facts::Seen,
    decide::Facts,
    engine::kind_of as object_kind,
    explain::{Explained, Truth, as_if, explain, previous, suppose},
    guarding::Hold,
    spec::{MAX_OBSERVED, TriggerSpec, TriggerStatus, WorkloadKind, validate},
    surroundings::{Budget, Budgets, OpenRun, PROTECTED_LABEL, Surroundings},
    workload::{Workload, watches},
};
use serde_json::Value;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, ErrorCode, ErrorDetail, FieldProblem, GuardAnswer, GuardGroup, GuardState,
        OpenedTrigger, TestAnswer, Topic, TriggerAnswer, TriggerForm, TriggerMatches, TriggerTarget, TriggerTest,
    },
    journal::{Begin, End, Intent},
    runs::only_by_hand,
    session::Live,
    trigger_forms::{kind_of, spec_of, target_of, view_of, watching},
    triggers::{decision_word, pairs, read_status, workload_entry},
    values::small,
    workflows::reach_view,
};

/// Disruption budgets as servers before Kubernetes 1.21 have them.
const OLDER_BUDGET: Kind = Kind { version: "v1beta1", ..kinds::POD_DISRUPTION_BUDGET };

/// How often a change is tried over what the engine writes meanwhile.
const ATTEMPTS: u32 = 20;

/// Where the page of a trigger is.
pub(crate) fn page(namespace: &str, name: &str) -> String {
    format!("/triggers/{namespace}/{name}")
}

/// The version of what a trigger asks for. What it remembers changes all the time, and is nobody's edit.
pub(crate) fn version(object: &DynamicObject) -> String {
    format!("{}/{}", object.uid().unwrap_or_default(), object.metadata.generation.unwrap_or_default())
}

fn read_spec(object: &DynamicObject) -> Result<TriggerSpec> {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    serde_json::from_value(spec).map_err(|error| AppError::blocked(format!("the trigger cannot be read: {error}")))
}

/// The object as somebody would write it.
fn plain(object: &DynamicObject) -> Result<String> {
    let mut plain = object.clone();
    plain.metadata.managed_fields = None;
    if let Some(map) = plain.data.as_object_mut() {
        map.remove("status");
    }
    serde_yaml::to_string(&plain).map_err(|error| AppError::internal(error.to_string()))
}

fn answer(of: &Explained) -> TriggerAnswer {
    TriggerAnswer { decision: of.outcome.map(decision_word), reason: of.reason.clone() }
}

fn test_answer(truth: &Truth) -> TestAnswer {
    match truth {
        Truth::Holds => TestAnswer { holds: Some(true), why: None },
        Truth::Fails => TestAnswer { holds: Some(false), why: None },
        Truth::Unclear(why) => TestAnswer { holds: None, why: Some(why.clone()) },
    }
}

fn group(name: &str) -> GuardGroup {
    match name {
        "rollout" => GuardGroup::Rollout,
        "soak" => GuardGroup::Soak,
        "pods" => GuardGroup::Pods,
        "runs" => GuardGroup::Runs,
        "often" => GuardGroup::Often,
        "quiet" => GuardGroup::Quiet,
        "approval" => GuardGroup::Approval,
        _ => GuardGroup::Allowed,
    }
}

fn guard_answers(of: &Explained, spec: &TriggerSpec, around: &Surroundings) -> Vec<GuardAnswer> {
    // What is asked before any guard: it passes the change over for good.
    let never = around
        .halted
        .as_ref()
        .map(|why| format!("all triggers are halted: {why}"))
        .or_else(|| around.protects(&spec.target.namespace));
    let state = |hold: Option<&Hold>| match hold {
        None => (GuardState::Passes, None),
        Some(Hold::Wait { reason, .. }) => (GuardState::Waits, Some(reason.clone())),
        Some(Hold::Skip(reason)) => (GuardState::Skips, Some(reason.clone())),
    };
    of.guards
        .iter()
        .map(|one| {
            let guard = group(one.guard);
            let (state, reason) = match (guard, &never) {
                (GuardGroup::Allowed, Some(why)) => (GuardState::Skips, Some(why.clone())),
                _ => state(one.hold.as_ref()),
            };
            GuardAnswer { guard, state, reason }
        })
        .collect()
}

impl App {
    /// The workloads that a target takes now.
    pub async fn match_workloads(&self, target: TriggerTarget) -> Result<TriggerMatches> {
        let live = self.live()?;
        let kind = kind_of(&target.kind)?;
        let which = object_kind(kind);
        let problem = match live.index().state_in(&which, &target.namespace) {
            WatchState::Forbidden(why) => Some(why),
            WatchState::Absent if live.index().state(&which) == WatchState::Absent => {
                Some(format!("The cluster has no {}.", target.kind))
            }
            WatchState::Absent => Some(format!("The namespace {} is not looked at.", target.namespace)),
            _ => None,
        };
        // A target of nothing but a namespace takes nothing: no trigger watches all of it.
        if target.names.is_empty() && target.labels.is_empty() && target.annotations.is_empty() {
            return Ok(TriggerMatches { workloads: Vec::new(), excess: 0, problem });
        }
        let spec = watching(target_of(&target)?);
        let mut workloads = Vec::new();
        for found in live.list(&which) {
            let value = serde_json::to_value(&*found).map_err(|e| AppError::internal(e.to_string()))?;
            if watches(&spec, &Workload::read(kind, value)) {
                workloads.push(workload_entry(kind, &found));
            }
        }
        workloads.sort_by(|a, b| a.name.cmp(&b.name));
        let excess = small(workloads.len().saturating_sub(MAX_OBSERVED));
        workloads.truncate(MAX_OBSERVED);
        Ok(TriggerMatches { workloads, excess, problem })
    }

    /// What is wrong with a form, field by field; nothing is asked of the cluster.
    pub async fn check_trigger(&self, form: TriggerForm) -> Result<Vec<FieldProblem>> {
        let spec = match spec_of(&form) {
            Ok(spec) => spec,
            Err(error) => match error.detail.as_deref() {
                Some(ErrorDetail::Fields { problems }) => return Ok(problems.clone()),
                _ => return Err(error),
            },
        };
        Ok(self.trigger_problems(&form, &spec))
    }

    /// A trigger as it is in the cluster.
    pub async fn open_trigger(&self, namespace: String, name: String) -> Result<OpenedTrigger> {
        let live = self.chaos_live()?;
        let api = live.cluster.api(&kinds::EVENT_TRIGGER, &namespace);
        let object = live.cluster.in_time("the trigger", api.get(&name)).await?;
        let spec = read_spec(&object)?;
        let workflows = self.workflow_objects(&live, &namespace, &spec.project);
        let found = workflows.iter().find(|one| one.workflow == spec.workflow);
        let reach = found.map(|found| reach_view(found, &namespace)).transpose().ok().flatten();
        Ok(OpenedTrigger { form: view_of(&name, &spec), version: version(&object), yaml: plain(&object)?, reach })
    }

    /// Changes a trigger, if what it asks for is still what was opened.
    ///
    /// # Errors
    /// `cluster.conflict` when somebody else changed it, deleted it, or made it anew; nothing is written then.
    pub async fn change_trigger(&self, namespace: String, form: TriggerForm, version: String) -> Result<()> {
        let live = self.chaos_live()?;
        only_by_hand(live.cluster.is_production(), live.name())?;
        let spec = self.sound_spec(&form)?;
        let project = self.project(&live, &form.project).await?;
        if project.namespace != namespace {
            let message = format!(
                "The project {} is in {}, and a trigger runs workflows of its own namespace, {namespace}.",
                project.id, project.namespace
            );
            return Err(AppError::fields(vec![FieldProblem { field: "project".into(), message }]));
        }
        let begin = Begin {
            kind: ActivityKind::Trigger,
            words: format!("Change the trigger {}", form.name),
            context: Some(live.name().to_owned()),
            object: Some(format!("EventTrigger/{namespace}/{}", form.name)),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let outcome = self.write_over(&live, &namespace, &form, &spec, &version).await;
        let url = Some(page(&namespace, &form.name));
        entry.close_with(outcome, |()| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Triggers);
        Ok(())
    }

    async fn write_over(
        &self,
        live: &Arc<Live>,
        namespace: &str,
        form: &TriggerForm,
        spec: &TriggerSpec,
        seen: &str,
    ) -> Result<()> {
        let moved = |what: &str| {
            AppError::new(ErrorCode::ClusterConflict, format!("the trigger {} {what} since you opened it", form.name))
                .with_hint("nothing was written; look at what is there now, and decide which of the two is to stay")
        };
        let (cluster, name) = (&live.cluster, form.name.as_str());
        let api = cluster.api(&kinds::EVENT_TRIGGER, namespace);
        let wanted = serde_json::to_value(spec).map_err(|error| AppError::internal(error.to_string()))?;
        let mut agreed = false;
        for _ in 0..ATTEMPTS {
            let Some(mut present) = cluster.in_time("the trigger", api.get_opt(name)).await? else {
                return Err(moved("was deleted"));
            };
            if version(&present) != seen {
                return Err(moved("was changed"));
            }
            if !agreed {
                // Only for a trigger that can still be written: the workflow's policy outlives a conflict.
                let which = (spec.project.as_str(), spec.workflow.as_str());
                let reach = form.seen.as_deref();
                workflow_object::set_run_policy(cluster, namespace, which, Policy::OnEvent, reach).await?;
                agreed = true;
            }
            present.data["spec"] = wanted.clone();
            match cluster.in_time("the trigger", api.replace(name, &PostParams::default(), &present)).await {
                Ok(_) => return Ok(()),
                // The engine wrote down what it saw, or somebody answered; the next look tells them from an edit.
                Err(ClusterError::Conflict { exists: false, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::blocked("the trigger's status is written all the time; try again in a moment"))
    }

    /// What would be decided about a workload now. Nothing is written, and nothing is run.
    pub async fn test_trigger(&self, form: TriggerForm, workload: String) -> Result<TriggerTest> {
        let live = self.live()?;
        let spec = spec_of(&form)?;
        let kind = spec.target.kind;
        let (object, kept) = self.workload_and_past(&live, &spec.target.namespace, kind, &workload).await?;
        let namespace = self.project(&live, &form.project).await.map(|project| project.namespace).ok();
        let (uid, status) = match &namespace {
            Some(namespace) => known_trigger(&live, namespace, &form.name),
            None => (String::new(), TriggerStatus::default()),
        };
        let around = self.surroundings_now(&live, namespace.as_deref(), &spec).await;
        crate::blocking(move || {
            let history = backtest::history(kind, &object, &kept);
            let before = previous(&history, &object).cloned();
            let read = Workload::read(kind, object);
            let seen = Seen::look(&spec.when, &read.object);
            let supposed = suppose(&spec, &read, before.as_ref());
            let then = as_if(&status, &supposed.before);
            let now = jiff::Timestamp::now();
            let facts = |status: &TriggerStatus| {
                explain(&Facts {
                    trigger_uid: &uid,
                    spec: &spec,
                    status,
                    workload: &read,
                    seen: &seen,
                    around: &around,
                    complete_since: None,
                    now,
                    first_look: false,
                })
            };
            let (now, released) = (facts(&status), facts(&then));
            Ok(TriggerTest {
                now: answer(&now),
                released: answer(&released),
                compared_with: before.map(|one| one.number.to_string()),
                assumptions: supposed.assumptions,
                old_images: pairs(&supposed.before.images),
                new_images: pairs(&seen.images),
                tests: released.tests.iter().map(test_answer).collect(),
                guards: guard_answers(&released, &spec, &around),
            })
        })
        .await
    }

    /// What is around a trigger at this moment.
    async fn surroundings_now(&self, live: &Live, namespace: Option<&str>, spec: &TriggerSpec) -> Surroundings {
        let cluster = &live.cluster;
        let target = spec.target.namespace.as_str();
        let halt = namespace.and_then(|namespace| self.halts(live).remove(namespace));
        let mut around = Surroundings { halted: halt.map(|halt| halt.reason), ..Surroundings::default() };
        match cluster.in_time("the namespace", cluster.api_all(&kinds::NAMESPACE).get_opt(target)).await {
            Ok(found) => {
                let marked = found.is_some_and(|one| one.labels().get(PROTECTED_LABEL).is_some_and(|it| it == "true"));
                around.protected.extend(marked.then(|| target.to_owned()));
            }
            Err(error) => {
                around.unread.insert(target.to_owned(), error.to_string());
            }
        }
        if spec.guards.respect_disruption_budget {
            around.budgets = budgets_now(cluster, target).await;
        }
        for object in live.list(&kinds::EVENT_TRIGGER) {
            let (trigger, status) = (object.uid().unwrap_or_default(), read_status(&object));
            around.open.extend(status.open_runs().into_iter().map(|(run, workload)| OpenRun {
                run: run.to_owned(),
                trigger: trigger.clone(),
                workload: workload.to_owned(),
            }));
        }
        around
    }

    /// A workload, and what the cluster still holds of its past.
    pub(crate) async fn workload_and_past(
        &self,
        live: &Live,
        namespace: &str,
        kind: WorkloadKind,
        workload: &str,
    ) -> Result<(Value, Vec<Value>)> {
        Name::parse("namespace", namespace)?;
        let cluster = &live.cluster;
        let api = cluster.api(&object_kind(kind), namespace);
        let object = cluster.in_time("the workload", api.get(workload)).await?;
        let kept = match kind {
            WorkloadKind::Deployment | WorkloadKind::Rollout => kinds::REPLICA_SET,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => kinds::CONTROLLER_REVISION,
        };
        let kept = cluster.api(&kept, namespace);
        let kept = cluster.in_time("its revisions", kept.list(&ListParams::default())).await?;
        let value = |object| serde_json::to_value(object).map_err(|error| AppError::internal(error.to_string()));
        Ok((value(&object)?, kept.items.iter().map(value).collect::<Result<Vec<_>>>()?))
    }

    /// The spec of a form that breaks no rule.
    ///
    /// # Errors
    /// `app.fields`.
    pub(crate) fn sound_spec(&self, form: &TriggerForm) -> Result<TriggerSpec> {
        let spec = spec_of(form)?;
        let problems = self.trigger_problems(form, &spec);
        if problems.is_empty() { Ok(spec) } else { Err(AppError::fields(problems)) }
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
}

/// The disruption budgets of a namespace, in whichever version the cluster serves them.
async fn budgets_now(cluster: &Cluster, namespace: &str) -> Budgets {
    for kind in [kinds::POD_DISRUPTION_BUDGET, OLDER_BUDGET] {
        let api = cluster.api(&kind, namespace);
        match cluster.in_time("the disruption budgets", api.list(&ListParams::default())).await {
            Ok(found) => {
                let read = |one: &DynamicObject| {
                    let mut object = serde_json::to_value(one).ok()?;
                    // A list does not say it of each.
                    object["apiVersion"] = kind.api_version().into();
                    Some(Budget::read(&object))
                };
                return Budgets::Known(found.items.iter().filter_map(read).collect());
            }
            Err(ClusterError::NotFound { .. }) => {}
            Err(error) => return Budgets::Unknown(error.to_string()),
        }
    }
    Budgets::Unknown("the cluster serves none".to_owned())
}

/// A trigger's uid and what it remembers, if it is there.
fn known_trigger(live: &Live, namespace: &str, name: &str) -> (String, TriggerStatus) {
    match live.index().get(&kinds::EVENT_TRIGGER, namespace, name) {
        Some(object) => (object.uid().unwrap_or_default(), read_status(&object)),
        None => (String::new(), TriggerStatus::default()),
    }
}
