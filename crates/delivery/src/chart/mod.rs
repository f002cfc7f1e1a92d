//! Charts, and the manifests that Helm makes of them.
//!
//! A chart is read out of a bare clone, or fetched from where it is published, as a bounded set of files. Helm's own command renders it in a private folder,
//! without network, without a kubeconfig and within limits. What comes out is parsed, and compared with another
//! rendering or with what is live. The value of a Secret leaves this module only behind a [`Mask`].

mod align;
mod application;
mod archive;
mod compare;
mod error;
mod files;
mod helm;
mod manifests;
mod mask;
mod parameters;
mod release;
mod remote;
mod workroom;

pub use application::{Deployed, Origin, TrackedResource, ValueFile};
pub use compare::{Change, Compared, LiveObject, LiveSide, with_live, with_rendering};
pub use error::ChartError;
pub use files::{Chart, Dependency};
pub use helm::{Helm, NotInstalled, Rendering};
pub use manifests::{Manifest, parse};
pub use mask::Mask;
pub use release::{HelmParameter, Release, ValuesText};
pub use remote::{Progress, Pulled, Puller, RemoteChart};
pub use workroom::{Workroom, sweep};
