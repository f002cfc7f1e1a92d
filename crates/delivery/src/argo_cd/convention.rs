//! Which of Argo CD's Applications stand in Git by the convention: a source with a `ref` is the GitOps repository, and a
//! chart's source names `$ref/<flow>/<environment>/<application>-values.yaml` among its values files.

use std::collections::BTreeMap;

use pilothouse_cluster::Name;

use crate::objects::{Application, SourceRef};
use crate::repository::same_repository;

/// What a values file's name ends with.
const ENDING: &str = "-values.yaml";

/// Where an Application stands by the convention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The deployment flow.
    pub flow: Name,
    /// The environment.
    pub environment: Name,
    /// The application.
    pub application: Name,
    /// The chart's source, by its number.
    pub chart: usize,
    /// The source with the values, by its number.
    pub values: usize,
}

impl Place {
    /// The values file in its repository.
    pub fn file(&self) -> String {
        format!("{}/{}/{}{ENDING}", self.flow, self.environment, self.application)
    }
}

/// The parts of a path that follows the convention.
fn parts(path: &str) -> Option<[Name; 3]> {
    let mut segments = path.split('/');
    let [flow, environment, file] = [segments.next()?, segments.next()?, segments.next()?];
    if segments.next().is_some() {
        return None;
    }
    let application = file.strip_suffix(ENDING)?;
    Some([
        Name::parse("flow", flow).ok()?,
        Name::parse("environment", environment).ok()?,
        Name::parse("application", application).ok()?,
    ])
}

/// Whether a source holds a chart. One that is only a name for its files has neither path nor chart.
fn holds_chart(source: &SourceRef) -> bool {
    !source.path.is_empty() || !source.chart.is_empty()
}

/// Where an Application stands, whichever repository its values come from. Of several files that follow the convention
/// the last one counts, as it does for Helm.
pub fn place(application: &Application) -> Option<Place> {
    if !application.multi_source {
        return None;
    }
    let sources = &application.sources;
    let charts = sources.iter().enumerate().filter(|(_, source)| holds_chart(source));
    for (chart, source) in charts {
        for file in source.value_files.iter().rev() {
            let Some((reference, path)) = file.strip_prefix('$').and_then(|rest| rest.split_once('/')) else {
                continue;
            };
            let of_name = |one: &SourceRef| one.reference.as_deref() == Some(reference);
            let (Some(values), Some([flow, environment, application])) =
                (sources.iter().position(of_name), parts(path))
            else {
                continue;
            };
            return Some(Place { flow, environment, application, chart, values });
        }
    }
    None
}

/// An Application with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its number among the Applications.
    pub at: usize,
    /// Where it stands.
    pub place: Place,
    /// Other Applications that read the same values file, `namespace/name` each.
    pub others: Vec<String>,
}

/// Flow, environment, application.
type Key = (String, String, String);

/// The Applications that stand in the GitOps repository by the convention, and those that stand in another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Convention {
    placed: BTreeMap<Key, Placed>,
    /// Other repositories that values come from by the convention, and how many Applications read each.
    pub elsewhere: BTreeMap<String, usize>,
}

impl Convention {
    /// Places Applications. `addresses` are those of the GitOps repository; without one everything is elsewhere.
    pub fn of(applications: &[Application], addresses: &[String]) -> Self {
        let mut found = Self::default();
        let mut order: Vec<usize> = (0..applications.len()).collect();
        // Who comes first must not depend on the order in which a list arrived.
        order.sort_by_key(|at| (&applications[*at].meta.namespace, &applications[*at].meta.name));
        for at in order {
            let one = &applications[at];
            let Some(place) = place(one) else { continue };
            let repository = &one.sources[place.values].repo_url;
            if !addresses.iter().any(|ours| same_repository(ours, repository)) {
                *found.elsewhere.entry(repository.clone()).or_default() += 1;
                continue;
            }
            let key = (place.flow.to_string(), place.environment.to_string(), place.application.to_string());
            match found.placed.entry(key) {
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(Placed { at, place, others: Vec::new() });
                }
                std::collections::btree_map::Entry::Occupied(mut taken) => {
                    taken.get_mut().others.push(format!("{}/{}", one.meta.namespace, one.meta.name));
                }
            }
        }
        found
    }

    /// The Application at a place.
    pub fn get(&self, flow: &str, environment: &str, application: &str) -> Option<&Placed> {
        self.placed.get(&(flow.to_owned(), environment.to_owned(), application.to_owned()))
    }

    /// All of them, by flow, environment and application.
    pub fn all(&self) -> impl Iterator<Item = &Placed> {
        self.placed.values()
    }
}

