//! The files that the agent reads.

use std::{fs::File, io::Read, path::Path};

use pilothouse_app::agent::Config;

use crate::error::{Error, Result};

/// The longest file that is read, in bytes.
const LIMIT: u64 = 4 * 1024 * 1024;

/// A file's text.
pub fn text(path: &Path) -> Result<String> {
    let failed = |source| Error::File { path: path.to_owned(), done: "read", source };
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(LIMIT).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// The flaws of a file as an error; fine when there are none.
pub fn refuse(path: &Path, flaws: &[pilothouse_app::agent::Flaw]) -> Result<()> {
    if flaws.is_empty() {
        return Ok(());
    }
    let flaws: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    Err(Error::Flaws { path: path.to_owned(), flaws: flaws.join("\n") })
}

/// The agent's configuration.
pub fn load(path: &Path) -> Result<Config> {
    let config: Config =
        serde_yaml::from_str(&text(path)?).map_err(|source| Error::Yaml { path: path.to_owned(), source })?;
    refuse(path, &config.needs.flaws())?;
    Ok(config)
}
