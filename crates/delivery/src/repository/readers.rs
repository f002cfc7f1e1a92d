//! Who reads values, and from where.
//!
//! The platform writes the repository's address into an ApplicationSet once, when it makes the set, and never again
//! (cd-pipeline-operator: "already exists. Skip creating"). A repository that was moved or replaced leaves such sets
//! behind; here they are found, with the patch that mends each.

use serde_json::{Value, json};

use super::form::comparable;
use crate::objects::{ApplicationSet, Codebase, GitServer, Objects};

/// Where an ApplicationSet takes values from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuesSource {
    /// The repository's address.
    pub url: String,
    /// The branch, tag or commit; none leaves it to Argo CD, which takes the remote's default branch.
    pub revision: Option<String>,
}

/// An ApplicationSet that reads another repository or another branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleSet {
    /// The ApplicationSet, named as the flow.
    pub name: String,
    /// The version of the object that the patch was made for.
    pub resource_version: String,
    /// What it reads.
    pub reads: Vec<ValuesSource>,
    /// Whether it reads another repository; otherwise only the branch differs.
    pub other_repository: bool,
    /// What it should read.
    pub wanted: ValuesSource,
    /// `spec.templatePatch` now and as it should be.
    pub template_patch: (String, String),
    /// The JSON merge patch that mends it. It holds the object's version, so that it applies to what was shown and to
    /// nothing newer. None when the address could not be written safely.
    pub merge_patch: Option<Value>,
    /// The Applications concerned: those with the values override on.
    pub applications: Vec<String>,
}

/// Everything that reads values of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readers {
    /// Flows whose ApplicationSet names the repository; all flows where ApplicationSets cannot be read.
    pub flows: Vec<String>,
    /// Environments in which at least one application has the override on, as `flow/environment`.
    pub environments: Vec<String>,
    /// Applications that read a values file of the repository now.
    pub applications: Vec<String>,
    /// Whether ApplicationSets could be read.
    pub sets_known: bool,
}

/// Whether an address means the repository at `path` of `server`, over whichever transport. Other spellings of the same
/// place are no reason to warn.
pub fn is_at(url: &str, server: &GitServer, path: &str) -> bool {
    let url = url.trim();
    let (scheme, place, at) = match url.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('/') {
            Some((place, at)) => (scheme.to_lowercase(), place, at),
            None => return false,
        },
        // git@host:path
        None => match url.split_once(':') {
            Some((place, at)) if !place.contains('/') => ("ssh".to_owned(), place, at),
            _ => return false,
        },
    };
    let place = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (place, None),
    };
    let (usual, own) = match scheme.as_str() {
        "ssh" => (22, server.ssh_port),
        "https" => (443, server.https_port),
        _ => return false,
    };
    let at = if scheme == "https" && server.provider == "gerrit" { at.strip_prefix("a/").unwrap_or(at) } else { at };
    host.eq_ignore_ascii_case(&server.host) && port.unwrap_or(usual) == own && comparable(at) == comparable(path)
}

/// One entry of a list in a patch's text, as far as it says where something is read.
#[derive(Debug, Default)]
struct Entry {
    /// The column of its dash.
    dash: usize,
    /// Whether it is marked as `ref`, so that other sources take values from it.
    reference: bool,
    url: Option<(usize, String)>,
    revision: Option<(usize, String)>,
}

/// A line's key and value, without quotes and comment.
fn field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let value = value.trim();
    let value = match value.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => value[1..].split(char::from(*quote)).next().unwrap_or_default(),
        _ => value.split(" #").next().unwrap_or_default().trim_end(),
    };
    Some((key.trim(), value))
}

/// The entries of all lists in the text that name a repository outright and are marked as `ref`, which are those of
/// values: the application's own comes from the element (`{{ .repoURL }}`), and one without a `ref` is a chart's or
/// whatever somebody added. The text is a Go template and no YAML before it is filled in, so it is
/// read by its lines. Upstream spells the key `RepoURL`.
fn entries(text: &str) -> Vec<Entry> {
    let mut open: Vec<Entry> = Vec::new();
    let mut done = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        if bare.is_empty() || bare.starts_with("{{") || bare.starts_with('#') {
            continue;
        }
        let indent = line.len() - bare.len();
        while open.last().is_some_and(|one| one.dash >= indent) {
            done.extend(open.pop());
        }
        let mut bare = bare;
        if let Some(rest) = bare.strip_prefix("- ") {
            open.push(Entry { dash: indent, ..Entry::default() });
            bare = rest.trim_start();
        }
        let (Some(entry), Some((key, value))) = (open.last_mut(), field(bare)) else { continue };
        if key.eq_ignore_ascii_case("ref") {
            entry.reference = !value.is_empty();
        } else if key.eq_ignore_ascii_case("repoURL") {
            entry.url = Some((number, value.to_owned()));
        } else if key.eq_ignore_ascii_case("targetRevision") {
            entry.revision = Some((number, value.to_owned()));
        }
    }
    done.extend(open);
    done.retain(|one| one.reference && one.url.as_ref().is_some_and(|(_, url)| !url.is_empty() && !url.contains("{{")));
    done.sort_by_key(|one| one.url.as_ref().map(|(line, _)| *line));
    done
}

