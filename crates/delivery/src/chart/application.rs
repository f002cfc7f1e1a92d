//! What an Argo CD Application says about the release it deploys.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::Value;

use super::release::{self, HelmParameter, ValuesText};
use super::remote::RemoteChart;

/// A values file that an Application names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueFile {
    /// `$name/path`: in another of the Application's sources.
    Elsewhere {
        /// The other source's name.
        reference: String,
        /// The path in that repository.
        path: String,
    },
    /// A path below the chart.
    InChart(String),
    /// An address, which is not opened.
    Address(String),
}

/// Where an Application's chart is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// The Application does not say.
    #[default]
    Unknown,
    /// In a Git repository.
    Git {
        /// Its address.
        url: String,
        /// The chart's folder; `.` for the top.
        path: String,
        /// A branch, a tag or a commit; empty for the default branch.
        revision: String,
    },
    /// Published in a Helm repository or a registry.
    Published(RemoteChart),
}

/// An object that Argo CD counts to an Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedResource {
    /// The API group; empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; none for what lies outside of them.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// Whether it is a hook, which a sync makes and removes.
    pub hook: bool,
}

/// What an Application says about the release it deploys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployed {
    /// The Application's name, by which Argo CD marks what it manages.
    pub application: String,
    /// The release's name.
    pub release: String,
    /// The namespace it goes to.
    pub namespace: String,
    /// The cluster it goes to: a name or an address.
    pub cluster: String,
    /// Where its chart is.
    pub origin: Origin,
    /// What goes before all values.
    pub parameters: Vec<HelmParameter>,
    /// The values files in their order.
    pub value_files: Vec<ValueFile>,
    /// The repositories behind the names that `value_files` may refer to.
    pub references: BTreeMap<String, String>,
    /// Whether values files that are not there are passed over.
    pub ignore_missing: bool,
    /// The parameters whose values are to come from files.
    pub file_parameters: Vec<String>,
    /// Values that the Application itself holds; they go before the files.
    pub inline: Option<ValuesText>,
    /// Whether the chart's CRDs are left out.
    pub skip_crds: bool,
    /// Whether the values are not held against the chart's schema.
    pub skip_schema: bool,
    /// The cluster's version that it wants to be assumed.
    pub kube_version: Option<String>,
    /// What the cluster is to be assumed to serve.
    pub api_versions: Vec<String>,
    /// What Argo CD counts to it now.
    pub resources: Vec<TrackedResource>,
}

/// The cluster that Argo CD itself runs in.
const OWN: &[&str] = &["", "in-cluster", "https://kubernetes.default.svc"];

impl Deployed {
    /// Reads an Application. What is missing or of another type counts as not said.
    pub fn read(application: &DynamicObject) -> Self {
        let data = &application.data;
        let name = application.metadata.name.clone().unwrap_or_default();
        let sources: Vec<&Value> = match data["spec"]["sources"].as_array() {
            Some(sources) if !sources.is_empty() => sources.iter().collect(),
            _ => vec![&data["spec"]["source"]],
        };
        // A source that is only a name for its files has neither path nor chart.
        let charted = |source: &&&Value| !text(source, "path").is_empty() || !text(source, "chart").is_empty();
        let nothing = Value::Null;
        let source = sources.iter().find(charted).copied().unwrap_or(&nothing);
        let helm = &source["helm"];
        let or = |text: String, other: String| if text.is_empty() { other } else { text };
        let destination = &data["spec"]["destination"];
        let flag = |key: &str| helm[key].as_bool().unwrap_or_default();
        let inline = match &helm["valuesObject"] {
            Value::Object(values) if !values.is_empty() => serde_yaml::to_string(values).ok(),
            _ => Some(text(helm, "values")).filter(|values| !values.is_empty()),
        };
        Self {
            release: or(text(helm, "releaseName"), name.clone()),
            namespace: text(destination, "namespace"),
            cluster: or(text(destination, "name"), text(destination, "server")),
            origin: origin(source),
            parameters: list(helm, "parameters")
                .map(|one| HelmParameter {
                    name: text(one, "name"),
                    value: text(one, "value"),
                    force_string: one["forceString"].as_bool().unwrap_or_default(),
                })
                .collect(),
            value_files: list(helm, "valueFiles").filter_map(Value::as_str).map(value_file).collect(),
            references: sources
                .iter()
                .map(|source| (text(source, "ref"), any_case(source, "repoURL")))
                .filter(|(name, _)| !name.is_empty())
                .collect(),
            ignore_missing: flag("ignoreMissingValueFiles"),
            file_parameters: list(helm, "fileParameters").map(|one| text(one, "name")).collect(),
            inline: inline.map(|text| ValuesText { name: "the values in the Application".to_owned(), text }),
            skip_crds: flag("skipCrds"),
            skip_schema: flag("skipSchemaValidation"),
            kube_version: Some(text(helm, "kubeVersion")).filter(|version| !version.is_empty()),
            api_versions: list(helm, "apiVersions").filter_map(Value::as_str).map(str::to_owned).collect(),
            resources: list(&data["status"], "resources").map(tracked).collect(),
            application: name,
        }
    }

