//! Starting the app: data folder, plugins, window.

use std::{path::PathBuf, sync::Arc};

use pilothouse_app::{App, AppOptions, EventSink};
use tauri::Manager;

use crate::{events::WindowEvents, ipc};

/// Where the app keeps its data: `PILOTHOUSE_DATA` when set, else the operating system's place for it.
fn data_dir<R: tauri::Runtime>(manager: &impl Manager<R>) -> Result<PathBuf, Box<dyn std::error::Error>> {
    match std::env::var_os("PILOTHOUSE_DATA") {
        Some(dir) if !dir.is_empty() => Ok(PathBuf::from(dir)),
        _ => Ok(manager.path().app_data_dir()?),
    }
}

/// Opens the app behind the commands and gives it to Tauri's state.
///
/// # Errors
/// When the data folder cannot be made or the database in it cannot be opened.
pub fn start_app<R: tauri::Runtime>(
    handle: &tauri::AppHandle<R>,
    data_dir: PathBuf,
) -> Result<Arc<App>, Box<dyn std::error::Error>> {
    let sink: Arc<dyn EventSink> = WindowEvents::new(handle.clone());
    let options = AppOptions::new(data_dir);
    let app = tauri::async_runtime::block_on(App::open(options, sink))?;
    handle.manage(app.clone());
    Ok(app)
}

/// Runs the desktop app until its window is closed.
///
/// # Errors
/// When the window system or the data folder is not usable.
pub fn run() -> Result<(), Box<dyn std::error::Error>> {
    let ipc = ipc::<tauri::Wry>();
    tauri::Builder::default()
        .plugin(tauri_plugin_single_instance::init(|app, _args, _cwd| {
            if let Some(window) = app.get_webview_window("main") {
                let _ = window.unminimize();
                let _ = window.show();
                let _ = window.set_focus();
            }
        }))
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_notification::init())
        .plugin(tauri_plugin_opener::init())
        .plugin(tauri_plugin_window_state::Builder::new().build())
        .invoke_handler(ipc.invoke_handler())
        .setup(move |app| {
            ipc.mount_events(app);
            let dir = data_dir(app)?;
            start_app(app.handle(), dir)?;
            Ok(())
        })
        .build(tauri::generate_context!())?
        .run(|handle, event| {
            if let tauri::RunEvent::Exit = event
                && let Some(app) = handle.try_state::<Arc<App>>()
            {
                tauri::async_runtime::block_on(app.close());
            }
        });
    Ok(())
}
