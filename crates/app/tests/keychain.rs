//! Where secrets go when the keychain works, and when it does not.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use pilothouse_app::{
    AppError, Result,
    contract::ErrorCode,
    keychain::{Keychain, MemoryStore, SecretStore},
};
use secrecy::{ExposeSecret, SecretString};

/// A keychain that is there and keeps nothing, as one is that is locked without a screen to ask on.
#[derive(Default)]
struct Refuses {
    asked: Mutex<u32>,
}

impl SecretStore for Refuses {
    fn kind(&self) -> String {
        "a keychain that refuses".into()
    }
    fn set(&self, _: &str, _: &SecretString) -> Result<()> {
        *self.asked.lock().unwrap() += 1;
        Err(AppError::new(ErrorCode::Keychain, "the keychain is locked"))
    }
    fn get(&self, _: &str) -> Result<Option<SecretString>> {
        Ok(None)
    }
    fn delete(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// A keychain that takes everything and gives nothing back.
struct Forgets;

impl SecretStore for Forgets {
    fn kind(&self) -> String {
        "a keychain that forgets".into()
    }
    fn set(&self, _: &str, _: &SecretString) -> Result<()> {
        Ok(())
    }
    fn get(&self, _: &str) -> Result<Option<SecretString>> {
        Ok(None)
    }
    fn delete(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

async fn keeps(keychain: &Keychain) {
    keychain.set("git:one", SecretString::from("first".to_owned())).await.unwrap();
    keychain.set("git:one", SecretString::from("second".to_owned())).await.unwrap();
    assert_eq!(keychain.get("git:one").await.unwrap().unwrap().expose_secret(), "second");
    keychain.delete("git:one").await.unwrap();
    keychain.delete("git:one").await.unwrap();
    assert!(keychain.get("git:one").await.unwrap().is_none());
}

#[tokio::test]
async fn a_working_store_is_used() {
    let keychain = Keychain::new(Arc::new(MemoryStore::default()));
    assert!(keychain.info().await.available);
    keeps(&keychain).await;
}

#[tokio::test]
async fn a_refusing_keychain_leaves_the_session_memory_and_is_said() {
    let refuses = Arc::new(Refuses::default());
    let keychain = Keychain::new(refuses.clone());
    let info = keychain.info().await;
    assert!(!info.available);
    assert_eq!(info.kind, "memory of this session");
    assert_eq!(info.problem.as_deref(), Some("the keychain is locked"));
    keeps(&keychain).await;
    assert_eq!(*refuses.asked.lock().unwrap(), 1, "probed once");
}

#[tokio::test]
async fn a_forgetting_keychain_is_found_out() {
    let keychain = Keychain::new(Arc::new(Forgets));
    assert!(!keychain.info().await.available);
    keeps(&keychain).await;
}

/// A keychain that answers nothing until it is let go, as one does that asks somebody who is not there.
#[derive(Default)]
struct Hangs {
    memory: MemoryStore,
    free: Mutex<bool>,
    freed: Condvar,
}

impl Hangs {
    fn wait(&self) {
        let _free = self.freed.wait_while(self.free.lock().unwrap(), |free| !*free).unwrap();
    }

    fn let_go(&self) {
        *self.free.lock().unwrap() = true;
        self.freed.notify_all();
    }
}

impl SecretStore for Hangs {
    fn kind(&self) -> String {
        "a keychain that hangs".into()
    }
    fn set(&self, name: &str, secret: &SecretString) -> Result<()> {
        self.wait();
        self.memory.set(name, secret)
    }
    fn get(&self, name: &str) -> Result<Option<SecretString>> {
        self.wait();
        self.memory.get(name)
    }
    fn delete(&self, name: &str) -> Result<()> {
        self.wait();
        self.memory.delete(name)
    }
}

#[tokio::test]
async fn case_12_a_hanging_keychain_is_given_up_and_taken_again_when_it_answers() {
    let hangs = Arc::new(Hangs::default());
    let keychain = Keychain::with_patience(hangs.clone(), Duration::from_millis(50));
    let info = keychain.settled().await;
    assert!(!info.available && info.session_only);
    assert!(info.problem.unwrap().contains("did not answer"));
    assert!(info.hint.is_some());
    keeps(&keychain).await;
    keychain.set("git:one", SecretString::from("for now".to_owned())).await.unwrap();
    assert!(!keychain.try_again().await.unwrap().available, "it still hangs");

    hangs.let_go();
    // The call that was given up has to come back first.
    while !keychain.try_again().await.unwrap().available {
        tokio::task::yield_now().await;
    }
    assert_eq!(hangs.memory.get("git:one").unwrap().unwrap().expose_secret(), "for now", "what was in memory moved");
    keeps(&keychain).await;
}

#[tokio::test]
async fn case_12_whoever_only_asks_does_not_wait_for_a_hanging_keychain() {
    let keychain = Keychain::new(Arc::new(Hangs::default()));
    let info = keychain.info().await;
    assert!(info.checking && !info.available && info.problem.is_some(), "{info:?}");
}

/// A keychain that works until somebody says no.
#[derive(Default)]
struct Denies {
    memory: MemoryStore,
}

impl SecretStore for Denies {
    fn kind(&self) -> String {
        "a keychain that asks".into()
    }
    fn set(&self, name: &str, secret: &SecretString) -> Result<()> {
        if name.starts_with("git:") {
            return Err(AppError::new(ErrorCode::Keychain, "the user refused"));
        }
        self.memory.set(name, secret)
    }
    fn get(&self, name: &str) -> Result<Option<SecretString>> {
        self.memory.get(name)
    }
    fn delete(&self, name: &str) -> Result<()> {
        self.memory.delete(name)
    }
}

#[tokio::test]
async fn case_12_a_denied_secret_is_kept_in_memory_only_when_the_user_agrees() {
    let denies = Arc::new(Denies::default());
    let keychain = Keychain::new(denies.clone());
    let secret = || SecretString::from("hush".to_owned());
    assert_eq!(keychain.set("git:one", secret()).await.unwrap_err().code, ErrorCode::Keychain);
    assert!(keychain.get("git:one").await.unwrap().is_none(), "nothing is kept without consent");
    keychain.keep_in_session();
    keychain.set("git:one", secret()).await.unwrap();
    assert_eq!(keychain.get("git:one").await.unwrap().unwrap().expose_secret(), "hush");
    assert!(denies.get("git:one").unwrap().is_none());
    assert!(keychain.info().await.session_only);
}
