//! Argo CD's Applications and ApplicationSets (`argoproj.io/v1alpha1`).

use kube::api::DynamicObject;

use super::Meta;
use super::reader::Reader;
use crate::FieldProblem;

/// An Argo CD Application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Application {
    /// Metadata.
    pub meta: Meta,
    /// The AppProject.
    pub project: String,
    /// Where it deploys to.
    pub namespace: String,
    /// The cluster it deploys to: a name or an address; empty for the one that Argo CD runs in.
    pub cluster: String,
    /// Argo CD syncs it by itself; none where somebody has to ask for it.
    pub automated: Option<Automated>,
    /// What keeps it as it is, and would make it so again: `ApplicationSet shop`, `Application parent`.
    pub keeper: Option<String>,
    /// What it deploys: `spec.sources` when there are any, else `spec.source`, as Argo CD itself chooses.
    pub sources: Vec<SourceRef>,
    /// Whether `spec.sources` is used, which on this platform means the values override is on.
    pub multi_source: bool,
    /// Health in Argo CD's words.
    pub health: Option<String>,
    /// Why the health is as it is.
    pub health_message: Option<String>,
    /// Sync in Argo CD's words.
    pub sync: Option<String>,
    /// Commits last compared with, one for each source.
    pub compared_revisions: Vec<String>,
    /// Commits last deployed, one for each source; empty before the first deploy.
    pub deployed_revisions: Vec<String>,
    /// Conditions, mostly errors.
    pub conditions: Vec<Condition>,
    /// The last operation.
    pub operation: Option<Operation>,
    /// An operation was asked for that Argo CD has not taken up yet.
    pub asked: bool,
    /// The deploys that Argo CD remembers, oldest first; ten unless it was told otherwise.
    pub history: Vec<PastSync>,
    /// Images running.
    pub images: Vec<String>,
    /// Its addresses.
    pub urls: Vec<String>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

/// A source of an Application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRef {
    /// The repository.
    pub repo_url: String,
    /// Branch, tag or commit.
    pub target_revision: String,
    /// The folder in a Git repository.
    pub path: String,
    /// The chart's name in a Helm repository or a registry; empty for Git.
    pub chart: String,
    /// Its name for `$values`.
    pub reference: Option<String>,
    /// Values files.
    pub value_files: Vec<String>,
    /// Values files that are not there are passed over.
    pub ignore_missing: bool,
    /// Helm parameters, name and value.
    pub parameters: Vec<(String, String)>,
}

/// How Argo CD syncs by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Automated {
    /// It removes what is no longer in Git.
    pub prune: bool,
    /// It undoes what is changed in the cluster.
    pub self_heal: bool,
}

/// A condition of an Application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// Such as `ComparisonError`.
    pub kind: String,
    /// What Argo CD says.
    pub message: String,
}

/// The last operation of an Application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operation {
    /// `Running`, `Succeeded`, `Failed`, `Error` or `Terminating`.
    pub phase: String,
    /// What Argo CD says.
    pub message: Option<String>,
    /// When it began, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub finished: Option<String>,
    /// Who asked for it.
    pub by: Option<String>,
}

/// A deploy that Argo CD remembers (`status.history`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastSync {
    /// When it began, RFC 3339.
    pub started: Option<String>,
    /// When it ended, RFC 3339.
    pub ended: Option<String>,
    /// Commits deployed, one for each source.
    pub revisions: Vec<String>,
    /// The tag that was deployed.
    pub tag: Option<String>,
    /// The digest that was deployed, where it was passed.
    pub digest: Option<String>,
    /// The commit of the values repository; none when the override was off.
    pub values_revision: Option<String>,
}

impl PastSync {
    fn read(reader: &Reader<'_>) -> Self {
        let mut sources = reader.each("sources", |one| Some(SourceRef::read(one)));
        if sources.is_empty() {
            sources.extend(reader.within("source").map(|one| SourceRef::read(&one)));
        }
        let revisions = revisions(reader, "revisions", "revision");
        let place = sources.iter().position(|source| source.reference.is_some());
        Self {
            started: reader.text("deployStartedAt"),
            ended: reader.text("deployedAt"),
            tag: parameter(&sources, "image.tag").map(str::to_owned),
            digest: parameter(&sources, "image.digest").filter(|text| !text.is_empty()).map(str::to_owned),
            values_revision: place.and_then(|place| revisions.get(place).cloned()),
            revisions,
        }
    }
}

