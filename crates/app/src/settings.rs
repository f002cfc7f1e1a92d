//! The app itself: identity, preferences, cancelling.

use crate::{
    App, Result,
    contract::{AppError, AppInfo, FieldProblem, IdentityInfo, Preferences, Theme},
};

const IDENTITY: &str = "identity";
const PREFERENCES: &str = "preferences";

impl App {
    /// The app, where its data are, and where it keeps secrets.
    pub async fn app_info(&self) -> Result<AppInfo> {
        Ok(AppInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.options.data_dir.display().to_string(),
            keychain: self.keychain.info().await,
            identity: self.identity().await?,
            os: std::env::consts::OS.to_owned(),
        })
    }

    /// The author of commits, when set.
    pub(crate) async fn identity(&self) -> Result<Option<IdentityInfo>> {
        let text = self.storage.setting(IDENTITY).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Sets the author of commits.
    pub async fn set_identity(&self, name: String, email: String) -> Result<()> {
        let identity = IdentityInfo { name: name.trim().to_owned(), email: email.trim().to_owned() };
        let mut problems = Vec::new();
        let odd = |text: &str| text.is_empty() || text.len() > 200 || text.contains(['<', '>', '\n', '\r', '\0']);
        if odd(&identity.name) {
            problems.push(FieldProblem {
                field: "name".into(),
                message: "Enter the name that your commits should carry, without < and >.".into(),
            });
        }
        let (user, domain) = identity.email.split_once('@').unwrap_or_default();
        if odd(&identity.email) || user.is_empty() || domain.is_empty() || identity.email.contains(char::is_whitespace)
        {
            problems.push(FieldProblem {
                field: "email".into(),
                message: "Enter the e-mail address that your commits should carry.".into(),
            });
        }
        if !problems.is_empty() {
            return Err(AppError::fields(problems));
        }
        let text = serde_json::to_string(&identity).map_err(|e| AppError::internal(e.to_string()))?;
        self.storage.set_setting(IDENTITY, Some(text)).await
    }

    /// How the app looks and behaves.
    pub async fn preferences(&self) -> Result<Preferences> {
        let text = self.storage.setting(PREFERENCES).await?;
        let stored = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(stored.unwrap_or(Preferences { theme: Theme::System, notify_when_hidden: true }))
    }

    /// Changes how the app looks and behaves.
    pub async fn set_preferences(&self, preferences: Preferences) -> Result<()> {
        let text = serde_json::to_string(&preferences).map_err(|e| AppError::internal(e.to_string()))?;
        self.storage.set_setting(PREFERENCES, Some(text)).await
    }

    /// Cancels a long operation; false when it is not running.
    pub async fn cancel_operation(&self, operation: String) -> Result<bool> {
        Ok(self.operations.cancel(&operation))
    }
}
