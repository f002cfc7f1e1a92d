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
        say(format!("Starting the real parts: the control plane (log: {})", folder.join("rig.log").display()));
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
    if description().exists() {
        return Err(Failure::new("the real parts are up already: `cargo xtask rig down` ends them"));
    }
    packages::install(Need::Tests)?;
    let mut build = cargo();
    build.args(["build", "--package", "pilothouse-rig"]);
    run(build)?;
    let _ = std::fs::remove_file(wish());
    let mut rig = Rig::start(NAME)?;
    let text = std::fs::read_to_string(&rig.description)?;
    say(format!(
        "Up. For tests:\n    export PILOTHOUSE_RIG={}\nFor the app and kubectl:\n    export KUBECONFIG={}\nPress Ctrl-C, or run \
         `cargo xtask rig down`, to stop.",
        rig.description.display(),
        field(&text, "admin").unwrap_or("?")
    ));
    while rig.child.try_wait()?.is_none() {
        if wish().exists() {
            println!("going down");
            drop(rig);
            let _ = std::fs::remove_file(wish());
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Failure::new(format!("the real parts ended by themselves: see {}", artifacts(NAME).join("rig.log").display())))
}

/// Where `rig up` leaves what it does.
const NAME: &str = "rig-up";

/// Says where the running parts are; there while they are up.
fn description() -> PathBuf {
    artifacts(NAME).join("rig.json")
}

/// Its presence is the wish that the parts end. A file instead of a signal: it works on every system, and never
/// reaches a process that only has the number of the one meant.
fn wish() -> PathBuf {
    artifacts(NAME).join("stop")
}

/// A text field of the description.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\""))?;
    rest.split('"').nth(1)
}

/// Ends the parts that `rig up` started, and waits until they are gone; does nothing when there are none.
pub fn down() -> Outcome {
    if !description().exists() {
        println!("nothing is up");
        return Ok(());
    }
    std::fs::write(wish(), "")?;
    let gone = wait_until("the end of the real parts", Duration::from_secs(30), || !description().exists());
    let _ = std::fs::remove_file(wish());
    if gone.is_err() {
        std::fs::remove_file(description())?;
        println!("nobody answered: what was left of an earlier start is removed");
    }
    Ok(())
}
