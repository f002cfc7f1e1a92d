//! Going back to an earlier deploy: the same choices again, from what its run carried.

use jiff::Timestamp;

use super::plan::{AppChoice, Choices};
use crate::environment::environment;
use crate::objects::Objects;
use crate::runs::{Run, RunKind};
use crate::{Error, Result};

/// An earlier deploy as choices for a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// The run.
    pub run: Run,
    /// The choices: tag, digest and override of then. An application the run did not carry stays as it is now.
    pub choices: Choices,
    /// What is not as it was then, in words.
    pub notes: Vec<String>,
    /// The commit of the values repository that Argo CD deployed then, by application; none where it does not say.
    pub values: Vec<(String, Option<String>)>,
}

/// An earlier deploy run as choices.
///
/// # Errors
/// An unknown flow, environment or run; a run whose payload cannot be read.
pub fn rollback(objects: &Objects, flow: &str, environment_name: &str, run: &str) -> Result<Rollback> {
    let found = environment(objects, flow, environment_name)?;
    let run = found
        .runs
        .iter()
        .find(|one| one.name == run)
        .cloned()
        .ok_or_else(|| Error::Unknown { what: "deploy run", name: run.to_owned() })?;
    if run.kind != RunKind::Deploy || run.carried.is_empty() {
        return Err(Error::Choice(format!("`{}` does not say what it deployed", run.name)));
    }
    let mut notes = Vec::new();
    let mut applications = Vec::new();
    let mut values = Vec::new();
    for app in &found.applications {
        let now = app.values_override.stored.unwrap_or(app.values_override.live);
        let Some(then) = run.carried.iter().find(|one| one.application == app.name) else {
            notes.push(format!("{} was not part of that deploy; it stays at what is deployed now.", app.name));
            let tag = app.version.clone().unwrap_or_default();
            applications.push(AppChoice {
                application: app.name.clone(),
                tag,
                values_override: now,
                digest: app.digest.clone(),
            });
            continue;
        };
        let in_stream = app.tags.find(&then.tag);
        match (&then.digest, in_stream) {
            (Some(digest), Some(tag)) if tag.digest.as_ref().is_some_and(|new| new != digest) => notes.push(format!(
                "{} {} was built again since; the image of then is deployed, by its digest.",
                app.name, then.tag
            )),
            (_, None) => notes.push(format!(
                "{} {} is not in the image stream any more; whether the registry still has the image is not known here.",
                app.name, then.tag
            )),
            _ => {}
        }
        if then.values_override.is_none() {
            notes.push(format!(
                "That deploy was automatic and left the values override of {} as it was; what it was is not known, so it \
                 stays as it is now.",
                app.name
            ));
        }
        applications.push(AppChoice {
            application: app.name.clone(),
            tag: then.tag.clone(),
            values_override: then.values_override.unwrap_or(now),
            digest: then.digest.clone(),
        });
        if then.values_override.unwrap_or(true) {
            values.push((app.name.clone(), values_then(objects, flow, environment_name, &app.name, &then.tag, &run)));
        }
    }
    for gone in run.carried.iter().filter(|one| found.applications.iter().all(|app| app.name != one.application)) {
        notes.push(format!("{} is not an application of the flow any more; it is left out.", gone.application));
    }
    Ok(Rollback { run, choices: Choices { applications }, notes, values })
}

/// The commit of the values repository that was synced while the run ran: it waits for the sync's end.
fn values_then(
    objects: &Objects,
    flow: &str,
    environment: &str,
    application: &str,
    tag: &str,
    run: &Run,
) -> Option<String> {
    let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let from = time(&run.started).or_else(|| time(&run.created))?.as_second();
    let to = time(&run.finished)?.as_second();
    let live = objects.application(flow, environment, application)?;
    let within = |at: &Option<String>| time(at).is_some_and(|at| (from..=to).contains(&at.as_second()));
    let mut syncs = live.history.iter().rev().filter(|one| within(&one.ended) && one.tag.as_deref() == Some(tag));
    // Times are whole seconds: a sync of values right after the run may end in the run's last second too. It began
    // there as well, and the run's own sync is the earlier one.
    let earlier = |at: &Option<String>| time(at).is_some_and(|at| at.as_second() < to);
    let own = syncs.clone().find(|one| earlier(&one.started)).or_else(|| syncs.next_back())?;
    own.values_revision.clone()
}
