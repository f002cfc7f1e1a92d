//! Foreign programs, run under our own rules: the credential plugins of a kubeconfig (`users[].user.exec`), the login
//! shell that is asked for its PATH, and `helm` where manifests are to be rendered.
//!
//! [`run`] is the one way to start a program. Kube's own runner for plugins inherits stdin and stderr, waits for ever,
//! and prints the plugin's environment in its errors. Here a program runs from an absolute path, without stdin, with
//! exactly the environment it is given, a time limit and an output limit, and its whole process group is killed in the
//! end. A plugin runs once for any number of callers, and its credential is kept until it expires. What it writes to
//! stderr is shown to nobody.

mod credential;
mod plugin;
mod process;

pub use credential::{BadCredential, Credential};
pub use plugin::Plugin;
pub use process::{Ended, Limits, Stopped, run};
