//! The timeline and the doctor.

use crate::{
    App, Result,
    contract::{ActivityPage, DoctorCheck},
};

impl App {
    /// The timeline, newest first.
    pub async fn activity(&self, _before: Option<u32>, _limit: u32) -> Result<ActivityPage> {
        Err(self.not_ready())
    }

    /// Whether everything the app needs is in order.
    pub async fn doctor(&self) -> Result<Vec<DoctorCheck>> {
        Err(self.not_ready())
    }
}
