//! The CustomResourceDefinitions of the practice cluster, as data in `crds/`.

use serde_json::Value;

use crate::Result;

macro_rules! texts {
    ($($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../crds/", $name, ".yaml"))),*]
    };
}

const TEXTS: &[&str] = texts![
    "applications.argoproj.io",
    "applicationsets.argoproj.io",
    "appprojects.argoproj.io",
    "cdpipelines.v2.edp.epam.com",
    "chaosengines.litmuschaos.io",
    "chaosexperiments.litmuschaos.io",
    "chaosresults.litmuschaos.io",
    "chaosschedules.litmuschaos.io",
    "codebasebranches.v2.edp.epam.com",
    "codebaseimagestreams.v2.edp.epam.com",
    "codebases.v2.edp.epam.com",
    "cronworkflows.argoproj.io",
    "eventtrackerpolicies.eventtracker.litmuschaos.io",
    "gitservers.v2.edp.epam.com",
    "pipelineruns.tekton.dev",
    "stages.v2.edp.epam.com",
    "taskruns.tekton.dev",
    "triggertemplates.triggers.tekton.dev",
    "workflows.argoproj.io",
    "workflowtemplates.argoproj.io",
];

/// All definitions, ready for [`crate::api::Server::with_crds`].
///
/// # Errors
/// [`crate::Error::Yaml`] when one cannot be read.
pub fn all() -> Result<Vec<Value>> {
    TEXTS.iter().map(|text| Ok(serde_yaml::from_str(text)?)).collect()
}

/// Those of a cluster without KubeRocketCI, and without Tekton, which works for it.
///
/// # Errors
/// [`crate::Error::Yaml`] when one cannot be read.
pub fn without_platform() -> Result<Vec<Value>> {
    let group = |definition: &Value| definition["spec"]["group"].as_str().unwrap_or_default().to_owned();
    let gone = |group: &str| group == "v2.edp.epam.com" || group.ends_with("tekton.dev");
    Ok(all()?.into_iter().filter(|definition| !gone(&group(definition))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_accepted() {
        crate::api::Server::with_crds(all().unwrap()).unwrap();
    }

    #[test]
    fn without_the_platform_argo_cd_stays() {
        let names: Vec<String> = without_platform()
            .unwrap()
            .iter()
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert!(names.iter().any(|name| name == "applications.argoproj.io"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("edp") || name.contains("tekton")), "{names:?}");
    }
}
