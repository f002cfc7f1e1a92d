//! Secrets in a real Secret Service, and what happens without one.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

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

const BODY: &str = "PILOTHOUSE_TEST_NO_BUS";

#[test]
fn without_a_secret_service_memory_serves_for_the_session() {
    if std::env::var_os(BODY).is_some() {
        assert!(SystemStore.set("probe", &secret("x")).is_err());
        return runtime().block_on(async {
            let keychain = Keychain::new(Arc::new(SystemStore));
            let info = keychain.info().await;
            assert!(!info.available);
            assert!(info.problem.is_some());
            keychain.set("git:one", secret("for now")).await.unwrap();
            assert_eq!(keychain.get("git:one").await.unwrap().unwrap().expose_secret(), "for now");
        });
    }
    let home = tempfile::tempdir().unwrap();
    let nowhere = |name: &str| Path::new(home.path()).join(name);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "without_a_secret_service_memory_serves_for_the_session"])
        .env(BODY, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", nowhere("run"))
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", nowhere("bus").display()))
        .env_remove("DISPLAY")
        .status()
        .unwrap();
    assert!(status.success());
}
