//! What the window sees: every type that crosses from Rust to the front end or back.
//!
//! The TypeScript in `ui/src/bindings.ts` is generated from these types. Field names are camelCase there,
//! an `Option` is `T | null`, and times are RFC 3339 strings in UTC. A secret occurs only in types that go
//! from the window to Rust.

mod activity;
mod agent;
mod argo_cd;
mod chaos;
mod deploys;
mod environments;
mod error;
mod events;
mod git_servers;
mod image_verdicts;
mod interop;
mod outbox;
mod project_places;
mod remote;
mod rendering;
mod repository;
mod repository_care;
mod runs;
mod session;
mod trigger_desk;
mod trigger_rules;
mod triggers;
mod values;
mod values_assist;
mod values_compare;
mod values_history;
mod workflow_forms;

pub use activity::*;
pub use agent::*;
pub use argo_cd::*;
pub use chaos::*;
pub use deploys::*;
pub use environments::*;
pub use error::*;
pub use events::*;
pub use git_servers::*;
pub use image_verdicts::*;
pub use interop::*;
pub use outbox::*;
pub use project_places::*;
pub use remote::*;
pub use rendering::*;
pub use repository::*;
pub use repository_care::*;
pub use runs::*;
pub use session::*;
pub use trigger_desk::*;
pub use trigger_rules::*;
pub use triggers::*;
pub use values::*;
pub use values_assist::*;
pub use values_compare::*;
pub use values_history::*;
pub use workflow_forms::*;
