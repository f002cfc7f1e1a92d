//! A chart's files, read within bounds.

use std::collections::{BTreeMap, BTreeSet};

use pilothouse_cluster::Unfolding;
use pilothouse_git::{BareClone, CommitId, EntryKind, RepoPath};
use serde_json::Value;

use super::ChartError;
use super::archive::unfolded;

/// The most files of a chart that is read.
pub(super) const MOST_FILES: usize = 2000;
/// The largest file, in bytes; Helm itself takes no larger one.
pub(super) const LARGEST_FILE: usize = 5 * 1024 * 1024;
/// The most bytes of all files together.
pub(super) const LARGEST_CHART: usize = 32 * 1024 * 1024;

/// A chart that a chart needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its name, or the name it is used under.
    pub name: String,
    /// The wanted version or range.
    pub version: String,
    /// Where it is published; empty when it lies in `charts/` only.
    pub repository: String,
}

/// A chart: its files by their paths below its folder, every path checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    name: String,
    version: String,
    dependencies: Vec<Dependency>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Chart {
    /// Reads the chart in `folder` of a commit, or at its top. Blocks.
    ///
    /// # Errors
    /// No chart there, more than is read, or a link, a submodule or an odd name anywhere in the folder.
    pub fn read<'a>(
        clone: &BareClone,
        commit: &CommitId,
        folder: impl Into<Option<&'a RepoPath>>,
    ) -> Result<Self, ChartError> {
        let folder = folder.into();
        let place = folder.map_or("the repository", RepoPath::as_str);
        let too_many = || ChartError::TooLarge { what: format!("{place} has more than {MOST_FILES} files") };
        let listed = clone.list(commit, folder, MOST_FILES).map_err(|error| match error {
            pilothouse_git::Error::TooMany { .. } => too_many(),
            other => other.into(),
        })?;
        let mut files = BTreeMap::new();
        let mut total = 0;
        for entry in listed {
            let what = match entry.kind {
                EntryKind::File | EntryKind::Executable => None,
                EntryKind::Symlink => Some("a symbolic link"),
                EntryKind::Submodule => Some("another repository's commit (a submodule)"),
                EntryKind::BadName => Some("named in a way that not every system can take"),
            };
            if let Some(what) = what {
                return Err(ChartError::Refused { path: entry.path, what: what.to_owned() });
            }
            let path = RepoPath::parse(&entry.path)?;
            total += entry.size.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX)).min(LARGEST_CHART + 1);
            if total > LARGEST_CHART {
                return Err(too_large(place, LARGEST_CHART));
            }
            let content = clone.read(commit, &path, LARGEST_FILE).map_err(|error| match error {
                pilothouse_git::Error::TooLarge { .. } => too_large(&entry.path, LARGEST_FILE),
                other => other.into(),
            })?;
            let above = folder.map(|folder| format!("{folder}/")).unwrap_or_default();
            let below = entry.path.strip_prefix(&above).unwrap_or(&entry.path).to_owned();
            files.insert(below, content.map(|content| content.bytes).unwrap_or_default());
        }
        Self::of(place, files)
    }

    /// A chart of files in hand. `place` names it in errors.
    ///
    /// # Errors
    /// As [`Chart::read`].
    pub fn of(place: &str, files: BTreeMap<String, Vec<u8>>) -> Result<Self, ChartError> {
        if files.len() > MOST_FILES {
            return Err(ChartError::TooLarge { what: format!("{place} has more than {MOST_FILES} files") });
        }
        if files.values().map(Vec::len).sum::<usize>() > LARGEST_CHART {
            return Err(too_large(place, LARGEST_CHART));
        }
        let mut folded = BTreeSet::new();
        for (path, bytes) in &files {
            RepoPath::parse(path)?;
            if bytes.len() > LARGEST_FILE {
                return Err(too_large(&format!("{place}/{path}"), LARGEST_FILE));
            }
            if !folded.insert(path.to_lowercase()) {
                return Err(ChartError::Refused {
                    path: format!("{place}/{path}"),
                    what: "one of two files whose names differ in case only".to_owned(),
                });
            }
        }
        let about = files.get("Chart.yaml").ok_or_else(|| ChartError::Absent { place: place.to_owned() })?;
        let about = yaml(&format!("{place}/Chart.yaml"), about)?;
        let name = about["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
            let why = "it has no usable name".to_owned();
            return Err(ChartError::BadFile { path: format!("{place}/Chart.yaml"), why });
        }
        let mut dependencies = dependencies(&about);
        // Where charts of the first format keep them.
        if let Some(text) = files.get("requirements.yaml") {
            dependencies.extend(self::dependencies(&yaml(&format!("{place}/requirements.yaml"), text)?));
        }
        let version = about["version"].as_str().unwrap_or_default().to_owned();
        Ok(Self { name, version, dependencies, files })
    }

    /// The chart's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The chart's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A file's content by its path below the chart's folder.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The files by their paths below the chart's folder.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The charts it needs.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// The charts it needs that do not lie in it, in words.
    pub fn missing_dependencies(&self) -> Vec<String> {
        let there = |name: &str| {
            let (folder, packed) = (format!("charts/{name}/Chart.yaml"), format!("charts/{name}-"));
            self.files.keys().any(|path| {
                *path == folder
                    || (path.starts_with(&packed) && path.ends_with(".tgz") && path.matches('/').count() == 1)
            })
        };
        let words = |one: &Dependency| {
            let version = if one.version.is_empty() { String::new() } else { format!(" {}", one.version) };
            let place = if one.repository.is_empty() { String::new() } else { format!(" from {}", one.repository) };
            format!("{}{version}{place}", one.name)
        };
        self.dependencies.iter().filter(|one| !there(&one.name)).map(words).collect()
    }

    /// The files as they are laid out for Helm: packed charts as folders, so that nothing in them goes unseen.
    ///
    /// # Errors
    /// A packed chart that cannot be read, or is larger than is read.
    pub(super) fn unfolded(&self) -> Result<BTreeMap<String, Vec<u8>>, ChartError> {
        unfolded(&self.name, &self.files)
    }
}