impl Entry {
    fn source(&self) -> ValuesSource {
        let revision = self.revision.as_ref().map(|(_, text)| text.clone());
        ValuesSource {
            url: self.url.as_ref().map(|(_, url)| url.clone()).unwrap_or_default(),
            revision: revision.filter(|text| !text.is_empty() && !text.contains("{{")),
        }
    }
}

/// Where a set takes values from: the sources of its patch and of its template that name a repository outright and are
/// marked as `ref`.
pub fn values_sources(set: &ApplicationSet) -> Vec<ValuesSource> {
    let of_template = set.template_sources.iter().filter(|one| is_reference(one)).map(|one| ValuesSource {
        url: text(one, "repoURL"),
        revision: Some(text(one, "targetRevision")).filter(|text| !text.is_empty()),
    });
    entries(&set.template_patch).iter().map(Entry::source).chain(of_template).collect()
}

fn text(source: &Value, key: &str) -> String {
    source.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_reference(source: &Value) -> bool {
    !text(source, "ref").is_empty() && !text(source, "repoURL").contains("{{") && !text(source, "repoURL").is_empty()
}

/// Whether a source's branch is the wanted one; what is left to Argo CD, or is `HEAD`, follows the remote.
fn right_branch(source: &ValuesSource, branch: &str) -> bool {
    source.revision.as_deref().is_none_or(|own| own == branch || own == "HEAD")
}

/// The patch's text with every values source reading `wanted`.
fn mended_text(patch: &str, is_right: &dyn Fn(&ValuesSource) -> (bool, bool), wanted: &ValuesSource) -> String {
    let mut lines: Vec<String> = patch.split('\n').map(str::to_owned).collect();
    for entry in entries(patch) {
        let (url_right, branch_right) = is_right(&entry.source());
        if let (false, Some((number, old))) = (url_right, &entry.url) {
            replace_value(&mut lines, *number, old, &wanted.url);
        }
        if let (false, Some((number, old)), Some(new)) = (branch_right, &entry.revision, &wanted.revision) {
            replace_value(&mut lines, *number, old, new);
        }
    }
    lines.join("\n")
}

/// Puts a new value after a line's key; quotes and comments stay.
fn replace_value(lines: &mut [String], number: usize, old: &str, new: &str) {
    let Some(line) = lines.get_mut(number) else { return };
    let Some(colon) = line.find(':') else { return };
    let (key, rest) = line.split_at(colon + 1);
    *line = format!("{key}{}", rest.replacen(old, new, 1));
}

/// Whether a text stays one plain YAML word, and no template, wherever it is put.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, ':' | '/' | '@' | '.' | '_' | '-' | '~' | '+'))
}

