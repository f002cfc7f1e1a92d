//! A new Application: what is entered, what is wrong with it, and the exact object.

use pilothouse_cluster::{Name, Subdomain};
use pilothouse_git::{RemoteUrl, RepoPath};
use serde_json::{Value, json};

use crate::FieldProblem;

/// The chart to deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSource {
    /// A folder of a Git repository.
    Git {
        /// The repository.
        url: String,
        /// The folder; `.` is the whole repository.
        path: String,
        /// Branch, tag or commit; `HEAD` is the default branch.
        revision: String,
    },
    /// A chart of a Helm repository.
    Helm {
        /// The repository.
        url: String,
        /// The chart's name.
        chart: String,
        /// The version, or a range of them.
        version: String,
    },
    /// A chart of an OCI registry.
    Oci {
        /// Host and folder, without `oci://`: Argo CD's own way to write it.
        url: String,
        /// The chart's name.
        chart: String,
        /// The version.
        version: String,
    },
}

impl ChartSource {
    /// The address, as the Application has it.
    pub fn address(&self) -> &str {
        match self {
            Self::Git { url, .. } | Self::Helm { url, .. } => url.trim(),
            Self::Oci { url, .. } => url.trim().trim_start_matches("oci://").trim_end_matches('/'),
        }
    }
}

/// The cluster to deploy to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The one that Argo CD runs in.
    InCluster,
    /// One that Argo CD knows by this address.
    Server(String),
    /// One that Argo CD knows by this name.
    Named(String),
}

/// When Argo CD syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When somebody asks for it.
    Manual,
    /// By itself.
    Automated {
        /// What is no longer in Git is removed.
        prune: bool,
        /// What is changed in the cluster is changed back.
        self_heal: bool,
    },
}

/// A new Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Its name.
    pub name: String,
    /// The namespace that it lies in.
    pub namespace: String,
    /// The AppProject.
    pub project: String,
    /// The deployment flow.
    pub flow: String,
    /// The environment.
    pub environment: String,
    /// The application, which is the release's name too.
    pub application: String,
    /// The chart.
    pub chart: ChartSource,
    /// The cluster.
    pub destination: Destination,
    /// The namespace that the release goes to.
    pub target_namespace: String,
    /// Argo CD makes that namespace.
    pub create_namespace: bool,
    /// A missing values file is passed over.
    pub ignore_missing: bool,
    /// The GitOps repository.
    pub values_url: String,
    /// Its branch.
    pub values_revision: String,
    /// When it is synced.
    pub sync: SyncPolicy,
    /// The image's tag, passed as the parameter `image.tag`; empty passes none.
    pub image_tag: String,
}

/// The longest version, revision or tag.
const LONGEST: usize = 250;
/// The longest name of a release; Helm takes no longer one.
const LONGEST_RELEASE: usize = 53;
/// Why an address is to hold neither name nor password.
const NO_LOGIN: &str =
    "Leave name and password out: Argo CD keeps its own credentials, and this text is readable by many.";
/// What a chart's name is made of, in words.
const CHART_NAME: &str = "Use the chart's name: letters, digits, `-`, `_`, `.` and `/`.";

/// What is wrong with a version, a branch or a tag.
pub(crate) fn bad_revision(text: &str, empty_allowed: bool) -> Option<&'static str> {
    let text = text.trim();
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if text.is_empty() && !empty_allowed {
        return Some("Say which one.");
    }
    if text.len() > LONGEST {
        return Some("Use at most 250 characters.");
    }
    if text.contains(odd) || text.starts_with('-') {
        return Some("Use printable characters, and no hyphen in front.");
    }
    None
}

fn bad_chart_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let parts_fit = text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    text.is_empty() || text.len() > LONGEST || !text.chars().all(fits) || text.starts_with('-') || !parts_fit
}

/// A host with an optional port, and folders.
fn bad_registry(text: &str) -> bool {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let host_fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    host.is_empty()
        || !host.chars().all(host_fits)
        || host.starts_with('-')
        || (!path.is_empty() && bad_chart_name(path))
}

fn bad_web_address(text: &str) -> Option<&'static str> {
    let Ok(url) = url::Url::parse(text) else { return Some("Write it as https://host/path.") };
    if url.password().is_some() || !url.username().is_empty() {
        return Some(NO_LOGIN);
    }
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Some("Write it as https://host/path.");
    }
    (text.len() > RemoteUrl::MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()))
        .then_some("It holds spaces or control characters, or is too long.")
}

