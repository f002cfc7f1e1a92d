//! Where secrets are kept: the operating system's keychain, or this session's memory when there is none.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{oneshot, watch};

use crate::{
    Result,
    contract::{AppError, ErrorCode, ErrorDetail, KeychainInfo},
    secret_parts::{self, Entries},
};

/// The name under which the operating system lists the app's secrets.
const SERVICE: &str = "dev.pilothouse.desktop";
/// How long a call may take: a locked keychain asks the user for its password meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long somebody who only wants to know where secrets are kept waits for the answer.
const GLANCE: Duration = Duration::from_millis(1_500);

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
    let said = match e {
        keyring::Error::BadEncoding(_) | keyring::Error::BadDataFormat(..) => None,
        keyring::Error::NoDefaultStore => match keyring::Entry::store_status() {
            Err(status) => Some(status.to_string()),
            Ok(()) => Some(e.to_string()),
        },
        other => Some(other.to_string()),
    };
    let (what, how) = in_words(e, std::env::consts::OS);
    let error = AppError::new(ErrorCode::Keychain, what).with_hint(how);
    match said {
        Some(words) => error.with_detail(ErrorDetail::Said { words }),
        None => error,
    }
}

/// What is the matter with the keychain of an operating system, and how that is mended.
fn in_words(e: &keyring::Error, system: &str) -> (&'static str, &'static str) {
    use keyring::Error as E;
    let what = match e {
        E::NoDefaultStore => "no keychain answers on this computer",
        E::NoStorageAccess(_) => "the keychain of this computer is locked, or does not let Pilothouse in",
        E::BadEncoding(_) | E::BadDataFormat(..) => "an entry in the keychain of this computer is damaged",
        _ => "the keychain of this computer refused",
    };
    // Whether there is one at all is looked at once, when the app starts.
    let how = match (e, system) {
        (E::NoDefaultStore, "macos") => {
            "see in Keychain Access that there is a login keychain, unlock it, and start Pilothouse again"
        }
        (E::NoDefaultStore, "windows") => "start the service Credential Manager (VaultSvc), and start Pilothouse again",
        (E::NoDefaultStore, _) => {
            "start and unlock GNOME Keyring, KWallet or KeePassXC (anything that offers the Secret Service), and start Pilothouse again"
        }
        (_, "macos") => "unlock the login keychain in Keychain Access, allow Pilothouse to use it, and try again",
        (_, "windows") => "look in Credential Manager whether it can be opened, and try again",
        _ => "unlock the keychain in GNOME Keyring, KWallet or KeePassXC, allow Pilothouse to use it, and try again",
    };
    (what, how)
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

impl MemoryStore {
    /// Everything in it.
    fn all(&self) -> Vec<(String, SecretString)> {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().map(|(name, secret)| (name.clone(), secret.clone())).collect()
    }
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

/// The secrets of the app: in the system's keychain, or in this session's memory where that does not work.
///
/// Every call to the system runs on a thread of its own and is given up after a while, so that a keychain which waits
/// for a person, or hangs, holds up nothing but what needs a secret.
#[derive(Clone)]
pub struct Keychain {
    wanted: Arc<dyn SecretStore>,
    patience: Duration,
    state: Arc<State>,
}

struct State {
    memory: MemoryStore,
    /// Whether the probe was begun.
    begun: AtomicBool,
    /// What the last probe found; none until the first ends.
    verdict: watch::Sender<Option<Verdict>>,
    /// The user wants new secrets in memory.
    session_only: AtomicBool,
    /// Calls that were given up and have not come back.
    stuck: AtomicUsize,
}

#[derive(Debug, Clone, Default)]
struct Verdict {
    problem: Option<String>,
    hint: Option<String>,
    said: Option<String>,
}

/// Where a call stands: under way, given up, or back.
const UNDER_WAY: u8 = 0;
const GIVEN_UP: u8 = 1;
const BACK: u8 = 2;

fn silent(patience: Duration) -> AppError {
    let words = format!(
        "the system's keychain did not answer within {} s; it may wait to be unlocked",
        patience.as_secs().max(1)
    );
    AppError::new(ErrorCode::Keychain, words).with_hint("answer or unlock the keychain, then try again")
}

impl Keychain {
    /// Secrets in `wanted`, once a real write and read have shown that it works.
    pub fn new(wanted: Arc<dyn SecretStore>) -> Self {
        Self::with_patience(wanted, PATIENCE)
    }

    /// As [`Keychain::new`], giving up calls after `patience`.
    pub fn with_patience(wanted: Arc<dyn SecretStore>, patience: Duration) -> Self {
        let state = State {
            memory: MemoryStore::default(),
            begun: AtomicBool::new(false),
            verdict: watch::Sender::new(None),
            session_only: AtomicBool::new(false),
            stuck: AtomicUsize::new(0),
        };
        Self { wanted, patience, state: Arc::new(state) }
    }

    /// Calls the system's keychain.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn SecretStore) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Behind a call that hangs, another would only hang too.
        if self.state.stuck.load(Ordering::SeqCst) > 0 {
            return Err(silent(self.patience));
        }
        let (answer, answered) = oneshot::channel();
        let (store, state) = (self.wanted.clone(), self.state.clone());
        let place = Arc::new(AtomicU8::new(UNDER_WAY));
        let theirs = place.clone();
        // Not one of the runtime's threads: those are waited for when the app ends.
        let started = std::thread::Builder::new().name("keychain".into()).spawn(move || {
            let outcome = work(store.as_ref());
            if theirs.swap(BACK, Ordering::SeqCst) == GIVEN_UP {
                state.stuck.fetch_sub(1, Ordering::SeqCst);
            }
            // Nobody waits any more after a cancel.
            let _ = answer.send(outcome);
        });
        started.map_err(|e| AppError::internal(format!("no thread for the keychain: {e}")))?;
        match tokio::time::timeout(self.patience, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(AppError::internal("the keychain's thread ended early")),
            Err(_) => {
                self.state.stuck.fetch_add(1, Ordering::SeqCst);
                if place.compare_exchange(UNDER_WAY, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                    self.state.stuck.fetch_sub(1, Ordering::SeqCst);
                }
                Err(silent(self.patience))
            }
        }
    }

    async fn probed(&self) -> Verdict {
        match self.call(probe).await {
            Ok(()) => Verdict::default(),
            Err(error) => {
                let said = match error.detail.map(|detail| *detail) {
                    Some(ErrorDetail::Said { words }) => Some(words),
                    _ => None,
                };
                Verdict { problem: Some(error.message), hint: error.hint, said }
            }
        }
    }

    /// Begins to look whether the keychain works; asked once.
    pub fn begin(&self) {
        if self.state.begun.swap(true, Ordering::SeqCst) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let verdict = this.probed().await;
            this.state.verdict.send_replace(Some(verdict));
        });
    }

    async fn verdict(&self) -> Verdict {
        self.begin();
        let mut told = self.state.verdict.subscribe();
        match told.wait_for(Option::is_some).await {
            Ok(verdict) => verdict.clone().unwrap_or_default(),
            Err(_) => Verdict::default(),
        }
    }

    fn describe(&self, verdict: Verdict) -> KeychainInfo {
        let session_only = self.state.session_only.load(Ordering::SeqCst);
        let works = verdict.problem.is_none();
        let store: &dyn SecretStore = if works && !session_only { self.wanted.as_ref() } else { &self.state.memory };
        KeychainInfo {
            available: works,
            kind: store.kind(),
            problem: verdict.problem,
            hint: verdict.hint,
            said: verdict.said,
            checking: false,
            session_only: session_only || !works,
        }
    }

    /// Where secrets are kept. A keychain that has not answered yet is said to be so rather than waited for.
    pub async fn info(&self) -> KeychainInfo {
        match tokio::time::timeout(GLANCE, self.verdict()).await {
            Ok(verdict) => self.describe(verdict),
            Err(_) => KeychainInfo {
                available: false,
                kind: self.wanted.kind(),
                problem: Some("the system's keychain has not answered yet; it may wait to be unlocked".into()),
                hint: Some("unlock it; nothing else waits for it".into()),
                said: None,
                checking: true,
                session_only: false,
            },
        }
    }

    /// Where secrets are kept, once that is known.
    pub async fn settled(&self) -> KeychainInfo {
        let verdict = self.verdict().await;
        self.describe(verdict)
    }

    /// Keeps what is set from now on in memory: the user agreed to enter it again after the next start.
    pub fn keep_in_session(&self) {
        self.state.session_only.store(true, Ordering::SeqCst);
    }

    /// Looks again whether the keychain works, and moves what this session holds there.
    ///
    /// # Errors
    /// `app.keychain` when a secret is refused; it stays in memory.
    pub async fn try_again(&self) -> Result<KeychainInfo> {
        self.state.begun.store(true, Ordering::SeqCst);
        let verdict = self.probed().await;
        let works = verdict.problem.is_none();
        self.state.verdict.send_replace(Some(verdict.clone()));
        if works {
            self.state.session_only.store(false, Ordering::SeqCst);
            for (name, secret) in self.state.memory.all() {
                let account = name.clone();
                self.call(move |store| store.set(&account, &secret)).await?;
                self.state.memory.delete(&name)?;
            }
        }
        Ok(self.describe(verdict))
    }

    /// Keeps a secret.
    ///
    /// # Errors
    /// `app.keychain` when a keychain that works refuses; nothing is kept elsewhere unless the user agrees.
    pub async fn set(&self, name: &str, secret: SecretString) -> Result<()> {
        let broken = self.verdict().await.problem.is_some();
        if broken || self.state.session_only.load(Ordering::SeqCst) {
            return self.state.memory.set(name, &secret);
        }
        let account = name.to_owned();
        self.call(move |store| store.set(&account, &secret)).await?;
        self.state.memory.delete(name)
    }

    /// A secret.
    ///
    /// # Errors
    /// `app.keychain`.
    pub async fn get(&self, name: &str) -> Result<Option<SecretString>> {
        if let Some(secret) = self.state.memory.get(name)? {
            return Ok(Some(secret));
        }
        if self.verdict().await.problem.is_some() {
            return Ok(None);
        }
        let account = name.to_owned();
        self.call(move |store| store.get(&account)).await
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// `app.keychain`.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.state.memory.delete(name)?;
        if self.verdict().await.problem.is_some() {
            return Ok(());
        }
        let account = name.to_owned();
        self.call(move |store| store.delete(&account)).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_matter_with_a_keychain_is_said_in_plain_words_for_each_system() {
        let raw = "org.freedesktop.DBus.Error.ServiceUnknown: The name is not activatable";
        let locked = keyring::Error::NoStorageAccess(Box::new(std::io::Error::other(raw)));
        for (system, tool) in
            [("linux", "GNOME Keyring"), ("macos", "Keychain Access"), ("windows", "Credential Manager")]
        {
            let (what, how) = in_words(&keyring::Error::NoDefaultStore, system);
            assert_eq!(what, "no keychain answers on this computer");
            assert!(how.contains(tool) && how.contains("start Pilothouse again"), "{how}");
            let (what, how) = in_words(&locked, system);
            assert!(what.contains("locked") && how.contains(tool) && how.contains("try again"), "{what}: {how}");
        }
        let error = refused(&locked);
        let told = format!("{} {}", error.message, error.hint.unwrap());
        assert!(!told.contains("DBus"), "{told}");
        assert!(matches!(error.detail.as_deref(), Some(ErrorDetail::Said { words }) if words.contains(raw)));
        // An entry's bytes are the secret.
        let damaged = refused(&keyring::Error::BadEncoding(b"s3cret".to_vec()));
        assert!(!format!("{damaged:?}").contains("s3cret") && damaged.detail.is_none());
    }
}
