//! The engine against real servers: git behind TLS, and OpenSSH.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod history;
mod hostile;
mod https;
mod look;
mod publish;
mod push_beside;
mod push_crowd;
mod push_killed;
mod push_refused;
mod push_wire;
mod refused;
mod shallow;
mod stage;
mod states;
mod trust_agent;
mod trust_keys;
mod trust_known_hosts;
mod trust_proxy;
mod trust_secrets;
mod trust_ssh;
mod trust_tls;
mod trust_token;
mod upstream;
mod writer;
