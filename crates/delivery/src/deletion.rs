//! Deleting the GitOps repository: what refers to it, what goes with it, what stays behind, and in which steps.
//!
//! The platform's admission rule protects a Codebase that a CDPipeline lists as an application; the GitOps repository
//! never is, so nothing but this page stands before its deletion.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::objects::{Codebase, Objects, PROTECTED};
use crate::repository::{is_at, readers, values_sources};

/// What refers to the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferrerKind {
    /// A deployment flow with the values override on somewhere.
    Flow,
    /// An ApplicationSet that holds its address.
    ApplicationSet,
    /// An Application that reads a file of it now.
    Application,
    /// A chaos project whose workflows are in it.
    ChaosProject,
}

/// One that refers to the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// What it is.
    pub kind: ReferrerKind,
    /// Its name.
    pub name: String,
    /// What becomes of it, in a sentence.
    pub what: String,
}

/// A step of the deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepId {
    /// See what refers to it.
    Referrers,
    /// See what stays behind.
    Remains,
    /// Delete the provider's repository, or leave it.
    Provider,
    /// Delete the Codebase.
    Codebase,
    /// Follow the operator's cleaning up.
    Cleanup,
}

/// A step, and why it cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub id: StepId,
    /// Whether it may be left out.
    pub optional: bool,
    /// Why it cannot be taken.
    pub blocked: Option<String>,
}

/// How a repository is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The Codebase.
    pub name: String,
    /// Its unique id: another Codebase of the same name is never deleted in its stead.
    pub uid: String,
    /// Why it cannot be deleted.
    pub refused: Option<String>,
    /// What refers to it.
    pub referrers: Vec<Referrer>,
    /// What goes with it, in sentences.
    pub goes: Vec<String>,
    /// What stays behind, in sentences.
    pub stays: Vec<String>,
    /// `owner/repository` at the provider: what has to be typed to delete it there too.
    pub full_name: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// Who else uses the repository and is unknown to delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaosUser {
    /// The project's id.
    pub id: String,
    /// Its namespace.
    pub namespace: String,
}

/// Plans the deletion of `codebase`. `chaos` are the chaos projects whose workflows live in this repository;
/// `provider_refusal` says why its repository at the provider cannot be deleted from here.
pub fn plan(objects: &Objects, codebase: &Codebase, chaos: &[ChaosUser], provider_refusal: Option<String>) -> Deletion {
    let refused = refusal(objects, codebase);
    let referrers = referrers(objects, codebase, chaos);
    let step = |id, optional, blocked| Step { id, optional, blocked };
    let steps = vec![
        step(StepId::Referrers, false, None),
        step(StepId::Remains, false, None),
        step(StepId::Provider, true, refused.clone().or(provider_refusal)),
        step(StepId::Codebase, false, refused.clone()),
        step(StepId::Cleanup, false, refused.clone()),
    ];
    Deletion {
        name: codebase.meta.name.clone(),
        uid: codebase.meta.uid.clone(),
        goes: goes(codebase),
        stays: stays(objects, codebase, &referrers),
        full_name: full_name(codebase),
        refused,
        referrers,
        steps,
    }
}

/// `owner/repository`.
pub fn full_name(codebase: &Codebase) -> String {
    let bare = codebase.git_url_path.trim_matches('/');
    bare.strip_suffix(".git").unwrap_or(bare).to_owned()
}

fn refusal(objects: &Objects, codebase: &Codebase) -> Option<String> {
    let name = &codebase.meta.name;
    if codebase.meta.deleting {
        return Some(format!("`{name}` is being deleted already."));
    }
    if codebase.is_protected_from("delete") {
        return Some(format!("The label {PROTECTED} forbids to delete `{name}`. Take the label away first."));
    }
    // As the operator's webhook refuses it (pkg/webhook/usage_error.go).
    let users: Vec<&str> = objects
        .pipelines
        .iter()
        .filter(|flow| flow.applications.contains(name))
        .map(|flow| flow.meta.name.as_str())
        .collect();
    (!users.is_empty()).then(|| {
        format!(
            "`{name}` is an application of {}; the platform refuses to delete what a flow deploys.",
            users.join(", ")
        )
    })
}

