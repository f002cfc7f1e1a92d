//! Where a values file lies in the GitOps repository.

use pilothouse_cluster::Name;
use pilothouse_git::RepoPath;

use crate::Result;

/// `<deployment-flow>/<environment>/<application>-values.yaml`, the path the generated ApplicationSet reads
/// (cd-pipeline-operator, generateTemplatePatch). The environment is the Stage's `spec.name`, not the object's name.
///
/// # Errors
/// When a component is longer than a file name may be.
pub fn values_path(flow: &Name, environment: &Name, application: &Name) -> Result<RepoPath> {
    Ok(RepoPath::parse(&format!("{flow}/{environment}/{application}-values.yaml"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_upstreams() {
        let name = |text| Name::parse("name", text).unwrap();
        let path = values_path(&name("mypipe"), &name("dev"), &name("fastapi-demo")).unwrap();
        assert_eq!(path.to_string(), "mypipe/dev/fastapi-demo-values.yaml");
    }
}
