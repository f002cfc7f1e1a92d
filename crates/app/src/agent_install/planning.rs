//! What an installation comes to, before anything is written. The preview is the plan: what is installed is what was
//! shown, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use pilothouse_chaos::{names::digest, project::Project};
use pilothouse_cluster::{ComponentId, Error as ClusterError, Kind, crds, kinds};
use pilothouse_git::{KnownHosts, RemoteUrl, Scheme};
use pilothouse_triggers::spec::TriggerSpec;
use serde_json::Value;

use super::{
    Installed, OWN,
    begun::Begun,
    comparison::{changes, part_of},
    handing_over::key_of,
    kind_of,
    permissions::{Act, missing_acts, missing_rights},
    projects_of,
    proposing::{entry_of, serves_triggers},
    standing::{careful, replicas},
    triggers_of,
};
use crate::{
    App, Result,
    agent::{AGENT, Author, Needs, Plan, ProjectNeed, Right, Settings, manifests, rights, to_yaml},
    contract::{AgentChange, AgentForm, AgentObject, AgentPlan, AgentRight, AgentTriggers, AppError, FieldProblem},
    remotes::bound_to,
    session::Live,
    values::{small, text_diff},
};

/// An object that is to be written or removed.
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) change: AgentChange,
    pub(super) manifest: Value,
}

/// A plan with all that carrying it out takes.
pub(super) struct Drawn {
    pub(super) view: AgentPlan,
    pub(super) steps: Vec<Step>,
    pub(super) needs: Needs,
    /// The Secret's name, and the credentials that it holds where that is known.
    pub(super) secret: String,
    pub(super) held: Option<BTreeSet<String>>,
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

/// The setting that remembers which image was installed last.
pub(super) fn image_setting(live: &Live) -> String {
    format!("agent-image:{}", live.name())
}

/// The field of the form that a flaw of the plan is about.
fn field_of(flaw: &str) -> &str {
    match flaw {
        "author.name" => "authorName",
        "author.email" => "authorEmail",
        other => other,
    }
}

fn right_views(wanted: &[Right], before: Option<&[Right]>) -> Vec<AgentRight> {
    let view = |right: &Right, change| AgentRight {
        namespace: right.namespace.clone(),
        resource: right.resource_name(),
        names: right.names.clone(),
        verbs: right.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        why: right.why.clone(),
        change,
    };
    let before = before.unwrap_or_default();
    let known = |all: &[Right], one: &Right| all.iter().any(|other| other.words() == one.words());
    let mut all: Vec<AgentRight> = wanted
        .iter()
        .map(|one| view(one, if known(before, one) { AgentChange::Same } else { AgentChange::Create }))
        .collect();
    all.extend(before.iter().filter(|one| !known(wanted, one)).map(|one| view(one, AgentChange::Remove)));
    all
}

impl App {
    /// What installing the agent, or bringing it up to date, comes to; nothing is written. Without a form it is what is
    /// installed, followed by what projects and triggers ask for now, or the usual.
    pub async fn plan_agent(&self, form: Option<AgentForm>) -> Result<AgentPlan> {
        let live = self.live()?;
        Ok(self.draw(&live, form).await?.view)
    }

