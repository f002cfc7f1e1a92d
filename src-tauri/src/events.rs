//! Events to the window. The payloads are the contract's; these types give them their Tauri names.

use std::sync::Arc;

use pilothouse_app::{EventSink, contract};
use serde::{Deserialize, Serialize};
use tauri::{AppHandle, Manager, Runtime};
use tauri_plugin_notification::NotificationExt;
use tauri_specta::Event;

/// Something changed; the window asks again for what it shows.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
#[serde(transparent)]
#[tauri_specta(event_name = "changed")]
pub struct ChangedEvent(pub contract::Changed);

/// How far a long operation has come.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
#[serde(transparent)]
#[tauri_specta(event_name = "operation-progress")]
pub struct OperationProgressEvent(pub contract::OperationProgress);

/// Something the user should hear of.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, Event)]
#[serde(transparent)]
#[tauri_specta(event_name = "notice")]
pub struct NoticeEvent(pub contract::Notice);

/// Sends the app's events to the window, and notices to the desktop while the window is out of sight.
pub struct WindowEvents<R: Runtime> {
    handle: AppHandle<R>,
}

impl<R: Runtime> WindowEvents<R> {
    /// Events for the app behind `handle`.
    pub fn new(handle: AppHandle<R>) -> Arc<Self> {
        Arc::new(Self { handle })
    }

    /// True when no window of the app is both visible and focused.
    fn out_of_sight(&self) -> bool {
        !self.handle.webview_windows().values().any(|w| {
            w.is_visible().unwrap_or(true) && w.is_focused().unwrap_or(true) && !w.is_minimized().unwrap_or(false)
        })
    }
}

impl<R: Runtime> EventSink for WindowEvents<R> {
    fn changed(&self, event: contract::Changed) {
        if let Err(e) = ChangedEvent(event).emit(&self.handle) {
            tracing::warn!(error = %e, "an event could not be sent to the window");
        }
    }

    fn progress(&self, event: contract::OperationProgress) {
        if let Err(e) = OperationProgressEvent(event).emit(&self.handle) {
            tracing::warn!(error = %e, "an event could not be sent to the window");
        }
    }

    fn notice(&self, event: contract::Notice, notify_when_hidden: bool) {
        if notify_when_hidden && self.out_of_sight() {
            let shown = self.handle.notification().builder().title(&event.title).body(&event.body).show();
            if let Err(e) = shown {
                tracing::warn!(error = %e, "the desktop did not take a notification");
            }
        }
        if let Err(e) = NoticeEvent(event).emit(&self.handle) {
            tracing::warn!(error = %e, "an event could not be sent to the window");
        }
    }
}
