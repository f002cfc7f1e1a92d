//! Installing the agent, step by step. Every step is an apply, so that what was cut off anywhere is completed by doing
//! it again.

use std::{sync::Arc, time::Duration};

use kube::api::{DeleteParams, Patch, PatchParams};
use pilothouse_cluster::{Error as ClusterError, crds, kinds};
use pilothouse_git::Credential;

use super::{
    FIELD_MANAGER,
    begun::Work,
    place_setting,
    planning::{Drawn, Step, image_setting},
};
use crate::{
    App, Result,
    agent::{AGENT, ProjectNeed},
    contract::{ActivityKind, AgentChange, AgentState, AgentStatus, AppError, ErrorCode, InstallAgent, Topic},
    deploys::confirmed,
    journal::{AgentSince, Begin, End, Intent},
    operations::Operation,
    session::Live,
    values::small,
};

/// How long the agent's pods are followed. They go on without anybody looking.
const ROLLOUT: Duration = Duration::from_secs(180);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(500);

impl App {
    /// Installs the agent as it was shown, or brings it up to date; then follows its pods. Cancelling leaves what is
    /// written; doing it again completes it.
    pub async fn install_agent(&self, request: InstallAgent, operation: String) -> Result<AgentStatus> {
        let live = self.live()?;
        let app = self.arc()?;
        self.operations
            .run(operation, "Looking what is there", |operation| async move {
                let drawn = self.draw(&live, Some(request.form.clone())).await?;
                confirmed(drawn.view.confirm.is_some(), live.name(), AGENT, request.confirm.as_deref())?;
                if !drawn.view.problems.is_empty() {
                    return Err(AppError::fields(drawn.view.problems));
                }
                if drawn.view.shown != request.shown {
                    return Err(AppError::new(
                        ErrorCode::ClusterConflict,
                        "what would be installed is not what was shown any more",
                    )
                    .with_hint("look at the plan again, then install"));
                }
                if !drawn.view.missing.is_empty() {
                    return Err(AppError::new(ErrorCode::ClusterForbidden, drawn.view.missing.join(" ")));
                }
                let given = self.given_credentials(&request.hand_over, &drawn.needs.projects).await?;
                let (there, steps) = (live.clone(), operation.clone());
                // A write that was begun is followed to its end and noted as it ended; a cancel counts between two.
                let writing = tokio::spawn(async move { app.write_all(&there, drawn, given, &steps).await });
                let ended = |error| AppError::internal(format!("the installation ended early: {error}"));
                let live = writing.await.map_err(ended)??;
                self.follow(&live, &operation).await
            })
            .await
    }

    async fn write_all(
        &self,
        live: &Arc<Live>,
        drawn: Drawn,
        given: Vec<(ProjectNeed, Credential)>,
        operation: &Operation,
    ) -> Result<Arc<Live>> {
        let namespace = drawn.view.form.namespace.trim().to_owned();
        let image = drawn.view.form.image.trim().to_owned();
        self.storage.set_setting(&place_setting(live), Some(namespace.clone())).await?;
        self.storage.set_setting(&image_setting(live), Some(image.clone())).await?;
        let verb = match (&drawn.view.cut_off, drawn.view.installed) {
            (Some(_), _) => "Complete the installation of the agent",
            (None, true) => "Bring the agent up to date",
            (None, false) => "Install the agent",
        };
        let words = format!("{verb} in {namespace} with {image}");
        let begin = Begin {
            kind: ActivityKind::Cluster,
            words: words.clone(),
            context: Some(live.name().to_owned()),
            object: Some(format!("Deployment/{namespace}/{AGENT}")),
            intent: Intent::Agent { removal: false },
        };
        let entry = self.journal.enter(begin).await?;
        self.begin_work(live, Work::Install { form: drawn.view.form.clone() }).await?;
        let written = self.write_steps(live, &namespace, &drawn, &given, operation).await;
        if written.is_ok() {
            self.end_work(live, AgentSince::Ended { words, removal: false }).await;
        }
        // Also of what was cut off pages are to tell how it stands.
        self.changes.tell(Topic::Triggers);
        self.changes.tell(Topic::Chaos);
        let url = Some("/agent".to_owned());
        entry.close_with(written, |()| End { url, ..End::default() }).await?;
        self.with_kinds(live, &drawn).await
    }

