//! Flows, environments and releases where Argo CD alone deploys: what the platform's objects say elsewhere follows from
//! the places of the Applications.

use std::collections::{BTreeMap, BTreeSet};

use super::convention::{Convention, Placed, rank};
use crate::environment::{ApplicationState, Environment, Note, health, state, sync};
use crate::flows::{EnvironmentSummary, Flow, Release};
use crate::objects::{Application, Objects};
use crate::tags::{TagList, TagSource};
use crate::{Error, Result};

/// The cluster that Argo CD itself runs in, by its name.
pub(crate) const OWN_CLUSTER: &str = "in-cluster";
/// The same, by its address.
pub(crate) const OWN_SERVER: &str = "https://kubernetes.default.svc";

/// Health words, worst first.
const WORST: [&str; 6] = ["Degraded", "Missing", "Unknown", "Progressing", "Suspended", "Healthy"];

/// The version that an Application is set to: its image's tag where it passes one, else its chart's version or revision.
pub fn version(application: &Application, chart: usize) -> String {
    let source = application.sources.get(chart);
    // Of several of one name Helm goes by the last.
    let tag = source.and_then(|source| source.parameters.iter().rfind(|(name, _)| name == "image.tag"));
    match (tag, source.map(|source| source.target_revision.as_str())) {
        (Some((_, tag)), _) if !tag.is_empty() => tag.clone(),
        (_, Some(revision)) if !revision.is_empty() => revision.to_owned(),
        _ => "HEAD".to_owned(),
    }
}

/// The commit of the values repository that is deployed.
fn deployed_values(application: &Application, values: usize) -> Option<String> {
    // Revisions of an earlier deploy of other sources say nothing of the values.
    let all = &application.deployed_revisions;
    (all.len() == application.sources.len()).then(|| all.get(values).cloned())?
}

/// The cluster that an Application goes to, as people call it.
fn cluster(application: &Application) -> &str {
    match application.cluster.as_str() {
        "" | OWN_SERVER => OWN_CLUSTER,
        other => other,
    }
}

fn joined<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.filter(|one| !one.is_empty()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

fn worst<'a>(all: impl Iterator<Item = &'a Application>) -> String {
    let place = |word: &str| WORST.iter().position(|one| *one == word).unwrap_or(2);
    let found = all.map(|one| health(one).status).min_by_key(|word| place(word));
    found.unwrap_or_else(|| "Unknown".to_owned())
}

/// `Manual`, `Auto`, or which applications Argo CD deploys by itself.
fn trigger(all: &[(&Placed, &Application)]) -> String {
    let own: Vec<&str> = all
        .iter()
        .filter(|(_, application)| application.automated.is_some())
        .map(|(placed, _)| placed.place.application.as_str())
        .collect();
    match own.len() {
        0 => "Manual".to_owned(),
        count if count == all.len() => "Auto".to_owned(),
        1 | 2 => format!("automatically for {}, else by hand", own.join(" and ")),
        count => format!("automatically for {count} of {}, else by hand", all.len()),
    }
}

type Applications<'a> = Vec<(&'a Placed, &'a Application)>;
type Environments<'a> = Vec<(&'a str, Applications<'a>)>;

/// The flows with their environments on the way to production, each with its applications by name.
fn grouped<'a>(objects: &'a Objects, convention: &'a Convention) -> BTreeMap<&'a str, Environments<'a>> {
    let mut flows: BTreeMap<&str, BTreeMap<(u8, &str), Applications<'_>>> = BTreeMap::new();
    for placed in convention.all() {
        let Some(application) = objects.applications.get(placed.at) else { continue };
        let environment = placed.place.environment.as_str();
        let of = flows.entry(placed.place.flow.as_str()).or_default();
        of.entry((rank(environment), environment)).or_default().push((placed, application));
    }
    let named = |all: BTreeMap<(u8, &'a str), Applications<'a>>| {
        all.into_iter().map(|((_, name), applications)| (name, applications)).collect()
    };
    flows.into_iter().map(|(flow, all)| (flow, named(all))).collect()
}

