//! What goes on while connected, without anybody clicking.

use std::sync::Arc;

use crate::{App, session::Live};

impl App {
    /// Starts what belongs to a connection; it ends when the connection does.
    pub(crate) fn start_background(&self, live: Arc<Live>) {
        let _ = (&self.me, live);
    }
}
