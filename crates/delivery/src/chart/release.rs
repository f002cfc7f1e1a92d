//! A release: what Helm is told besides the chart.

use std::ffi::OsString;
use std::path::Path;

use pilothouse_cluster::{Name, Unfolding};
use serde_json::{Map, Value};

use super::ChartError;

/// The longest name of a release that Helm takes.
const LONGEST_NAME: usize = 53;
/// The most bytes of all parameters and API versions together: they go onto a command line.
const LONGEST_LINE: usize = 96 * 1024;
/// The largest text of values, in bytes.
const LARGEST_VALUES: usize = 1024 * 1024;

/// A value that goes before those of all files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmParameter {
    /// The key's path, as Helm's `--set` takes it.
    pub name: String,
    /// The value.
    pub value: String,
    /// Whether it is text whatever it looks like.
    pub force_string: bool,
}

/// A values file's text.
#[derive(Clone, PartialEq, Eq)]
pub struct ValuesText {
    /// What the file is called, for errors.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl std::fmt::Debug for ValuesText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValuesText").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A release to render.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// The namespace it goes to.
    pub namespace: String,
    /// The values, later ones go before earlier ones.
    pub values: Vec<ValuesText>,
    /// What goes before all values.
    pub parameters: Vec<HelmParameter>,
    /// Whether the chart's CRDs are left out.
    pub skip_crds: bool,
    /// Whether the values are not held against the chart's schema.
    pub skip_schema: bool,
    /// The cluster's version, such as `v1.34.2`; Helm's own when it is not known.
    pub kube_version: Option<String>,
    /// What the cluster serves, as `group/version` and `group/version/Kind`.
    pub api_versions: Vec<String>,
}

impl Release {
    /// Checks what goes to Helm.
    ///
    /// # Errors
    /// A name that Helm does not take, or more than goes onto a command line.
    pub fn check(&self) -> Result<(), ChartError> {
        let bad = |why: String| Err(ChartError::BadRelease(why));
        let labels = self.name.split('.').all(|label| Name::parse("release name", label).is_ok());
        if !labels || self.name.len() > LONGEST_NAME {
            return bad(format!(
                "{:?} is no name of a release: Helm takes small letters, digits and `-`, at most {LONGEST_NAME}",
                printable(&self.name, 80)
            ));
        }
        Name::parse("namespace", &self.namespace).map_err(|error| ChartError::BadRelease(error.to_string()))?;
        if let Some(one) = self.parameters.iter().find(|one| one.name.is_empty() || one.name.contains('\0')) {
            return bad(format!("there is a parameter named {:?}", printable(&one.name, 80)));
        }
        if let Some(one) = self.parameters.iter().find(|one| one.value.contains('\0')) {
            return bad(format!("the parameter {:?} holds a zero byte", printable(&one.name, 80)));
        }
        let parameters: usize = self.parameters.iter().map(|one| one.name.len() + one.value.len() + 16).sum();
        let versions: usize = self.api_versions.iter().map(|one| one.len() + 16).sum();
        if parameters + versions > LONGEST_LINE {
            return bad("its parameters are longer than a command line may be".to_owned());
        }
        if let Some(large) = self.values.iter().find(|values| values.text.len() > LARGEST_VALUES) {
            return bad(format!("{} is larger than {} MiB", large.name, LARGEST_VALUES >> 20));
        }
        Ok(())
    }

    /// The parameters that need not stand on a command line, where others of this machine can read them, as a values
    /// file that goes over all others, and those left. The former are those of which it is sure that Helm makes the
    /// same of them on both ways: text, at keys on which no other parameter has a say, below mappings only. Reads the
    /// values, which may take a while.
    pub(super) fn split_parameters(&self) -> (Option<String>, Vec<HelmParameter>) {
        let read = |values: &ValuesText| -> Option<Value> {
            let merges = values.text.contains("<<");
            let bounded = Unfolding::default().count(&values.text).is_ok();
            (bounded && !merges).then(|| serde_yaml::from_str(&values.text).ok())?
        };
        let dotted = self.parameters.iter().any(|one| one.name.contains('.'));
        let trees: Option<Vec<Value>> = if dotted { self.values.iter().map(read).collect() } else { None };
        let below_mappings = |name: &str| match (name.rsplit_once('.'), &trees) {
            (None, _) => true,
            (Some((above, _)), Some(trees)) => trees.iter().all(|tree| leads_through_mappings(tree, above)),
            (Some(_), None) => false,
        };
        let (by_file, left): (Vec<_>, Vec<_>) = self
            .parameters
            .iter()
            .cloned()
            .enumerate()
            .partition(|(place, one)| self.goes_by_file(*place, one) && below_mappings(&one.name));
        let mut tree = Map::new();
        for (_, one) in by_file {
            let mut keys = one.name.split('.').rev();
            let last = keys.next().unwrap_or_default();
            let leaf = Map::from_iter([(last.to_owned(), Value::String(one.value))]);
            let branch = keys.fold(leaf, |below, key| Map::from_iter([(key.to_owned(), Value::Object(below))]));
            graft(&mut tree, branch);
        }
        // Text in JSON is text in YAML.
        let file = (!tree.is_empty()).then(|| Value::Object(tree).to_string());
        (file, left.into_iter().map(|(_, one)| one).collect())
    }

