//! A desktop of our own for a machine without a screen: virtual display, session bus, unlocked
//! Secret Service and a throw-away home, so that nothing of the real user's is read or written.

use crate::tasks::{Failure, Outcome};
use crate::workspace::cache;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running virtual desktop; it ends when dropped.
pub struct Desktop {
    home: PathBuf,
    environment: Vec<(String, String)>,
    children: Vec<Child>,
}

impl Desktop {
    /// Starts one with a screen of the given size in pixels.
    pub fn start(width: u32, height: u32) -> Outcome<Self> {
        let home = std::env::temp_dir().join(format!("pilothouse-desktop-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&home);
        let mut desktop = Self { environment: Vec::new(), children: Vec::new(), home };
        for folder in ["data", "config", "cache", "run"] {
            std::fs::create_dir_all(desktop.home.join(folder))?;
        }
        private(&desktop.home.join("run"))?;
        let home = desktop.home.clone();
        let at = |folder: &str| home.join(folder).display().to_string();
        let cargo_home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|h| format!("{h}/.cargo")));
        let rustup_home =
            std::env::var("RUSTUP_HOME").or_else(|_| std::env::var("HOME").map(|h| format!("{h}/.rustup")));
        for (name, value) in [
            ("PILOTHOUSE_CACHE", cache().display().to_string()),
            ("CARGO_HOME", cargo_home.unwrap_or_default()),
            ("RUSTUP_HOME", rustup_home.unwrap_or_default()),
            ("HOME", at("")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_CACHE_HOME", at("cache")),
            ("XDG_RUNTIME_DIR", at("run")),
            // Without a GPU the DMABUF renderer doubles the time to the first paint.
            ("WEBKIT_DISABLE_DMABUF_RENDERER", "1".into()),
            ("LIBGL_ALWAYS_SOFTWARE", "1".into()),
            ("NO_AT_BRIDGE", "1".into()),
        ] {
            desktop.environment.push((name.into(), value));
        }
        let screen = format!("{width}x{height}x24");
        let display = desktop.first_line(Command::new("Xvfb").args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &screen,
            "-nolisten",
            "tcp",
        ]))?;
        desktop.environment.push(("DISPLAY".into(), format!(":{display}")));
        let bus =
            desktop.first_line(Command::new("dbus-daemon").args(["--session", "--nofork", "--print-address=1"]))?;
        desktop.environment.push(("DBUS_SESSION_BUS_ADDRESS".into(), bus));
        desktop.unlock_keyring()?;
        Ok(desktop)
    }

    /// Gives a command this desktop instead of the user's.
    pub fn dress(&self, command: &mut Command) {
        command.envs(self.environment.iter().map(|(n, v)| (n, v))).env_remove("WAYLAND_DISPLAY");
    }

    /// Starts a child of the desktop and returns the first line that it prints.
    fn first_line(&mut self, command: &mut Command) -> Outcome<String> {
        let name = command.get_program().to_string_lossy().into_owned();
        self.dress(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Failure::new(format!("cannot start {name}: {e}")))?;
        let stdout = child.stdout.take();
        self.children.push(child);
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let line = line.trim().to_owned();
        if line.is_empty() { Err(Failure::new(format!("{name} did not start"))) } else { Ok(line) }
    }

    /// The daemon reads the password of the login keyring from standard input and makes the keyring.
    fn unlock_keyring(&mut self) -> Outcome {
        let mut daemon = Command::new("gnome-keyring-daemon");
        self.dress(&mut daemon);
        let mut child = daemon
            .args(["--foreground", "--unlock", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Failure::new(format!("cannot start gnome-keyring-daemon: {e}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(b"practice")?;
        }
        self.children.push(child);
        crate::tasks::wait_until("the Secret Service", Duration::from_secs(20), || {
            let mut ask = Command::new("dbus-send");
            self.dress(&mut ask);
            ask.args([
                "--session",
                "--print-reply",
                "--dest=org.freedesktop.DBus",
                "/",
                "org.freedesktop.DBus.NameHasOwner",
            ])
            .arg("string:org.freedesktop.secrets")
            .output()
            .is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("true"))
        })
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// True when there is a screen to show a window on.
pub fn has_display() -> bool {
    !cfg!(target_os = "linux")
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|n| std::env::var_os(n).is_some_and(|v| !v.is_empty()))
}

#[cfg(unix)]
fn private(folder: &std::path::Path) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

#[cfg(not(unix))]
fn private(_folder: &std::path::Path) -> Outcome {
    Ok(())
}