    /// What of it a rendering leaves out, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let mut all = Vec::new();
        if !self.file_parameters.is_empty() {
            let names = release::printable(&self.file_parameters.join(", "), 200);
            all.push(format!("The parameters {names}, whose values the Application takes from files, are left out."));
        }
        // A file's own name for its repository has been taken off.
        let paths = self.value_files.iter().map(|file| match file {
            ValueFile::Elsewhere { path, .. } | ValueFile::InChart(path) | ValueFile::Address(path) => path,
        });
        if self.parameters.iter().map(|one| &one.value).chain(paths).any(|text| text.contains('$')) {
            let words = "A parameter or a values file’s name holds a `$`, which Argo CD takes for one of its build \
                         variables. They are not put in here.";
            all.push(words.to_owned());
        }
        all
    }

    /// Whether it goes to the cluster that Argo CD runs in.
    pub fn in_own_cluster(&self) -> bool {
        OWN.contains(&self.cluster.as_str())
    }
}

fn origin(source: &Value) -> Origin {
    let (url, path, chart) = (any_case(source, "repoURL"), text(source, "path"), text(source, "chart"));
    let revision = text(source, "targetRevision");
    let registry = url.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("oci://"));
    match (chart.is_empty(), path.is_empty()) {
        _ if url.is_empty() => Origin::Unknown,
        // A chart at the top of what a registry holds.
        (true, false) if registry && matches!(path.as_str(), "." | "./") => {
            Origin::Published(RemoteChart { repository: url, chart, revision })
        }
        (false, _) => Origin::Published(RemoteChart { repository: url, chart, revision }),
        (true, false) => Origin::Git { url, path, revision },
        (true, true) => Origin::Unknown,
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// As [`text`], however the key's letters are written: Argo CD takes both.
fn any_case(value: &Value, key: &str) -> String {
    let found = value.as_object().and_then(|all| all.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)));
    found.and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn value_file(path: &str) -> ValueFile {
    match path.strip_prefix('$').and_then(|rest| rest.split_once('/')) {
        Some((reference, path)) => ValueFile::Elsewhere { reference: reference.to_owned(), path: path.to_owned() },
        None if path.contains("://") => ValueFile::Address(path.to_owned()),
        None => ValueFile::InChart(path.trim_start_matches("./").to_owned()),
    }
}