/// The schemas among the files of a chart, and of charts within it, that Helm is not given, each with the reason: they
/// would have it read something outside the chart, or cannot be looked into. Helm's reader takes more than this one does.
pub(super) fn schemas_left_out(files: &BTreeMap<String, Vec<u8>>) -> Vec<(&str, &'static str)> {
    let schemas = files.iter().filter(|(path, _)| path.rsplit('/').next() == Some("values.schema.json"));
    let left_out = schemas.filter_map(|(path, text)| match serde_json::from_slice::<Value>(text) {
        Ok(schema) if !reaches_out(&schema) => None,
        Ok(_) => Some((path.as_str(), "it refers to something outside the chart, which is not opened")),
        Err(_) => Some((path.as_str(), "it cannot be read, so that what it refers to is not known")),
    });
    left_out.collect()
}

fn too_large(place: &str, limit: usize) -> ChartError {
    ChartError::TooLarge { what: format!("{place} is larger than {} MiB", limit >> 20) }
}

fn yaml(path: &str, bytes: &[u8]) -> Result<Value, ChartError> {
    let bad = |why: String| ChartError::BadFile { path: path.to_owned(), why };
    let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8 text".to_owned()))?;
    if text.len() > 256 * 1024 {
        return Err(bad("it is larger than 256 KiB".to_owned()));
    }
    Unfolding::default().count(text).map_err(|error| bad(error.to_string()))?;
    serde_yaml::from_str(text).map_err(|error| bad(error.to_string()))
}

fn dependencies(about: &Value) -> Vec<Dependency> {
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let list = about["dependencies"].as_array().into_iter().flatten();
    list.map(|one| Dependency {
        name: text(one, "name"),
        version: text(one, "version"),
        repository: text(one, "repository"),
    })
    .filter(|one| !one.name.is_empty())
    .collect()
}

/// References within a schema are `#…`; the dialects of json-schema.org are built into Helm. Any other address would be
/// opened, be it a file of this machine or a server.
fn reaches_out(schema: &Value) -> bool {
    match schema {
        Value::Array(items) => items.iter().any(reaches_out),
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            let address = ["$ref", "$dynamicRef", "$recursiveRef", "$schema"].contains(&key.as_str());
            match value.as_str() {
                Some(target) if address => !within(target),
                _ => reaches_out(value),
            }
        }),
        _ => false,
    }
}

