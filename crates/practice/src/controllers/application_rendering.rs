//! What a sync puts into the cluster: the platform's stock chart, rendered from its defaults at
//! the application's tag, the values file when the override is on, and the parameters, which win.

use serde_json::{Map, Value, json};

use super::application_sets::merge;
use super::object_fields::{Fields, canonical, short_hash};
use crate::git_remote::GitAccess;
use crate::{Error, Result};

/// Names the rendered values, so that a change of any of them is seen as drift.
pub(crate) const VALUES_ANNOTATION: &str = "checksum/values";
/// Argo CD's own mark on what it manages.
pub(crate) const TRACKING_ANNOTATION: &str = "argocd.argoproj.io/tracking-id";

/// An Application turned into manifests.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub deployment: Value,
    pub service: Value,
    /// Commit ids: one for a single source, one for each of several.
    pub revisions: Vec<String>,
}

/// Renders an Application from what Git holds now. The failure is in Argo CD's words.
pub(crate) fn render(application: &Value, git: &dyn GitAccess) -> Result<Rendered> {
    let sources: Vec<&Value> = match application.items("/spec/sources") {
        [] => vec![application.at("/spec/source")],
        many => many.iter().collect(),
    };
    let total = sources.len();
    let fail = |number: usize, words: String| {
        Error::Played(format!(
            "Failed to load target state: failed to generate manifest for source {number} of \
             {total}: rpc error: code = Unknown desc = {words}"
        ))
    };
    let mut revisions = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        if !source.text("/chart").is_empty() {
            let words = "Argo CD of the practice cluster reads charts in Git, and none that is published";
            return Err(fail(index + 1, words.into()));
        }
        let (repository, revision) = (repository_of(source.text("/repoURL")), source.text("/targetRevision"));
        let commit = git
            .resolve(&repository, revision)?
            .ok_or_else(|| fail(index + 1, format!("unable to resolve '{revision}' to a commit SHA")))?;
        revisions.push(commit);
    }
    let Some(index) = sources.iter().position(|s| !s.text("/path").is_empty()) else {
        return Err(fail(1, "app path does not exist".into()));
    };
    let source = sources[index];
    let folder = source.text("/path").trim_matches('/');
    let defaults = git
        .read(&repository_of(source.text("/repoURL")), &revisions[index], &format!("{folder}/values.yaml"))?
        .ok_or_else(|| fail(index + 1, format!("{folder}: app path does not exist")))?;
    let mut files = Vec::new();
    for file in source.items("/helm/valueFiles").iter().filter_map(Value::as_str) {
        let (repository, commit, path) = match file.strip_prefix('$').and_then(|f| f.split_once('/')) {
            Some((reference, path)) => {
                let at = sources.iter().position(|s| s.text("/ref") == reference).ok_or_else(|| {
                    fail(
                        index + 1,
                        format!("source referenced \"{reference}\", which is not one of the available sources"),
                    )
                })?;
                (repository_of(sources[at].text("/repoURL")), &revisions[at], path)
            }
            None => (repository_of(source.text("/repoURL")), &revisions[index], file),
        };
        let found = git.read(&repository, commit, path)?;
        if found.is_none() && source.at("/helm/ignoreMissingValueFiles") == &json!(true) {
            continue;
        }
        let text = found.ok_or_else(|| {
            fail(
                index + 1,
                format!(
                    "Manifest generation error (cached): failed to execute helm template command: \
                     Error: open {path}: no such file or directory"
                ),
            )
        })?;
        files.push((path.to_string(), text));
    }
    let values = effective_values(&defaults, &files, source.items("/helm/parameters"))
        .map_err(|unreadable| fail(index + 1, unreadable.0))?;
    let (deployment, service) = manifests(application, release_of(application), &values);
    Ok(Rendered { deployment, service, revisions })
}

/// The name of an Application's release, which is its own where no source says another.
pub(crate) fn release_of(application: &Value) -> &str {
    let mut sources = application.items("/spec/sources").iter().chain([application.at("/spec/source")]);
    let named = |source: &'_ &Value| !source.text("/helm/releaseName").is_empty();
    match sources.find(named) {
        Some(source) => source.text("/helm/releaseName"),
        None => application.text("/metadata/name"),
    }
}

