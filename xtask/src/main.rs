//! Every developer and user task, on every operating system.
//!
//! `cargo xtask run` sets up and opens the app; `cargo xtask test` sets up and runs every test.
//! Nothing here depends on another package of the workspace, so that the tasks start at once on a
//! machine where nothing is built yet.

mod bench;
mod desktop;
mod end_to_end;
mod front_end;
mod lint;
mod open;
mod packages;
mod rig;
mod suite;
mod tasks;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

  run          set up and open the app (with no display: the tour)
  test         set up and run every test; ends with `N passed, N failed, N skipped`

  tour         the app on a virtual display walks the main job on the practice cluster
  e2e          the main job in the real window and in Chromium, on real parts
  rig up|down  start or stop the real parts: a control plane with the upstream kinds
  fmt          format everything
  lint         formatting, clippy, licences and advisories, front-end checks
  bench        ratios against floors measured in the same run; all, or of
               window, sync, git, values, triggers, environments those that are named
  package      installers for this system
  setup        only install what is missing
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["run", rest @ ..] => open::run(rest),
        ["test", rest @ ..] => suite::test(rest),
        ["tour"] => end_to_end::tour(),
        ["e2e", rest @ ..] => end_to_end::e2e(rest),
        ["rig", "up"] => rig::up(),
        ["rig", "down"] => rig::down(),
        ["fmt"] => lint::fmt(),
        ["lint"] => lint::lint(),
        ["bench", parts @ ..] => bench::bench(parts),
        ["package"] => open::package(),
        ["setup"] => packages::install(packages::Need::Tests).and_then(|()| front_end::install()),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => Err(tasks::Failure::new(format!("no such task: {}\n\n{HELP}", other.join(" ")))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}
