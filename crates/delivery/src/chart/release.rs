//! A release: what Helm is told besides the chart.

use std::ffi::OsString;
use std::path::Path;

use pilothouse_cluster::Name;

use super::ChartError;

/// The longest name of a release that Helm takes.
const LONGEST_NAME: usize = 53;
/// The most bytes of all API versions together: they go onto a command line.
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
        let parameters: usize = self.parameters.iter().map(|one| one.name.len() + one.value.len()).sum();
        if parameters > LARGEST_VALUES {
            return bad(format!("its parameters are larger than {} MiB", LARGEST_VALUES >> 20));
        }
        let versions: usize = self.api_versions.iter().map(|one| one.len() + 16).sum();
        if versions > LONGEST_LINE {
            return bad("what it wants to be assumed of the cluster is longer than a command line may be".to_owned());
        }
        if let Some(large) = self.values.iter().find(|values| values.text.len() > LARGEST_VALUES) {
            return bad(format!("{} is larger than {} MiB", large.name, LARGEST_VALUES >> 20));
        }
        Ok(())
    }

    /// The arguments for `helm`, as Argo CD gives them (`util/helm/cmd.go`, `template`), but with the name as it is
    /// where Argo CD has Helm read it as a template, and with parameters in a file. `files` are the values' places in
    /// their order, with that of the parameters' file at the end.
    pub(super) fn arguments(&self, chart: &Path, files: &[&Path]) -> Vec<OsString> {
        let joined = |flag: &str, value: &std::ffi::OsStr| {
            let mut whole = OsString::from(flag);
            whole.push(value);
            whole
        };
        let mut all: Vec<OsString> = vec!["template".into()];
        all.push(format!("--namespace={}", self.namespace).into());
        all.extend(self.kube_version.iter().map(|version| format!("--kube-version={version}").into()));
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

/// Commas separate values for `--set`. Argo CD escapes them unless they are escaped, or the value is a list in braces.
pub(super) fn escaped(value: &str) -> String {
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
    fn arguments_are_those_of_argo_cd_without_the_parameters() {
        let release = Release {
            parameters: vec![HelmParameter { name: "db.pin".into(), value: "4711".into(), force_string: false }],
            kube_version: Some("v1.34.2".into()),
            api_versions: vec!["apps/v1".into()],
            skip_schema: true,
            ..release()
        };
        let words: Vec<_> = release.arguments(Path::new("/r/chart"), &[Path::new("/r/v0.yaml")]);
        let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
        assert_eq!(
            words,
            [
                "template",
                "--namespace=shop",
                "--kube-version=v1.34.2",
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
    fn commas_are_escaped_as_argo_cd_does() {
        for (value, out) in [("x,y", "x\\,y"), ("x\\,y", "x\\,y"), ("{1,2}", "{1,2}"), ("a", "a"), ("", "")] {
            assert_eq!(escaped(value), out);
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
        for bad in [parameter("", "x"), parameter("a", "\0"), parameter("a", &"x".repeat(LARGEST_VALUES))] {
            assert!(Release { parameters: vec![bad], ..release() }.check().is_err());
        }
        let values = vec![ValuesText { name: "v".into(), text: "x".repeat(LARGEST_VALUES + 1) }];
        assert!(Release { values, ..release() }.check().is_err());
    }
}