/// `acme/cart` of any of the address forms that Git knows.
pub(crate) fn repository_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url.split_once(':').map_or(url, |(_, path)| path),
    };
    path.trim_matches('/').trim_end_matches(".git").to_string()
}

/// A values file that cannot be used, in the words of the renderer.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) String);

/// Defaults, then the files in order, then the parameters.
pub(crate) fn effective_values(
    defaults: &str,
    files: &[(String, String)],
    parameters: &[Value],
) -> Result<Value, Unreadable> {
    let parse = |path: &str, text: &str| -> Result<Value, Unreadable> {
        match serde_yaml::from_str::<Value>(text) {
            Ok(Value::Null) => Ok(json!({})),
            Ok(map @ Value::Object(_)) => Ok(map),
            Ok(_) => Err(Unreadable(format!("failed to parse {path}: values must be a mapping"))),
            Err(error) => Err(Unreadable(format!("failed to parse {path}: {error}"))),
        }
    };
    let mut values = parse("values.yaml", defaults)?;
    for (path, text) in files {
        merge(&mut values, &parse(path, text)?);
    }
    for parameter in parameters {
        set(&mut values, parameter.text("/name"), parameter.at("/value").clone());
    }
    Ok(values)
}

fn set(values: &mut Value, path: &str, value: Value) {
    let patch = path.rsplit('.').fold(value, |inner, key| Value::Object(Map::from_iter([(key.to_string(), inner)])));
    merge(values, &patch);
}

fn manifests(application: &Value, release: &str, values: &Value) -> (Value, Value) {
    let name = match application.at("/metadata/labels")["app.edp.epam.com/app-name"].as_str() {
        Some(name) => name,
        None => release,
    };
    let namespace = application.text("/spec/destination/namespace");
    let labels = json!({
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": release,
    });
    let tracking = |kind: &str| {
        json!({ TRACKING_ANNOTATION:
            format!("{}:{kind}:{namespace}/{name}", application.text("/metadata/name")) })
    };
    let port = values.at("/service/port").as_i64().unwrap_or(80);
    let mut container = json!({
        "name": name,
        "image": image(values.at("/image")),
        "imagePullPolicy": match values.text("/image/pullPolicy") { "" => "IfNotPresent", p => p },
        "ports": [{ "name": "http", "containerPort": port, "protocol": "TCP" }],
    });
    for (key, empty) in [("resources", json!({})), ("env", json!([]))] {
        let given = &values[key];
        container[key] = if given.is_null() { empty } else { given.clone() };
    }
    let mut annotations = tracking("apps/Deployment");
    annotations[VALUES_ANNOTATION] = json!(short_hash(&canonical(values)));
    let deployment = json!({
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "replicas": values.at("/replicaCount").as_i64().unwrap_or(1),
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [container] },
            },
        },
    });
    let service = json!({
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": tracking("/Service"),
        },
        "spec": {
            "type": match values.text("/service/type") { "" => "ClusterIP", kind => kind },
            "ports": [{ "name": "http", "port": port, "targetPort": "http", "protocol": "TCP" }],
            "selector": labels,
        },
    });
    (deployment, service)
}