    fn goes_by_file(&self, place: usize, one: &HelmParameter) -> bool {
        let plain =
            |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        // What `--set` takes for more than text: an escape, a list, a number, a word.
        let word = ["true", "false", "null"].iter().any(|word| one.value.eq_ignore_ascii_case(word));
        let number = one.value.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        let text = !one.value.is_empty() && (one.force_string || !(word || number));
        let alone = || {
            let start = |name: &str| name.split(['.', '[', '=', ',']).next().map(str::to_owned);
            self.parameters.iter().enumerate().all(|(there, other)| {
                there == place
                    || start(&one.name) != start(&other.name)
                    || (other.name.split('.').all(plain) && !overlap(&one.name, &other.name))
            })
        };
        text && one.name.split('.').all(plain)
            && !one.value.contains(['\\', '{'])
            && !one.value.chars().any(char::is_control)
            && alone()
    }

    /// The arguments for `helm`, as Argo CD gives them (`util/helm/cmd.go`, `template`), but with the name as it is
    /// where Argo CD has Helm read it as a template, and with parameters in a file. `files` are the values' places in
    /// their order, with that of the parameters' file at the end; `parameters` are those not in it.
    pub(super) fn arguments(&self, chart: &Path, files: &[&Path], parameters: &[HelmParameter]) -> Vec<OsString> {
        let joined = |flag: &str, value: &std::ffi::OsStr| {
            let mut whole = OsString::from(flag);
            whole.push(value);
            whole
        };
        let mut all: Vec<OsString> = vec!["template".into()];
        all.push(format!("--namespace={}", self.namespace).into());
        all.extend(self.kube_version.iter().map(|version| format!("--kube-version={version}").into()));
        for one in parameters {
            let flag = if one.force_string { "--set-string" } else { "--set" };
            all.push(format!("{flag}={}={}", one.name, escaped(&one.value)).into());
        }
        all.extend(files.iter().map(|file| joined("--values=", file.as_os_str())));
        all.extend(self.api_versions.iter().map(|version| format!("--api-versions={version}").into()));
        if !self.skip_crds {
            all.push("--include-crds".into());
        }
        if self.skip_schema {
            all.push("--skip-schema-validation".into());
        }
        all.push("--".into());
        all.push(self.name.clone().into());
        all.push(chart.into());
        all
    }
}

/// Whether a path can be followed through mappings, as far as there is something. Where there is something else, even
/// nothing written out, `--set` fails.
fn leads_through_mappings(tree: &Value, path: &str) -> bool {
    let mut at = tree;
    for key in path.split('.') {
        match at.get(key) {
            None => return true,
            Some(next) if next.is_object() => at = next,
            Some(_) => return false,
        }
    }
    true
}

/// Whether one of two paths leads through the other.
fn overlap(one: &str, other: &str) -> bool {
    one.split('.').zip(other.split('.')).all(|(one, other)| one == other)
}

fn graft(tree: &mut Map<String, Value>, branch: Map<String, Value>) {
    for (key, below) in branch {
        match (tree.get_mut(&key), below) {
            (Some(Value::Object(there)), Value::Object(below)) => graft(there, below),
            (_, below) => drop(tree.insert(key, below)),
        }
    }
}

