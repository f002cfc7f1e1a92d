//! Secrets in a real Secret Service, and what happens without one.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use pilothouse_app::keychain::{Keychain, SecretStore, SystemStore};
use pilothouse_rig::secret_service;
use secrecy::{ExposeSecret, SecretString};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

#[test]
fn a_secret_service_keeps_secrets_of_any_size() {
    secret_service::inside("a_secret_service_keeps_secrets_of_any_size", || {
        runtime().block_on(async {
            let keychain = Keychain::new(Arc::new(SystemStore));
            let info = keychain.info().await;
            assert!(info.available, "{info:?}");
            assert_eq!(info.kind, "Secret Service");
            // An RSA key needs more than one entry where entries are small.
            for length in [0, 1, 400, 2_400, 2_401, 9_000] {
                let text = "k".repeat(length);
                keychain.set("git:one", secret(&text)).await.unwrap();
                assert_eq!(keychain.get("git:one").await.unwrap().unwrap().expose_secret(), text);
            }
            keychain.set("git:one", secret("short again")).await.unwrap();
            // Another start of the app finds it.
            let again = Keychain::new(Arc::new(SystemStore));
            assert_eq!(again.get("git:one").await.unwrap().unwrap().expose_secret(), "short again");
            keychain.delete("git:one").await.unwrap();
            keychain.delete("git:one").await.unwrap();
            assert!(keychain.get("git:one").await.unwrap().is_none());
        });
    });
}

#[test]
fn case_12_a_locked_secret_service_is_said_and_nothing_is_lost() {
    secret_service::inside("case_12_a_locked_secret_service_is_said_and_nothing_is_lost", || {
        runtime().block_on(async {
            let keychain = Keychain::new(Arc::new(SystemStore));
            keychain.set("git:one", secret("kept")).await.unwrap();
            let locked = Command::new("dbus-send")
                .args(["--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets"])
                .args(["org.freedesktop.Secret.Service.Lock"])
                .arg("array:objpath:/org/freedesktop/secrets/collection/login")
                .output()
                .unwrap();
            assert!(locked.status.success(), "{locked:?}");
            // Nobody is there to be asked for the password.
            let start = Keychain::with_patience(Arc::new(SystemStore), Duration::from_secs(3));
            let info = start.settled().await;
            assert!(!info.available && info.session_only, "{info:?}");
            assert!(info.problem.is_some() && info.hint.is_some(), "{info:?}");
            start.set("git:two", secret("for now")).await.unwrap();
            assert_eq!(start.get("git:two").await.unwrap().unwrap().expose_secret(), "for now");
        });
    });
}

const SILENT: &str = "PILOTHOUSE_TEST_SILENT_BUS";

/// A bus that takes connections and never answers.
#[test]
fn case_12_a_hanging_bus_holds_up_nothing() {
    if std::env::var_os(SILENT).is_some() {
        return runtime().block_on(async {
            let keychain = Keychain::with_patience(Arc::new(SystemStore), Duration::from_secs(1));
            let info = keychain.settled().await;
            assert!(!info.available && info.problem.unwrap().contains("did not answer"));
            keychain.set("git:one", secret("for now")).await.unwrap();
            assert_eq!(keychain.get("git:one").await.unwrap().unwrap().expose_secret(), "for now");
        });
    }
    let home = tempfile::tempdir().unwrap();
    let bus = home.path().join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&bus).unwrap();
    // Taken and held: whoever comes waits for an answer.
    let _door = std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "case_12_a_hanging_bus_holds_up_nothing"])
        .env(SILENT, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()))
        .env_remove("DISPLAY")
        .status()
        .unwrap();
    assert!(status.success());
}

const BODY: &str = "PILOTHOUSE_TEST_NO_BUS";

#[test]
fn case_12_without_a_secret_service_memory_serves_for_the_session() {
    if std::env::var_os(BODY).is_some() {
        assert!(SystemStore.set("probe", &secret("x")).is_err());
        return runtime().block_on(async {
            let keychain = Keychain::new(Arc::new(SystemStore));
            let info = keychain.info().await;
            assert!(!info.available);
            assert!(info.problem.is_some() && info.session_only);
            assert!(info.hint.unwrap().contains("Secret Service"));
            keychain.set("git:one", secret("for now")).await.unwrap();
            assert_eq!(keychain.get("git:one").await.unwrap().unwrap().expose_secret(), "for now");
        });
    }
    let home = tempfile::tempdir().unwrap();
    let nowhere = |name: &str| Path::new(home.path()).join(name);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "case_12_without_a_secret_service_memory_serves_for_the_session"])
        .env(BODY, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", nowhere("run"))
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", nowhere("bus").display()))
        .env_remove("DISPLAY")
        .status()
        .unwrap();
    assert!(status.success());
}
