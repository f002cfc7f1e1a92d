//! A real Helm for tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::assets::cache;

/// The cache folder's name: Helm's version, as helm-asset.sh names it.
const VERSION: &str = "v4.1.4";

/// The environment variable that names another Helm to test with.
pub const CHOSEN: &str = "PILOTHOUSE_HELM";

/// Why there is no Helm to test with, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

/// Helm's command: the one `PILOTHOUSE_HELM` names, else the cached one, else brought into the cache now.
///
/// # Errors
/// Why there is none, in a sentence: tests that need it are then skipped with it.
pub fn program() -> Result<PathBuf, Unavailable> {
    static FOUND: OnceLock<Result<PathBuf, Unavailable>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> Result<PathBuf, Unavailable> {
    if let Some(chosen) = std::env::var_os(CHOSEN).filter(|path| !path.is_empty()) {
        return Ok(chosen.into());
    }
    let folder = cache().map_err(|error| Unavailable(error.to_string()))?.join("helm");
    let cached = folder.join(VERSION).join("helm");
    if cached.is_file() {
        return Ok(cached);
    }
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm-asset.sh");
    let ended = Command::new("bash").arg(&recipe).arg(&folder).stdin(Stdio::null()).output();
    match ended {
        Ok(ended) if ended.status.success() && cached.is_file() => Ok(cached),
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr);
            Err(Unavailable(format!("helm could not be had: {}", said.trim().replace('\n', "; "))))
        }
        Err(error) => Err(Unavailable(format!("{} could not be run: {error}", recipe.display()))),
    }
}
