//! A Secret Service of its own: a private D-Bus with an unlocked gnome-keyring in a throw-away home.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{At, Error, Result};
use crate::leash::{Leash, Sweep};

/// Set in the process that [`inside`] starts.
const INSIDE: &str = "PILOTHOUSE_RIG_INSIDE_SECRET_SERVICE";

/// A bus that starts no service by itself: the first question for secrets would start a second, locked keyring.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>@ADDRESS@</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A running Secret Service; dropping it ends it.
#[derive(Debug)]
pub struct SecretService {
    home: PathBuf,
    address: String,
    _keyring: Leash,
    _bus: Leash,
    _sweep: Sweep,
}

impl SecretService {
    /// Starts dbus-daemon and gnome-keyring-daemon, and waits until secrets can be stored.
    pub fn start() -> Result<Self> {
        // A socket's path must stay below 108 bytes, so the folder is short.
        let home = TempDir::with_prefix("ph-ss-").at("make a folder", "the system's temporary folder")?.keep();
        let sweep = Leash::sweep(&home)?;
        let run = home.join("run");
        fs::create_dir(&run).at("make the folder", &run)?;
        set_private(&run)?;
        let socket = home.join("bus");
        let address = format!("unix:path={}", socket.display());

        let config = home.join("bus.conf");
        fs::write(&config, BUS.replace("@ADDRESS@", &address)).at("write the bus' configuration", &config)?;
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--nopidfile", "--nosyslog"]).arg(format!("--config-file={}", config.display()));
        own(&mut bus, &home, &address);
        let mut bus = Leash::start(&bus, &home.join("bus.log"))?;
        wait(&mut bus, "no socket appeared", || socket.exists())?;

        // --unlock makes the login keyring with the password read from stdin.
        let password = home.join("password");
        fs::write(&password, "rig").at("write the keyring's password", &password)?;
        let mut keyring = Command::new("gnome-keyring-daemon");
        keyring.args(["--foreground", "--unlock", "--components=secrets"]);
        own(&mut keyring, &home, &address);
        let mut keyring = Leash::start_with_stdin(&keyring, &password, &home.join("keyring.log"))?;
        wait(&mut keyring, "it did not offer org.freedesktop.secrets", || unlocked(&address))?;
        Ok(Self { home, address, _keyring: keyring, _bus: bus, _sweep: sweep })
    }

    /// The bus' address, for DBUS_SESSION_BUS_ADDRESS.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The throw-away home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// What a child needs in its environment to use this service and no home but the throw-away one.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.home, &self.address)
    }
}

/// Runs the body of the test named `test` (its full path, as the test runner prints it) in a process of its own whose
/// Secret Service is private. The environment of a process cannot be changed safely from within, hence the detour.
///
/// # Panics
/// When the service does not start, or the test fails there.
#[allow(clippy::panic)]
pub fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let run = || -> Result<bool> {
        let service = SecretService::start()?;
        let program = std::env::current_exe().at("find the test program", ".")?;
        let status = Command::new(program)
            .args(["--exact", test, "--nocapture"])
            .envs(service.environment())
            .env(INSIDE, "1")
            .status()
            .map_err(|source| Error::Start { program: test.to_owned(), source })?;
        Ok(status.success())
    };
    match run() {
        Ok(true) => {}
        Ok(false) => panic!("{test} failed with a private Secret Service; see above"),
        Err(error) => panic!("{error}"),
    }
}

fn environment(home: &Path, address: &str) -> Vec<(String, String)> {
    let mut list = vec![("DBUS_SESSION_BUS_ADDRESS".to_owned(), address.to_owned())];
    let places = [
        ("HOME", home.to_owned()),
        ("XDG_RUNTIME_DIR", home.join("run")),
        ("XDG_DATA_HOME", home.join(".local/share")),
        ("XDG_CONFIG_HOME", home.join(".config")),
        ("XDG_CACHE_HOME", home.join(".cache")),
    ];
    list.extend(places.map(|(name, path)| (name.to_owned(), path.display().to_string())));
    // With another home the rig's own cache must still be found.
    if let Ok(cache) = crate::assets::cache() {
        list.push(("PILOTHOUSE_CACHE".to_owned(), cache.display().to_string()));
    }
    list
}

fn own(command: &mut Command, home: &Path, address: &str) {
    command.envs(environment(home, address)).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
}

/// Whether the login keyring is there and unlocked: the service owns its name somewhat earlier.
fn unlocked(address: &str) -> bool {
    let out = Command::new("dbus-send")
        .arg(format!("--bus={address}"))
        .args(["--print-reply", "--reply-timeout=1000", "--dest=org.freedesktop.secrets"])
        .args(["/org/freedesktop/secrets/collection/login", "org.freedesktop.DBus.Properties.Get"])
        .args(["string:org.freedesktop.Secret.Collection", "string:Locked"])
        .stdin(Stdio::null())
        .output();
    out.is_ok_and(|out| out.status.success() && String::from_utf8_lossy(&out.stdout).contains("boolean false"))
}

fn wait(child: &mut Leash, otherwise: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        if !child.running() || Instant::now() > end {
            return Err(child.not_ready(otherwise));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn set_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).at("make private", dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_can_be_stored_in_a_private_service() {
        let service = SecretService::start().unwrap();
        assert!(unlocked(service.address()));
        let home = service.home().to_owned();
        assert!(home.exists());
        drop(service);
        assert!(!home.exists(), "nothing stays behind");
    }

    #[test]
    fn a_test_body_can_run_inside() {
        inside("secret_service::tests::a_test_body_can_run_inside", || {
            let address = std::env::var("DBUS_SESSION_BUS_ADDRESS").unwrap();
            assert!(unlocked(&address));
        });
    }
}
