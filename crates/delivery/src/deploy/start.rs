//! Starting and ending runs. Each write looks at the API server at the moment of writing.

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use pilothouse_cluster::{Cluster, Error as ClusterError, explain, kinds};
use serde_json::{Value, json};

use super::changes::changes;
use super::ending::clean_means;
use super::plan::{Choices, Plan, plan};
use super::render::{SHOWN, render, render_clean, shown_digest};
use super::run_details::get_run;
use crate::objects::{Application, Objects, PipelineRun, Stage, TriggerTemplate};
use crate::runs::{FLOW_LABEL, belongs, run_view};
use crate::writes::list;
use crate::{Error, Result};

/// How often a write is made again on an object that changed meanwhile.
const TRIES: usize = 6;
/// The pause before the API server is asked again what it did not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts a deploy of an environment and answers the PipelineRun's name. The plan is made again from `objects`, and the
/// API server is asked whether a run is in progress and what the TriggerTemplate holds now. `seen` is the
/// [`shown_digest`] of what the user saw.
///
/// # Errors
/// [`Error::PreviewStale`] when the run or what it changes is not what was seen; [`Error::Busy`], an incomplete or unsafe choice, an unusable TriggerTemplate, or what the API server says.
pub async fn start_deploy(
    cluster: &Cluster,
    namespace: &str,
    objects: &Objects,
    flow: &str,
    environment: &str,
    choices: &Choices,
    seen: Option<&str>,
) -> Result<String> {
    let plan: Plan = plan(objects, flow, environment, choices)?;
    let template = template(cluster, namespace, &plan.template).await?;
    if let Some(seen) = seen
        && shown_digest(&template, &plan, namespace, &changes(objects, &plan)?)? != seen
    {
        return Err(Error::PreviewStale { what: format!("what would be deployed to `{flow}/{environment}`") });
    }
    start(cluster, namespace, flow, environment, |suffix| render(&template, &plan, namespace, suffix)).await
}

/// Starts a run that removes what is deployed in an environment, and answers its name. The stage, the template and the
/// Applications come from the API server. `seen` is the [`Ending::shown_digest`] of what the user saw.
///
/// # Errors
/// As [`start_deploy`]; also when the environment names no clean template.
///
/// [`Ending::shown_digest`]: super::Ending::shown_digest
pub async fn start_clean(
    cluster: &Cluster,
    namespace: &str,
    objects: &Objects,
    flow: &str,
    environment: &str,
    seen: Option<&str>,
) -> Result<String> {
    let stages: Vec<Stage> = list(cluster, &kinds::STAGE, namespace, None).await?.iter().map(Stage::read).collect();
    let stage = stages
        .iter()
        .find(|stage| stage.pipeline == flow && stage.name == environment)
        .ok_or_else(|| Error::Unknown { what: "environment", name: environment.to_owned() })?;
    let name = stage
        .clean_template
        .as_deref()
        .ok_or_else(|| Error::Unknown { what: "clean template of", name: environment.to_owned() })?;
    let template = template(cluster, namespace, name).await?;
    if let Some(seen) = seen {
        let applications = applications_now(cluster, namespace, objects, flow).await?;
        let now = Objects { stages: stages.clone(), applications, ..objects.clone() };
        let run = render_clean(&template, stage, namespace, SHOWN)?;
        if clean_means(&now, flow, environment)?.shown_digest(Some(&run)) != seen {
            return Err(Error::PreviewStale { what: format!("what a clean run of `{flow}/{environment}` removes") });
        }
    }
    start(cluster, namespace, flow, environment, |suffix| render_clean(&template, stage, namespace, suffix)).await
}

/// The flow's Applications as the API server has them; who may not list them keeps what is known.
async fn applications_now(
    cluster: &Cluster,
    namespace: &str,
    objects: &Objects,
    flow: &str,
) -> Result<Vec<Application>> {
    const FLOW: &str = "app.edp.epam.com/pipeline";
    let found = match list(cluster, &kinds::APPLICATION, namespace, Some(&format!("{FLOW}={flow}"))).await {
        Ok(found) => found,
        Err(Error::Cluster(ClusterError::Forbidden { .. } | ClusterError::NotFound { .. })) => {
            return Ok(objects.applications.clone());
        }
        Err(error) => return Err(error),
    };
    let others = objects.applications.iter().filter(|one| one.meta.label(FLOW) != Some(flow)).cloned();
    Ok(found.iter().map(Application::read).chain(others).collect())
}

