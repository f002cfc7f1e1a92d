//! The manifests of a release as it would be deployed, and what they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use pilothouse_cluster::kinds;
use pilothouse_delivery::chart::{
    Change, Chart, Compared, Deployed, Helm, Manifest, NotInstalled, Release, Rendering, ValueFile, ValuesText,
    with_live, with_rendering,
};
use pilothouse_delivery::repository::same_repository;
use pilothouse_git::RepoPath;

use crate::{
    App, Result,
    contract::{
        AppError, CheckState, DoctorCheck, ErrorCode, ObjectChange, RenderAgainst, RenderEngine, RenderedObject,
        RenderedValues, ValuesFile,
    },
    gitops::{Fetched, GitOps},
    live_objects::Served,
    operations::Operation,
    session::Live,
    values::{refuse_broken, shown_diff, text_of},
};

/// Below the data folder, where private folders for renderings are made.
const ROOMS: &str = "rendering";
/// What upstream writes as the tag of an application that was never deployed.
const NEVER: &str = "NaN";
/// The most objects outside the rendering that are looked at for being removed.
const MOST_OTHERS: usize = 500;

/// The longest that showing the differences of all objects takes; those left then are shown as replaced.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes what a killed process left of its renderings. Blocks.
pub(crate) fn sweep_rooms(data_dir: &Path) {
    pilothouse_delivery::chart::sweep(&data_dir.join(ROOMS));
}

/// What a rendering is made of, besides the one text that differs.
struct Setting {
    deployed: Deployed,
    release: Release,
    /// The path of the values file in the GitOps repository.
    path: RepoPath,
    /// Other values files of the GitOps repository, by path.
    others: BTreeMap<String, String>,
    /// The Application's names for sources that are not the GitOps repository.
    foreign: BTreeSet<String>,
    /// What the cluster serves, where it is the one that the release goes to.
    served: Option<Served>,
}

impl Setting {
    /// The release with one text for the values file, in the order in which Argo CD gives values to Helm.
    fn with(&self, chart: &Chart, text: Option<&str>) -> Release {
        let own = || text.map(|text| ValuesText { name: self.path.to_string(), text: text.to_owned() });
        let mut values = Vec::new();
        for file in &self.deployed.value_files {
            match file {
                ValueFile::Elsewhere { reference, .. } if self.foreign.contains(reference) => {}
                ValueFile::Elsewhere { path, .. } if *path == self.path.as_str() => values.extend(own()),
                ValueFile::Elsewhere { path, .. } => {
                    values.extend(
                        self.others.get(path).map(|text| ValuesText { name: path.clone(), text: text.clone() }),
                    );
                }
                ValueFile::InChart(path) => {
                    values.extend(
                        in_chart(chart, path).map(|text| ValuesText { name: path.clone(), text: text.to_owned() }),
                    );
                }
                ValueFile::Address(_) => {}
            }
        }
        if !self.names_the_file() {
            values.extend(own());
        }
        values.extend(self.deployed.inline.clone());
        Release { values, ..self.release.clone() }
    }

    fn names_the_file(&self) -> bool {
        let own = |file: &ValueFile| match file {
            ValueFile::Elsewhere { reference, path } => {
                *path == self.path.as_str() && !self.foreign.contains(reference)
            }
            _ => false,
        };
        self.deployed.value_files.iter().any(own)
    }

    fn namespace(&self, one: &Manifest) -> Option<String> {
        match &self.served {
            Some(served) => served.namespace(one, &self.release.namespace),
            None => one.namespace.clone().or_else(|| Some(self.release.namespace.clone())),
        }
    }
}

fn missing_words(missing: &NotInstalled) -> String {
    format!(
        "Manifests are rendered by Helm’s own command, and {}. Install Helm 3 or newer (helm.sh), or name it in \
         PILOTHOUSE_HELM, and start Pilothouse again. Editing, checks, effective values, review, commit and deploy work \
         without it.",
        missing.why
    )
}

fn in_chart<'a>(chart: &'a Chart, path: &str) -> Option<&'a str> {
    chart.file(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
}