fn tracked(one: &Value) -> TrackedResource {
    TrackedResource {
        group: text(one, "group"),
        version: text(one, "version"),
        kind: text(one, "kind"),
        namespace: Some(text(one, "namespace")).filter(|namespace| !namespace.is_empty()),
        name: text(one, "name"),
        hook: one["hook"].as_bool().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn application(spec: Value) -> DynamicObject {
        let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop-dev-cart"}, "spec": spec,
            "status": {"resources": [{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "n", "name": "cart"}]}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_source_with_the_chart_speaks() {
        let read = Deployed::read(&application(json!({
            "destination": {"name": "in-cluster", "namespace": "n"},
            "source": {"path": "old", "helm": {"releaseName": "old"}},
            "sources": [
                {"ref": "values", "repoURL": "x"},
                {"path": "deploy-templates", "helm": {"releaseName": "cart", "skipCrds": true,
                    "valueFiles": ["$values/shop/dev/cart-values.yaml", "./more.yaml", "https://x/y.yaml"],
                    "valuesObject": {"a": 1},
                    "parameters": [{"name": "image.tag", "value": "1.0", "forceString": true}, {"name": 7}]}}]})));
        assert_eq!((read.release.as_str(), read.namespace.as_str(), read.in_own_cluster()), ("cart", "n", true));
        assert_eq!(
            read.value_files[0],
            ValueFile::Elsewhere { reference: "values".into(), path: "shop/dev/cart-values.yaml".into() }
        );
        assert_eq!(read.value_files[1], ValueFile::InChart("more.yaml".into()));
        assert!(matches!(read.value_files[2], ValueFile::Address(_)));
        assert!(read.parameters[0].force_string && read.skip_crds);
        assert_eq!(read.inline.as_ref().unwrap().text, "a: 1\n");
        assert_eq!(read.references, BTreeMap::from([("values".to_owned(), "x".to_owned())]));
        assert_eq!((read.remarks(), read.ignore_missing), (Vec::<String>::new(), false));
        assert_eq!(read.resources[0].kind, "Deployment");
    }

    #[test]
    fn the_chart_is_in_git_or_published() {
        let origin = |source: Value| Deployed::read(&application(json!({"source": source}))).origin;
        let published = |repository: &str, chart: &str| {
            let revision = "1.x".to_owned();
            Origin::Published(RemoteChart { repository: repository.into(), chart: chart.into(), revision })
        };
        let with = |repo: &str, key: &str, value: &str| json!({"repoURL": repo, key: value, "targetRevision": "1.x"});
        assert_eq!(origin(with("https://c.example", "chart", "cart")), published("https://c.example", "cart"));
        assert_eq!(origin(with("r.example/charts", "chart", "cart")), published("r.example/charts", "cart"));
        assert_eq!(origin(with("oci://r.example/cart", "path", ".")), published("oci://r.example/cart", ""));
        let git = Origin::Git { url: "https://g.example/a".into(), path: "helm/cart".into(), revision: "1.x".into() };
        assert_eq!(origin(with("https://g.example/a", "path", "helm/cart")), git);
        assert_eq!(origin(json!({"repoURL": "https://g.example/a"})), Origin::Unknown);
        assert_eq!(origin(json!({"chart": "cart"})), Origin::Unknown);
    }

    #[test]
    fn what_is_left_out_is_told() {
        let remarks =
            |helm: Value| Deployed::read(&application(json!({"source": {"path": "x", "helm": helm}}))).remarks();
        let from_file = remarks(json!({"fileParameters": [{"name": "cert", "path": "a.pem"}]}));
        assert!(from_file[0].contains("cert"), "{from_file:?}");
        let variable = json!({"parameters": [{"name": "a", "value": "${ARGOCD_APP_NAME}"}]});
        assert!(remarks(variable)[0].contains("build variables"));
        assert_eq!(remarks(json!({"valueFiles": ["$values/$ARGOCD_APP_NAME.yaml"]})).len(), 1);
        assert_eq!(remarks(json!({"valueFiles": ["$values/a.yaml"]})), Vec::<String>::new());
    }

    #[test]
    fn an_application_that_says_little_is_read() {
        let read = Deployed::read(&application(
            json!({"destination": {"server": "https://other"}, "source": {"chart": "redis"}}),
        ));
        assert_eq!((read.release.as_str(), read.in_own_cluster()), ("shop-dev-cart", false));
        assert_eq!(Deployed::read(&application(json!(7))).parameters, []);
    }
}
