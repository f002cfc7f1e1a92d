//! A secret in a keychain whose entries are small.
//!
//! The head entry, under the secret's own name, holds the generation, the number of parts and the first part; the
//! other parts are entries of that generation. There are two generations, and a new secret goes into the one that is
//! not in use, so the single write of the head is the moment at which the new secret replaces the old. Parts are
//! written upwards and removed downwards: what a kill leaves behind has no gaps, and the next write or removal finds
//! it without a record of it.

use secrecy::{
    ExposeSecret, SecretString,
    zeroize::{Zeroize, Zeroizing},
};

use crate::{
    Result,
    contract::{AppError, ErrorCode},
};

/// One part holds this many bytes at most; Windows allows 2,560 for an entry, and the head needs a few.
const CHUNK: usize = 2_400;
/// A head that says that the secret is being removed.
const REMOVED: &[u8] = b"removed";

/// A keychain's single entries, each of which is written and removed in one step.
pub(crate) trait Entries {
    /// An entry's bytes.
    fn read(&self, account: &str) -> Result<Option<Vec<u8>>>;
    /// Writes an entry, replacing what was there.
    fn write(&self, account: &str, bytes: &[u8]) -> Result<()>;
    /// Removes an entry; nothing happens when there is none.
    fn remove(&self, account: &str) -> Result<()>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    A,
    B,
}

impl Generation {
    fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn account(self, name: &str, number: usize) -> String {
        format!("{name}#{}{number}", self.letter())
    }
}

/// What a head announces: the generation, the number of parts, and where the first part begins.
fn header(head: &[u8]) -> Option<(Generation, usize, usize)> {
    let generation = match head.first()? {
        b'a' => Generation::A,
        b'b' => Generation::B,
        _ => return None,
    };
    let colon = head.iter().take(8).position(|b| *b == b':')?;
    let count = std::str::from_utf8(&head[1..colon]).ok()?.parse().ok()?;
    Some((generation, count, colon + 1))
}

/// Removes every part of a generation.
fn clear(entries: &impl Entries, name: &str, generation: Generation) -> Result<()> {
    let mut count = 0;
    while let Some(mut bytes) = entries.read(&generation.account(name, count + 1))? {
        bytes.zeroize();
        count += 1;
    }
    (1..=count).rev().try_for_each(|number| entries.remove(&generation.account(name, number)))
}

/// Keeps a secret. Whatever interrupts it, the old secret or the new one is read afterwards.
pub(crate) fn set(entries: &impl Entries, name: &str, secret: &SecretString) -> Result<()> {
    let old = entries.read(name)?.map(Zeroizing::new);
    let generation = old.and_then(|head| header(&head)).map_or(Generation::A, |(used, ..)| used.other());
    clear(entries, name, generation)?;
    let parts: Vec<&[u8]> = secret.expose_secret().as_bytes().chunks(CHUNK).collect();
    for (number, bytes) in parts.iter().enumerate().skip(1) {
        if let Err(error) = entries.write(&generation.account(name, number), bytes) {
            // No head names these parts yet. Should this fail too, the next write or removal does it.
            let _ = clear(entries, name, generation);
            return Err(error);
        }
    }
    let mut head = Zeroizing::new(format!("{}{}:", generation.letter(), parts.len().max(1)).into_bytes());
    head.extend_from_slice(parts.first().copied().unwrap_or_default());
    // When this fails, the head may be there all the same: its parts stay.
    entries.write(name, &head)?;
    // The new secret holds now, so this is no reason to say that it does not; the next write or removal tries again.
    if let Err(error) = clear(entries, name, generation.other()) {
        tracing::warn!(%error, "parts of a replaced secret are still in the keychain");
    }
    Ok(())
}

/// A secret.
pub(crate) fn get(entries: &impl Entries, name: &str) -> Result<Option<SecretString>> {
    let Some(head) = entries.read(name)?.map(Zeroizing::new) else { return Ok(None) };
    if head.as_slice() == REMOVED {
        // A removal was interrupted. The secret is gone for its user either way.
        if let Err(error) = delete(entries, name) {
            tracing::warn!(%error, "parts of a removed secret are still in the keychain");
        }
        return Ok(None);
    }
    let damaged = || AppError::new(ErrorCode::Keychain, format!("the keychain's entry {name:?} is damaged"));
    let (generation, count, start) = header(&head).ok_or_else(damaged)?;
    let mut all = Zeroizing::new(head[start..].to_vec());
    for number in 1..count {
        let part = entries.read(&generation.account(name, number))?.map(Zeroizing::new).ok_or_else(damaged)?;
        all.extend_from_slice(&part);
    }
    std::str::from_utf8(&all).map(|text| Some(SecretString::from(text))).map_err(|_| damaged())
}

