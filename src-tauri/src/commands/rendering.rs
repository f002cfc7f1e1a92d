//! Rendered manifests.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{RenderAgainst, RenderedValues, ValuesFile},
};
use tauri::State;

/// The manifests that the deploy would make of this text, and what they change.
#[tauri::command]
#[specta::specta]
pub async fn render_values(
    app: State<'_, Arc<App>>,
    file: ValuesFile,
    text: String,
    against: RenderAgainst,
    operation: String,
) -> Result<RenderedValues> {
    app.render_values(file, text, against, operation).await
}