/// A user name may be a token on the web; over SSH it belongs to the address.
fn bad_git_address(text: &str) -> Option<String> {
    let web = url::Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    if web.is_some_and(|url| url.password().is_some() || !url.username().is_empty()) {
        return Some(NO_LOGIN.to_owned());
    }
    RemoteUrl::parse(text).err().map(|error| error.to_string())
}

fn chart_problems(chart: &ChartSource, problems: &mut Vec<FieldProblem>) {
    let mut add = |field: &str, words: String| problems.push(FieldProblem::new(field, words));
    let (url, version) = match chart {
        ChartSource::Git { url, path, revision } => {
            if path.trim() != "."
                && let Err(error) = RepoPath::parse(path.trim())
            {
                add("chartPath", error.to_string());
            }
            (bad_git_address(url), revision)
        }
        ChartSource::Helm { url, chart, version } => {
            if bad_chart_name(chart.trim()) {
                add("chartName", CHART_NAME.to_owned());
            }
            (bad_web_address(url.trim()).map(str::to_owned), version)
        }
        ChartSource::Oci { chart: name, version, .. } => {
            if bad_chart_name(name.trim()) {
                add("chartName", CHART_NAME.to_owned());
            }
            let words = "Write it as host/folder, as in registry.example.com/charts.";
            (bad_registry(chart.address()).then(|| words.to_owned()), version)
        }
    };
    if let Some(why) = url {
        add("chartUrl", why);
    }
    if let Some(why) = bad_revision(version, false) {
        add("chartVersion", why.to_owned());
    }
}

/// What is wrong with a form; nothing when it can be rendered.
pub fn validate(form: &Form) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let labels = [
        ("flow", &form.flow),
        ("environment", &form.environment),
        ("application", &form.application),
        ("namespace", &form.namespace),
        ("targetNamespace", &form.target_namespace),
    ];
    for (field, text) in labels {
        if Name::parse(field, text).is_err() {
            problems.push(FieldProblem::new(field, format!("Please {}.", Name::RULE)));
        }
    }
    if form.application.len() > LONGEST_RELEASE && !problems.iter().any(|one| one.field == "application") {
        let words = format!("Use at most {LONGEST_RELEASE} characters: Helm takes no longer name for a release.");
        problems.push(FieldProblem::new("application", words));
    }
    for (field, text) in [("name", &form.name), ("project", &form.project)] {
        if Subdomain::parse(field, text).is_err() {
            problems.push(FieldProblem::new(field, format!("Please {}.", Subdomain::RULE)));
        }
    }
    chart_problems(&form.chart, &mut problems);
    match &form.destination {
        Destination::InCluster => {}
        Destination::Server(server) => {
            if let Some(why) = bad_web_address(server.trim()) {
                problems.push(FieldProblem::new("server", why));
            }
        }
        Destination::Named(name) => {
            if name.trim().is_empty() || bad_revision(name, false).is_some() {
                problems.push(FieldProblem::new("server", "Give the name under which Argo CD knows the cluster."));
            }
        }
    }
    if let Err(error) = RemoteUrl::parse(&form.values_url) {
        problems.push(FieldProblem::new("valuesUrl", error.to_string()));
    }
    if let Some(why) = bad_revision(&form.values_revision, false) {
        problems.push(FieldProblem::new("valuesRevision", why));
    }
    if let Some(why) = bad_revision(&form.image_tag, true) {
        problems.push(FieldProblem::new("imageTag", why));
    }
    problems
}

/// The name of the source with the values.
const VALUES: &str = "values";

