//! Delivery where Argo CD alone deploys, without KubeRocketCI: which Applications stand in the GitOps repository, the
//! flows and environments that follow from it, new Applications, and changes of their versions.

mod change;
mod convention;
mod form;
mod past;
mod permits;
mod views;
mod writes;

pub use change::{Parameter, SourceKind, VersionChange, changed_source, ending, source_kind, why_kept};
pub use convention::{Convention, Place, Placed, place};
pub use form::{ChartSource, Destination, Form, SyncPolicy, render, validate};
pub use past::{PastDeploy, past_deploys, source_of};
pub use permits::{Meant, Permitted, meant, permits_destination, permits_namespace, permits_source};
pub use views::version;
pub(crate) use views::{environment, flows, releases};
pub use writes::{Target, change_version, create, delete, set_source, set_to, sync, try_create, why_no_sync};