/// The Application's names for sources that are not at any of the addresses.
fn foreign(deployed: &Deployed, addresses: &[&str]) -> BTreeSet<String> {
    let is_ours = |reference: &str| match deployed.references.get(reference) {
        // Upstream leaves the address out where it is the platform's own.
        Some(address) if address.is_empty() || addresses.iter().all(|one| one.is_empty()) => true,
        Some(address) => addresses.iter().any(|one| same_repository(one, address)),
        None => false,
    };
    let named = deployed.value_files.iter().filter_map(|file| match file {
        ValueFile::Elsewhere { reference, .. } => Some(reference.clone()),
        _ => None,
    });
    named.filter(|reference| !is_ours(reference)).collect()
}

fn object(number: usize, one: Compared, until: Instant) -> RenderedObject {
    let nothing = matches!(one.change, Change::Same | Change::Unreadable);
    let (old, new) = if nothing { ("", "") } else { (one.old.as_str(), one.new.as_str()) };
    let left = until.saturating_duration_since(Instant::now());
    RenderedObject {
        id: format!("{number}"),
        change: match one.change {
            Change::Added => ObjectChange::Added,
            Change::Removed => ObjectChange::Removed,
            Change::Changed => ObjectChange::Changed,
            Change::Same => ObjectChange::Same,
            Change::Unreadable => ObjectChange::Unreadable,
        },
        diff: shown_diff(pilothouse_values::diff_within(old, new, left)),
        api_version: one.api_version,
        kind: one.kind,
        name: one.name,
        namespace: one.namespace,
        text: one.new,
        hook: one.hook,
        source: one.source,
        words: one.words,
    }
}

/// Compares, on a thread that may wait: both the comparison and the differences take a while for large texts.
async fn shown(compare: impl FnOnce() -> Vec<Compared> + Send + 'static) -> Result<Vec<RenderedObject>> {
    crate::blocking(move || {
        let compared = compare();
        let until = Instant::now() + PATIENCE;
        Ok(compared.into_iter().enumerate().map(|(number, one)| object(number, one, until)).collect())
    })
    .await
}

impl App {
    /// Whether manifests can be rendered, for the doctor.
    pub(crate) async fn check_helm(&self) -> DoctorCheck {
        let (state, words, hint) =
            match Helm::find(self.options.helm.as_deref(), &self.options.data_dir.join(ROOMS)).await {
                Ok(helm) => (CheckState::Ok, format!("{} at {}.", helm.version, helm.program.display()), None),
                Err(missing) => {
                    let hint = "Install Helm 3 or newer to see rendered manifests; everything else works without it.";
                    (CheckState::Warn, format!("Not usable: {}.", missing.why), Some(hint.to_owned()))
                }
            };
        DoctorCheck { id: "helm".to_owned(), label: "Helm".to_owned(), state, words, hint }
    }

    /// The manifests that the deploy would make of this text, and what they change.
    pub async fn render_values(
        &self,
        file: ValuesFile,
        text: String,
        against: RenderAgainst,
        operation: String,
    ) -> Result<RenderedValues> {
        file.path()?;
        refuse_broken(&text)?;
        self.operations
            .run(operation, "Rendering the manifests", |operation| async move {
                self.rendered(&file, &text, against, &operation).await
            })
            .await
    }

    /// What Argo CD's Application says about the release, or what it would say once there is one.
    pub(crate) fn deployed(&self, live: &Live, file: &ValuesFile) -> Result<(Deployed, bool)> {
        let objects = self.objects(live);
        let environment = pilothouse_delivery::environment(&objects, &file.flow, &file.env)?;
        let known = objects.application(&file.flow, &file.env, &file.app).map(|one| &one.meta);
        let raw = known.and_then(|one| live.index().get(&kinds::APPLICATION, &one.namespace, &one.name));
        let Some(raw) = raw else {
            let deployed = Deployed {
                application: format!("{}-{}-{}", file.flow, file.env, file.app),
                release: file.app.clone(),
                namespace: environment.namespace.clone(),
                cluster: environment.cluster.clone(),
                ..Deployed::default()
            };
            return Ok((deployed, false));
        };
        Ok((Deployed::read(&raw), true))
    }