/// The exact Application, as it is sent to the API server. The form has no problems.
pub fn render(form: &Form) -> Value {
    let mut helm = json!({
        "releaseName": form.application,
        "ignoreMissingValueFiles": form.ignore_missing,
        "valueFiles": [format!("${VALUES}/{}/{}/{}-values.yaml", form.flow, form.environment, form.application)],
    });
    let tag = form.image_tag.trim();
    if !tag.is_empty() {
        helm["parameters"] = json!([{ "name": "image.tag", "value": tag, "forceString": true }]);
    }
    let mut chart = json!({ "repoURL": form.chart.address() });
    match &form.chart {
        ChartSource::Git { path, revision, .. } => {
            chart["path"] = json!(path.trim());
            chart["targetRevision"] = json!(revision.trim());
        }
        ChartSource::Helm { chart: name, version, .. } | ChartSource::Oci { chart: name, version, .. } => {
            chart["chart"] = json!(name.trim());
            chart["targetRevision"] = json!(version.trim());
        }
    }
    chart["helm"] = helm;
    let mut destination = json!({});
    match &form.destination {
        Destination::InCluster => destination["server"] = json!(super::views::OWN_SERVER),
        Destination::Server(server) => destination["server"] = json!(server.trim()),
        Destination::Named(name) => destination["name"] = json!(name.trim()),
    }
    destination["namespace"] = json!(form.target_namespace);
    let mut policy = json!({});
    if let SyncPolicy::Automated { prune, self_heal } = form.sync {
        policy["automated"] = json!({ "prune": prune, "selfHeal": self_heal });
    }
    if form.create_namespace {
        policy["syncOptions"] = json!(["CreateNamespace=true"]);
    }
    let mut spec = json!({
        "project": form.project,
        "sources": [
            chart,
            { "repoURL": form.values_url.trim(), "targetRevision": form.values_revision.trim(), "ref": VALUES },
        ],
        "destination": destination,
    });
    if policy.as_object().is_some_and(|all| !all.is_empty()) {
        spec["syncPolicy"] = policy;
    }
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": { "name": form.name, "namespace": form.namespace },
        "spec": spec,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use kube::api::DynamicObject;

    use super::super::place;
    use super::*;
    use crate::objects::Application;

    pub(crate) fn form() -> Form {
        Form {
            name: "shop-dev-cart".into(),
            namespace: "argocd".into(),
            project: "shop".into(),
            flow: "shop".into(),
            environment: "dev".into(),
            application: "cart".into(),
            chart: ChartSource::Git {
                url: "https://git.example.com/acme/cart.git".into(),
                path: "deploy-templates".into(),
                revision: "build/1.2.0".into(),
            },
            destination: Destination::InCluster,
            target_namespace: "shop-dev".into(),
            create_namespace: true,
            ignore_missing: false,
            values_url: "https://git.example.com/acme/gitops.git".into(),
            values_revision: "main".into(),
            sync: SyncPolicy::Manual,
            image_tag: String::new(),
        }
    }

    fn fields(change: impl FnOnce(&mut Form)) -> Vec<String> {
        let mut form = form();
        change(&mut form);
        validate(&form).into_iter().map(|one| one.field).collect()
    }

    #[test]
    fn the_application_is_exactly_this() {
        let mut all = form();
        (all.sync, all.image_tag) = (SyncPolicy::Automated { prune: true, self_heal: false }, "1.20".into());
        assert_eq!(
            serde_yaml::to_string(&render(&all)).unwrap(),
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: shop-dev-cart\n  namespace: argocd\n\
             spec:\n  project: shop\n  sources:\n  - repoURL: https://git.example.com/acme/cart.git\n    \
             path: deploy-templates\n    targetRevision: build/1.2.0\n    helm:\n      releaseName: cart\n      \
             ignoreMissingValueFiles: false\n      valueFiles:\n      - $values/shop/dev/cart-values.yaml\n      \
             parameters:\n      - name: image.tag\n        value: '1.20'\n        forceString: true\n  \
             - repoURL: https://git.example.com/acme/gitops.git\n    targetRevision: main\n    ref: values\n  \
             destination:\n    server: https://kubernetes.default.svc\n    namespace: shop-dev\n  \
             syncPolicy:\n    automated:\n      prune: true\n      selfHeal: false\n    syncOptions:\n    \
             - CreateNamespace=true\n"
        );
        let mut oci = form();
        oci.chart = ChartSource::Oci {
            url: "oci://registry.example.com:5000/charts/".into(),
            chart: "cart".into(),
            version: "1.2.0".into(),
        };
        (oci.create_namespace, oci.destination) = (false, Destination::Named("eu".into()));
        let made = render(&oci);
        assert_eq!(made["spec"]["sources"][0]["repoURL"], "registry.example.com:5000/charts");
        assert_eq!(made["spec"]["destination"], json!({ "name": "eu", "namespace": "shop-dev" }));
        assert!(made["spec"].get("syncPolicy").is_none(), "{made}");
    }

    #[test]
    fn what_is_written_is_read_back_by_the_convention() {
        let object: DynamicObject = serde_json::from_value(render(&form())).unwrap();
        let found = place(&Application::read(&object)).unwrap();
        assert_eq!((found.file().as_str(), found.chart, found.values), ("shop/dev/cart-values.yaml", 0, 1));
    }

    #[test]
    fn case_21_names_and_addresses_are_checked() {
        assert_eq!(validate(&form()), []);
        for bad in ["", "../x", "A", "a.b", "a/b", "a b", "\u{202e}a", "-a"] {
            assert_eq!(fields(|form| form.flow = bad.into()), ["flow"], "{bad:?}");
            assert_eq!(fields(|form| form.environment = bad.into()), ["environment"], "{bad:?}");
            assert_eq!(fields(|form| form.application = bad.into()), ["application"], "{bad:?}");
            assert_eq!(fields(|form| form.target_namespace = bad.into()), ["targetNamespace"], "{bad:?}");
        }
        assert_eq!(fields(|form| form.name = "a_b".into()), ["name"]);
        // It is the release's name, and Helm's limit is lower than the one of a label.
        assert!(fields(|form| form.application = "a".repeat(53)).is_empty());
        for long in [54, 63, 64] {
            assert_eq!(fields(|form| form.application = "a".repeat(long)), ["application"], "{long}");
        }
        assert_eq!(fields(|form| form.project = "*".into()), ["project"]);
        let git = |url: &str, path: &str, revision: &str| ChartSource::Git {
            url: url.into(),
            path: path.into(),
            revision: revision.into(),
        };
        let good = "https://git.example.com/acme/cart.git";
        for (chart, wanted) in [
            (git("https://robin:secret@git.example.com/x", "x", "main"), "chartUrl"),
            (git("https://glpat-0123456789abcdefghij@git.example.com/x", "x", "main"), "chartUrl"),
            (git(" HTTPS://robin@git.example.com/x", "x", "main"), "chartUrl"),
            (git("ext::sh -c x", "x", "main"), "chartUrl"),
            (git("file:///etc", "x", "main"), "chartUrl"),
            (git(good, "../x", "main"), "chartPath"),
            (git(good, "/etc", "main"), "chartPath"),
            (git(good, "x", ""), "chartVersion"),
            (git(good, "x", "--upload-pack=x"), "chartVersion"),
            (git(good, "x", "a\nb"), "chartVersion"),
        ] {
            assert_eq!(fields(|form| form.chart = chart.clone()), [wanted], "{chart:?}");
        }
        for over_ssh in ["git@git.example.com:acme/cart.git", "ssh://git@git.example.com/acme/cart.git"] {
            assert!(fields(|form| form.chart = git(over_ssh, "x", "main")).is_empty(), "{over_ssh}");
        }
        let helm = |url: &str, chart: &str| ChartSource::Helm {
            url: url.into(),
            chart: chart.into(),
            version: ">= 1.2, < 2".into(),
        };
        assert!(fields(|form| form.chart = helm("https://charts.example.com/stable", "cart")).is_empty());
        for (url, chart, wanted) in [
            ("https://robin:pw@charts.example.com", "cart", "chartUrl"),
            ("https://robin@charts.example.com", "cart", "chartUrl"),
            ("file:///etc", "cart", "chartUrl"),
            ("charts.example.com", "cart", "chartUrl"),
            ("https://charts.example.com", "../cart", "chartName"),
            ("https://charts.example.com", "", "chartName"),
        ] {
            assert_eq!(fields(|form| form.chart = helm(url, chart)), [wanted], "{url} {chart}");
        }
        let oci = |url: &str| ChartSource::Oci { url: url.into(), chart: "cart".into(), version: "1".into() };
        assert!(fields(|form| form.chart = oci("oci://registry.example.com:5000/a/b")).is_empty());
        for url in
            ["", "https://registry.example.com/a", "robin:pw@registry.example.com/a", "registry.example.com/../a"]
        {
            assert_eq!(fields(|form| form.chart = oci(url)), ["chartUrl"], "{url}");
        }
        assert_eq!(fields(|form| form.destination = Destination::Server("eu".into())), ["server"]);
        assert_eq!(fields(|form| form.destination = Destination::Named(" ".into())), ["server"]);
        assert_eq!(fields(|form| form.values_revision = String::new()), ["valuesRevision"]);
        assert_eq!(fields(|form| form.image_tag = "a\u{0}b".into()), ["imageTag"]);
    }
}