fn number(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// The flows.
pub(crate) fn flows(objects: &Objects, convention: &Convention) -> Vec<Flow> {
    let flow = |(name, environments): (&str, Environments<'_>)| Flow {
        name: name.to_owned(),
        description: None,
        status: worst(environments.iter().flat_map(|(_, all)| all.iter().map(|(_, one)| *one))),
        message: None,
        applications: {
            let all = environments.iter().flat_map(|(_, all)| all.iter().map(|(placed, _)| &placed.place.application));
            all.map(ToString::to_string).collect::<BTreeSet<_>>().into_iter().collect()
        },
        environments: environments
            .iter()
            .enumerate()
            .map(|(place, (name, all))| EnvironmentSummary {
                name: (*name).to_owned(),
                order: number(place),
                namespace: joined(all.iter().map(|(_, one)| one.namespace.as_str())),
                cluster: joined(all.iter().map(|(_, one)| cluster(one))),
                trigger_type: trigger(all),
                status: worst(all.iter().map(|(_, one)| *one)),
                applications: all.iter().map(|(placed, _)| placed.place.application.to_string()).collect(),
            })
            .collect(),
    };
    grouped(objects, convention).into_iter().map(flow).collect()
}

fn notes(application: &Application, placed: &Placed) -> Vec<Note> {
    let mut notes = Vec::new();
    let file = placed.place.file();
    if !placed.others.is_empty() {
        notes.push(Note {
            code: "sharedFile",
            message: format!(
                "{file} is read by {} too. A change of it reaches all of them; what is shown here is {}/{}.",
                placed.others.join(", "),
                application.meta.namespace,
                application.meta.name
            ),
        });
    }
    if application.meta.deleting {
        let name = &application.meta.name;
        notes.push(Note { code: "deleting", message: format!("The Application {name} is being deleted.") });
    }
    notes
}

fn application_state(application: &Application, placed: &Placed) -> ApplicationState {
    let tags = TagList { source: TagSource::None, ..TagList::default() };
    let mut found = state(placed.place.application.as_str(), Some(application), None, tags);
    found.version = Some(version(application, placed.place.chart));
    found.sync = sync(application, true);
    found.deployed_values = deployed_values(application, placed.place.values);
    found.notes = notes(application, placed);
    found.why_no_sync = super::why_no_sync(application);
    found
}

/// An environment.
pub(crate) fn environment(
    objects: &Objects,
    convention: &Convention,
    flow: &str,
    environment: &str,
) -> Result<Environment> {
    let unknown = |what, name: &str| Error::Unknown { what, name: name.to_owned() };
    let mut flows = grouped(objects, convention);
    let environments = flows.remove(flow).ok_or_else(|| unknown("deployment flow", flow))?;
    let place = environments.iter().position(|(name, _)| *name == environment);
    let place = place.ok_or_else(|| unknown("environment", environment))?;
    let all = &environments[place].1;
    Ok(Environment {
        flow: flow.to_owned(),
        name: environment.to_owned(),
        order: number(place),
        namespace: joined(all.iter().map(|(_, one)| one.namespace.as_str())),
        cluster: joined(all.iter().map(|(_, one)| cluster(one))),
        trigger_type: trigger(all),
        trigger_template: String::new(),
        clean_template: None,
        status: worst(all.iter().map(|(_, one)| *one)),
        message: None,
        applications: all.iter().map(|(placed, one)| application_state(one, placed)).collect(),
        runs: Vec::new(),
        busy: None,
    })
}

/// Every application in every environment.
pub(crate) fn releases(objects: &Objects, convention: &Convention) -> Vec<Release> {
    let mut out = Vec::with_capacity(objects.applications.len());
    for (flow, environments) in grouped(objects, convention) {
        for (place, (environment, all)) in environments.into_iter().enumerate() {
            for (placed, application) in all {
                let (health, sync) = (health(application), sync(application, true));
                let syncing = application.operation.as_ref().is_some_and(|one| one.phase == "Running");
                out.push(Release {
                    flow: flow.to_owned(),
                    environment: environment.to_owned(),
                    order: number(place),
                    namespace: application.namespace.clone(),
                    application: placed.place.application.to_string(),
                    version: Some(version(application, placed.place.chart)),
                    values_override: true,
                    deployed_values: deployed_values(application, placed.place.values),
                    values_revision: Some(application.sources[placed.place.values].target_revision.clone()),
                    health: health.status,
                    health_why: health.message,
                    sync: sync.status,
                    sync_why: sync.why,
                    busy: syncing || application.asked,
                });
            }
        }
    }
    out
}
