//! `pilothouse-rig up [--stay] [FILE]`: a rig for tests and for trying the app by hand.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use pilothouse_rig::Rig;

const USAGE: &str = "usage: pilothouse-rig up [--stay] [FILE]
Starts a control plane, writes what there is to know as JSON into FILE and to stdout, and holds it until stdin ends or
this process does; with --stay stdin is not read. Tests use it when PILOTHOUSE_RIG=FILE.";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|command| command != "up") {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let mut stay = false;
    let mut file: Option<PathBuf> = None;
    for arg in args {
        if arg == "--stay" { stay = true } else { file = Some(arg.into()) }
    }
    match up(stay, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn up(stay: bool, file: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    let rig = Rig::start(true)?;
    let text = serde_json::to_string_pretty(rig.description())?;
    if let Some(file) = &file {
        // Written aside and renamed: whoever waits for the file finds it whole.
        let aside = file.with_extension("part");
        std::fs::write(&aside, &text)?;
        std::fs::rename(&aside, file)?;
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    if stay {
        loop {
            std::thread::park();
        }
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    if let Some(file) = file {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}