/// Forgets a secret, and what interrupted writes left of it. The head says so first and goes last, so that a removal
/// that was interrupted neither shows half a secret nor is forgotten.
pub(crate) fn delete(entries: &impl Entries, name: &str) -> Result<()> {
    let head = entries.read(name)?.map(Zeroizing::new);
    if head.is_some_and(|head| head.as_slice() != REMOVED) {
        entries.write(name, REMOVED)?;
    }
    clear(entries, name, Generation::A)?;
    clear(entries, name, Generation::B)?;
    entries.remove(name)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::BTreeMap,
    };

    use super::*;

    /// Entries that stop working after so many changes; the change at which they stop is made or not.
    #[derive(Default)]
    struct Fragile {
        entries: RefCell<BTreeMap<String, Vec<u8>>>,
        left: Cell<Option<usize>>,
        last_is_made: bool,
    }

    impl Fragile {
        fn change(&self, make: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Result<()> {
            let broken = || Err(AppError::new(ErrorCode::Keychain, "the keychain went away"));
            match self.left.get() {
                Some(0) => return broken(),
                Some(1) if self.last_is_made => {
                    self.left.set(Some(0));
                    make(&mut self.entries.borrow_mut());
                    return broken();
                }
                Some(left) => self.left.set(Some(left - 1)),
                None => {}
            }
            make(&mut self.entries.borrow_mut());
            Ok(())
        }
    }

    impl Entries for Fragile {
        fn read(&self, account: &str) -> Result<Option<Vec<u8>>> {
            Ok(self.entries.borrow().get(account).cloned())
        }

        fn write(&self, account: &str, bytes: &[u8]) -> Result<()> {
            self.change(|entries| drop(entries.insert(account.to_owned(), bytes.to_vec())))
        }

        fn remove(&self, account: &str) -> Result<()> {
            self.change(|entries| drop(entries.remove(account)))
        }
    }

    fn secret(letter: char, parts: usize) -> SecretString {
        SecretString::from(letter.to_string().repeat(parts * CHUNK))
    }

    fn read(entries: &Fragile) -> Option<String> {
        get(entries, "key").unwrap().map(|text| text.expose_secret().to_owned())
    }

    fn is(entries: &Fragile, expected: &SecretString) -> bool {
        read(entries).is_some_and(|text| text == expected.expose_secret())
    }

    /// Runs `action` over the same entries, stopped at every change in turn, then `look`.
    fn stopped_everywhere(
        before: &[SecretString],
        action: impl Fn(&Fragile) -> Result<()>,
        look: impl Fn(&Fragile, bool),
    ) {
        for last_is_made in [false, true] {
            for stop in 0..20 {
                let entries = Fragile { last_is_made, ..Fragile::default() };
                before.iter().for_each(|text| set(&entries, "key", text).unwrap());
                entries.left.set(Some(stop));
                let done = action(&entries).is_ok();
                entries.left.set(None);
                look(&entries, done);
                // A completed removal leaves nothing, whatever came before.
                delete(&entries, "key").unwrap();
                assert!(entries.entries.borrow().is_empty(), "stopped at {stop}");
            }
        }
    }

    #[test]
    fn an_interrupted_write_leaves_the_old_secret_or_the_new_one() {
        for (old, new) in [(4, 3), (3, 4), (1, 4), (4, 1)] {
            let (old, new) = (secret('o', old), secret('n', new));
            let first = secret('f', 4);
            stopped_everywhere(
                &[first, old.clone()],
                |entries| set(entries, "key", &new),
                |entries, done| {
                    let renewed = is(entries, &new);
                    assert!(renewed || is(entries, &old));
                    assert!(renewed || !done, "a write that is reported as done is done");
                    // Another write gets over it, and leaves its own entries only.
                    set(entries, "key", &secret('x', 2)).unwrap();
                    assert!(is(entries, &secret('x', 2)));
                    assert_eq!(entries.entries.borrow().len(), 2);
                },
            );
        }
    }

    #[test]
    fn an_interrupted_first_write_leaves_nothing_or_the_secret() {
        let new = secret('n', 4);
        stopped_everywhere(
            &[],
            |entries| set(entries, "key", &new),
            |entries, _| assert!(is(entries, &new) || read(entries).is_none()),
        );
    }

    #[test]
    fn an_interrupted_removal_leaves_the_secret_or_nothing() {
        let old = secret('o', 4);
        stopped_everywhere(
            &[secret('f', 2), old.clone()],
            |entries| delete(entries, "key"),
            |entries, done| {
                let kept = is(entries, &old);
                assert!(!(kept && done));
                // Reading a removal that was begun ends it.
                assert!(kept || (read(entries).is_none() && entries.entries.borrow().is_empty()));
            },
        );
    }

    #[test]
    fn every_size_comes_back() {
        let entries = Fragile::default();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK] {
            let text = SecretString::from("k".repeat(length));
            set(&entries, "key", &text).unwrap();
            assert!(is(&entries, &text));
            assert!(entries.entries.borrow().values().all(|bytes| bytes.len() <= 2_560));
        }
    }
}
