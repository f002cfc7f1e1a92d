//! Where events go.

use crate::contract::{Changed, Notice, OperationProgress};

/// Takes the app's events; the desktop sends them to the window, tests collect them.
pub trait EventSink: Send + Sync {
    /// Something changed.
    fn changed(&self, event: Changed);
    /// A long operation went on.
    fn progress(&self, event: OperationProgress);
    /// Something the user should hear of; `notify_when_hidden` is the user's preference.
    fn notice(&self, event: Notice, notify_when_hidden: bool);
}

/// Takes events and drops them.
#[derive(Debug, Default)]
pub struct Silent;

impl EventSink for Silent {
    fn changed(&self, _: Changed) {}
    fn progress(&self, _: OperationProgress) {}
    fn notice(&self, _: Notice, _: bool) {}
}
