//! The agent's own program, as a process, on real parts: an API server with its controllers and a node, and a Git
//! server over HTTPS. It runs under a token of the generated service account, with the generated rights alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its story cannot go on")]

mod beside;
mod packages;
mod pipeline;
mod rights;
mod stage;
mod story;
