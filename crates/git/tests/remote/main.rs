//! The engine against real servers: git behind TLS, and OpenSSH.
//!
//! Fault cases have numbers; a test of one begins with `case_NN_`. What cannot be shown here, and what stands for it:
//!
//! - 33, 34: the large hosts themselves are not reached. Their words, taken from their documents, are said by hooks of
//!   git's own server and by the servers in front of it, over HTTPS and SSH.
//! - 36: the steps after the push, which write to a cluster, are the application's.
//! - 37: a file that a virus scanner holds open exists on Windows only. A full and a read-only disk need the right to
//!   mount one; where `unshare` refuses that, the test says so and shows the rest.
//! - 39: the machine's clock belongs to all its processes. Commits dated a day and a century off stand for other clocks,
//!   a stopped process with its connections cut for a machine asleep.

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
mod signed;
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
