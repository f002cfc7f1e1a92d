//! Providers' APIs through the app: who is signed in, what they list, what they refuse, and the end of a repository.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

mod centers;
mod deletion;
mod lookups;
mod stage;
mod trust;