    async fn rendered(
        &self,
        file: &ValuesFile,
        text: &str,
        against: RenderAgainst,
        operation: &Operation,
    ) -> Result<RenderedValues> {
        let (live, _) = self.deliverer()?;
        let path = file.path()?;
        let (deployed, known) = self.deployed(&live, file)?;
        if against == RenderAgainst::Live && !deployed.in_own_cluster() {
            return Err(AppError::blocked(format!(
                "{}/{} deploys to the cluster {:?}, and the app is connected to {}",
                file.flow,
                file.env,
                deployed.cluster,
                live.name()
            ))
            .with_hint("compare with what is committed instead"));
        }
        let mut answer = RenderedValues {
            engine: RenderEngine::Missing { words: String::new(), searched: Vec::new() },
            chart: String::new(),
            release: deployed.release.clone(),
            namespace: deployed.namespace.clone(),
            objects: Vec::new(),
            notes: Vec::new(),
        };
        let rooms = self.options.data_dir.join(ROOMS);
        let helm = match Helm::find(self.options.helm.as_deref(), &rooms).await {
            Ok(helm) => helm,
            Err(missing) => {
                let searched = missing.searched.iter().map(|folder| folder.display().to_string()).collect();
                answer.engine = RenderEngine::Missing { words: missing_words(&missing), searched };
                return Ok(answer);
            }
        };
        answer.engine = RenderEngine::Found { path: helm.program.display().to_string(), version: helm.version.clone() };
        let notes = &mut answer.notes;

        operation.step("Reading the chart", 0, None);
        let repository = self.gitops().await?;
        let found = self.release_chart(&repository, file, operation).await?;
        answer.chart = format!("{} {} ({})", found.chart.name(), found.chart.version(), found.source);

        operation.step("Reading what is committed", 0, None);
        let fetched = self.committed_tip(&repository, operation, notes).await?;
        notes.extend(deployed.remarks());
        let addresses = [&repository.urls.ssh, &repository.urls.https, &repository.urls.argo_cd].map(String::as_str);
        let foreign = foreign(&deployed, &addresses);
        let mut setting = Setting {
            release: Release {
                name: deployed.release.clone(),
                namespace: deployed.namespace.clone(),
                parameters: deployed.parameters.clone(),
                skip_crds: deployed.skip_crds,
                skip_schema: deployed.skip_schema,
                kube_version: deployed.kube_version.clone(),
                api_versions: deployed.api_versions.clone(),
                ..Release::default()
            },
            others: self.other_values(&fetched, &deployed, (&path, &foreign, &found.chart), notes).await?,
            foreign,
            path,
            served: None,
            deployed,
        };
        self.as_the_next_deploy(&mut setting.release, found.tag.clone(), known, notes);
        if known && !setting.names_the_file() {
            notes.push("Values override is off here: a deploy uses this file only once it is switched on.".to_owned());
        }
        if setting.deployed.in_own_cluster() {
            operation.step("Asking the cluster what it serves", 0, None);
            match Served::ask(&live.cluster).await {
                Ok(served) => {
                    setting.release.api_versions.extend(served.api_versions());
                    setting.served = Some(served);
                }
                Err(error) if against == RenderAgainst::Live => return Err(error.into()),
                Err(error) => notes.push(format!("What the cluster serves is not known to Helm: {error}.")),
            }
            if setting.release.kube_version.is_none() {
                let version = live.cluster.version().await.unwrap_or_default();
                setting.release.kube_version = Some(version).filter(|version| version.starts_with('v'));
            }
        } else {
            notes.push(
                "The release goes to another cluster, so that Helm assumes a version and kinds of its own.".to_owned(),
            );
        }

        operation.step("Rendering", 0, None);
        let new = helm.render(&found.chart, &setting.with(&found.chart, Some(text)), &rooms).await?;
        notes.extend(new.warnings.iter().cloned());
        let objects = match against {
            RenderAgainst::Committed => {
                operation.step("Rendering what is committed", 0, None);
                let committed = self.committed_text(&fetched, &setting.path).await?;
                if committed.is_none() {
                    notes.push("The file is not in Git yet: what is compared with is the chart’s defaults.".to_owned());
                }
                let old = if committed.as_deref() == Some(text) {
                    Ok(new.clone())
                } else {
                    helm.render(&found.chart, &setting.with(&found.chart, committed.as_deref()), &rooms).await
                };
                let old = old.unwrap_or_else(|error| {
                    notes.push(format!("What is committed does not render, so that everything is new: {error}"));
                    Rendering { manifests: Vec::new(), warnings: Vec::new() }
                });
                shown(move || with_rendering(&new.manifests, &old.manifests, &|one| setting.namespace(one))).await?
            }
            RenderAgainst::Live => {
                operation.step("Reading what is live", 0, None);
                self.against_live(&live, new.manifests, &setting, notes).await?
            }
        };
        answer.objects = objects;
        Ok(answer)
    }

