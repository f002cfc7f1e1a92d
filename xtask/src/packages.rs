//! The system's packages that building and testing need: one table per package manager.

use crate::tasks::{Failure, Outcome, command, exists, output, run, say};
use std::process::{Command, Stdio};

/// How much is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Enough to build and open the app.
    Build,
    /// Also a virtual display, so that the app can be shown and driven without a screen.
    Display,
    /// Everything that the tests use.
    Tests,
}

/// One package manager and what it is asked for.
struct System {
    /// The program whose presence tells that this is the system.
    manager: &'static str,
    build: &'static [&'static str],
    display: &'static [&'static str],
    tests: &'static [&'static str],
}

const APT: System = System {
    manager: "apt-get",
    build: &["libwebkit2gtk-4.1-dev", "libssl-dev", "pkg-config", "gcc", "git", "ca-certificates"],
    display: &[
        "xvfb",
        "xauth",
        "dbus",
        "gnome-keyring",
        "webkit2gtk-driver",
        "imagemagick",
        "fonts-dejavu-core",
        "openssh-client",
        "xdotool",
    ],
    tests: &["openssh-server", "chromium", "dpkg-dev", "procps", "unzip"],
};

// The web view and TLS are part of the system; Xcode's command-line tools bring the compiler.
const BREW: System = System { manager: "brew", build: &["git"], display: &[], tests: &["etcd"] };

// WebView2 is part of Windows; the Rust installer asks for the C++ build tools.
const WINGET: System = System { manager: "winget", build: &["Git.Git"], display: &[], tests: &[] };

/// Installs what is missing. Says what it does; does nothing when nothing is missing.
pub fn install(need: Need) -> Outcome {
    node()?;
    let system = if cfg!(target_os = "macos") {
        &BREW
    } else if cfg!(windows) {
        &WINGET
    } else {
        &APT
    };
    let mut wanted: Vec<&str> = system.build.to_vec();
    if need != Need::Build {
        wanted.extend(system.display);
    }
    if need == Need::Tests {
        wanted.extend(system.tests);
    }
    if !exists(system.manager) {
        if cfg!(target_os = "linux") {
            say(format!(
                "This system has no apt-get. Pilothouse needs the equivalents of: {}. Trying to go on with what is there.",
                wanted.join(", ")
            ));
        }
        return Ok(());
    }
    let missing: Vec<&str> = wanted.into_iter().filter(|p| !installed(system, p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(format!("Installing with {}: {}", system.manager, missing.join(" ")));
    match system.manager {
        "apt-get" => apt(&missing),
        "brew" => run(with(command("brew"), &[&["install"], missing.as_slice()])),
        _ => missing.iter().try_for_each(|p| {
            run(with(
                command("winget"),
                &[&["install", "--exact", "--silent", "--accept-package-agreements", "--id", p]],
            ))
        }),
    }
}

/// Node.js is the one thing besides Rust that is taken for granted.
fn node() -> Outcome {
    if !exists("node") || !exists("npm") {
        return Err(Failure::new(
            "Node.js is missing: install version 20 or newer from your system's packages or nodejs.org",
        ));
    }
    let mut ask = command("node");
    ask.arg("--version");
    let version = output(ask)?;
    let major: u32 = version.trim().trim_start_matches('v').split('.').next().and_then(|m| m.parse().ok()).unwrap_or(0);
    if major < 20 {
        return Err(Failure::new(format!(
            "Node.js {} is too old: Pilothouse needs version 20 or newer",
            version.trim()
        )));
    }
    Ok(())
}

fn installed(system: &System, package: &str) -> bool {
    let mut ask = match system.manager {
        "apt-get" => with(Command::new("dpkg-query"), &[&["-W", "-f", "${db:Status-Status}", package]]),
        "brew" => with(command("brew"), &[&["list", "--versions", package]]),
        _ => with(command("winget"), &[&["list", "--exact", "--id", package]]),
    };
    ask.stderr(Stdio::null());
    match ask.output() {
        Ok(out) if system.manager == "apt-get" => out.stdout == b"installed",
        Ok(out) => out.status.success(),
        Err(_) => false,
    }
}

/// apt has been seen to lose its unpacking folder in the middle; repairing and asking again mends that.
fn apt(missing: &[&str]) -> Outcome {
    let apt = |args: &[&[&str]]| {
        let mut command = if is_root() {
            Command::new("apt-get")
        } else {
            with(Command::new("sudo"), &[&["--preserve-env=DEBIAN_FRONTEND", "apt-get"]])
        };
        command.env("DEBIAN_FRONTEND", "noninteractive");
        with(command, args)
    };
    let install = || apt(&[&["install", "-y", "-qq", "--no-install-recommends"], missing]);
    if run(apt(&[&["update", "-qq"]])).is_err() {
        println!("  the package lists could not be updated: going on with the ones that are there");
    }
    if run(install()).is_ok() {
        return Ok(());
    }
    println!("  trying once more");
    let mut configure = if is_root() { Command::new("dpkg") } else { with(Command::new("sudo"), &[&["dpkg"]]) };
    configure.args(["--configure", "-a"]);
    // Either may have nothing to do: what counts is whether the installation then works.
    let _ = run(configure);
    let _ = run(apt(&[&["-y", "-qq", "-f", "install"]]));
    run(install())
}

fn is_root() -> bool {
    output(with(Command::new("id"), &[&["-u"]])).is_ok_and(|uid| uid.trim() == "0")
}

fn with(mut command: Command, args: &[&[&str]]) -> Command {
    for some in args {
        command.args(*some);
    }
    command
}
