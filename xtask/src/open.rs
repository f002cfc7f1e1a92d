//! Opening the app, and making installers.

use crate::packages::{self, Need};
use crate::tasks::{Outcome, command, run as run_command, say};
use crate::workspace::{cargo, root};
use crate::{desktop, end_to_end, front_end};

/// Sets up, builds and opens the app; without a screen, walks the tour instead.
pub fn run(args: &[&str]) -> Outcome {
    if !desktop::has_display() {
        say("There is no display here: the app will walk its main job by itself on a virtual one.");
        return end_to_end::tour();
    }
    packages::install(Need::Build)?;
    front_end::build()?;
    say("Building and opening Pilothouse");
    let mut app = cargo();
    app.args(["run", "--package", "pilothouse", "--"]).args(args);
    run_command(app)
}

/// Makes the installers that this system can make.
pub fn package() -> Outcome {
    packages::install(Need::Build)?;
    front_end::install()?;
    say("Building the installers");
    let mut tauri =
        command(if cfg!(windows) { "ui/node_modules/.bin/tauri.cmd" } else { "ui/node_modules/.bin/tauri" });
    tauri.current_dir(root()).arg("build");
    run_command(tauri)
}
