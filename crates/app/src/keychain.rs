//! Where secrets are kept: the operating system's keychain, or this session's memory when there is none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use crate::{
    Result,
    contract::{AppError, ErrorCode, KeychainInfo},
    secret_parts::{self, Entries},
};

/// The name under which the operating system lists the app's secrets.
const SERVICE: &str = "dev.pilothouse.desktop";
/// How long the probe may take: a locked keychain asks the user for its password meanwhile.
const PROBE_TIME: Duration = Duration::from_secs(30);

/// A place for secrets. Calls may block.
pub trait SecretStore: Send + Sync {
    /// The place in words.
    fn kind(&self) -> String;
    /// Keeps a secret under a name, replacing what was there.
    ///
    /// # Errors
    /// `app.keychain`.
    fn set(&self, name: &str, secret: &SecretString) -> Result<()>;
    /// The secret under a name.
    ///
    /// # Errors
    /// `app.keychain`.
    fn get(&self, name: &str) -> Result<Option<SecretString>>;
    /// Forgets a secret; nothing happens when there is none.
    ///
    /// # Errors
    /// `app.keychain`.
    fn delete(&self, name: &str) -> Result<()>;
}

/// The operating system's keychain.
#[derive(Debug, Default)]
pub struct SystemStore;

fn refused(e: &keyring::Error) -> AppError {
    // The library's error may carry the secret's bytes in some variants; only its short text is used, and not
    // for those.
    let words = match e {
        keyring::Error::BadEncoding(_) | keyring::Error::BadDataFormat(..) => "an entry is damaged".to_owned(),
        keyring::Error::NoDefaultStore => match keyring::Entry::store_status() {
            Err(status) => status.to_string(),
            Ok(()) => e.to_string(),
        },
        other => other.to_string(),
    };
    AppError::new(ErrorCode::Keychain, format!("the system's keychain refused: {words}"))
        .with_hint("unlock the keychain, or start its service, and try again")
}

fn entry(account: &str) -> Result<keyring::Entry> {
    keyring::Entry::new(SERVICE, account).map_err(|e| refused(&e))
}

/// One write at a time: two at once would mix the parts of two secrets.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entries for SystemStore {
    fn read(&self, account: &str) -> Result<Option<Vec<u8>>> {
        match entry(account)?.get_secret() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(e) => Err(refused(&e)),
        }
    }

    fn write(&self, account: &str, bytes: &[u8]) -> Result<()> {
        entry(account)?.set_secret(bytes).map_err(|e| refused(&e))
    }

    fn remove(&self, account: &str) -> Result<()> {
        match entry(account)?.delete_credential() {
            Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
            Err(e) => Err(refused(&e)),
        }
    }
}

impl SecretStore for SystemStore {
    fn kind(&self) -> String {
        let kind = match std::env::consts::OS {
            "macos" => "macOS Keychain",
            "windows" => "Windows Credential Manager",
            _ => "Secret Service",
        };
        kind.to_owned()
    }

    fn set(&self, name: &str, secret: &SecretString) -> Result<()> {
        let _turn = turn();
        secret_parts::set(self, name, secret)
    }

    fn get(&self, name: &str) -> Result<Option<SecretString>> {
        let _turn = turn();
        secret_parts::get(self, name)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let _turn = turn();
        secret_parts::delete(self, name)
    }
}

/// This process's memory.
#[derive(Default)]
pub struct MemoryStore {
    secrets: Mutex<HashMap<String, SecretString>>,
}

impl SecretStore for MemoryStore {
    fn kind(&self) -> String {
        "memory of this session".to_owned()
    }

    fn set(&self, name: &str, secret: &SecretString) -> Result<()> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), secret.clone());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<SecretString>> {
        Ok(self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}

struct Chosen {
    store: Arc<dyn SecretStore>,
    problem: Option<String>,
}

/// The secrets of the app, in the first store that works.
#[derive(Clone)]
pub struct Keychain {
    wanted: Arc<dyn SecretStore>,
    chosen: Arc<OnceCell<Chosen>>,
}

impl Keychain {
    /// Secrets in `wanted`, once a real write and read have shown that it works.
    pub fn new(wanted: Arc<dyn SecretStore>) -> Self {
        Self { wanted, chosen: Arc::default() }
    }

    async fn chosen(&self) -> &Chosen {
        self.chosen
            .get_or_init(|| async {
                let store = self.wanted.clone();
                let probe = tokio::time::timeout(PROBE_TIME, crate::blocking(move || probe(store.as_ref())));
                let problem = match probe.await {
                    Ok(Ok(())) => None,
                    Ok(Err(e)) => Some(e.message),
                    Err(_) => Some("the system's keychain did not answer; it may be waiting to be unlocked".to_owned()),
                };
                let store: Arc<dyn SecretStore> =
                    if problem.is_none() { self.wanted.clone() } else { Arc::new(MemoryStore::default()) };
                Chosen { store, problem }
            })
            .await
    }

    /// Where secrets are kept.
    pub async fn info(&self) -> KeychainInfo {
        let chosen = self.chosen().await;
        KeychainInfo { available: chosen.problem.is_none(), kind: chosen.store.kind(), problem: chosen.problem.clone() }
    }

    /// Keeps a secret.
    ///
    /// # Errors
    /// `app.keychain`.
    pub async fn set(&self, name: &str, secret: SecretString) -> Result<()> {
        let store = self.chosen().await.store.clone();
        let name = name.to_owned();
        crate::blocking(move || store.set(&name, &secret)).await
    }

    /// A secret.
    ///
    /// # Errors
    /// `app.keychain`.
    pub async fn get(&self, name: &str) -> Result<Option<SecretString>> {
        let store = self.chosen().await.store.clone();
        let name = name.to_owned();
        crate::blocking(move || store.get(&name)).await
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// `app.keychain`.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let store = self.chosen().await.store.clone();
        let name = name.to_owned();
        crate::blocking(move || store.delete(&name)).await
    }
}

/// A keychain can report that it is there and still refuse to keep anything.
fn probe(store: &dyn SecretStore) -> Result<()> {
    let name = format!("probe:{:016x}", fastrand::u64(..));
    let value = format!("{:032x}", fastrand::u128(..));
    store.set(&name, &SecretString::from(value.clone()))?;
    let read = store.get(&name)?;
    store.delete(&name)?;
    match read {
        Some(read) if read.expose_secret() == value => Ok(()),
        _ => Err(AppError::new(ErrorCode::Keychain, "the system's keychain did not give back what was put in")),
    }
}
