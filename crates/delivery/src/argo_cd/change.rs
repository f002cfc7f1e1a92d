//! Another version of an Application that is there: what changes, and what it means to take it away.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::convention::Place;
use super::form::bad_revision;
use crate::deploy::Ending;
use crate::objects::{Application, SourceRef};
use crate::{Error, FieldProblem, Result};

/// Argo CD removes what an Application made before it lets go of one that has this finalizer, alone or with the manner
/// of it behind a slash (`/background`, `/foreground`).
pub(crate) const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";

/// A Helm parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its key path, such as `image.tag`.
    pub name: String,
    /// Its value; empty takes the parameter away.
    pub value: String,
}

/// What is to be deployed of an Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionChange {
    /// The chart's version, or the revision in Git.
    pub revision: String,
    /// Parameters to set; others stay as they are.
    pub parameters: Vec<Parameter>,
}

/// Where a chart comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A folder in a Git repository.
    Git,
    /// A Helm repository.
    Helm,
    /// An OCI registry.
    Oci,
}

/// Where a source's chart comes from, by what it says: a registry is written without `https://`, as Argo CD wants it.
pub fn source_kind(source: &SourceRef) -> SourceKind {
    let url = source.repo_url.trim();
    match (source.chart.is_empty(), url.starts_with("oci://"), url.contains("://")) {
        (_, true, _) => SourceKind::Oci,
        (true, ..) => SourceKind::Git,
        (false, _, true) => SourceKind::Helm,
        (false, _, false) => SourceKind::Oci,
    }
}

/// Why an Application should not be changed here; none when it can be.
pub fn why_kept(application: &Application) -> Option<String> {
    if application.meta.deleting {
        return Some(format!("{} is being deleted.", application.meta.name));
    }
    let keeper = application.keeper.as_deref()?;
    Some(format!(
        "The {keeper} makes {} and would put it back as it was. Change its version there.",
        application.meta.name
    ))
}

/// Whether deleting it takes what it made along, as it is set now.
pub(crate) fn cascades(application: &Application) -> bool {
    application.meta.finalizers.iter().any(|one| is_cascade(one))
}

/// Whether a finalizer is [`CASCADE`], in whichever manner.
pub(crate) fn is_cascade(finalizer: &str) -> bool {
    finalizer.strip_prefix(CASCADE).is_some_and(|manner| manner.is_empty() || manner.starts_with('/'))
}

/// What is wrong with a change.
pub(crate) fn problems(change: &VersionChange) -> Vec<FieldProblem> {
    let mut all = Vec::new();
    if let Some(why) = bad_revision(&change.revision, false) {
        all.push(FieldProblem::new("revision", why));
    }
    for one in &change.parameters {
        let name_fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | '/' | '\\');
        if one.name.is_empty() || one.name.len() > 250 || !one.name.chars().all(name_fits) {
            all.push(FieldProblem::new("parameters", "A parameter's name is a key path, such as image.tag."));
        }
        if let Some(why) = bad_revision(&one.value, true) {
            all.push(FieldProblem::new("parameters", format!("{}: {why}", one.name)));
        }
    }
    all
}

/// The chart's source of an Application after a change, and whether that is another than before. What the change does
/// not name stays as it is.
///
/// # Errors
/// [`Error::Form`]; [`Error::Changed`] when the source is not where it was.
pub fn changed_source(object: &DynamicObject, place: &Place, change: &VersionChange) -> Result<Value> {
    let problems = problems(change);
    if !problems.is_empty() {
        return Err(Error::Form(problems));
    }
    let gone = || Error::Changed { what: "the Application".to_owned() };
    let mut source = object.data["spec"]["sources"].get(place.chart).cloned().ok_or_else(gone)?;
    if !source.is_object() {
        return Err(gone());
    }
    source["targetRevision"] = json!(change.revision.trim());
    for one in &change.parameters {
        set_parameter(&mut source, one.name.as_str(), one.value.trim());
    }
    Ok(source)
}

