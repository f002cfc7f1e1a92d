//! What chaos runs said about a release, wherever in its flow it was tested; and environments that take nothing else.
//!
//! The requirement is an annotation on the Stage: colleagues share it, `kubectl` shows it, and whoever may change the
//! environment may change it.

use std::collections::BTreeMap;

use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use pilothouse_cluster::kinds;
use pilothouse_delivery::{ApplicationState, Objects, deploy::Choices, environment, objects::Stage};
use pilothouse_triggers::spec::{Outcome, TriggerSpec};
use serde_json::json;

use crate::{
    App, Result,
    contract::{
        ActivityKind, AppError, PreflightCheck, ReleaseAsked, ReleaseVerdict, TestedRelease, Topic, Verdict,
        VerdictRequirement,
    },
    environments::of_running,
    journal::{Begin, End, Intent},
    session::Live,
    triggers::read_status,
    workflows::verdict_word,
};

/// The annotation of a Stage that takes only releases which passed.
const REQUIRES: &str = "pilothouse.dev/requires-verdict";
/// What it says then.
const PASS: &str = "Pass";

/// The repository, the tag and the digest of an image.
fn parts(image: &str) -> (&str, Option<&str>, Option<&str>) {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    match name[slash..].find(':') {
        Some(at) => (&name[..slash + at], Some(&name[slash + at + 1..]), digest),
        None => (name, None, digest),
    }
}

/// Whether an image is this release of an application, whose images lie at these repositories.
fn is_release(image: &str, repositories: &[&str], tag: &str, digest: Option<&str>) -> bool {
    let (repository, own_tag, own_digest) = parts(image);
    let same_digest = match (own_digest, digest) {
        (Some(own), Some(wanted)) => own == wanted,
        _ => true,
    };
    repositories.contains(&repository) && own_tag == Some(tag) && same_digest
}

/// A run about some images of an application.
struct Evidence {
    application: String,
    images: Vec<String>,
    tested: TestedRelease,
}

/// What is known of the environments of a flow.
struct Flow {
    environments: BTreeMap<String, Vec<ApplicationState>>,
    evidence: Vec<Evidence>,
}

impl Flow {
    /// The repositories that an application's images come from, as far as one of its environments runs it.
    fn repositories(&self, application: &str) -> Vec<&str> {
        let states = self.environments.values().flatten().filter(|one| one.name == application);
        states
            .flat_map(|one| one.images.iter().map(move |image| (parts(image), one.version.as_deref())))
            .filter(|((_, tag, _), version)| tag == version)
            .map(|((repository, ..), _)| repository)
            .collect()
    }

    /// The newest run about a release.
    fn newest(&self, application: &str, tag: &str, digest: Option<&str>) -> Option<&TestedRelease> {
        let repositories = self.repositories(application);
        self.evidence
            .iter()
            .filter(|one| one.application == application)
            .filter(|one| one.images.iter().any(|image| is_release(image, &repositories, tag, digest)))
            .map(|one| &one.tested)
            .max_by(|a, b| a.time.cmp(&b.time))
    }

    fn digest(&self, env: &str, application: &str, tag: &str) -> Option<String> {
        let state = self.environments.get(env)?.iter().find(|one| one.name == application)?;
        state.tags.find(tag).and_then(|tag| tag.digest.clone())
    }
}

fn stage<'o>(objects: &'o Objects, flow: &str, env: &str) -> Result<&'o Stage> {
    let found = objects.stage(flow, env);
    found.ok_or_else(|| AppError::not_found(format!("there is no environment {flow}/{env}")))
}

fn requires(stage: &Stage) -> bool {
    stage.meta.annotations.get(REQUIRES).is_some_and(|value| value == PASS)
}

/// Whether what runs is this release; a tag that was built anew is another one.
fn is_running((version, digest): (Option<&str>, Option<&str>), (tag, wanted): (&str, Option<&str>)) -> bool {
    version == Some(tag) && !matches!((digest, wanted), (Some(old), Some(new)) if old != new)
}