    async fn write_steps(
        &self,
        live: &Live,
        namespace: &str,
        drawn: &Drawn,
        given: &[(ProjectNeed, Credential)],
        operation: &Operation,
    ) -> Result<()> {
        let last = drawn.steps.iter().position(|one| one.kind == kinds::DEPLOYMENT).unwrap_or(0);
        let total = small(drawn.steps.len() + 1);
        for (at, step) in drawn.steps.iter().enumerate() {
            operation.check()?;
            // The pods are to find their credentials.
            if at == last {
                operation.step("Writing the Secret", small(at), Some(total));
                self.hand_over(live, namespace, given, drawn).await?;
                operation.check()?;
            }
            operation.step(&label(step), small(at), Some(total));
            self.write(live, step).await?;
        }
        Ok(())
    }

    async fn write(&self, live: &Live, step: &Step) -> Result<()> {
        let api = match &step.namespace {
            Some(namespace) => live.cluster.api(&step.kind, namespace),
            None => live.cluster.api_all(&step.kind),
        };
        match (step.change, step.kind) {
            (AgentChange::Same | AgentChange::Foreign | AgentChange::Unserved, _) => Ok(()),
            (_, kinds::CRD) => {
                // It waits until the API serves them; those that are there already are left alone.
                crds::install(&live.cluster).await?;
                Ok(())
            }
            (AgentChange::Remove, _) => {
                let deleted = live.cluster.in_time("a right", api.delete(&step.name, &DeleteParams::default())).await;
                match deleted {
                    Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            (AgentChange::Create | AgentChange::Update, _) => {
                // What others changed of it was shown, and is taken back.
                let parameters = PatchParams::apply(FIELD_MANAGER).force();
                let patch = Patch::Apply(&step.manifest);
                live.cluster.in_time(&label(step), api.patch(&step.name, &parameters, &patch)).await?;
                Ok(())
            }
        }
    }

    /// The connection, made anew when the kinds came with the agent.
    async fn with_kinds(&self, live: &Arc<Live>, drawn: &Drawn) -> Result<Arc<Live>> {
        if !drawn.steps.iter().any(|one| one.kind == kinds::CRD && one.change == AgentChange::Create) {
            return Ok(live.clone());
        }
        self.reconnect(live, live.chosen_platform()).await?;
        self.live()
    }

    /// Follows the pods until they are ready or something keeps them from it. Whoever cancels now stops looking on:
    /// everything is written.
    async fn follow(&self, live: &Live, operation: &Operation) -> Result<AgentStatus> {
        let end = tokio::time::Instant::now() + ROLLOUT;
        let stopped = operation.token();
        let mut status = self.agent_status().await?;
        loop {
            operation.step("Waiting for its pods", status.ready, Some(status.replicas));
            let settled = status.state != AgentState::Starting || !status.problems.is_empty();
            if settled || live.stop.is_cancelled() || tokio::time::Instant::now() >= end {
                self.changes.tell(Topic::Triggers);
                return Ok(status);
            }
            let next = async {
                tokio::time::sleep(LOOK).await;
                self.agent_status().await
            };
            tokio::select! {
                biased;
                () = stopped.cancelled() => return Ok(status),
                next = next => status = next?,
            }
        }
    }
}

fn label(step: &Step) -> String {
    let place = step.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    let verb = match step.change {
        AgentChange::Create => "Making",
        AgentChange::Update => "Changing",
        AgentChange::Remove => "Removing",
        AgentChange::Same | AgentChange::Foreign | AgentChange::Unserved => "Leaving",
    };
    format!("{verb} {} {}{place}", step.kind.kind, step.name)
}
