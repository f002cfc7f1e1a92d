//! Credential plugins of a kubeconfig (`users[].user.exec`), run under our own rules.
//!
//! Kube's own runner inherits stdin and stderr, waits for ever, and prints the plugin's environment in its errors.
//! Here a plugin runs with its program resolved to an absolute path, no stdin, a cleared environment with an
//! allow-list, a time limit and an output limit, and its whole process group is killed in the end. It runs once for
//! any number of callers, and its credential is kept until it expires. What it writes to stderr is shown to nobody.

mod credential;
mod plugin;
mod process;

pub use credential::{BadCredential, Credential};
pub use plugin::Plugin;
pub use process::{Ended, Limits, Stopped, run};
