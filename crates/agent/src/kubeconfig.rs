//! How the API server is reached: by a kubeconfig that was named, or by one made of the pod's service account, which
//! names the files of token and certificate and so holds no secret itself.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    args::Reach,
    config,
    error::{Error, Result},
};

/// A kubeconfig and the context to take of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Door {
    /// The file.
    pub file: PathBuf,
    /// The context.
    pub context: String,
}

/// The address that a pod reaches the API server at, by the variables that Kubernetes sets.
fn usual_server() -> Result<String> {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Error::NotInCluster { what: format!("the variable {name} is not set") })
    };
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    Ok(if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") })
}

/// Finds the way in. A kubeconfig of the service account is written into `folder`; its context bears the name that the
/// configuration gives the cluster, as what it says about production holds for the agent, too.
pub fn open(reach: &Reach, cluster: &str, folder: &Path) -> Result<Door> {
    if let Some(file) = &reach.kubeconfig {
        let context = match &reach.context {
            Some(context) => context.clone(),
            None => current_context(file)?,
        };
        return Ok(Door { file: file.clone(), context });
    }
    let account = &reach.service_account;
    let (token, authority) = (account.join("token"), account.join("ca.crt"));
    if !token.is_file() {
        return Err(Error::NotInCluster { what: format!("there is no {}", token.display()) });
    }
    let server = match &reach.server {
        Some(server) => server.clone(),
        None => usual_server()?,
    };
    let namespace = config::text(&account.join("namespace")).unwrap_or_default();
    let file = folder.join("kubeconfig");
    let failed = |source| Error::File { path: file.clone(), done: "written", source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(&file, made_of(cluster, &server, &authority, &token, namespace.trim()).to_string())
        .map_err(failed)?;
    Ok(Door { file, context: cluster.to_owned() })
}

fn made_of(cluster: &str, server: &str, authority: &Path, token: &Path, namespace: &str) -> Value {
    let mut context = json!({ "cluster": cluster, "user": "pilothouse-agent" });
    if !namespace.is_empty() {
        context["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": cluster, "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": "pilothouse-agent", "user": { "tokenFile": token } }],
        "contexts": [{ "name": cluster, "context": context }],
        "current-context": cluster,
    })
}

fn current_context(file: &Path) -> Result<String> {
    let config: Value =
        serde_yaml::from_str(&config::text(file)?).map_err(|source| Error::Yaml { path: file.to_owned(), source })?;
    let current = config["current-context"].as_str().filter(|name| !name.is_empty());
    current.map(str::to_owned).ok_or_else(|| Error::NoContext { path: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(kubeconfig: Option<PathBuf>, account: &Path) -> Reach {
        let server = Some("https://10.0.0.1:443".to_owned());
        Reach { kubeconfig, context: None, service_account: account.to_owned(), server }
    }

    #[test]
    fn a_kubeconfig_of_a_service_account_holds_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let missing = open(&reach(None, dir.path()), "shop-eu", dir.path()).unwrap_err();
        assert!(matches!(missing, Error::NotInCluster { .. }), "{missing}");
        for (name, text) in [("token", "hush"), ("ca.crt", "PEM"), ("namespace", "pilothouse\n")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let door = open(&reach(None, dir.path()), "shop-eu", &dir.path().join("data")).unwrap();
        assert_eq!(door.context, "shop-eu");
        let text = std::fs::read_to_string(&door.file).unwrap();
        assert!(!text.contains("hush") && text.contains("tokenFile"), "{text}");
        let named = open(&reach(Some(door.file.clone()), dir.path()), "other", dir.path()).unwrap();
        assert_eq!(named, door, "its current context is taken");
    }
}
