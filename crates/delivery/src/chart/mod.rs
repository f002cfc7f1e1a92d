//! Charts, and the manifests that Helm makes of them.
//!
//! A chart is read out of a bare clone as a bounded set of files. Helm's own command renders it in a private folder,
//! without network, without a kubeconfig and within limits. What comes out is parsed, and compared with another
//! rendering or with what is live. The value of a Secret leaves this module only behind a [`Mask`].

mod align;
mod application;
mod compare;
mod error;
mod files;
mod helm;
mod manifests;
mod mask;
mod release;
mod workroom;

pub use application::{Deployed, TrackedResource, ValueFile};
pub use compare::{Change, Compared, LiveObject, LiveSide, with_live, with_rendering};
pub use error::ChartError;
pub use files::{Chart, Dependency};
pub use helm::{Helm, NotInstalled, Rendering};
pub use manifests::{Manifest, parse};
pub use mask::Mask;
pub use release::{HelmParameter, Release, ValuesText};
pub use workroom::{Workroom, sweep};