/// Creates a run unless another is in progress.
///
/// A look before the write is not enough: two people who start at once both see none. The API server keeps only one
/// thing apart, an object's name. So the four letters at its end follow from the runs that were seen, and who saw the
/// same runs asks for the same name: one of them is let through. Somebody who does not do so, the portal, is looked for
/// once more after the write, and the run that came later is taken back before it changes anything.
async fn start(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
    render: impl Fn(&str) -> Result<Value>,
) -> Result<String> {
    let api = cluster.api(&kinds::PIPELINE_RUN, namespace);
    let seen = runs(cluster, namespace, flow, environment).await?;
    refuse_if_busy(&seen, None)?;
    let mut uids: Vec<&str> = seen.iter().map(|run| run.meta.uid.as_str()).collect();
    uids.sort_unstable();
    for attempt in 0..TRIES {
        let run = render(&suffix(&format!("{namespace}/{flow}/{environment}/{}/{attempt}", uids.join(","))))?;
        let run: DynamicObject = serde_json::from_value(run).map_err(|error| Error::Template {
            name: "PipelineRun".to_owned(),
            why: format!("the object made from it is not well formed: {error}"),
        })?;
        let name = run.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &run).await.map_err(|error| explain(&error)) {
            Ok(made) => {
                let made = PipelineRun::read(&made);
                withdraw_unless_first(cluster, namespace, flow, environment, &made).await?;
                return Ok(name);
            }
            Err(ClusterError::Conflict { exists: true, .. }) => {
                // Somebody was quicker with the very same name; an old run of that name would have been seen.
                let now = runs(cluster, namespace, flow, environment).await?;
                refuse_if_busy(&now, None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Refused("no free name for the run was found; try again".to_owned()))
}

async fn withdraw_unless_first(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
    made: &PipelineRun,
) -> Result<()> {
    let mut looked = runs(cluster, namespace, flow, environment).await;
    for _ in 1..TRIES {
        if looked.is_ok() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        looked = runs(cluster, namespace, flow, environment).await;
    }
    let now = looked.map_err(|error| {
        Error::HalfDone(format!(
            "the run `{}` was started, but whether another was started at the same moment is not certain: {error}. Look \
             at the environment's runs",
            made.meta.name
        ))
    })?;
    let earlier: Vec<PipelineRun> = now
        .into_iter()
        // Times are whole seconds: of two in the same one, ours steps back.
        .filter(|run| run.meta.uid != made.meta.uid && run.meta.created <= made.meta.created)
        .collect();
    let Err(busy) = refuse_if_busy(&earlier, None) else { return Ok(()) };
    let api = cluster.api(&kinds::PIPELINE_RUN, namespace);
    let mut last = None;
    for _ in 0..TRIES {
        match set_status(&api, &made.meta.name, &made.meta.uid, "Cancelled").await {
            // Where it is not there any more, somebody else took it away.
            Ok(_) | Err(ClusterError::NotFound { .. }) => return Err(busy),
            // The run's controller writes into it too.
            Err(error @ ClusterError::Conflict { .. }) => last = Some(error),
            Err(error) => {
                last = Some(error);
                break;
            }
        }
    }
    let why = last.map(|error| format!(": {error}")).unwrap_or_default();
    let name = &made.meta.name;
    Err(Error::HalfDone(format!("{busy}, and the run `{name}` that was begun beside it could not be taken back{why}")))
}

/// Sets `spec.status` of the run `uid`. Who may update but not patch writes the whole object, if it is still as it was
/// read. Answers false when the name belongs to another run by now.
async fn set_status(
    api: &Api<DynamicObject>,
    name: &str,
    uid: &str,
    status: &str,
) -> std::result::Result<bool, ClusterError> {
    let patch = json!({ "metadata": { "uid": uid }, "spec": { "status": status } });
    let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.map_err(|e| explain(&e));
    let refused = match patched {
        Ok(_) => return Ok(true),
        Err(error @ ClusterError::Forbidden { .. }) => error,
        Err(error) => return Err(error),
    };
    let mut whole = api.get(name).await.map_err(|error| explain(&error))?;
    if whole.metadata.uid.as_deref() != Some(uid) {
        return Ok(false);
    }
    whole.data["spec"]["status"] = json!(status);
    match api.replace(name, &PostParams::default(), &whole).await.map_err(|error| explain(&error)) {
        Ok(_) => Ok(true),
        Err(error @ (ClusterError::Conflict { .. } | ClusterError::Invalid { .. })) => Err(error),
        // The first refusal names the right that is usual.
        Err(_) => Err(refused),
    }
}

async fn runs(cluster: &Cluster, namespace: &str, flow: &str, environment: &str) -> Result<Vec<PipelineRun>> {
    let found = list(cluster, &kinds::PIPELINE_RUN, namespace, Some(&format!("{FLOW_LABEL}={flow}"))).await?;
    Ok(found.iter().map(PipelineRun::read).filter(|run| belongs(run, flow, environment)).collect())
}

fn refuse_if_busy(runs: &[PipelineRun], besides: Option<&str>) -> Result<()> {
    let running = runs.iter().find(|run| run_view(run).status.is_active() && besides != Some(run.meta.name.as_str()));
    running.map_or(Ok(()), |run| Err(Error::Busy { run: run.meta.name.clone() }))
}

/// Refuses while a deploy or clean run of the environment is in progress, asked of the API server.
pub(super) async fn refuse_while_running(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
) -> Result<()> {
    refuse_if_busy(&runs(cluster, namespace, flow, environment).await?, None)
}

/// Asks Tekton to cancel the run `seen`, by its unique id: its running task is stopped, its final tasks still run.
/// Answers false when it had ended.
///
/// # Errors
/// A run that is not there, [`Error::Changed`] when it is another of its name by now, or what the API server says.
pub async fn cancel_run(
    cluster: &Cluster,
    namespace: &str,
    flow: &str,
    environment: &str,
    name: &str,
    seen: &str,
) -> Result<bool> {
    let api = cluster.api(&kinds::PIPELINE_RUN, namespace);
    let another = || Error::Changed { what: format!("the run `{name}`") };
    let mut refused = None;
    for _ in 0..TRIES {
        let run = get_run(cluster, namespace, flow, environment, name).await?;
        if run.meta.uid != seen {
            return Err(another());
        }
        if !run_view(&run).status.is_active() {
            return Ok(false);
        }
        match set_status(&api, name, seen, "CancelledRunFinally").await {
            Ok(true) => return Ok(true),
            Ok(false) => return Err(another()),
            Err(error @ (ClusterError::Conflict { .. } | ClusterError::Invalid { .. })) => {
                // Tekton takes no change of a run that has ended; the next look says whether it has.
                refused = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or_else(another, Error::from))
}

async fn template(cluster: &Cluster, namespace: &str, name: &str) -> Result<TriggerTemplate> {
    let found =
        cluster.api(&kinds::TRIGGER_TEMPLATE, namespace).get_opt(name).await.map_err(|error| explain(&error))?;
    let found = found.ok_or_else(|| Error::Unknown { what: "TriggerTemplate", name: name.to_owned() })?;
    Ok(TriggerTemplate::read(&found))
}

/// Four letters and digits that follow from `from` (FNV-1a), of those that Kubernetes' own names end in: no vowels, so
/// no words.
fn suffix(from: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = from
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The low bits of FNV are its weak ones.
    hash ^= hash >> 32;
    (0..4)
        .map(|_| {
            let place = usize::try_from(hash % 27).unwrap_or_default();
            hash /= 27;
            char::from(LETTERS[place])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_saw_the_same_asks_for_the_same_name() {
        assert_eq!(suffix("krci/shop/dev//0"), suffix("krci/shop/dev//0"));
        let all: std::collections::BTreeSet<String> =
            (0..200).map(|n| suffix(&format!("krci/shop/dev//{n}"))).collect();
        assert!(all.len() > 195, "{} of 200", all.len());
        assert!(all.iter().all(|one| one.len() == 4));
    }
}
