//! The kinds that the server serves: built-in ones, and those that CRDs register.

use std::sync::Arc;

use serde_json::{Value, json};

use super::builtins::{self, Builtin};
use super::status_errors::Named;

/// One served version of one resource.
#[derive(Debug, Clone)]
pub struct KindDef {
    /// API group, empty for the core group.
    pub group: String,
    /// API version, `v1` for example.
    pub version: String,
    /// Kind of one object.
    pub kind: String,
    /// Kind of a list.
    pub list_kind: String,
    /// Name in the path.
    pub plural: String,
    /// Name of one, in discovery.
    pub singular: String,
    /// Short names, in discovery.
    pub short_names: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` is a resource of its own.
    pub status: bool,
    /// The built-in kind's own rules; `None` for custom kinds.
    pub builtin: Option<&'static Builtin>,
    /// The custom kind's `openAPIV3Schema`.
    pub schema: Option<Arc<Value>>,
}

impl KindDef {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The resource, for errors.
    pub fn resource<'a>(&'a self, name: &'a str) -> Named<'a> {
        Named { group: &self.group, what: &self.plural, name }
    }

    /// The kind, for validation errors.
    pub fn named_kind<'a>(&'a self, name: &'a str) -> Named<'a> {
        Named { group: &self.group, what: &self.kind, name }
    }

    /// Whether both are versions of one resource.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    fn from_builtin(builtin: &'static Builtin) -> Self {
        Self {
            group: builtin.group.to_owned(),
            version: builtin.version.to_owned(),
            kind: builtin.kind.to_owned(),
            list_kind: format!("{}List", builtin.kind),
            plural: builtin.plural.to_owned(),
            singular: builtin.kind.to_lowercase(),
            short_names: builtin.short_names.iter().map(|s| (*s).to_owned()).collect(),
            namespaced: builtin.namespaced,
            status: builtin.status,
            builtin: Some(builtin),
            schema: None,
        }
    }

    /// The served versions that a stored CRD registers; empty until its names are accepted.
    pub fn from_crd(crd: &Value) -> Vec<Self> {
        let spec = &crd["spec"];
        let names = &spec["names"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let served = spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] == json!(true));
        served
            .map(|version| Self {
                group: text(&spec["group"]),
                version: text(&version["name"]),
                kind: text(&names["kind"]),
                list_kind: text(&names["listKind"]),
                plural: text(&names["plural"]),
                singular: text(&names["singular"]),
                short_names: names["shortNames"].as_array().into_iter().flatten().map(text).collect(),
                namespaced: spec["scope"] == "Namespaced",
                status: version["subresources"]["status"].is_object(),
                builtin: None,
                schema: Some(Arc::new(version["schema"]["openAPIV3Schema"].clone())),
            })
            .collect()
    }
}

/// All kinds now served.
#[derive(Debug)]
pub struct Registry {
    kinds: Vec<Arc<KindDef>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { kinds: builtins::TABLE.iter().map(KindDef::from_builtin).map(Arc::new).collect() }
    }
}

impl Registry {
    /// The kind behind a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<KindDef>> {
        self.kinds.iter().find(|k| k.is(group, plural) && k.version == version).cloned()
    }

    /// The kind that an owner reference names.
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<KindDef>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.kinds.iter().find(|k| k.group == group && k.kind == kind).cloned()
    }

    /// All kinds, in the order of registration.
    pub fn all(&self) -> &[Arc<KindDef>] {
        &self.kinds
    }

    /// Puts a CRD's kinds in the place of those it registered before.
    pub fn register(&mut self, crd: &Value) {
        self.forget(crd);
        self.kinds.extend(KindDef::from_crd(crd).into_iter().map(Arc::new));
    }

    /// Takes a CRD's kinds away.
    pub fn forget(&mut self, crd: &Value) {
        let (group, plural) =
            (crd["spec"]["group"].as_str().unwrap_or_default(), crd["spec"]["names"]["plural"].as_str());
        self.kinds.retain(|k| k.builtin.is_some() || !k.is(group, plural.unwrap_or_default()));
    }
}