/// Commas separate values for `--set`. Argo CD escapes them unless they are escaped, or the value is a list in braces.
fn escaped(value: &str) -> String {
    if value.starts_with('{') && value.ends_with('}') {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut before = None;
    for c in value.chars() {
        if c == ',' && before != Some('\\') {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
    out
}

/// Text of others that is safe to show: at most `most` characters, none of which moves the cursor.
pub(super) fn printable(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let mut out: String = text.chars().map(clean).take(most).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release { name: "cart".into(), namespace: "shop".into(), ..Release::default() }
    }

    #[test]
    fn arguments_are_those_of_argo_cd() {
        let parameter = |name: &str, value: &str, force_string| HelmParameter {
            name: name.into(),
            value: value.into(),
            force_string,
        };
        let release = Release {
            parameters: vec![
                parameter("image.tag", "1.0", false),
                parameter("a", "x,y\\,z", true),
                parameter("l", "{1,2}", false),
                parameter("db.password", "hunter2, \"or\" so", false),
                parameter("db.user", "1", true),
            ],
            kube_version: Some("v1.34.2".into()),
            api_versions: vec!["apps/v1".into()],
            skip_schema: true,
            ..release()
        };
        let (file, left) = release.split_parameters();
        let words: Vec<_> = release.arguments(Path::new("/r/chart"), &[Path::new("/r/v0.yaml")], &left);
        let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
        assert_eq!(file.unwrap(), r#"{"db":{"password":"hunter2, \"or\" so","user":"1"}}"#);
        assert_eq!(
            words,
            [
                "template",
                "--namespace=shop",
                "--kube-version=v1.34.2",
                "--set=image.tag=1.0",
                "--set-string=a=x\\,y\\,z",
                "--set=l={1,2}",
                "--values=/r/v0.yaml",
                "--api-versions=apps/v1",
                "--include-crds",
                "--skip-schema-validation",
                "--",
                "cart",
                "/r/chart"
            ]
        );
    }

    #[test]
    fn only_what_is_surely_the_same_goes_by_file() {
        let by_file = |all: &[(&str, &str)]| {
            let one = |(name, value): &(&str, &str)| HelmParameter {
                name: (*name).into(),
                value: (*value).into(),
                force_string: false,
            };
            Release { parameters: all.iter().map(one).collect(), ..release() }.split_parameters().0
        };
        assert_eq!(by_file(&[("a.b-c", "x"), ("b", "y")]).unwrap(), r#"{"a":{"b-c":"x"},"b":"y"}"#);
        for (name, value) in [
            ("a", "1"),
            ("a", "-1"),
            ("a", "TRUE"),
            ("a", "null"),
            ("a", ""),
            ("a", "{x}"),
            ("a", "x\\,"),
            ("a", "x\ny"),
        ] {
            assert_eq!(by_file(&[(name, value)]), None, "{value}");
        }
        for name in ["a[0]", "a\\.b", "a..b", "a=b", "a,b", "@file"] {
            assert_eq!(by_file(&[(name, "x")]), None, "{name}");
        }
        // Where `--set` fails, nothing is to be rendered.
        for (values, by_file) in [
            ("db: {x: 1}", true),
            ("other: 1", true),
            ("db:", false),
            ("db: text", false),
            ("x: &x {db: 1}\n<<: *x", false),
            ("db: [", false),
        ] {
            let parameters = vec![HelmParameter { name: "db.p".into(), value: "x".into(), force_string: false }];
            let values = vec![ValuesText { name: "v".into(), text: values.into() }];
            let split = Release { values, parameters, ..release() }.split_parameters();
            assert_eq!((split.0.is_some(), split.1.is_empty()), (by_file, by_file));
        }
        // The order of these counts.
        for other in ["a", "a.b", "a.b.c", "a[0].b"] {
            assert_eq!(by_file(&[("a.b", "x"), (other, "{y}")]), None, "{other}");
        }
    }

    #[test]
    fn names_and_sizes_are_checked() {
        release().check().unwrap();
        for name in ["", "-x", "--post-renderer=/bin/sh", "{{ env }}", "Cart", "a..b", &"a".repeat(54)] {
            assert!(Release { name: name.into(), ..release() }.check().is_err(), "{name}");
        }
        assert!(Release { namespace: "a b".into(), ..release() }.check().is_err());
        let parameter =
            |name: &str, value: &str| HelmParameter { name: name.into(), value: value.into(), force_string: false };
        for bad in [parameter("", "x"), parameter("a", "\0"), parameter("a", &"x".repeat(LONGEST_LINE))] {
            assert!(Release { parameters: vec![bad], ..release() }.check().is_err());
        }
        let values = vec![ValuesText { name: "v".into(), text: "x".repeat(LARGEST_VALUES + 1) }];
        assert!(Release { values, ..release() }.check().is_err());
    }
}
