//! The floor for start-up and memory: a Tauri window with an empty page. Prints `ready` when the page is loaded.

use tauri::http::Response;
use tauri::http::header::{CONTENT_TYPE, HeaderValue};
use tauri::webview::PageLoadEvent;
use tauri::{WebviewUrl, WebviewWindowBuilder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut context = tauri::generate_context!();
    context.config_mut().app.windows.clear();
    tauri::Builder::default()
        // A page of its own: nothing tells when `about:blank` is loaded.
        .register_uri_scheme_protocol("empty", |_, _| {
            let mut page = Response::new(b"<!doctype html><title>Empty</title>".to_vec());
            // Without a type WebKit takes the answer for a download, and never ends the load.
            page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            page
        })
        .setup(|app| {
            WebviewWindowBuilder::new(app, "empty", WebviewUrl::CustomProtocol("empty://localhost/".parse()?))
                .title("Empty")
                .inner_size(1280.0, 800.0)
                .on_page_load(|_, load| {
                    if load.event() == PageLoadEvent::Finished {
                        println!("ready");
                    }
                })
                .build()?;
            Ok(())
        })
        .run(context)?;
    Ok(())
}