/// The applications whose release must have passed and has not, each with why.
fn unproven(found: &Flow, env: &str, choices: &Choices) -> Vec<String> {
    let runs = |application: &str| {
        let states = found.environments.get(env);
        states.and_then(|all| all.iter().find(|one| one.name == application))
    };
    let mut why = Vec::new();
    for one in &choices.applications {
        let tag = one.plain_tag();
        let digest = one.digest.clone().or_else(|| found.digest(env, &one.application, tag));
        // What runs there already is not promoted; a tag that was built anew is.
        let same = runs(&one.application).is_some_and(|state| {
            is_running((state.version.as_deref(), state.digest.as_deref()), (tag, digest.as_deref()))
        });
        if tag.is_empty() || same {
            continue;
        }
        match found.newest(&one.application, tag, digest.as_deref()) {
            Some(tested) if tested.verdict == Verdict::Pass => {}
            Some(tested) => why.push(format!(
                "the last run about {} {tag}, {} in {}, ended with {:?}",
                one.application, tested.run, tested.env, tested.verdict
            )),
            None => why.push(format!("no chaos run has tested {} {tag}", one.application)),
        }
    }
    why
}

impl App {
    /// What is known about the releases of a flow.
    fn flow_evidence(&self, live: &Live, objects: &Objects, flow: &str) -> Flow {
        let mut found = Flow { environments: BTreeMap::new(), evidence: Vec::new() };
        let runs = self.known_runs(live, None);
        let mut namespaces = BTreeMap::new();
        for stage in objects.stages.iter().filter(|one| one.pipeline == flow) {
            let Ok(env) = environment(objects, flow, &stage.name) else { continue };
            namespaces.insert(env.namespace.clone(), stage.name.clone());
            for app in &env.applications {
                let Some(mut last) = self.last_verdict(live, &runs, &env.namespace, &app.name) else { continue };
                last.of_running = of_running(&last, app);
                if last.of_running != Some(true) {
                    continue;
                }
                found.evidence.push(Evidence {
                    application: app.name.clone(),
                    images: app.images.clone(),
                    tested: TestedRelease {
                        env: stage.name.clone(),
                        verdict: last.verdict,
                        score: last.score,
                        namespace: last.namespace,
                        run: last.run,
                        time: last.finished_at.or(last.started_at),
                    },
                });
            }
            found.environments.insert(stage.name.clone(), env.applications);
        }
        for object in live.list(&kinds::EVENT_TRIGGER) {
            let spec = object.data.get("spec").cloned().unwrap_or_default();
            let Ok(spec) = serde_json::from_value::<TriggerSpec>(spec) else { continue };
            let Some(env) = namespaces.get(&spec.target.namespace) else { continue };
            for record in read_status(&object).decisions {
                let (Outcome::Fired, Some(run), Some(verdict)) = (record.decision, record.run, record.verdict) else {
                    continue;
                };
                let ended = runs.iter().find(|one| one.name == run);
                found.evidence.push(Evidence {
                    application: record.workload,
                    images: record.new_images.into_values().collect(),
                    tested: TestedRelease {
                        env: env.clone(),
                        verdict: verdict_word(&verdict),
                        score: ended.and_then(|one| one.score),
                        namespace: object.namespace().unwrap_or_default(),
                        run,
                        time: ended.and_then(|one| one.finished_at.clone()).or(Some(record.time.to_string())),
                    },
                });
            }
        }
        found
    }

    /// The newest verdict about each release that is asked for.
    pub async fn release_verdicts(
        &self,
        flow: String,
        env: String,
        releases: Vec<ReleaseAsked>,
    ) -> Result<Vec<ReleaseVerdict>> {
        let (live, platform) = self.deliverer()?;
        if platform.is_none() {
            return Ok(Vec::new());
        }
        let (app, objects) = (self.arc()?, self.objects(&live));
        crate::blocking(move || {
            let found = app.flow_evidence(&live, &objects, &flow);
            let here = found.environments.get(&env);
            let state = |name: &str| here.and_then(|all| all.iter().find(|one| one.name == name));
            let look = |asked: ReleaseAsked| {
                let state = state(&asked.application);
                let running = || state.and_then(|one| one.version.clone());
                let (tag, digest) = match asked.tag.filter(|tag| !tag.is_empty()) {
                    Some(tag) => (Some(tag.clone()), found.digest(&env, &asked.application, &tag)),
                    None => (running(), state.and_then(|one| one.digest.clone())),
                };
                let tested = tag.as_deref().and_then(|tag| found.newest(&asked.application, tag, digest.as_deref()));
                ReleaseVerdict { tested: tested.cloned(), application: asked.application, tag }
            };
            Ok(releases.into_iter().map(look).collect())
        })
        .await
    }

