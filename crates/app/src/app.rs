//! The app behind the commands.

use std::{path::PathBuf, sync::Arc};

use crate::{EventSink, Result, contract::AppError};

/// How to open the app.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// Where clones, timeline and preferences are kept.
    pub data_dir: PathBuf,
}

impl AppOptions {
    /// The usual options over a data folder.
    pub fn new(data_dir: PathBuf) -> Self {
        Self { data_dir }
    }
}

/// The app: one method for each use case.
pub struct App {
    pub(crate) options: AppOptions,
    pub(crate) events: Arc<dyn EventSink>,
}

impl App {
    /// Opens the app over its data folder.
    ///
    /// # Errors
    /// `app.storage` when the folder or the database in it cannot be used.
    pub async fn open(options: AppOptions, events: Arc<dyn EventSink>) -> Result<Arc<App>> {
        Ok(Arc::new(App { options, events }))
    }

    pub(crate) fn not_ready(&self) -> AppError {
        let _ = (&self.options, &self.events);
        AppError::blocked("not ready")
    }
}
