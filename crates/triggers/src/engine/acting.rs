//! Carries decisions out, over exactly the version of the trigger that they were taken on.

use std::collections::HashMap;

use kube::api::{DynamicObject, Patch, PatchParams};
use pilothouse_cluster::kinds;
use serde_json::json;
use tokio::time::Instant;

use super::trigger::{Trigger, kind_of};
use super::unharmed::in_time;
use super::{DEBOUNCE, Engine, Event, Found, LAUNCH_AGAIN};
use crate::condition::facts::Seen;
use crate::decide::{self, ABOUT_TO_START, Decision};
use crate::error::{Error, Result};
use crate::launcher::{Launched, RunState};
use crate::spec::{DecisionRecord, Outcome};
use crate::surroundings::{OpenRun, Surroundings};
use crate::workload::{Workload, watches};

/// How often a status is tried to be written against others' writes.
const ATTEMPTS: u32 = 6;

impl Engine {
    /// Decides on the newest version of the trigger, acts, and writes what came of it over exactly that version.
    pub(super) async fn settle(
        &mut self,
        trigger: &Trigger,
        found: &Found,
        around: &mut Surroundings,
        ask_runs: bool,
    ) -> Result<()> {
        let api = self.cluster.api(&kinds::EVENT_TRIGGER, &trigger.namespace);
        // Runs started in an attempt whose status could not be written; the next attempt must record them.
        let mut started: HashMap<String, DecisionRecord> = HashMap::new();
        let mut ask_runs = ask_runs;
        // The trigger as it was just written.
        let mut written = None;
        for _ in 0..ATTEMPTS {
            let fresh = match written.take() {
                Some(written) => Some(written),
                None => self.cluster.in_time("read a trigger", api.get_opt(&trigger.name)).await?,
            };
            let Some(fresh) = fresh.filter(|fresh| fresh.metadata.uid.as_deref() == Some(trigger.uid.as_str())) else {
                return Ok(());
            };
            let mut fresh = Trigger::read(&fresh)?;
            let before = fresh.status.clone();
            let mut events = Vec::new();
            fresh.status = fresh.with_condition(found.ready(&fresh, around), (self.clock)());
            around.answers.clone_from(&fresh.answers);
            if fresh.is_valid() {
                fresh.status.make_room(&found.uids());
                // First, so that there is room for what waits now.
                if fresh.spec.target == trigger.spec.target {
                    for record in found.gone(&fresh, (self.clock)()) {
                        fresh.tell(record, &mut events);
                    }
                }
                for (workload, seen) in &found.workloads {
                    if watches(&fresh.spec, workload) {
                        // The spec may be newer than the one that was looked with.
                        let newer = (fresh.spec.when != trigger.spec.when)
                            .then(|| Seen::look(&fresh.spec.when, &workload.object));
                        let seen = newer.as_ref().unwrap_or(seen);
                        self.act(&mut fresh, (workload, seen), around, &mut started, &mut events).await?;
                    }
                }
            }
            if ask_runs {
                self.ask_for_verdicts(&mut fresh, &mut events).await;
            }
            if fresh.status == before {
                return Ok(());
            }
            match self.write(&fresh).await {
                Ok(now) => {
                    let starts = events.iter().any(is_about_to_start);
                    events.into_iter().for_each(|event| (self.sink)(event));
                    if !starts {
                        return Ok(());
                    }
                    // What is about to start is written down, and need not wait for the next pass.
                    started.clear();
                    ask_runs = false;
                    written = Some(now);
                }
                Err(pilothouse_cluster::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended { name: trigger.name.clone(), attempts: ATTEMPTS })
    }

    async fn act(
        &mut self,
        trigger: &mut Trigger,
        (workload, seen): (&Workload, &Seen),
        around: &mut Surroundings,
        started: &mut HashMap<String, DecisionRecord>,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let facts = self.facts(trigger, workload, seen, around);
        let mut decision = decide::decide(&facts);
        if decision == Decision::Nothing {
            return Ok(());
        }
        if let Some(record) = started.get(&workload.uid) {
            let settled = decide::settled(&facts);
            trigger.status.settle(settled);
            trigger.tell(record.clone(), events);
            return Ok(());
        }
        if let Decision::Fire { run, .. } = &decision
            && self.is_held(run)
        {
            return Ok(());
        }
        // What settles a state, or notes a change for the first time, looks at the API server's own first: a picture that
        // lags would take what is past for a change. Only there, too, are the fields' managers, which tell a run's own
        // changes.
        let waits = matches!(decision, Decision::Wait { .. }) && facts.known().is_some();
        let settles = !waits && facts.settled().is_some();
        let newest = if settles { self.newest(workload).await? } else { None };
        if settles {
            let same = newest.as_ref().is_some_and(|newest| {
                newest.own_revision == workload.own_revision && Seen::look(&trigger.spec.when, &newest.object) == *seen
            });
            if !same {
                self.postponed.insert(workload.uid.clone());
                self.rest = self.rest.min(DEBOUNCE);
                return Ok(());
            }
        }
        let workload = newest.as_ref().unwrap_or(workload);
        let facts = self.facts(trigger, workload, seen, around);
        if newest.is_some() {
            decision = decide::decide(&facts);
        }
        let record = decide::leaves(&facts, &decision);
        let settled = decide::settled(&facts);
        match decision {
            Decision::Nothing => {}
            Decision::Settle | Decision::Pass { .. } => {
                trigger.status.settle(settled);
                if let Some(record) = record {
                    trigger.tell(record, events);
                }
            }
            Decision::Wait { until, .. } => {
                if let Some(record) = record {
                    trigger.tell(record, events);
                }
                self.rest_until(until);
            }
            Decision::Fire { run, .. } => {
                let Some(fired) = record else { return Ok(()) };
                let offer = decide::is_offer(&trigger.status, &run);
                match in_time(self.launcher.launch(&trigger.launch(&run))).await {
                    Ok(launched) => {
                        self.held.remove(&run);
                        tracing::info!(trigger = trigger.name, run, already = launched == Launched::Already, "fired");
                        started.insert(workload.uid.clone(), fired.clone());
                        let owner = (trigger.uid.clone(), workload.uid.clone());
                        around.open.push(OpenRun {
                            run: run.clone(),
                            trigger: owner.0.clone(),
                            workload: owner.1.clone(),
                        });
                        self.started.insert(run, (owner.0, owner.1, Instant::now()));
                        // An offer that is taken up moves nothing: its state was settled when it was made.
                        if fired.change != state_of(&trigger.status, workload, trigger) {
                            trigger.status.settle(settled);
                        }
                        trigger.tell(fired, events);
                    }
                    Err(error) => {
                        let record = decide::unstarted(&facts, &fired, &error);
                        if error.retry {
                            self.held.insert(run, Instant::now() + LAUNCH_AGAIN);
                            self.rest = self.rest.min(LAUNCH_AGAIN);
                            if offer {
                                let words = format!("a missed change cannot be run yet: {error}");
                                self.tell_trouble(trigger, words);
                            }
                        } else if !offer {
                            trigger.status.settle(settled);
                        }
                        if let Some(record) = record {
                            trigger.tell(record, events);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A workload as the API server holds it now, if it is still the same one.
    async fn newest(&self, workload: &Workload) -> Result<Option<Workload>> {
        let api = self.cluster.api(&kind_of(workload.kind), &workload.namespace);
        let now = self.cluster.in_time("read a workload", api.get_opt(&workload.name)).await?;
        let now = now.and_then(|object| serde_json::to_value(&object).ok());
        Ok(now.map(|object| Workload::read(workload.kind, object)).filter(|now| now.uid == workload.uid))
    }

    /// Stops the runs of a trigger that have not ended.
    pub(super) async fn stop_runs(&mut self, trigger: &Trigger) {
        for run in trigger.status.open_runs().into_keys() {
            if self.stopped.contains(run) {
                continue;
            }
            match in_time(self.launcher.stop(&trigger.launch(run))).await {
                Ok(()) => {
                    self.stopped.insert(run.to_owned());
                }
                Err(error) => self.tell_once(trigger, format!("{run} cannot be stopped: {error}")),
            }
        }
    }

    async fn ask_for_verdicts(&mut self, trigger: &mut Trigger, events: &mut Vec<Event>) {
        let open: Vec<String> = trigger.status.open_runs().into_keys().map(str::to_owned).collect();
        for run in open {
            let verdict = match in_time(self.launcher.state(&trigger.launch(&run))).await {
                Ok(RunState::Open) => continue,
                Ok(RunState::Ended(verdict)) => verdict,
                Ok(RunState::Gone) => "Gone".to_owned(),
                Err(error) => {
                    if error.retry {
                        tracing::debug!(run, %error, "cannot tell how the run stands");
                    } else {
                        self.tell_once(trigger, format!("how {run} stands cannot be told: {error}"));
                    }
                    continue;
                }
            };
            trigger.status.ended(&run, &verdict);
            events.push(Event::Ended {
                namespace: trigger.namespace.clone(),
                trigger: trigger.name.clone(),
                run,
                verdict,
            });
        }
    }

    async fn write(&self, trigger: &Trigger) -> std::result::Result<DynamicObject, pilothouse_cluster::Error> {
        let api = self.cluster.api(&kinds::EVENT_TRIGGER, &trigger.namespace);
        let patch = json!({
            "metadata": {"resourceVersion": trigger.version, "uid": trigger.uid},
            "status": trigger.status,
        });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let request = api.patch_status(&trigger.name, &parameters, &patch);
        self.cluster.in_time("write a trigger's status", request).await
    }
}

/// Whether a decision notes a run that is to be created next.
fn is_about_to_start(event: &Event) -> bool {
    let Event::Decided { record, .. } = event else { return false };
    record.decision == Outcome::Waited && record.reason == ABOUT_TO_START
}

/// The digest of what is settled for a workload; empty when nothing is.
fn state_of(status: &crate::spec::TriggerStatus, workload: &Workload, trigger: &Trigger) -> String {
    let settled = status.observed_of(&workload.uid);
    settled.map(|one| decide::state_digest(&trigger.spec, &one.images, &one.facts)).unwrap_or_default()
}