    /// Whether an environment takes only releases that passed.
    pub async fn verdict_requirement(&self, flow: String, env: String) -> Result<VerdictRequirement> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let stage = stage(&objects, &flow, &env)?;
        let mut can_change = self.may(&live, "patch", &kinds::STAGE, Some(&platform)).await;
        if can_change.allowed && is_first(&objects, stage) {
            let why = "It is the first of its flow: there is no environment before it in which a release could pass.";
            can_change = crate::contract::Permission { allowed: requires(stage), why: Some(why.to_owned()) };
        }
        Ok(VerdictRequirement { required: requires(stage), can_change })
    }

    /// Lets an environment take only releases that passed, or any again.
    pub async fn require_verdict(&self, flow: String, env: String, required: bool) -> Result<()> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let stage = stage(&objects, &flow, &env)?;
        if required && is_first(&objects, stage) {
            return Err(AppError::blocked(format!(
                "{env} is the first environment of {flow}, and takes every release"
            )));
        }
        let words = if required { "only takes releases that passed a chaos run" } else { "takes any release again" };
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: format!("{flow}/{env} {words}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Stage/{platform}/{}", stage.meta.name)),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let value = if required { json!(PASS) } else { json!(null) };
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { REQUIRES: value } } }));
        let api = live.cluster.api(&kinds::STAGE, &platform);
        let parameters = PatchParams::default();
        let patched = api.patch(&stage.meta.name, &parameters, &patch);
        let outcome = live.cluster.in_time("the environment", patched).await;
        let url = Some(format!("/environments/{flow}/{env}"));
        entry.close_with(outcome.map_err(AppError::from), |_| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }

    /// The check before a deploy into an environment that takes only releases which passed. Going back to what ran
    /// there before is told, and not held up.
    pub(crate) async fn verdict_check(
        &self,
        objects: &Objects,
        (flow, env): (&str, &str),
        choices: &Choices,
        going_back: bool,
    ) -> Result<Option<PreflightCheck>> {
        if !objects.stage(flow, env).is_some_and(requires) {
            return Ok(None);
        }
        let live = self.live()?;
        let why = unproven(&self.flow_evidence(&live, objects, flow), env, choices);
        Ok(Some(PreflightCheck {
            id: "verdict".to_owned(),
            label: "Every new release has passed a chaos run".to_owned(),
            ok: why.is_empty(),
            blocking: !why.is_empty() && !going_back,
            why: (!why.is_empty()).then(|| why.join("; ")),
        }))
    }
}

fn is_first(objects: &Objects, stage: &Stage) -> bool {
    objects.stages.iter().filter(|one| one.pipeline == stage.pipeline).all(|one| one.order >= stage.order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_taken_apart_at_its_tag_and_its_digest() {
        assert_eq!(parts("cart"), ("cart", None, None));
        assert_eq!(parts("localhost:5000/shop/cart"), ("localhost:5000/shop/cart", None, None));
        assert_eq!(parts("localhost:5000/cart:1.2@sha256:aa"), ("localhost:5000/cart", Some("1.2"), Some("sha256:aa")));
    }

    #[test]
    fn a_release_is_the_repository_the_tag_and_the_digest_where_both_are_known() {
        let is = |image: &str, digest: Option<&str>| is_release(image, &["r/cart"], "1.2", digest);
        assert!(is("r/cart:1.2", None) && is("r/cart:1.2@sha256:aa", None) && is("r/cart:1.2", Some("sha256:aa")));
        assert!(is("r/cart:1.2@sha256:aa", Some("sha256:aa")));
        assert!(!is("r/cart:1.2@sha256:aa", Some("sha256:bb")), "the tag was moved since");
        assert!(!is("r/cart:1.3", None) && !is("r/proxy:1.2", None) && !is("r/cart", None));
    }

    #[test]
    fn a_tag_that_was_built_anew_has_to_pass_again() {
        let (old, new) = (Some("sha256:aa"), Some("sha256:bb"));
        assert!(is_running((Some("1.2"), old), ("1.2", old)) && !is_running((Some("1.2"), old), ("1.2", new)));
        assert!(is_running((Some("1.2"), None), ("1.2", new)) && is_running((Some("1.2"), old), ("1.2", None)));
        assert!(!is_running((Some("1.1"), old), ("1.2", old)) && !is_running((None, None), ("1.2", None)));
    }
}
