//! Where the control plane's programs are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// The cache folder's name: Kubernetes' version and the recipe's revision, as kube-assets.sh names it.
const BUILT: &str = "v1.20.2-r1";

/// The programs of one Kubernetes release. Those after kube-apiserver may be absent: the folder that setup-envtest
/// makes has none of them.
#[derive(Debug, Clone)]
pub struct Assets {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager, without which nothing rolls out and no namespace goes away.
    pub controller_manager: Option<PathBuf>,
    /// kube-scheduler.
    pub scheduler: Option<PathBuf>,
    /// kubemark, whose hollow kubelet lets pods run on a pretended container engine.
    pub kubemark: Option<PathBuf>,
    /// The API server's minor version: 20 for v1.20.2.
    pub minor: u32,
}

impl Assets {
    /// Finds the programs: in `KUBEBUILDER_ASSETS` if set, else in the cache, else builds them into the cache, which
    /// takes some minutes once.
    pub fn find() -> Result<Self> {
        if let Some(dir) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
            return Self::in_folder(Path::new(&dir));
        }
        let cache = cache()?.join("kube-assets");
        let built = cache.join(BUILT);
        if built.join("kube-apiserver").is_file() {
            return Self::in_folder(&built);
        }
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube-assets.sh");
        let status = Command::new("bash")
            .arg(&recipe)
            .arg(&cache)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|source| Error::Start { program: recipe.display().to_string(), source })?;
        if !status.success() {
            return Err(Error::Assets(format!("{} ended with {status}", recipe.display())));
        }
        Self::in_folder(&built)
    }

    /// The programs in `dir`, which must hold at least etcd and kube-apiserver.
    pub fn in_folder(dir: &Path) -> Result<Self> {
        let have = |name: &str| Some(dir.join(name)).filter(|path| path.is_file());
        let need = |name: &str| have(name).ok_or_else(|| Error::Assets(format!("{} has no {name}", dir.display())));
        let apiserver = need("kube-apiserver")?;
        let version = Command::new(&apiserver)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Start { program: apiserver.display().to_string(), source })?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let minor = minor(&version)
            .ok_or_else(|| Error::Assets(format!("{} calls itself {version:?}", apiserver.display())))?;
        Ok(Self {
            etcd: need("etcd")?,
            apiserver,
            controller_manager: have("kube-controller-manager"),
            scheduler: have("kube-scheduler"),
            kubemark: have("kubemark"),
            minor,
        })
    }
}

/// The folder for what is dear to make: `PILOTHOUSE_CACHE`, which tests that change HOME set, else the user's cache.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("PILOTHOUSE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("pilothouse")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/pilothouse")))
        .ok_or_else(|| Error::Assets("neither PILOTHOUSE_CACHE nor HOME is set".to_owned()))
}

/// 20 out of `Kubernetes v1.20.2`.
fn minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("Kubernetes v1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read() {
        assert_eq!(minor("Kubernetes v1.20.2\n"), Some(20));
        assert_eq!(minor("Kubernetes v1.34.0-rc.1\n"), Some(34));
        assert_eq!(minor("etcd Version: 3.4\n"), None);
    }
}
