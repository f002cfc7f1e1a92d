//! Running other programs: what they do is said, progress is shown, a failure names the command.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a task stopped, in words for the person who ran it.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure in the given words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What a task comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Says what is about to happen.
pub fn say(words: impl AsRef<str>) {
    println!("\n▸ {}", words.as_ref());
    let _ = std::io::stdout().flush();
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// A command found on PATH; npm and npx are `.cmd` files on Windows.
pub fn command(program: &str) -> Command {
    if cfg!(windows) && matches!(program, "npm" | "npx") {
        return Command::new(format!("{program}.cmd"));
    }
    Command::new(program)
}

/// Runs a command with its output shown; anything but success is a failure.
pub fn run(mut command: Command) -> Outcome {
    let status = command.status().map_err(|e| Failure::new(format!("cannot start `{}`: {e}", shown(&command))))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}` failed ({status})", shown(&command)))) }
}

/// Runs a command and returns what it wrote to standard output; its errors are shown.
pub fn output(mut command: Command) -> Outcome<String> {
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Failure::new(format!("cannot start `{}`: {e}", shown(&command))))?;
    if !out.status.success() {
        return Err(Failure::new(format!("`{}` failed ({})", shown(&command), out.status)));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// True when the program can be started at all.
pub fn exists(program: &str) -> bool {
    let mut probe = command(program);
    probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok()
}

/// Runs a command, shows its output line by line and hands each line to `see`; returns success.
pub fn follow(mut command: Command, mut see: impl FnMut(&str)) -> Outcome<bool> {
    let words = shown(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::new(format!("cannot start `{words}`: {e}")))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            see(&line);
        }
    }
    Ok(child.wait()?.success())
}

/// Waits for a condition, says how long it has been waiting, and gives up after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) -> Outcome {
    let start = Instant::now();
    let mut said = start;
    while !done() {
        if start.elapsed() > limit {
            return Err(Failure::new(format!("{what}: not there after {} s", limit.as_secs())));
        }
        if said.elapsed() > Duration::from_secs(5) {
            println!("  waiting for {what} ({} s)", start.elapsed().as_secs());
            said = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
