//! The timeline and the doctor.

use crate::{
    App, Result,
    contract::{ActivityPage, DoctorCheck},
};

impl App {
    /// The timeline, newest first.
    pub async fn activity(&self, before: Option<u32>, limit: u32) -> Result<ActivityPage> {
        self.journal.page(before, limit).await
    }

    /// Whether everything the app needs is in order.
    pub async fn doctor(&self) -> Result<Vec<DoctorCheck>> {
        Err(self.not_ready())
    }
}
