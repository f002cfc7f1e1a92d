//! The agent: the same engine as the app's, headless, in the cluster. Here is the pure part of it: what it needs, the
//! rights that follow from that, and the objects that install it.
//!
//! ```text
//! Needs::of(projects, triggers)   which projects and triggers it is to look after
//!   -> rights(&needs)             one line for each right, with what it is for; no right reaches beyond a namespace
//!   -> manifests(&settings, &needs)   the objects that install it, in the order in which they are to be applied
//! ```
//!
//! What an installation is made of is one YAML document, [`Plan`]: the values of the Helm chart, what
//! `pilothouse-agent print-manifests` reads, and what the window makes of the live objects are the same.

mod check;
mod manifests;
mod mounted;
mod needs;
mod pipeline;
mod rights;
mod serving;

pub use check::{Missing, missing};

pub use manifests::{
    AGENT, Author, CONFIG_MAP, CREDENTIALS, MANAGER, MANAGER_LABEL, NAME_LABEL, PORT, Settings, config_text, manifests,
    to_yaml,
};
pub use mounted::{MountedStore, secret_entries};
pub use needs::{Config, Flaw, Needs, Plan, ProjectNeed, TriggerNeed, credential_name};
pub use pipeline::{Asked, PipelineRun};
pub use rights::{Right, rights};
pub use serving::{AgentState, EngineState, ProjectState};