fn set_parameter(source: &mut Value, name: &str, value: &str) {
    let named = |one: &Value| one["name"] == name;
    let current = source["helm"]["parameters"].as_array();
    if value.is_empty() && !current.is_some_and(|all| all.iter().any(named)) {
        return;
    }
    if !source["helm"].is_object() {
        source["helm"] = Value::Object(Map::new());
    }
    if !source["helm"]["parameters"].is_array() {
        source["helm"]["parameters"] = json!([]);
    }
    let Some(all) = source["helm"]["parameters"].as_array_mut() else { return };
    // Of several of one name Helm goes by the last.
    match (all.iter_mut().rfind(|one| named(one)), value.is_empty()) {
        (_, true) => all.retain(|one| !named(one)),
        (Some(one), false) => one["value"] = json!(value),
        // A tag such as 1.20 is a text, not a number.
        (None, false) => all.push(json!({ "name": name, "value": value, "forceString": true })),
    }
    if all.is_empty()
        && let Some(helm) = source["helm"].as_object_mut()
    {
        helm.remove("parameters");
    }
}

/// What deleting an Application means, with what it made or without.
pub fn ending(application: &Application, place: &Place, cascade: bool) -> Ending {
    let name = &application.meta.name;
    let version = super::version(application, place.chart);
    let running = format!("everything it made in the namespace {} ({version})", application.namespace);
    let mut goes = vec![format!("The Argo CD Application {name} in {}.", application.meta.namespace)];
    let mut stays = vec![format!("What is in Git stays: {} is not touched.", place.file())];
    if cascade {
        goes.push(format!("With it {running}, running pods and stored data that belongs to the release included."));
    } else {
        stays.insert(0, format!("{} goes on running, and Argo CD does not look after it any more.", capital(&running)));
        stays.push("A new Application of the same name and place takes it over.".to_owned());
    }
    if let Some(keeper) = &application.keeper {
        stays.push(format!("The {keeper} makes {name} anew after a moment: delete it there if it is to stay away."));
    }
    let blocked = application.meta.deleting.then(|| format!("{name} is being deleted already."));
    Ending { goes, stays, blocked }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::form::{render, tests::form};
    use super::super::place;
    use super::*;

    fn object(change: impl FnOnce(&mut Value)) -> DynamicObject {
        let mut value = render(&form());
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn after(object: &DynamicObject, revision: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let place = place(&Application::read(object)).unwrap();
        let one = |(name, value): &(&str, &str)| Parameter { name: (*name).to_owned(), value: (*value).to_owned() };
        let change = VersionChange { revision: revision.to_owned(), parameters: parameters.iter().map(one).collect() };
        changed_source(object, &place, &change)
    }

    #[test]
    fn only_the_version_and_the_named_parameters_change() {
        let before = object(|value| {
            value["spec"]["sources"][0]["helm"]["parameters"] =
                json!([{ "name": "image.tag", "value": "1", "odd": true }, { "name": "other", "value": "x" }]);
            value["spec"]["sources"][0]["unknown"] = json!({ "a": 1 });
        });
        let made = after(&before, " build/2 ", &[("image.tag", "1.20"), ("new", "y"), ("gone", "")]).unwrap();
        let mut wanted = before.data["spec"]["sources"][0].clone();
        wanted["targetRevision"] = json!("build/2");
        wanted["helm"]["parameters"] = json!([
            { "name": "image.tag", "value": "1.20", "odd": true }, { "name": "other", "value": "x" },
            { "name": "new", "value": "y", "forceString": true }
        ]);
        assert_eq!(made, wanted);
        let none = after(&before, "build/2", &[("image.tag", ""), ("other", "")]).unwrap();
        assert!(none["helm"].get("parameters").is_none(), "{none}");
    }

    #[test]
    fn the_last_of_parameters_of_one_name_counts() {
        let before = object(|value| {
            value["spec"]["sources"][0]["helm"]["parameters"] =
                json!([{ "name": "image.tag", "value": "1" }, { "name": "image.tag", "value": "2" }]);
        });
        let read = Application::read(&before);
        assert_eq!((super::super::version(&read, 0).as_str(), read.parameter("image.tag")), ("2", Some("2")));
        let made = after(&before, "build/2", &[("image.tag", "3")]).unwrap();
        assert_eq!(
            made["helm"]["parameters"],
            json!([{ "name": "image.tag", "value": "1" }, { "name": "image.tag", "value": "3" }])
        );
        let none = after(&before, "build/2", &[("image.tag", "")]).unwrap();
        assert!(none["helm"].get("parameters").is_none(), "{none}");
    }

    #[test]
    fn an_application_takes_along_what_it_made_in_whichever_manner() {
        for (finalizer, wanted) in [
            ("resources-finalizer.argocd.argoproj.io", true),
            ("resources-finalizer.argocd.argoproj.io/background", true),
            ("resources-finalizer.argocd.argoproj.io/foreground", true),
            ("resources-finalizer.argocd.argoproj.io.example.com", false),
            ("post-delete-finalizer.argocd.argoproj.io", false),
        ] {
            let read = Application::read(&object(|value| value["metadata"]["finalizers"] = json!([finalizer])));
            assert_eq!(cascades(&read), wanted, "{finalizer}");
        }
    }

    #[test]
    fn odd_shapes_and_bad_texts_are_refused_or_mended() {
        let odd = object(|value| value["spec"]["sources"][0]["helm"]["parameters"] = json!(7));
        assert_eq!(after(&odd, "2", &[("image.tag", "1")]).unwrap()["helm"]["parameters"][0]["value"], "1");
        let usual = object(|_| {});
        for (revision, parameters) in [
            ("", vec![]),
            ("-x", vec![]),
            ("a\nb", vec![]),
            ("1", vec![("a b", "x")]),
            ("1", vec![("", "x")]),
            ("1", vec![("a", "x\u{202e}y")]),
        ] {
            assert!(matches!(after(&usual, revision, &parameters), Err(Error::Form(_))), "{revision:?} {parameters:?}");
        }
    }

    #[test]
    fn sources_are_told_apart() {
        let kind = |url: &str, chart: &str| {
            source_kind(&SourceRef { repo_url: url.into(), chart: chart.into(), ..SourceRef::default() })
        };
        assert_eq!(kind("https://git.example.com/x", ""), SourceKind::Git);
        assert_eq!(kind("https://charts.example.com", "cart"), SourceKind::Helm);
        assert_eq!(kind("registry.example.com/charts", "cart"), SourceKind::Oci);
        assert_eq!(kind("oci://registry.example.com/charts/cart", ""), SourceKind::Oci);
    }

    #[test]
    fn what_goes_with_an_application_is_said() {
        let read = |change: fn(&mut Value)| Application::read(&object(change));
        let own = read(|_| {});
        let at = place(&own).unwrap();
        let (with, without) = (ending(&own, &at, true), ending(&own, &at, false));
        assert!(with.goes[1].contains("running pods") && with.stays.len() == 1, "{with:?}");
        assert!(without.goes.len() == 1 && without.stays[0].contains("goes on running"), "{without:?}");
        assert_eq!(why_kept(&own), None);
        let of_set = read(|value| {
            value["metadata"]["ownerReferences"] = json!([{ "apiVersion": "argoproj.io/v1alpha1",
                "kind": "ApplicationSet", "name": "shop", "uid": "u" }]);
        });
        assert!(why_kept(&of_set).unwrap().contains("ApplicationSet shop"));
        assert!(ending(&of_set, &at, true).stays.iter().any(|one| one.contains("makes shop-dev-cart anew")));
        let of_parent = read(|value| {
            value["metadata"]["annotations"] = json!({
                "argocd.argoproj.io/tracking-id": "parent:argoproj.io/Application:argocd/shop-dev-cart" });
        });
        assert!(why_kept(&of_parent).unwrap().contains("Application parent"));
    }
}
