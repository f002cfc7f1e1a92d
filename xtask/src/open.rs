//! Opening the app, and making installers.

use crate::packages::{self, Need};
use crate::tasks::{Outcome, run as run_command, say};
use crate::workspace::{at, cargo, root, target};
use crate::{desktop, end_to_end, front_end};
use std::process::Command;

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
    let bin = if cfg!(windows) { "tauri.cmd" } else { "tauri" };
    // Each system makes its own kinds; the configuration names Linux's.
    let bundles = if cfg!(target_os = "macos") {
        "app,dmg"
    } else if cfg!(windows) {
        "nsis"
    } else {
        "deb,rpm"
    };
    let mut tauri = Command::new(at("ui/node_modules/.bin").join(bin));
    tauri.current_dir(root()).args(["build", "--ci", "--bundles", bundles]);
    run_command(tauri)?;
    println!("\ninstallers: {}", target().join("release").join("bundle").display());
    Ok(())
}
