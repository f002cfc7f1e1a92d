//! `print-manifests`: the objects of an installation.

use std::{io::Write, process::ExitCode};

use pilothouse_app::agent::{Plan, manifests, rights, to_yaml};

use crate::{
    args::PrintManifests,
    config,
    error::{Error, Result},
};

/// Prints the objects, or the rights.
pub fn print(args: &PrintManifests) -> Result<ExitCode> {
    let path = &args.values;
    let unfit = |source| Error::Yaml { path: path.clone(), source };
    let plan: Plan = serde_yaml::from_str(&config::text(path)?).map_err(unfit)?;
    config::refuse(path, &plan.flaws())?;
    let text = if args.rights {
        rights(&plan.needs).iter().map(|right| format!("{}: {}\n", right.words(), right.why)).collect()
    } else {
        to_yaml(&manifests(&plan.settings, &plan.needs), &plan.needs).map_err(unfit)?
    };
    let mut out = std::io::stdout().lock();
    // Whoever reads may have heard enough, as `head` does.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::File { path: "the standard output".into(), done: "written", source })
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