    async fn against_live(
        &self,
        live: &Live,
        manifests: Vec<Manifest>,
        setting: &Setting,
        notes: &mut Vec<String>,
    ) -> Result<Vec<RenderedObject>> {
        let Some(served) = &setting.served else { return Ok(Vec::new()) };
        let usual = &setting.release.namespace;
        let key =
            |one: &Manifest| (one.group().to_owned(), one.kind.clone(), served.namespace(one, usual), one.name.clone());
        let rendered: BTreeSet<_> = manifests.iter().map(key).collect();
        let counted = setting.deployed.resources.iter().filter(|one| !one.hook).filter_map(|one| {
            let api_version =
                if one.group.is_empty() { one.version.clone() } else { format!("{}/{}", one.group, one.version) };
            let value = serde_json::json!({"apiVersion": api_version, "kind": one.kind,
                "metadata": {"name": one.name, "namespace": one.namespace}});
            Manifest::of(value, None)
        });
        let mut others: Vec<Manifest> = counted.filter(|one| !rendered.contains(&key(one))).collect();
        if others.len() > MOST_OTHERS {
            notes.push(format!(
                "Argo CD counts {} objects to the Application that are not rendered; {MOST_OTHERS} of them are looked at.",
                others.len()
            ));
            others.truncate(MOST_OTHERS);
        }
        let rendered = served.live(&live.cluster, manifests, usual).await;
        let others = served.live(&live.cluster, others, usual).await;
        let application = setting.deployed.application.clone();
        shown(move || with_live(rendered, others, &application)).await
    }

    /// The parameters of an application that was never deployed are those that its first deploy would pass.
    fn as_the_next_deploy(
        &self,
        release: &mut Release,
        tag: Option<(String, Option<String>)>,
        known: bool,
        notes: &mut Vec<String>,
    ) {
        let never = release.parameters.iter().any(|one| one.name == "image.tag" && one.value == NEVER);
        match tag {
            Some((tag, digest)) if never => {
                for one in &mut release.parameters {
                    match one.name.as_str() {
                        "image.tag" => one.value = tag.clone(),
                        "image.digest" => one.value = digest.clone().unwrap_or_default(),
                        _ => {}
                    }
                }
                notes.push(format!("It was never deployed here: rendered as the first deploy of {tag} would."));
            }
            _ if !known => notes.push(
                "There is no Argo CD Application that can be read: the image is the chart’s own, not the one a deploy passes."
                    .to_owned(),
            ),
            _ => {}
        }
    }

    /// The GitOps repository as it is now, or as it was fetched last when its server cannot be reached.
    async fn committed_tip(
        &self,
        repository: &GitOps,
        operation: &Operation,
        notes: &mut Vec<String>,
    ) -> Result<Fetched> {
        match self.fetch(&repository.url, &repository.usual_branch, Some(operation)).await {
            Ok(fetched) => Ok(fetched),
            Err(error) if matches!(error.code, ErrorCode::GitNetwork | ErrorCode::GitTimeout) => {
                let Some(fetched) = self.on_disk(&repository.url).await? else { return Err(error) };
                notes.push(format!("What is committed is as it was fetched last: {}", error.message));
                Ok(fetched)
            }
            Err(error) => Err(error),
        }
    }