/// The sets that read another repository than `codebase`, or another branch than `branch`.
pub fn stale_sets(objects: &Objects, codebase: &Codebase, branch: &str) -> Vec<StaleSet> {
    let Some(server) = objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server) else {
        return Vec::new();
    };
    let wanted = ValuesSource {
        url: super::clone_urls(server, &codebase.git_url_path).argo_cd,
        revision: Some(branch.to_owned()),
    };
    let is_right =
        |source: &ValuesSource| (is_at(&source.url, server, &codebase.git_url_path), right_branch(source, branch));
    let mut found: Vec<StaleSet> = Vec::new();
    for set in objects.application_sets.iter().flatten() {
        let reads: Vec<ValuesSource> = values_sources(set);
        if reads.iter().all(|source| is_right(source) == (true, true)) {
            continue;
        }
        let mended = mended_text(&set.template_patch, &is_right, &wanted);
        let sources: Vec<Value> = set
            .template_sources
            .iter()
            .map(|one| {
                let mut one = one.clone();
                if is_reference(&one) {
                    one["repoURL"] = json!(wanted.url);
                    one["targetRevision"] = json!(branch);
                }
                one
            })
            .collect();
        let mut spec = serde_json::Map::new();
        if mended != set.template_patch {
            spec.insert("templatePatch".to_owned(), json!(mended));
        }
        if sources != set.template_sources {
            // A merge patch replaces a list as a whole.
            spec.insert("template".to_owned(), json!({ "spec": { "sources": sources } }));
        }
        let safe = is_plain(&wanted.url) && is_plain(branch) && !set.meta.resource_version.is_empty();
        let merge_patch = (safe && !spec.is_empty())
            .then(|| json!({ "metadata": { "resourceVersion": set.meta.resource_version }, "spec": spec }));
        found.push(StaleSet {
            name: set.meta.name.clone(),
            resource_version: set.meta.resource_version.clone(),
            other_repository: reads.iter().any(|source| !is_right(source).0),
            applications: set
                .elements
                .iter()
                .filter(|one| one.custom_values)
                .map(|one| format!("{}-{}-{}", set.meta.name, one.stage, one.codebase))
                .collect(),
            reads,
            wanted: wanted.clone(),
            template_patch: (set.template_patch.clone(), mended),
            merge_patch,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Everything that reads values of the repository.
pub fn readers(objects: &Objects, codebase: &Codebase) -> Readers {
    let server = objects.git_servers.iter().find(|server| server.meta.name == codebase.git_server);
    let here = |url: &str| server.is_some_and(|server| is_at(url, server, &codebase.git_url_path));
    let mut found = Readers { sets_known: objects.application_sets.is_some(), ..Readers::default() };
    match &objects.application_sets {
        Some(sets) => {
            for set in sets.iter().filter(|set| values_sources(set).iter().any(|source| here(&source.url))) {
                found.flows.push(set.meta.name.clone());
                let on = set.elements.iter().filter(|one| one.custom_values);
                found.environments.extend(on.map(|one| format!("{}/{}", set.meta.name, one.stage)));
            }
        }
        None => found.flows.extend(objects.pipelines.iter().map(|flow| flow.meta.name.clone())),
    }
    for application in &objects.applications {
        if application.sources.iter().any(|source| source.reference.is_some() && here(&source.repo_url)) {
            found.applications.push(application.meta.name.clone());
            let label = |key: &str| application.meta.label(key).unwrap_or_default();
            let (flow, stage) = (label("app.edp.epam.com/pipeline"), label("app.edp.epam.com/stage"));
            if !flow.is_empty() && !stage.is_empty() {
                found.environments.push(format!("{flow}/{stage}"));
            }
        }
    }
    for list in [&mut found.flows, &mut found.environments, &mut found.applications] {
        list.sort();
        list.dedup();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> GitServer {
        GitServer {
            host: "git.example.com".into(),
            provider: "gitlab".into(),
            user: "git".into(),
            https_port: 443,
            ssh_port: 22,
            ..GitServer::default()
        }
    }

    #[test]
    fn one_place_has_many_spellings() {
        for same in [
            "ssh://git@git.example.com:22/acme/values",
            "ssh://other@GIT.example.com/acme/Values.git",
            "https://git.example.com/acme/values.git",
            "https://git.example.com:443/acme/values/",
            "git@git.example.com:acme/values.git",
        ] {
            assert!(is_at(same, &server(), "/acme/values"), "{same}");
        }
        for other in [
            "ssh://git@git.example.com:2222/acme/values",
            "ssh://git@git.example.com:22/acme/values-old",
            "ssh://git@other.example.com:22/acme/values",
            "http://git.example.com/acme/values",
            "/acme/values",
            "git.example.com",
            "",
        ] {
            assert!(!is_at(other, &server(), "/acme/values"), "{other}");
        }
        let gerrit = GitServer { provider: "gerrit".into(), ..server() };
        assert!(is_at("https://git.example.com/a/values", &gerrit, "/values"));
    }

    #[test]
    fn only_the_values_source_is_mended() {
        let patch = "\n{{- if .customValues }}\nspec:\n  sources:\n    - ref: values\n      RepoURL: \"ssh://git@old:22/a/b\" # ours\n      targetRevision: master\n    - helm:\n        parameters:\n          - name: image.tag\n            value: '{{ .imageTag }}'\n      path: deploy-templates\n      RepoURL: {{ .repoURL }}\n      targetRevision: '{{ .imageTag }}'\n    - path: charts/shared\n      RepoURL: https://charts.example.com/shared.git\n      targetRevision: v2\n    - ref: \"\"\n      RepoURL: https://charts.example.com/none.git\n{{- end }}\n";
        let wanted = ValuesSource { url: "ssh://git@new:22/c/d".into(), revision: Some("main".into()) };
        let mended = mended_text(patch, &|_| (false, false), &wanted);
        let changed: Vec<(&str, &str)> = patch.lines().zip(mended.lines()).filter(|(old, new)| old != new).collect();
        assert_eq!(
            changed,
            [
                ("      RepoURL: \"ssh://git@old:22/a/b\" # ours", "      RepoURL: \"ssh://git@new:22/c/d\" # ours"),
                ("      targetRevision: master", "      targetRevision: main"),
            ]
        );
        assert_eq!(patch.lines().count(), mended.lines().count());
        assert!(mended.ends_with('\n'));
    }

    #[test]
    fn a_text_that_could_be_more_than_a_word_is_not_plain() {
        for bad in ["", "a b", "a\nb", "a#b", "{{ .x }}", "a'b", "a\"b", "a,b", "a]"] {
            assert!(!is_plain(bad), "{bad}");
        }
        assert!(is_plain("ssh://edp-ci@gerrit.example.com:30001/a/b_c.d"));
    }
}