    /// What lines of known_hosts the projects' Git servers need: those that the agent has stay, and a server that it has
    /// none of gets this computer's. Also the servers that nobody has a line of.
    async fn lines_for(&self, needs: &Needs, before: String) -> Result<(String, Vec<String>)> {
        let own = self.options.data_dir.join("known_hosts");
        let files = self.options.known_hosts.clone();
        let urls = needs.projects.iter().filter_map(|one| RemoteUrl::parse(&one.url).ok());
        let hosts: BTreeSet<(String, u16)> = urls
            .filter(|url| url.scheme() == Scheme::Ssh)
            .filter_map(|url| Some((url.host()?.to_owned(), url.port())))
            .collect();
        let place = tempfile::tempdir().map_err(|error| AppError::internal(error.to_string()))?;
        self.git(move || {
            // Read as a file of known hosts is, whatever form its lines have.
            let installed = place.path().join("known_hosts");
            let has_file = std::fs::write(&installed, &before).is_ok();
            let theirs =
                KnownHosts::new(place.path().join("none"), if has_file { vec![installed] } else { Vec::new() });
            let known = KnownHosts::new(own, files);
            let (mut text, mut unknown) = (before, Vec::new());
            for (host, port) in hosts {
                if !theirs.lines_for(&host, port)?.is_empty() {
                    continue;
                }
                let lines = known.lines_for(&host, port)?;
                if lines.is_empty() {
                    unknown.push(format!("{host}:{port}"));
                }
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                for line in lines {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            Ok((text, unknown))
        })
        .await
    }

    /// Draws the plan up.
    pub(super) async fn draw(&self, live: &Live, form: Option<AgentForm>) -> Result<Drawn> {
        let installed = self.installed_agent(live).await?;
        let begun = self.begun(live).await;
        let (projects, triggers) = (projects_of(live), triggers_of(live));
        let mut namespaces: BTreeMap<String, u32> = BTreeMap::new();
        for (namespace, _) in &triggers {
            *namespaces.entry(namespace.clone()).or_default() += 1;
        }
        let form = match form {
            Some(form) => form,
            None => {
                let begun = begun.as_ref().and_then(Begun::form);
                self.usual_form(live, installed.as_ref(), begun, &projects, &namespaces).await?
            }
        };
        let (plan, mut problems) = self.plan_of(live, &form, installed.as_ref(), &projects, &triggers).await?;
        if let Some(one) = &installed
            && one.namespace != form.namespace
        {
            let message =
                format!("The agent is in {}; remove it there before it is installed elsewhere.", one.namespace);
            problems.push(FieldProblem { field: "namespace".to_owned(), message });
        }
        let held = installed.as_ref().map_or_else(|| Some(BTreeSet::new()), |one| one.held.clone());
        let secret = plan.settings.credentials.clone();
        let served = installed.as_ref().and_then(|one| one.needs.as_ref());
        let mut views = Vec::new();
        let secrets = self.may(live, "patch", &kinds::SECRET, Some(form.namespace.trim())).await;
        for project in projects.iter().filter(|one| one.enabled) {
            let need =
                plan.needs.projects.iter().find(|one| one.namespace == project.namespace && one.id == project.id);
            // Of a Secret that was made by hand nobody knows more than that it is there.
            let in_cluster = need.is_some_and(|one| held.as_ref().is_none_or(|all| all.contains(&one.credential)));
            let mut view = self.agent_project(project, &secret, form.namespace.trim(), in_cluster).await;
            view.served = served.map(|needs| entry_of(needs, project).is_some());
            if !secrets.allowed && view.refused.is_none() {
                view.refused = secrets.why.clone();
            }
            views.push(view);
        }
        let wanted = rights(&plan.needs);
        let before = installed.as_ref().map(|one| one.needs.as_ref().map(rights).unwrap_or_default());
        let mut drawn = Drawn {
            view: AgentPlan {
                installed: installed.is_some(),
                problems,
                projects: views,
                triggers: namespaces
                    .into_iter()
                    .map(|(namespace, count)| AgentTriggers {
                        served: served.map(|needs| serves_triggers(needs, &namespace)),
                        namespace,
                        count,
                    })
                    .collect(),
                objects: Vec::new(),
                rights: right_views(&wanted, before.as_deref()),
                missing: Vec::new(),
                yaml: String::new(),
                shown: String::new(),
                changes: 0,
                confirm: careful(live, installed.as_ref()).then(|| AGENT.to_owned()),
                cut_off: begun.filter(|one| one.form().is_some()).map(|one| one.view()),
                form,
            },
            steps: Vec::new(),
            needs: plan.needs.clone(),
            secret,
            held,
        };
        if !drawn.view.problems.is_empty() {
            return Ok(drawn);
        }
        let all = manifests(&plan.settings, &plan.needs);
        drawn.view.yaml = to_yaml(&all, &plan.needs).map_err(|error| AppError::internal(error.to_string()))?;
        self.compare(live, all, installed.as_ref(), &mut drawn).await?;
        let (acts, giving) = acts_of(&drawn, &wanted);
        drawn.view.missing = missing_acts(live, acts).await;
        drawn.view.missing.extend(missing_rights(live, &giving).await);
        let changed =
            |one: &&Step| matches!(one.change, AgentChange::Create | AgentChange::Update | AgentChange::Remove);
        drawn.view.changes = small(drawn.steps.iter().filter(changed).count());
        if drawn.view.changes == 0 {
            // The end alone was not noted any more.
            drawn.view.cut_off = None;
        }
        let essence: Vec<String> = drawn.steps.iter().map(|one| format!("{:?} {}", one.change, one.name)).collect();
        drawn.view.shown = digest(&format!("{}\n{}", drawn.view.yaml, essence.join("\n")));
        Ok(drawn)
    }

    async fn plan_of(
        &self,
        live: &Live,
        form: &AgentForm,
        installed: Option<&Installed>,
        projects: &[Project],
        triggers: &[(String, TriggerSpec)],
    ) -> Result<(Plan, Vec<FieldProblem>)> {
        let mut problems = Vec::new();
        for key in &form.projects {
            if !projects.iter().any(|one| one.enabled && key_of(&one.namespace, &one.id) == *key) {
                let message = format!("There is no chaos project {key} with GitOps enabled any more.");
                problems.push(FieldProblem { field: "projects".to_owned(), message });
            }
        }
        let chosen = projects.iter().filter(|one| form.projects.contains(&key_of(&one.namespace, &one.id)));
        let served = triggers.iter().filter(|(namespace, _)| form.triggers.contains(namespace));
        let mut needs = Needs::of(chosen, served.map(|(namespace, spec)| (namespace.as_str(), spec)));
        let before = installed.and_then(|one| one.needs.as_ref());
        for project in &mut needs.projects {
            project.credential = credential_of(project, before);
        }
        if needs.homes().is_empty() {
            let message = "There is nothing to look after: enable GitOps for a chaos project, or make a trigger.";
            problems.push(FieldProblem { field: "projects".to_owned(), message: message.to_owned() });
        }
        let author = Author { name: form.author_name.trim().to_owned(), email: form.author_email.trim().to_owned() };
        // What guards production goes by the name that the agent was given first, not by what each computer calls it.
        let cluster = installed.and_then(|one| one.says("/cluster")).unwrap_or_else(|| live.name().to_owned());
        let mut settings = Settings::new(form.namespace.trim(), form.image.trim(), &cluster, author);
        settings = settings.reaching(&needs, Some(live.cluster.server()).filter(|server| !server.is_empty()));
        self.keep_settings(live, installed, &mut settings).await?;
        // A paused agent stays paused when it is brought up to date.
        let paused = installed.and_then(|one| one.deployment.as_ref()).is_some_and(|one| replicas(one) == 0);
        if form.replicas == 0 {
            let message = "Take 1 to 5; to stop the agent, pause it.".to_owned();
            problems.push(FieldProblem { field: "replicas".to_owned(), message });
        }
        settings.replicas = if paused { 0 } else { form.replicas };
        let lines = installed.map(|one| one.file("known_hosts")).unwrap_or_default();
        let (lines, unknown) = self.lines_for(&needs, lines).await?;
        settings.known_hosts = lines;
        if !unknown.is_empty() && !live.cluster.is_practice() {
            let message = format!(
                "The agent accepts no host key unseen, and this computer has none of {} on file: sync the project once here.",
                unknown.join(", ")
            );
            problems.push(FieldProblem { field: "projects".to_owned(), message });
        }
        let own = self.authority_pem().await?.map(|pem| String::from_utf8_lossy(&pem).into_owned()).unwrap_or_default();
        let theirs = installed.map(|one| one.file("authority.pem")).unwrap_or_default();
        settings.authority = if theirs.contains(own.trim()) { theirs } else { format!("{theirs}{own}") };
        let plan = Plan { settings, needs };
        let flaws = plan.flaws();
        problems.extend(
            flaws
                .into_iter()
                .map(|flaw| FieldProblem { field: field_of(&flaw.field).to_owned(), message: flaw.message }),
        );
        Ok((plan, problems))
    }

    /// What is installed and no form asks for stays: ports that were opened, what is logged, the Secret's name.
    async fn keep_settings(&self, live: &Live, installed: Option<&Installed>, settings: &mut Settings) -> Result<()> {
        let Some(installed) = installed else { return Ok(()) };
        settings.credentials = installed.secret.clone();
        if let Some(deployment) = &installed.deployment {
            let variables = deployment.data.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array);
            let log = variables.into_iter().flatten().find(|one| one["name"] == "RUST_LOG");
            if let Some(log) = log.and_then(|one| one["value"].as_str()).filter(|text| !text.trim().is_empty()) {
                settings.log = log.to_owned();
            }
        }
        let policy = self.look_up(live, &kinds::NETWORK_POLICY, &installed.namespace, AGENT).await?;
        settings.egress_ports.extend(policy.iter().flat_map(|one| ports_of(&one.data)));
        settings.egress_ports.sort_unstable();
        settings.egress_ports.dedup();
        Ok(())
    }

    /// Compares each manifest with what is in the cluster.
    async fn compare(
        &self,
        live: &Live,
        all: Vec<Value>,
        installed: Option<&Installed>,
        drawn: &mut Drawn,
    ) -> Result<()> {
        let mut wanted = BTreeSet::new();
        for manifest in all {
            let Some(kind) = kind_of(&manifest) else {
                return Err(AppError::internal(format!("a manifest of an unknown kind: {}", manifest["kind"])));
            };
            let text = |at: &str| manifest.pointer(at).and_then(Value::as_str).map(str::to_owned);
            let (name, namespace) = (text("/metadata/name").unwrap_or_default(), text("/metadata/namespace"));
            wanted.insert((kind, namespace.clone(), name.clone()));
            let api = match &namespace {
                Some(namespace) => live.cluster.api(&kind, namespace),
                None => live.cluster.api_all(&kind),
            };
            let found = match live.cluster.in_time("what is installed", api.get_opt(&name)).await {
                Ok(found) => found,
                // Who may not look may still be allowed to write; the refusal, if any, is told as such.
                Err(ClusterError::Forbidden { .. } | ClusterError::NotFound { .. }) => None,
                Err(other) => return Err(other.into()),
            };
            let there = found.as_ref().map(|one| serde_json::to_value(one).unwrap_or_default());
            let (change, diff) = match (&there, kind) {
                (_, kinds::CRD) => (crd_change(live, there.as_ref(), &manifest), None),
                (None, kinds::POD_DISRUPTION_BUDGET | kinds::NETWORK_POLICY) if !serves(live, &kind).await => {
                    (AgentChange::Unserved, None)
                }
                (None, _) => (AgentChange::Create, None),
                (Some(one), kinds::NAMESPACE) if one.pointer("/metadata/deletionTimestamp").is_some() => {
                    let message = format!("The namespace {name} is being removed; wait until it is gone.");
                    drawn.view.problems.push(FieldProblem { field: "namespace".to_owned(), message });
                    (AgentChange::Same, None)
                }
                // Somebody's namespace is used as it is: to label it would be to take it away with the agent.
                (Some(_), kinds::NAMESPACE) if !is_own(installed, kind, None, &name) => (AgentChange::Foreign, None),
                (Some(one), _) if changes(one, &manifest) => {
                    (AgentChange::Update, Some(text_diff(&yaml(&part_of(one, &manifest)), &yaml(&manifest))))
                }
                (Some(_), _) => (AgentChange::Same, None),
            };
            drawn.view.objects.push(AgentObject {
                kind: kind.kind.to_owned(),
                namespace: namespace.clone(),
                name: name.clone(),
                change,
                yaml: yaml(&manifest),
                diff,
            });
            drawn.steps.push(Step { kind, namespace, name, change, manifest });
        }
        // Rights in namespaces that nothing needs any more go at once; the rest of what is found is in use.
        let rights = [kinds::ROLE_BINDING, kinds::ROLE];
        for kind in OWN.into_iter().filter(|kind| rights.contains(kind)) {
            for one in installed.iter().flat_map(|one| &one.found).filter(|one| one.kind == kind) {
                if wanted.contains(&(kind, one.namespace.clone(), one.name.clone())) {
                    continue;
                }
                let (namespace, name) = (one.namespace.clone(), one.name.clone());
                drawn.view.objects.push(AgentObject {
                    kind: kind.kind.to_owned(),
                    namespace: namespace.clone(),
                    name: name.clone(),
                    change: AgentChange::Remove,
                    yaml: String::new(),
                    diff: None,
                });
                drawn.steps.push(Step { kind, namespace, name, change: AgentChange::Remove, manifest: Value::Null });
            }
        }
        Ok(())
    }
}

/// The TCP ports that a NetworkPolicy lets out, but for DNS.
fn ports_of(policy: &Value) -> Vec<u16> {
    let rules = policy.pointer("/spec/egress").and_then(Value::as_array);
    let ports = rules.into_iter().flatten().filter_map(|rule| rule["ports"].as_array()).flatten();
    let tcp = ports.filter(|port| port["protocol"].as_str().is_none_or(|name| name == "TCP"));
    tcp.filter_map(|port| u16::try_from(port["port"].as_u64()?).ok()).filter(|port| *port != 53).collect()
}

/// What a project's credential is called: as before while it leads to the same server, else by its new one.
fn credential_of(project: &ProjectNeed, before: Option<&Needs>) -> String {
    let Ok(url) = RemoteUrl::parse(&project.url) else { return project.credential.clone() };
    let same = |one: &&ProjectNeed| {
        let server = RemoteUrl::parse(&one.url).is_ok_and(|known| bound_to(&known) == bound_to(&url));
        one.namespace == project.namespace && one.id == project.id && server
    };
    match before.and_then(|needs| needs.projects.iter().find(same)) {
        Some(known) => known.credential.clone(),
        None => project.credential.clone(),
    }
}

/// Whether the API server knows a kind at the version that the manifests speak; asked where everybody may ask. A doubt is
/// settled by trying.
async fn serves(live: &Live, kind: &Kind) -> bool {
    let (client, version) = (live.cluster.client(), kind.api_version());
    match live.cluster.in_time("what is served", client.list_api_group_resources(&version)).await {
        Ok(list) => list.resources.iter().any(|one| one.name == kind.plural),
        Err(error) => !matches!(error, ClusterError::NotFound { .. }),
    }
}

fn is_own(installed: Option<&Installed>, kind: Kind, namespace: Option<&str>, name: &str) -> bool {
    let same = |one: &&super::Found| one.kind == kind && one.namespace.as_deref() == namespace && one.name == name;
    installed.is_some_and(|all| all.found.iter().any(|one| same(&one)))
}

/// A kind that is there is left alone unless it is older.
fn crd_change(live: &Live, there: Option<&Value>, wanted: &Value) -> AgentChange {
    let revision = |one: &Value| {
        let text = one.pointer("/metadata/annotations/pilothouse.dev~1schema-revision").and_then(Value::as_str);
        text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    match there {
        None if live.has(ComponentId::Pilothouse) => AgentChange::Same,
        None => AgentChange::Create,
        Some(one) if revision(one) < revision(wanted) => AgentChange::Update,
        Some(_) => AgentChange::Same,
    }
}

/// What the user must be allowed to do, and the rights that would be given.
fn acts_of(drawn: &Drawn, wanted: &[Right]) -> (BTreeSet<Act>, Vec<Right>) {
    let mut acts = BTreeSet::new();
    for one in &drawn.steps {
        let namespace = one.namespace.as_deref();
        let verbs: &[&'static str] = match (one.change, one.kind) {
            (AgentChange::Create, kinds::CRD) => &["create"],
            (AgentChange::Update, kinds::CRD) => &["update"],
            (AgentChange::Create, _) => &["create", "patch"],
            (AgentChange::Update, _) => &["patch"],
            (AgentChange::Remove, _) => &["delete"],
            (AgentChange::Same | AgentChange::Foreign | AgentChange::Unserved, _) => &[],
        };
        acts.extend(verbs.iter().map(|verb| Act::new(verb, one.kind, namespace)));
    }
    let written: BTreeSet<&String> = drawn
        .steps
        .iter()
        .filter(|one| matches!(one.kind, kinds::ROLE | kinds::ROLE_BINDING))
        .filter(|one| matches!(one.change, AgentChange::Create | AgentChange::Update))
        .filter_map(|one| one.namespace.as_ref())
        .collect();
    let giving = wanted.iter().filter(|one| written.contains(&one.namespace)).cloned().collect();
    (acts, giving)
}

/// The kinds' names, for those who remove them.
pub(super) fn kind_names() -> Vec<String> {
    crds::manifests().iter().filter_map(|one| one["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::credential_name;

    fn right(resource: &str, verbs: &[&'static str]) -> Right {
        Right {
            namespace: "litmus".into(),
            group: String::new(),
            resource: resource.into(),
            names: Vec::new(),
            verbs: verbs.to_vec(),
            why: "to see".into(),
        }
    }

    #[test]
    fn a_project_that_is_led_elsewhere_leaves_its_credential_behind() {
        let need = |url: &str, credential: &str| ProjectNeed {
            namespace: "litmus".into(),
            id: "shop".into(),
            url: url.into(),
            branch: String::new(),
            credential: credential.into(),
        };
        let before = Needs { projects: vec![need("https://git.a/x/y.git", "by-hand")], triggers: Vec::new() };
        assert_eq!(credential_of(&need("https://git.a/x/z.git", ""), Some(&before)), "by-hand");
        let own = credential_name("litmus", "shop", "https://git.b/x/y.git");
        assert_eq!(credential_of(&need("https://git.b/x/y.git", &own), Some(&before)), own);
        assert_eq!(credential_of(&need("https://git.b/x/y.git", &own), None), own);
    }

    #[test]
    fn ports_that_were_opened_by_hand_are_read_back() {
        let policy = serde_json::json!({"spec": {"egress": [
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 7999}, {"port": "named"}, {"port": 70000}]},
        ]}});
        assert_eq!(ports_of(&policy), [443, 7999]);
    }

    #[test]
    fn rights_that_come_and_go_are_told_apart() {
        let (old, both, new) = (right("pods", &["get"]), right("configmaps", &["list"]), right("leases", &["get"]));
        let views = right_views(&[both.clone(), new], Some(&[old, both]));
        let told: Vec<(&str, AgentChange)> = views.iter().map(|one| (one.resource.as_str(), one.change)).collect();
        assert_eq!(
            told,
            [("configmaps", AgentChange::Same), ("leases", AgentChange::Create), ("pods", AgentChange::Remove)]
        );
        assert!(right_views(&[right("pods", &["get"])], None).iter().all(|one| one.change == AgentChange::Create));
        // Another verb is another right.
        let views = right_views(&[right("pods", &["get", "list"])], Some(&[right("pods", &["get"])]));
        assert_eq!(views.iter().map(|one| one.change).collect::<Vec<_>>(), [AgentChange::Create, AgentChange::Remove]);
    }
}
