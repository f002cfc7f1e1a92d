//! The timeline.

use crate::{App, Result, contract::ActivityPage};

impl App {
    /// The timeline, newest first.
    pub async fn activity(&self, before: Option<u32>, limit: u32) -> Result<ActivityPage> {
        self.journal.page(before, limit).await
    }
}
