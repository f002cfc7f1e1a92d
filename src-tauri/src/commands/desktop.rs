//! What only the desktop can do: its dialogs and its browser.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{AppError, ReportFormat, ReportOf},
};
use tauri::{AppHandle, Manager, Runtime, State};
use tauri_plugin_dialog::DialogExt;
use tauri_plugin_opener::OpenerExt;

/// Lets the user pick a file, which may then be read; none when they cancel. `extensions` are without dots; empty means all files.
#[tauri::command]
#[specta::specta]
pub async fn pick_file<R: Runtime>(
    handle: AppHandle<R>,
    app: State<'_, Arc<App>>,
    title: String,
    extensions: Vec<String>,
) -> Result<Option<String>> {
    let (answer, picked) = tokio::sync::oneshot::channel();
    let mut dialog = handle.dialog().file().set_title(title);
    if let Some(window) = handle.get_webview_window("main") {
        // Belongs to the window: in front of it, and gone with it.
        dialog = dialog.set_parent(&window);
    }
    if !extensions.is_empty() {
        let list: Vec<&str> = extensions.iter().map(String::as_str).collect();
        let shown: Vec<String> = extensions.iter().map(|e| format!("*.{e}")).collect();
        dialog = dialog.add_filter(shown.join(", "), &list).add_filter("*", &["*"]);
    }
    dialog.pick_file(move |file| {
        // The window may be gone by then; there is nobody to tell.
        let _ = answer.send(file);
    });
    let file = picked.await.map_err(|e| AppError::internal(format!("the file dialog ended without an answer: {e}")))?;
    let path = file.map(|f| f.to_string());
    if let Some(path) = &path {
        app.remember_picked(path);
    }
    Ok(path)
}

/// Saves a report of runs where the user says in the system's dialog; answers the path, none when they cancel.
#[tauri::command]
#[specta::specta]
pub async fn save_report<R: Runtime>(
    handle: AppHandle<R>,
    app: State<'_, Arc<App>>,
    of: ReportOf,
    format: ReportFormat,
    title: String,
) -> Result<Option<String>> {
    // Made before it is asked where to: what cannot be reported needs no place.
    let report = app.run_report(of, format).await?;
    let (answer, picked) = tokio::sync::oneshot::channel();
    let ending = if format == ReportFormat::JUnit { "xml" } else { "json" };
    let mut dialog = handle.dialog().file().set_title(title).set_file_name(&report.file);
    if let Some(window) = handle.get_webview_window("main") {
        dialog = dialog.set_parent(&window);
    }
    dialog = dialog.add_filter(format!("*.{ending}"), &[ending]).add_filter("*", &["*"]);
    dialog.save_file(move |file| {
        // The window may be gone by then; there is nobody to tell.
        let _ = answer.send(file);
    });
    let file = picked.await.map_err(|e| AppError::internal(format!("the file dialog ended without an answer: {e}")))?;
    let Some(path) = file.map(|file| file.to_string()) else { return Ok(None) };
    app.write_report(path.clone(), report).await?;
    Ok(Some(path))
}

/// Opens a provider's page in the user's browser. Only `https` addresses, and `http` on this machine.
#[tauri::command]
#[specta::specta]
pub async fn open_url<R: Runtime>(handle: AppHandle<R>, url: String) -> Result<()> {
    if !pilothouse_app::is_web_address(&url) {
        return Err(AppError::blocked(format!("{url:?} is not a web address that Pilothouse opens")));
    }
    handle
        .opener()
        .open_url(url, None::<&str>)
        .map_err(|e| AppError::internal(format!("the browser could not be started: {e}")))
}

/// The window can be used: its first page is drawn. With `PILOTHOUSE_SAY_READY` set the app says so on its standard
/// output, which is how `cargo xtask bench` measures the time to a usable window.
#[tauri::command]
#[specta::specta]
pub async fn window_ready() -> Result<()> {
    if std::env::var_os("PILOTHOUSE_SAY_READY").is_some() {
        println!("ready");
    }
    Ok(())
}