/// `repository:tag@digest`, the digest only when there is one.
fn image(image: &Value) -> String {
    let tag = match image.at("/tag") {
        Value::String(tag) => tag.clone(),
        Value::Null => "latest".into(),
        other => other.to_string(),
    };
    let digest = match image.text("/digest") {
        "" => String::new(),
        digest => format!("@{digest}"),
    };
    format!("{}:{tag}{digest}", image.text("/repository"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git_remote::GitRemote;

    const DEFAULTS: &str = "replicaCount: 1\nimage:\n  repository: none\n  tag: none\nservice:\n  port: 8080\n";

    fn application(on: bool) -> Value {
        let text = match on {
            true => include_str!("../../tests/data/application-override-on.yaml"),
            false => include_str!("../../tests/data/application-override-off.yaml"),
        };
        let mut value: Value = serde_yaml::from_str(text).unwrap();
        if !on {
            value["spec"]["source"]["targetRevision"] = json!("build/0.1.0-SNAPSHOT.1");
        }
        value
    }

    fn remote(values: Option<&str>) -> (tempfile::TempDir, GitRemote) {
        let dir = tempfile::tempdir().unwrap();
        let git = GitRemote::create(dir.path()).unwrap();
        git.create_repo("acme/fastapi-demo", "main").unwrap();
        git.create_repo("acme/krci-gitops", "main").unwrap();
        git.commit_files("acme/fastapi-demo", "main", &[("deploy-templates/values.yaml", DEFAULTS)], "c").unwrap();
        git.tag("acme/fastapi-demo", "build/0.1.0-SNAPSHOT.1", "main").unwrap();
        git.commit_files("acme/krci-gitops", "main", &[("README.md", "")], "c").unwrap();
        if let Some(text) = values {
            git.commit_files("acme/krci-gitops", "main", &[("mypipe/dev/fastapi-demo-values.yaml", text)], "c")
                .unwrap();
        }
        (dir, git)
    }

    #[test]
    fn defaults_then_file_then_parameters() {
        let file = "replicaCount: 3\nimage:\n  tag: ignored\n";
        for (on, replicas, sources) in [(false, 1, 1), (true, 3, 2)] {
            let (_dir, git) = remote(Some(file));
            let made = render(&application(on), &git).unwrap();
            assert_eq!(made.deployment.number("/spec/replicas"), replicas);
            assert_eq!(made.revisions.len(), sources);
            let image = made.deployment.text("/spec/template/spec/containers/0/image");
            match on {
                true => assert_eq!(
                    image,
                    format!("registry.example.com/krci/fastapi-demo:0.1.0-SNAPSHOT.1@sha256:{}", "1".repeat(64))
                ),
                // The sample of an application that was never deployed has no digest.
                false => assert_eq!(image, "registry.example.com/krci/fastapi-demo:NaN"),
            }
        }
    }

    #[test]
    fn failures_are_said_in_argo_words() {
        let (_dir, git) = remote(None);
        let missing = render(&application(true), &git).unwrap_err().to_string();
        assert!(
            missing.contains("source 2 of 2")
                && missing.ends_with("mypipe/dev/fastapi-demo-values.yaml: no such file or directory"),
            "{missing}"
        );
        let mut never = application(false);
        never["spec"]["source"]["targetRevision"] = json!("build/NaN");
        let words = render(&never, &git).unwrap_err().to_string();
        assert!(words.contains("unable to resolve 'build/NaN' to a commit SHA"), "{words}");
        let (_dir, git) = remote(Some("a: [1"));
        let broken = render(&application(true), &git).unwrap_err().to_string();
        assert!(broken.contains("failed to parse mypipe/dev/"), "{broken}");
    }

    #[test]
    fn a_missing_file_is_passed_over_where_the_application_says_so() {
        let (_dir, git) = remote(None);
        let mut passing = application(true);
        assert!(render(&passing, &git).is_err());
        for source in passing["spec"]["sources"].as_array_mut().unwrap() {
            if source["helm"].is_object() {
                source["helm"]["ignoreMissingValueFiles"] = json!(true);
            }
        }
        assert_eq!(render(&passing, &git).unwrap().deployment.number("/spec/replicas"), 1);
    }

    #[test]
    fn a_comment_is_no_drift_and_any_value_is() {
        let sum = |text: &str| {
            let (_dir, git) = remote(Some(text));
            let made = render(&application(true), &git).unwrap();
            made.deployment.at("/metadata/annotations")[VALUES_ANNOTATION].to_string()
        };
        assert_eq!(sum("a: 1\nb: 2\n"), sum("# why\nb: 2\na: 1\n"));
        assert_ne!(sum("a: 1\n"), sum("a: 2\n"));
    }

    #[test]
    fn repositories_are_found_in_any_address() {
        for url in
            ["ssh://git@github.com:22/acme/cart", "https://github.com/acme/cart.git", "git@github.com:acme/cart.git"]
        {
            assert_eq!(repository_of(url), "acme/cart", "{url}");
        }
    }
}
