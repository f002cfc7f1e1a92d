//! Values files that nothing reads: orphans of flows, environments and applications that are gone, and files one letter
//! away from the name the platform reads. It reads `<flow>/<environment>/<application>-values.yaml` and nothing else,
//! and says nothing about the rest.

use std::collections::BTreeSet;

use crate::objects::Objects;

/// A flow, as far as it decides which values files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowShape {
    /// The flow.
    pub name: String,
    /// Environments: the name in the flow, and the Stage object's.
    pub environments: Vec<(String, String)>,
    /// The applications.
    pub applications: Vec<String>,
}

/// The flows of a platform.
pub fn flow_shapes(objects: &Objects) -> Vec<FlowShape> {
    objects
        .pipelines
        .iter()
        .map(|flow| FlowShape {
            name: flow.meta.name.clone(),
            environments: objects
                .stages_of(&flow.meta.name)
                .into_iter()
                .map(|stage| (stage.name.clone(), stage.meta.name.clone()))
                .collect(),
            applications: flow.applications.clone(),
        })
        .collect()
}

/// What is wrong with a values file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrayKind {
    /// `.yml` instead of `.yaml`.
    Extension,
    /// The Stage object's name (`shop-dev`) instead of the environment's (`dev`).
    StageObject,
    /// `cart.yaml` instead of `cart-values.yaml`.
    Name,
    /// Not two folders deep.
    Depth,
    /// No such flow.
    UnknownFlow,
    /// No such environment in the flow.
    UnknownEnvironment,
    /// The flow has no such application.
    UnknownApplication,
}

/// A values file that nothing reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub kind: StrayKind,
    /// The same in a sentence.
    pub message: String,
    /// The name under which it would be read; none when nothing would read it under any, or when a file is there.
    pub rename: Option<String>,
}

