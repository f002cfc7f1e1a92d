//! The real parts as a background process: `rig up` leaves them running, `rig down` ends them.

use crate::packages::{self, Need};
use crate::tasks::{Failure, Outcome, run, say, shown, wait_until};
use crate::workspace::{artifacts, built, cargo};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the parts may take; making the control plane from source takes minutes, once.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Real parts that end when this is dropped.
pub struct Rig {
    child: Child,
    /// The file that says where everything is; tests find it through PILOTHOUSE_RIG.
    pub description: PathBuf,
}

impl Rig {
    /// Starts the parts and waits until they answer. The program must have been built.
    pub fn start(log: &str) -> Outcome<Self> {
        let folder = artifacts(log);
        std::fs::create_dir_all(&folder)?;
        let description = folder.join("rig.json");
        let _ = std::fs::remove_file(&description);
        say(format!("Starting the real parts: control plane, Git servers (log: {})", folder.join("rig.log").display()));
        let mut child = spawn(&folder.join("rig.log"), &description)?;
        let mut ended = None;
        wait_until("the real parts", PATIENCE, || {
            ended = child.try_wait().ok().flatten();
            ended.is_some() || description.exists()
        })?;
        match ended {
            Some(status) => Err(Failure::new(format!(
                "the real parts did not start ({status}): see {}",
                folder.join("rig.log").display()
            ))),
            None => Ok(Self { child, description }),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Closing the pipe is the signal: the process then ends its own children.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.description);
    }
}

fn spawn(log: &std::path::Path, description: &std::path::Path) -> Outcome<Child> {
    let mut rig = Command::new(built("debug", "pilothouse-rig"));
    rig.arg("up").arg(description).stdin(Stdio::piped());
    rig.stdout(Stdio::null()).stderr(std::fs::File::create(log)?);
    rig.spawn().map_err(|e| Failure::new(format!("cannot start `{}`: {e}", shown(&rig))))
}

/// Starts the parts and holds them until the process is ended with `rig down` or Ctrl-C.
pub fn up() -> Outcome {
    packages::install(Need::Tests)?;
    let mut build = cargo();
    build.args(["build", "--package", "pilothouse-rig"]);
    run(build)?;
    let rig = Rig::start("rig")?;
    std::fs::write(artifacts("rig").join("rig.pid"), std::process::id().to_string())?;
    say(format!(
        "Up. Use them with\n    export PILOTHOUSE_RIG={}\nPress Ctrl-C, or run `cargo xtask rig down`, to stop.",
        rig.description.display()
    ));
    let mut rig = rig;
    rig.child.wait()?;
    Ok(())
}

/// Ends the parts that `rig up` started; does nothing when there are none.
pub fn down() -> Outcome {
    let file = artifacts("rig").join("rig.pid");
    let Ok(pid) = std::fs::read_to_string(&file) else {
        println!("nothing is up");
        return Ok(());
    };
    let mut end = if cfg!(windows) { Command::new("taskkill") } else { Command::new("kill") };
    if cfg!(windows) {
        end.args(["/F", "/PID"]);
    }
    end.arg(pid.trim());
    let _ = run(end);
    std::fs::remove_file(file)?;
    Ok(())
}
