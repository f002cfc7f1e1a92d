//! Starting the app: data folder, plugins, window.

use std::{path::PathBuf, sync::Arc};

use pilothouse_app::{App, AppError, AppOptions, EventSink};
use tauri::Manager;
use tauri_plugin_dialog::{DialogExt, MessageDialogKind};

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

/// Tells why the app cannot start, where somebody who clicked its icon can read it, and ends it.
fn say_why_not<R: tauri::Runtime>(handle: &tauri::AppHandle<R>, error: &(dyn std::error::Error + 'static)) {
    let hint = error.downcast_ref::<AppError>().and_then(|error| error.hint.clone());
    let words = hint.map_or_else(|| error.to_string(), |hint| format!("{error}\n\nWhat helps: {hint}."));
    eprintln!("pilothouse: {words}");
    // Its commands have nothing behind them.
    if let Some(window) = handle.get_webview_window("main") {
        let _ = window.hide();
    }
    let ending = handle.clone();
    let dialog = handle.dialog().message(words).title("Pilothouse cannot start").kind(MessageDialogKind::Error);
    dialog.show(move |_| ending.exit(1));
}

/// Runs the desktop app until its window is closed.
///
/// # Errors
/// When the window system is not usable. What else keeps the app from starting is told in a dialog.
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
            if let Err(error) = data_dir(app).and_then(|dir| start_app(app.handle(), dir)) {
                say_why_not(app.handle(), error.as_ref());
            }
            Ok(())
        })
        .on_window_event(|window, event| {
            // Whoever comes back to the window wants to see what others did meanwhile.
            if let tauri::WindowEvent::Focused(true) = event
                && let Some(app) = window.try_state::<Arc<App>>()
            {
                app.look_again();
            }
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
