//! The timeline and the doctor.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{ActivityPage, DoctorCheck},
};
use tauri::State;

/// The timeline, newest first.
#[tauri::command]
#[specta::specta]
pub async fn activity(app: State<'_, Arc<App>>, before: Option<u32>, limit: u32) -> Result<ActivityPage> {
    app.activity(before, limit).await
}

/// Whether everything the app needs is in order.
#[tauri::command]
#[specta::specta]
pub async fn doctor(app: State<'_, Arc<App>>) -> Result<Vec<DoctorCheck>> {
    app.doctor().await
}