/// Commits, of whichever of the two fields holds them.
fn revisions(reader: &Reader<'_>, many: &str, one: &str) -> Vec<String> {
    let list = reader.texts(many);
    if list.is_empty() { reader.text(one).into_iter().filter(|text| !text.is_empty()).collect() } else { list }
}

/// A parameter of the first source that has it. Of several of one name Helm goes by the last.
fn parameter<'a>(sources: &'a [SourceRef], name: &str) -> Option<&'a str> {
    let last = |source: &'a SourceRef| source.parameters.iter().rfind(|(key, _)| key == name);
    sources.iter().find_map(last).map(|(_, value)| value.as_str())
}

impl Application {
    /// Reads an Application.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        let mut sources = reader.each("spec.sources", |one| Some(SourceRef::read(one)));
        let multi_source = !sources.is_empty();
        if !multi_source {
            sources.extend(reader.within("spec.source").map(|one| SourceRef::read(&one)));
        }
        let history = reader.each("status.history", |one| Some(PastSync::read(one)));
        Self {
            meta: Meta::read(object),
            project: reader.text("spec.project").unwrap_or_default(),
            namespace: reader.text("spec.destination.namespace").unwrap_or_default(),
            cluster: ["name", "server"]
                .iter()
                .filter_map(|key| reader.text(&format!("spec.destination.{key}")))
                .find(|text| !text.is_empty())
                .unwrap_or_default(),
            automated: reader.within("spec.syncPolicy.automated").and_then(|one| {
                let flag = |key: &str| one.flag(key).unwrap_or(false);
                (one.flag("enabled") != Some(false))
                    .then(|| Automated { prune: flag("prune"), self_heal: flag("selfHeal") })
            }),
            keeper: keeper(object),
            sources,
            multi_source,
            health: reader.text("status.health.status").filter(|text| !text.is_empty()),
            health_message: reader.text("status.health.message").filter(|text| !text.is_empty()),
            sync: reader.text("status.sync.status").filter(|text| !text.is_empty()),
            compared_revisions: revisions(&reader, "status.sync.revisions", "status.sync.revision"),
            deployed_revisions: history.last().map(|one| one.revisions.clone()).unwrap_or_default(),
            conditions: reader.each("status.conditions", |one| {
                Some(Condition { kind: one.required("type"), message: one.text("message").unwrap_or_default() })
            }),
            operation: reader.within("status.operationState").map(|one| Operation {
                phase: one.text("phase").unwrap_or_default(),
                message: one.text("message").filter(|text| !text.is_empty()),
                started: one.text("startedAt"),
                finished: one.text("finishedAt"),
                by: one.text("operation.initiatedBy.username").filter(|text| !text.is_empty()),
            }),
            asked: reader.at("operation").is_some(),
            history,
            images: reader.texts("status.summary.images"),
            urls: reader.texts("status.summary.externalURLs"),
            problems: reader.problems(),
        }
    }

    /// A Helm parameter, of whichever source has it.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.sources, name)
    }

    /// The deployed tag; none before the first deploy, for which upstream writes `NaN`.
    pub fn version(&self) -> Option<&str> {
        self.parameter("image.tag").filter(|tag| !tag.is_empty() && *tag != "NaN")
    }

    /// Since when the image of now was deployed, RFC 3339, as far as Argo CD remembers: the first of the deploys with
    /// its tag and digest that no other interrupted.
    pub fn image_since(&self) -> Option<&str> {
        let version = self.version()?;
        let last = self.history.last().filter(|last| last.tag.as_deref() == Some(version))?;
        let same = |one: &&PastSync| (&one.tag, &one.digest) == (&last.tag, &last.digest);
        self.history.iter().rev().take_while(same).last()?.ended.as_deref()
    }

    /// The commit of the values repository that is deployed.
    pub fn deployed_values_revision(&self) -> Option<&str> {
        let place = self.sources.iter().position(|source| source.reference.is_some())?;
        // Revisions of an earlier, single-source deploy say nothing of the values.
        (self.deployed_revisions.len() == self.sources.len())
            .then(|| self.deployed_revisions.get(place))?
            .map(String::as_str)
    }
}