/// Finds the values files among `paths` that nothing reads. Folders that hold no values (`litmus`, charts) and files that
/// do not look like values are left alone.
pub fn strays(paths: &[String], flows: &[FlowShape]) -> Vec<Stray> {
    let all: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let mut found: Vec<Stray> = paths.iter().filter_map(|path| stray(path, flows)).collect();
    // Two files that want the same name cannot both have it.
    let mut taken = BTreeSet::new();
    for one in &mut found {
        if one.rename.as_ref().is_some_and(|to| all.contains(to.as_str()) || !taken.insert(to.clone())) {
            one.rename = None;
            one.message.push_str(" The right file is there already.");
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn stray(path: &str, flows: &[FlowShape]) -> Option<Stray> {
    let parts: Vec<&str> = path.split('/').collect();
    let (file, folders) = parts.split_last()?;
    if folders.first().is_some_and(|first| *first == "litmus" || first.starts_with('.')) {
        return None;
    }
    let (stem, extension) = file.rsplit_once('.')?;
    if !matches!(extension, "yaml" | "yml") {
        return None;
    }
    let flow = folders.first().and_then(|name| flows.iter().find(|flow| flow.name == *name));
    let (application, suffixed) = match stem.strip_suffix("-values") {
        Some(application) => (application, true),
        // Without the suffix only a file that is named as one of the flow's applications is meant as values.
        None if flow.is_some_and(|flow| flow.applications.iter().any(|one| one == stem)) => (stem, false),
        None => return None,
    };
    if application.is_empty() {
        return None;
    }
    let right = |flow: &FlowShape, environment: &str| format!("{}/{environment}/{application}-values.yaml", flow.name);
    let said = |kind, message: String, rename| Some(Stray { path: path.to_owned(), kind, message, rename });
    let [_, stage] = folders else {
        // `shop-dev/cart-values.yaml`, or a folder too many or too few.
        let place = owner_of(folders, flows).filter(|(flow, _)| flow.applications.iter().any(|one| one == application));
        let message = "Values are read two folders deep only: flow, then environment.".to_owned();
        // Charts have values files of their own, deeper down; only what belongs to a flow is meant for the platform.
        let concerns = flow.is_some() || place.is_some() || folders.is_empty();
        return if concerns {
            said(StrayKind::Depth, message, place.map(|(flow, environment)| right(flow, &environment)))
        } else {
            None
        };
    };
    let Some(flow) = flow else {
        return said(StrayKind::UnknownFlow, format!("There is no deployment flow `{}`.", folders[0]), None);
    };
    let known = flow.applications.iter().any(|one| one == application);
    let by_name = flow.environments.iter().find(|(name, _)| name == stage);
    let by_object = flow.environments.iter().find(|(_, object)| object == stage);
    let Some((environment, _)) = by_name.or(by_object) else {
        return said(
            StrayKind::UnknownEnvironment,
            format!("The flow {} has no environment `{stage}`.", flow.name),
            None,
        );
    };
    if !known {
        let message = format!("The flow {} has no application `{application}`.", flow.name);
        return said(StrayKind::UnknownApplication, message, None);
    }
    let to = Some(right(flow, environment));
    if by_name.is_none() {
        let message = format!("The folder has the Stage object's name; the environment is called `{environment}`.");
        return said(StrayKind::StageObject, message, to);
    }
    if !suffixed {
        return said(StrayKind::Name, format!("The name must be `{application}-values.yaml`."), to);
    }
    if extension == "yml" {
        return said(StrayKind::Extension, "The name must end in `.yaml`, not `.yml`.".to_owned(), to);
    }
    None
}

/// The environment that misplaced folders mean: a Stage object's name anywhere, or flow and environment in this order.
fn owner_of<'a>(folders: &[&str], flows: &'a [FlowShape]) -> Option<(&'a FlowShape, String)> {
    flows.iter().find_map(|flow| {
        let (name, _) = flow.environments.iter().find(|(name, object)| {
            folders.contains(&object.as_str())
                || folders
                    .iter()
                    .position(|one| *one == flow.name)
                    .is_some_and(|at| folders[at + 1..].contains(&name.as_str()))
        })?;
        Some((flow, name.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows() -> Vec<FlowShape> {
        let environments = ["dev", "qa"].map(|name| (name.to_owned(), format!("shop-{name}")));
        vec![FlowShape {
            name: "shop".into(),
            environments: environments.to_vec(),
            applications: vec!["cart".into(), "checkout".into()],
        }]
    }

    fn one(path: &str) -> Option<(StrayKind, Option<String>)> {
        strays(&[path.to_owned()], &flows()).pop().map(|one| (one.kind, one.rename))
    }

    #[test]
    fn what_the_platform_reads_is_no_stray_and_neither_is_what_is_no_values_file() {
        for path in [
            "shop/dev/cart-values.yaml",
            "shop/qa/checkout-values.yaml",
            "README.md",
            ".github/workflows/x-values.yaml",
            "litmus/shop/a-values.yaml",
            "shop/dev/notes.yaml",
            "shop/dev/cart-values.json",
            "shop/dev/-values.yaml",
            "charts/cart/templates/cart-values.yaml",
            "a",
            "",
        ] {
            assert_eq!(one(path), None, "{path}");
        }
    }

    #[test]
    fn each_way_to_miss_has_its_name_and_its_way_back() {
        use StrayKind::*;
        let right = Some("shop/dev/cart-values.yaml".to_owned());
        for (path, kind, rename) in [
            ("shop/dev/cart-values.yml", Extension, right.clone()),
            ("shop/shop-dev/cart-values.yaml", StageObject, right.clone()),
            ("shop/shop-dev/cart-values.yml", StageObject, right.clone()),
            ("shop/dev/cart.yaml", Name, right.clone()),
            ("shop-dev/cart-values.yaml", Depth, right.clone()),
            ("shop/dev/eu/cart-values.yaml", Depth, right.clone()),
            ("envs/shop/dev/cart-values.yaml", Depth, right),
            ("shop/cart-values.yaml", Depth, None),
            ("cart-values.yaml", Depth, None),
            ("shop/dev/eu/gone-values.yaml", Depth, None),
            ("old/dev/cart-values.yaml", UnknownFlow, None),
            ("shop/prod/cart-values.yaml", UnknownEnvironment, None),
            ("shop/dev/gone-values.yaml", UnknownApplication, None),
            ("shop/shop-dev/gone-values.yml", UnknownApplication, None),
        ] {
            assert_eq!(one(path), Some((kind, rename)), "{path}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_not_offered() {
        let paths = ["shop/dev/cart-values.yaml", "shop/dev/cart-values.yml"].map(str::to_owned);
        let found = strays(&paths, &flows());
        assert_eq!((found.len(), found[0].rename.as_deref()), (1, None));
        assert!(found[0].message.contains("there already"));
        // Two that want the same name: the first in order gets it.
        let paths = ["shop/dev/cart-values.yml", "shop/shop-dev/cart-values.yaml"].map(str::to_owned);
        let found = strays(&paths, &flows());
        assert_eq!(found.iter().filter(|one| one.rename.is_some()).count(), 1);
    }
}