    async fn committed_text(&self, fetched: &Fetched, path: &RepoPath) -> Result<Option<String>> {
        let (clone, tip, at) = (fetched.clone.clone(), fetched.tip.clone(), path.clone());
        let content = self
            .git(move || match tip {
                Some(tip) => clone.read(&tip, &at, pilothouse_values::LIMIT),
                None => Ok(None),
            })
            .await?;
        content.map(|content| text_of(path, content.bytes)).transpose()
    }

    /// The texts of the other values files that the Application takes from the GitOps repository. What is not there or
    /// not read is noted.
    async fn other_values(
        &self,
        fetched: &Fetched,
        deployed: &Deployed,
        (own, foreign, chart): (&RepoPath, &BTreeSet<String>, &Chart),
        notes: &mut Vec<String>,
    ) -> Result<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        let missing = |path: &str, place: &str| {
            let ending = if deployed.ignore_missing {
                "passed over, as the Application says"
            } else {
                "left out here; Argo CD does not deploy without it"
            };
            format!("{path}, which the Application names, is not in {place}. It is {ending}.")
        };
        for file in &deployed.value_files {
            match file {
                ValueFile::Elsewhere { reference, path } if foreign.contains(reference) => {
                    let whose = match deployed.references.get(reference) {
                        Some(address) => format!("another repository ({address}), which is not read"),
                        None => format!("a source {reference:?} that it does not have"),
                    };
                    notes.push(format!("{path}, which the Application names, lies in {whose}. It is left out."));
                }
                ValueFile::Elsewhere { path, .. } if *path != own.as_str() => {
                    let text = match RepoPath::parse(path) {
                        Ok(at) => self.committed_text(fetched, &at).await?,
                        Err(_) => None,
                    };
                    match text {
                        Some(text) => drop(texts.insert(path.clone(), text)),
                        None => notes.push(missing(path, "the GitOps repository")),
                    }
                }
                ValueFile::InChart(path) if in_chart(chart, path).is_none() => {
                    notes.push(missing(path, "the chart, as text"));
                }
                ValueFile::Address(address) => {
                    notes.push(format!("{address}, which the Application names, is not opened and so left out."));
                }
                _ => {}
            }
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_values_file_of_another_repository_is_not_ours() {
        let ours = ["ssh://git@git.example.com:2222/krci/gitops", "https://git.example.com/krci/gitops.git"];
        let is_foreign = |reference: &str, address: &str| {
            let deployed = Deployed {
                references: BTreeMap::from([(reference.to_owned(), address.to_owned())]),
                value_files: vec![ValueFile::Elsewhere { reference: "values".into(), path: "a.yaml".into() }],
                ..Deployed::default()
            };
            !foreign(&deployed, &ours).is_empty()
        };
        for address in [
            "",
            "https://git.example.com/krci/gitops",
            "git@git.example.com:krci/GitOps.git",
            "ssh://edp-ci@git.example.com:22/krci/gitops.git/",
        ] {
            assert!(!is_foreign("values", address), "{address}");
        }
        for address in [
            "https://git.example.com/krci/other.git",
            "https://git.example.com/else/gitops.git",
            // The same path at another host is another repository.
            "ssh://git@other.name:22/krci/gitops.git",
            "https://git.example.com.evil.example/krci/gitops.git",
            "https://git.example.com/a/krci/gitops",
        ] {
            assert!(is_foreign("values", address), "{address}");
        }
        assert!(is_foreign("shared", "https://git.example.com/krci/gitops.git"), "a name that no source has");
    }

    #[test]
    fn differences_share_their_time() {
        let text = |of: u32| (0..20_000).map(|n| format!("{}\n", n % of)).collect::<String>();
        let one = Compared {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: None,
            name: "a".into(),
            hook: None,
            source: None,
            change: Change::Changed,
            old: text(7),
            new: text(11),
            words: None,
        };
        let shown = object(0, one, Instant::now());
        assert!(shown.diff.added > 10_000, "{}", shown.diff.added);
    }
}
