//! Where secrets go when the keychain works, and when it does not.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::sync::{Arc, Mutex};

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