fn within(target: &str) -> bool {
    let dialects = ["http://json-schema.org/", "https://json-schema.org/"];
    target.starts_with('#') || dialects.iter().any(|dialect| target.starts_with(dialect))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: &str = "apiVersion: v2\nname: cart\nversion: 1.2.3\n";

    fn chart(files: &[(&str, &str)]) -> Result<Chart, ChartError> {
        let mut all = BTreeMap::from([("Chart.yaml".to_owned(), ABOUT.as_bytes().to_vec())]);
        all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())));
        Chart::of("deploy-templates", all)
    }

    #[test]
    fn a_chart_knows_itself() {
        let chart = chart(&[("values.yaml", "a: 1\n")]).unwrap();
        assert_eq!((chart.name(), chart.version()), ("cart", "1.2.3"));
        assert_eq!(chart.file("values.yaml"), Some(b"a: 1\n".as_slice()));
        assert!(chart.missing_dependencies().is_empty());
    }

    #[test]
    fn what_is_no_chart_or_too_large_is_told() {
        let told = |result: Result<Chart, ChartError>| result.unwrap_err().to_string();
        assert!(told(Chart::of("x", BTreeMap::new())).contains("no Chart.yaml"));
        assert!(told(chart(&[("Chart.yaml", "version: 1\n")])).contains("no usable name"));
        assert!(told(chart(&[("Chart.yaml", "name: [\n")])).contains("deploy-templates/Chart.yaml"));
        let bomb =
            format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "0,".repeat(10_000), "*a,".repeat(100), "*b,".repeat(10_000));
        for path in ["Chart.yaml", "requirements.yaml"] {
            assert!(told(chart(&[(path, &format!("{ABOUT}{bomb}"))])).contains("unfold"), "{path}");
        }
        assert!(
            told(chart(&[("big", &"x".repeat(LARGEST_FILE + 1))]))
                .contains("deploy-templates/big is larger than 5 MiB")
        );
        assert!(told(chart(&[("../x", "")])).contains("steps out"));
        assert!(told(chart(&[("templates/A.yaml", ""), ("templates/a.yaml", "")])).contains("differ in case"));
        let many: Vec<(String, String)> = (0..=MOST_FILES).map(|n| (format!("f{n}"), String::new())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert!(told(chart(&many)).contains("more than 2000 files"));
    }

    #[test]
    fn dependencies_are_looked_for_in_the_chart() {
        let about = format!(
            "{ABOUT}dependencies:\n- {{name: redis, version: 1.x, repository: 'https://charts.example'}}\n- name: lib\n- name: db\n"
        );
        let chart =
            chart(&[("Chart.yaml", &about), ("charts/db-3.1.0.tgz", "…"), ("charts/lib/Chart.yaml", "name: lib")]);
        assert_eq!(chart.unwrap().missing_dependencies(), ["redis 1.x from https://charts.example"]);
    }

    #[test]
    fn a_schema_that_reaches_out_or_cannot_be_read_is_left_out() {
        let with = |schema: &[u8]| {
            let files = [("Chart.yaml", ABOUT.as_bytes()), ("charts/lib/values.schema.json", schema)];
            let files = files.map(|(path, bytes)| (path.to_owned(), bytes.to_vec()));
            let chart = Chart::of("deploy-templates", BTreeMap::from(files)).unwrap();
            !schemas_left_out(chart.files()).is_empty()
        };
        for schema in [
            r##"{"$schema": "https://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/definitions/a"}}}"##,
            r#"{"properties": {"$ref": {"type": "string"}}}"#,
        ] {
            assert!(!with(schema.as_bytes()), "{schema}");
        }
        let deep = format!(r#"{{"a": {}{}, "$ref": "file:///etc/passwd"}}"#, "[".repeat(200), "]".repeat(200));
        for schema in [
            r#"{"$ref": "http://169.254.169.254/latest"}"#,
            r#"{"allOf": [{"properties": {"a": {"$ref": "file:///etc/passwd"}}}]}"#,
            r#"{"$schema": "https://example.org/meta"}"#,
            r#"{"a": {"$dynamicRef": "other.json"}}"#,
            r#"{"maximum": 1e999, "$ref": "http://127.0.0.1/"}"#,
            &deep,
            "not json",
        ] {
            assert!(with(schema.as_bytes()), "{schema}");
        }
        assert!(with(b"{\"title\": \"\xff\", \"$ref\": \"http://127.0.0.1/\"}"));
    }
}