fn referrers(objects: &Objects, codebase: &Codebase, chaos: &[ChaosUser]) -> Vec<Referrer> {
    let who = readers(objects, codebase);
    let mut found = Vec::new();
    let mut add = |kind, name: &str, what: String| found.push(Referrer { kind, name: name.to_owned(), what });
    for flow in &objects.pipelines {
        let name = &flow.meta.name;
        let on: Vec<&str> =
            who.environments.iter().filter_map(|place| place.strip_prefix(name.as_str())?.strip_prefix('/')).collect();
        if !on.is_empty() {
            let what =
                format!("The values override is on in {}; its next deploy there needs the repository.", on.join(", "));
            add(ReferrerKind::Flow, name, what);
        }
    }
    if who.sets_known {
        for set in &who.flows {
            add(
                ReferrerKind::ApplicationSet,
                set,
                "It goes on naming this repository; a new repository does not change it.".to_owned(),
            );
        }
    }
    for application in &who.applications {
        add(
            ReferrerKind::Application,
            application,
            "It reads its values file here and cannot be compared or synced once the repository cannot be read."
                .to_owned(),
        );
    }
    for project in chaos {
        add(
            ReferrerKind::ChaosProject,
            &project.id,
            format!("Its workflows in {} are in this repository; it stops syncing.", project.namespace),
        );
    }
    found.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    found
}

fn goes(codebase: &Codebase) -> Vec<String> {
    let mut said = vec![
        format!("The Codebase `{}` with its status.", codebase.meta.name),
        "Its CodebaseBranch and CodebaseImageStream, which belong to it.".to_owned(),
    ];
    match &codebase.status.webhook {
        Some(webhook) if codebase.ci_tool == "tekton" => {
            said.push(format!("The webhook {webhook} at the provider, if the platform's token may remove it; a failure is only logged."));
        }
        _ => {}
    }
    said
}

fn stays(objects: &Objects, codebase: &Codebase, referrers: &[Referrer]) -> Vec<String> {
    let mut said = vec![format!(
        "The repository {} at the provider with every values file and workflow in it, unless you delete it there too.",
        full_name(codebase)
    )];
    if codebase.status.webhook.is_some() && codebase.ci_tool != "tekton" {
        said.push("Its webhook: the platform removes webhooks of Tekton only.".to_owned());
    }
    let many = |kind| referrers.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect::<Vec<_>>();
    let sets = many(ReferrerKind::ApplicationSet);
    if !sets.is_empty() {
        said.push(format!(
            "ApplicationSets that still name it: {}. They keep its address until each is patched or made anew.",
            sets.join(", ")
        ));
    } else if objects.application_sets.is_none() && !objects.pipelines.is_empty() {
        said.push("ApplicationSets may still name it; you may not read them, so which is unknown.".to_owned());
    }
    let applications = many(ReferrerKind::Application);
    if !applications.is_empty() {
        said.push(format!("What is deployed goes on running with the values it has: {}.", applications.join(", ")));
    }
    said.push("Your clone on this computer, with the commits that were not pushed.".to_owned());
    if !objects.pipelines.is_empty() {
        said.push(
            "Without a GitOps repository the platform makes no new flows and shows none in its portal.".to_owned(),
        );
    }
    said
}

/// The Codebase to make again later: as it is now, without what the cluster and the operator added. A repository that
/// the platform has made or taken is imported, so that nothing in it is touched.
pub fn keepsake(object: &DynamicObject) -> Value {
    let codebase = Codebase::read(object);
    let labels: Map<String, Value> = codebase
        .meta
        .labels
        .iter()
        // The operator computes the hash; a lock belongs to the object that was locked.
        .filter(|(key, _)| !matches!(key.as_str(), "app.edp.epam.com/gitUrlPathHash" | PROTECTED))
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    let mut spec = object.data.get("spec").cloned().unwrap_or_else(|| json!({}));
    if codebase.is_pushed() || codebase.strategy == "import" || codebase.status.available {
        spec["strategy"] = json!("import");
    }
    json!({
        "apiVersion": "v2.edp.epam.com/v1",
        "kind": "Codebase",
        "metadata": { "name": codebase.meta.name, "labels": labels },
        "spec": spec,
    })
}

/// Whether an ApplicationSet would still read `codebase` if it were brought back.
pub fn still_reads(objects: &Objects, codebase: &Codebase) -> bool {
    let server = objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server);
    server.is_some_and(|server| {
        objects
            .application_sets
            .iter()
            .flatten()
            .flat_map(values_sources)
            .any(|source| is_at(&source.url, server, &codebase.git_url_path))
    })
}