/// How far along the way to production an environment is, by the usual names; those that say nothing are in between.
pub(crate) fn rank(environment: &str) -> u8 {
    const WORDS: [&[&str]; 7] = [
        &["sandbox", "local", "play"],
        &["dev", "develop", "development"],
        &["ci", "int", "integration", "test", "tst", "testing"],
        &["qa", "sit", "uat", "acc", "acceptance"],
        &["stage", "staging", "stg", "perf", "load"],
        &["pre", "preprod", "preproduction"],
        &["prod", "prd", "production", "live"],
    ];
    let parts = environment.split('-').map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
    let ranks = parts.filter_map(|part| WORDS.iter().position(|words| words.contains(&part)));
    // `pre-prod` is not `prod`, and `prod-test` is no test.
    let found: Vec<usize> = ranks.collect();
    let found = if found.contains(&5) { Some(5) } else { found.into_iter().max() };
    match found {
        // What says nothing comes after the tests.
        None => 7,
        Some(place @ 0..=3) => u8::try_from(place * 2).unwrap_or(0),
        Some(place) => u8::try_from(place * 2).unwrap_or(0).max(8),
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::*;

    const GITOPS: &str = "https://git.example.com/acme/gitops.git";

    fn application(name: &str, sources: Value) -> Application {
        let object: DynamicObject = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "argocd" }, "spec": { "sources": sources }
        }))
        .unwrap();
        Application::read(&object)
    }

    fn usual(file: &str) -> Application {
        application(
            "shop-dev-cart",
            json!([
                { "repoURL": "https://charts.example.com", "chart": "cart", "helm": { "valueFiles": [file] } },
                { "repoURL": GITOPS, "targetRevision": "main", "ref": "values" }
            ]),
        )
    }

    #[test]
    fn the_convention_is_recognised_in_any_order_of_sources() {
        let found = place(&usual("$values/shop/dev/cart-values.yaml")).unwrap();
        assert_eq!((found.file().as_str(), found.chart, found.values), ("shop/dev/cart-values.yaml", 0, 1));
        let turned = application(
            "x",
            json!([
                { "repoURL": GITOPS, "ref": "gitops" },
                { "repoURL": GITOPS, "ref": "base" },
                { "repoURL": "https://git.example.com/acme/cart", "path": "deploy", "helm": { "valueFiles": [
                    "values.yaml", "$base/shop/all/common-values.yaml", "$gitops/shop/dev-2/cart-values.yaml"] } }
            ]),
        );
        let found = place(&turned).unwrap();
        assert_eq!((found.file().as_str(), found.chart, found.values), ("shop/dev-2/cart-values.yaml", 2, 0));
        // A folder of the GitOps repository itself may be the chart.
        let same = application(
            "x",
            json!([{ "repoURL": GITOPS, "path": "charts/cart", "ref": "values",
                "helm": { "valueFiles": ["$values/shop/dev/cart-values.yaml"] } }]),
        );
        assert_eq!(place(&same).map(|one| (one.chart, one.values)), Some((0, 0)));
    }

    #[test]
    fn what_does_not_follow_it_has_no_place() {
        let long = format!("$values/shop/dev/{}-values.yaml", "x".repeat(64));
        for file in [
            "shop/dev/cart-values.yaml",
            "$values/shop/cart-values.yaml",
            "$values/a/shop/dev/cart-values.yaml",
            "$values//dev/cart-values.yaml",
            "$values/shop/dev/-values.yaml",
            "$values/shop/dev/values.yaml",
            "$values/shop/dev/cart-values.yml",
            "$values/shop/dev/cart-values.yaml/",
            "$values/shop/../cart-values.yaml",
            "$values/../../etc/cart-values.yaml",
            "$values/shop/dev/Cart-values.yaml",
            "$values/shop/dev/cart\n-values.yaml",
            "$values/shop/dev/\u{202e}cart-values.yaml",
            "$values/shop/%2e%2e/cart-values.yaml",
            "$values\\shop\\dev\\cart-values.yaml",
            "$other/shop/dev/cart-values.yaml",
            "$/shop/dev/cart-values.yaml",
            "$valuesshop",
            "$",
            "",
            &long,
        ] {
            assert_eq!(place(&usual(file)), None, "{file:?}");
        }
        let single: DynamicObject = serde_json::from_value(json!({ "metadata": { "name": "x" }, "spec": { "source": {
            "repoURL": GITOPS, "path": "x", "ref": "values",
            "helm": { "valueFiles": ["$values/shop/dev/cart-values.yaml"] } } } }))
        .unwrap();
        assert_eq!(place(&Application::read(&single)), None, "Argo CD knows `$ref` in `sources` alone");
    }

    #[test]
    fn hostile_shapes_are_read_past() {
        for sources in [
            json!(7),
            json!([]),
            json!([null, 7, "x", []]),
            json!([{ "ref": 7, "repoURL": null, "path": {}, "chart": [], "helm": "x" }]),
            json!([{ "chart": "x", "helm": { "valueFiles": { "a": 1 } } }]),
            json!([{ "chart": "x", "helm": { "valueFiles": [null, 1, {}, "$values/shop/dev/cart-values.yaml"] } }]),
        ] {
            assert_eq!(place(&application("x", sources.clone())), None, "{sources}");
        }
    }

    /// Any path of three parts is taken exactly when each part is one DNS label, and what is taken names the same file.
    #[test]
    fn a_place_names_the_file_it_was_read_from() {
        let letters: Vec<char> = "aaaaaabbbbbb0000---./_$A\u{e9}\u{202e} \\%".chars().collect();
        let word = |random: &mut fastrand::Rng| -> String {
            (0..random.usize(0..4)).map(|_| letters[random.usize(..letters.len())]).collect()
        };
        let mut random = fastrand::Rng::with_seed(7);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let path = format!("{}/{}/{}-values.yaml", word(&mut random), word(&mut random), word(&mut random));
            let fits = path.split('/').count() == 3
                && path.split('/').zip(["flow", "environment", "file"]).all(|(part, of)| {
                    let part = if of == "file" { part.trim_end_matches(ENDING) } else { part };
                    Name::parse(of, part).is_ok()
                });
            let found = place(&usual(&format!("$values/{path}")));
            assert_eq!(found.is_some(), fits, "{path:?}");
            match found {
                Some(found) => {
                    assert_eq!(found.file(), path);
                    taken += 1;
                }
                None => refused += 1,
            }
        }
        assert!(taken > 200 && refused > 500, "{taken} {refused}");
    }

    #[test]
    fn only_the_gitops_repository_counts_and_doubles_are_named() {
        let file = "$values/shop/dev/cart-values.yaml";
        let (mut double, mut other) = (usual(file), usual("$values/shop/qa/cart-values.yaml"));
        double.meta.name = "a-double".to_owned();
        other.sources[1].repo_url = "https://git.example.com/else/gitops".to_owned();
        let all = [usual(file), other, double];
        let ours = ["git@git.example.com:acme/gitops.git".to_owned()];
        let found = Convention::of(&all, &ours);
        let one = found.get("shop", "dev", "cart").unwrap();
        assert_eq!((one.at, one.others.as_slice()), (2, ["argocd/shop-dev-cart".to_owned()].as_slice()));
        assert_eq!(found.all().count(), 1);
        assert_eq!(found.elsewhere.iter().next(), Some((&"https://git.example.com/else/gitops".to_owned(), &1)));
        let turned: Vec<Application> = all.iter().rev().cloned().collect();
        let one = Convention::of(&turned, &ours).get("shop", "dev", "cart").cloned().unwrap();
        assert_eq!(turned[one.at].meta.name, "a-double");
        assert_eq!(Convention::of(&all, &[]).all().count(), 0);
    }

    #[test]
    fn environments_come_in_the_order_to_production() {
        let mut names = ["prod", "staging", "dev", "blue", "qa", "pre-prod", "sandbox", "eu-prod1", "test2"];
        names.sort_by_key(|name| (rank(name), *name));
        assert_eq!(names, ["sandbox", "dev", "test2", "qa", "blue", "staging", "pre-prod", "eu-prod1", "prod"]);
    }
}
