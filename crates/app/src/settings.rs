//! The app itself: identity, preferences, cancelling.

use crate::{
    App, Result,
    contract::{AppInfo, Preferences},
};

impl App {
    /// The app, where its data are, and where it keeps secrets.
    pub async fn app_info(&self) -> Result<AppInfo> {
        Err(self.not_ready())
    }

    /// Sets the author of commits.
    pub async fn set_identity(&self, _name: String, _email: String) -> Result<()> {
        Err(self.not_ready())
    }

    /// How the app looks and behaves.
    pub async fn preferences(&self) -> Result<Preferences> {
        Err(self.not_ready())
    }

    /// Changes how the app looks and behaves.
    pub async fn set_preferences(&self, _preferences: Preferences) -> Result<()> {
        Err(self.not_ready())
    }

    /// Cancels a long operation; false when it is not running.
    pub async fn cancel_operation(&self, _operation: String) -> Result<bool> {
        Err(self.not_ready())
    }
}
