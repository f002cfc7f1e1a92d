//! What Helm writes, as objects.

use pilothouse_cluster::Unfolding;
use serde_json::Value;

use super::mask::{Mask, is_secret};
use super::{ChartError, release};

/// The most objects of one rendering.
const MOST: usize = 2000;
/// The most values that the aliases of one rendering may unfold to.
const MOST_VALUES: usize = 2_000_000;

/// One object that a chart renders. Its text can be had behind a [`Mask`] only.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// `group/version`, or the version alone for the core.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace that the manifest itself names.
    pub namespace: Option<String>,
    /// The name; of one that the server is to name, the beginning and `*`.
    pub name: String,
    /// When Helm or Argo CD runs it, for hooks: `pre-install`, `PreSync`.
    pub hook: Option<String>,
    /// The template it comes from, from the chart's name on.
    pub source: Option<String>,
    pub(super) value: Value,
}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}/{}", self.kind, self.namespace, self.name)
    }
}

impl Manifest {
    /// An object as a manifest; `None` when it has no kind or no name.
    pub fn of(value: Value, source: Option<String>) -> Option<Self> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = text("/metadata/name")
            .map(str::to_owned)
            .or_else(|| text("/metadata/generateName").map(|start| format!("{start}*")))?;
        let annotation = |name: &str| value["metadata"]["annotations"][name].as_str().map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?.to_owned(),
            kind: text("/kind")?.to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            name,
            hook: annotation("argocd.argoproj.io/hook").or_else(|| annotation("helm.sh/hook")),
            source,
            value,
        })
    }

    /// The manifest as YAML, with what is secret in it hidden.
    pub fn text(&self, mask: &mut Mask) -> String {
        text_of(&self.value, mask)
    }

    /// The API group; empty for the core.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether the object is a Secret.
    pub fn is_secret(&self) -> bool {
        is_secret(&self.value)
    }
}

/// An object as YAML, with what is secret in it hidden.
pub(super) fn text_of(object: &Value, mask: &mut Mask) -> String {
    // A tree of JSON can always be written as YAML.
    serde_yaml::to_string(&mask.hide(object)).unwrap_or_default()
}

/// Reads what `helm template` wrote.
///
/// # Errors
/// Something is no YAML, or no Kubernetes object, or there is too much of it. The error names the template.
pub fn parse(output: &str) -> Result<Vec<Manifest>, ChartError> {
    let mut found = Vec::new();
    let mut source = None;
    let mut unfolding = Unfolding::of(MOST_VALUES);
    for document in documents(output) {
        let named = document.lines().find_map(|line| line.strip_prefix("# Source: "));
        source = named.map(|name| release::printable(name.trim(), 300)).or(source);
        let bad = |why: String| ChartError::Output { file: source.clone(), why };
        unfolding.count(&document).map_err(|error| bad(error.to_string()))?;
        let value: Value = match serde_yaml::from_str(&document) {
            Ok(value) => value,
            // The reader's words may quote the text; a place in it does not.
            Err(error) => {
                let place = error.location().map(|at| format!(" at line {}", at.line())).unwrap_or_default();
                return Err(bad(format!("it is not YAML{place} of the object")));
            }
        };
        collect(value, source.as_deref(), &mut found)?;
        if found.len() > MOST {
            return Err(bad(format!("there are more than {MOST} objects")));
        }
    }
    Ok(found)
}

/// The documents of a stream. A line that begins with `---` ends one, wherever it stands.
fn documents(output: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in output.lines() {
        match line.strip_prefix("---") {
            Some(rest) if rest.is_empty() || rest.starts_with([' ', '\t']) => {
                all.push(format!("{}\n", rest.trim_start()));
            }
            _ => {
                if let Some(last) = all.last_mut() {
                    last.push_str(line);
                    last.push('\n');
                }
            }
        }
    }
    all
}

fn collect(value: Value, source: Option<&str>, found: &mut Vec<Manifest>) -> Result<(), ChartError> {
    let bad = |why: String| Err(ChartError::Output { file: source.map(str::to_owned), why });
    if value.is_null() {
        return Ok(());
    }
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    // `List` and `SecretList` stand for their items, which are deployed one by one.
    if let (Some(item_kind), Some(items)) = (kind.strip_suffix("List"), value["items"].as_array()) {
        for item in items {
            let mut item = item.clone();
            if let Some(fields) = item.as_object_mut() {
                if !fields.contains_key("kind") && !item_kind.is_empty() {
                    fields.insert("kind".to_owned(), Value::String(item_kind.to_owned()));
                }
                if !fields.contains_key("apiVersion") {
                    fields.insert("apiVersion".to_owned(), value["apiVersion"].clone());
                }
            }
            if item["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) {
                return bad("a list holds a list".to_owned());
            }
            collect(item, source, found)?;
        }
        return Ok(());
    }
    match Manifest::of(value, source.map(str::to_owned)) {
        Some(manifest) => {
            found.push(manifest);
            Ok(())
        }
        None if kind.is_empty() => bad("it has no apiVersion and kind".to_owned()),
        None => bad(format!("a {} in it has no name", release::printable(&kind, 60))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_hooks_and_lists_are_read() {
        let output = "---\n# Source: cart/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  \
            text: |\n    ---\n    b\n---\n# Source: cart/templates/empty.yaml\n# nothing\n---\n# Source: cart/templates/b.yaml\n\
            apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: s, namespace: n}\n  stringData: {p: hunter2}\n--- \n\
            # Source: cart/templates/job.yaml\napiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: migrate-\n  annotations:\n    \
            helm.sh/hook: pre-upgrade,pre-install\n";
        let found = parse(output).unwrap();
        let seen: Vec<_> = found.iter().map(|m| (m.kind.as_str(), m.name.as_str(), m.hook.as_deref())).collect();
        assert_eq!(
            seen,
            [("ConfigMap", "a", None), ("Secret", "s", None), ("Job", "migrate-*", Some("pre-upgrade,pre-install"))]
        );
        assert_eq!(found[1].source.as_deref(), Some("cart/templates/b.yaml"));
        assert_eq!(found[1].namespace.as_deref(), Some("n"));
        let shown = format!("{found:?} {}", found[1].text(&mut Mask::default()));
        assert!(shown.contains("p: <hidden 1>") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_is_no_object_is_told_without_its_text() {
        for bad in [
            "a: hunter2: x\n",
            "- hunter2\n",
            "kind: X\nmetadata: {name: hunter2}\n",
            "kind: Secret\napiVersion: v1\n",
            "kind: List\napiVersion: v1\nitems: [{kind: List, items: []}]\n",
            "a: 1\na: hunter2\n",
        ] {
            let told = parse(&format!("---\n# Source: cart/templates/bad.yaml\n{bad}")).unwrap_err().to_string();
            assert!(told.starts_with("cart/templates/bad.yaml: ") && !told.contains("hunter2"), "{told}");
        }
        let many = "---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n".repeat(MOST + 1);
        assert!(parse(&many).unwrap_err().to_string().contains("more than 2000"));
        assert!(parse(&format!("a: {}", "[".repeat(5000))).is_err());
        // What is small alone is refused in its sum.
        let (zeros, aliases) = ("0,".repeat(1000), "*a,".repeat(500));
        let wide = format!("---\napiVersion: v1\nkind: A\nmetadata: {{name: a}}\na: &a [{zeros}]\nb: [{aliases}]\n");
        assert_eq!(parse(&wide).unwrap().len(), 1);
        assert!(parse(&wide.repeat(5)).unwrap_err().to_string().contains("unfold"));
    }
}
