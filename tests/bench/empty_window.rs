//! The floor for start-up and memory: a Tauri window with an empty page. Prints `ready` when the page is loaded.

use tauri::webview::PageLoadEvent;
use tauri::{WebviewUrl, WebviewWindowBuilder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut context = tauri::generate_context!();
    context.config_mut().app.windows.clear();
    tauri::Builder::default()
        .on_page_load(|_, load| {
            if load.event() == PageLoadEvent::Finished {
                println!("ready");
            }
        })
        .setup(|app| {
            WebviewWindowBuilder::new(app, "empty", WebviewUrl::External("about:blank".parse()?))
                .title("Empty")
                .inner_size(1280.0, 800.0)
                .build()?;
            Ok(())
        })
        .run(context)?;
    Ok(())
}