/// What makes an Application anew as it was: the set that owns it, or the Application whose manifests it is among, by
/// the mark that Argo CD leaves on what it manages.
fn keeper(object: &DynamicObject) -> Option<String> {
    let owners = object.metadata.owner_references.iter().flatten();
    if let Some(set) = owners.into_iter().find(|one| one.kind == "ApplicationSet") {
        return Some(format!("ApplicationSet {}", set.name));
    }
    let mark = object.metadata.annotations.as_ref()?.get("argocd.argoproj.io/tracking-id")?;
    let (parent, rest) = mark.split_once(':')?;
    rest.starts_with("argoproj.io/Application:").then(|| format!("Application {parent}"))
}

impl SourceRef {
    fn read(reader: &Reader<'_>) -> Self {
        Self {
            repo_url: reader.text("repoURL").unwrap_or_default(),
            target_revision: reader.text("targetRevision").unwrap_or_default(),
            path: reader.text("path").unwrap_or_default(),
            chart: reader.text("chart").unwrap_or_default(),
            reference: reader.text("ref").filter(|text| !text.is_empty()),
            value_files: reader.texts("helm.valueFiles"),
            ignore_missing: reader.flag("helm.ignoreMissingValueFiles").unwrap_or(false),
            parameters: reader
                .each("helm.parameters", |one| Some((one.text("name")?, one.text("value").unwrap_or_default()))),
        }
    }
}

/// An Argo CD ApplicationSet, one for each flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplicationSet {
    /// Metadata; the object is named as the flow.
    pub meta: Meta,
    /// One element for each application in each environment.
    pub elements: Vec<Element>,
    /// The patch that turns the values override on.
    pub template_patch: String,
    /// `spec.template.spec.sources` as it is; the platform leaves it empty, hand-made sets may not.
    pub template_sources: Vec<serde_json::Value>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

/// One element of the list generator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// The environment.
    pub stage: String,
    /// The application.
    pub codebase: String,
    /// The tag; `NaN` before the first deploy.
    pub image_tag: String,
    /// The digest.
    pub image_digest: Option<String>,
    /// The stored values override.
    pub custom_values: bool,
}

impl ApplicationSet {
    /// Reads an ApplicationSet.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        let lists = reader.each("spec.generators", |generator| {
            Some(generator.each("list.elements", |one| {
                Some(Element {
                    stage: one.required("stage"),
                    codebase: one.required("codebase"),
                    image_tag: one.text("imageTag").unwrap_or_default(),
                    image_digest: one.text("imageDigest").filter(|text| !text.is_empty()),
                    custom_values: one.flag("customValues").unwrap_or(false),
                })
            }))
        });
        Self {
            meta: Meta::read(object),
            elements: lists.into_iter().flatten().collect(),
            template_patch: reader.text("spec.templatePatch").unwrap_or_default(),
            template_sources: reader.list("spec.template.spec.sources").to_vec(),
            problems: reader.problems(),
        }
    }

    /// The element of an application in an environment.
    pub fn element(&self, environment: &str, application: &str) -> Option<&Element> {
        self.elements.iter().find(|one| one.stage == environment && one.codebase == application)
    }

    /// The repositories the patch names outright, which are those of values. Upstream spells the key `RepoURL`.
    pub fn values_urls(&self) -> Vec<&str> {
        let url = |line: &'_ str| -> bool { !line.contains("{{") };
        self.template_patch
            .lines()
            .filter_map(|line| {
                let line = line.trim().trim_start_matches("- ").trim_start();
                let (key, value) = line.split_once(':')?;
                let value = value.trim().trim_matches(['"', '\'']);
                (key.eq_ignore_ascii_case("repoURL") && url(value) && !value.is_empty()).then_some(value)
            })
            .collect()
    }
}
