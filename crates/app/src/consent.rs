//! Which repositories this machine keeps projects in step with by itself.
//!
//! A project names its repository in the cluster, where colleagues can write. The credential that this user keeps for
//! that repository is used unasked only after the user enabled or synced the project by hand, as it is now.

use pilothouse_chaos::project::Project;

use crate::{App, Result, contract::AppError, session::Live};

/// What is said of a project that waits for a first sync by hand.
pub(crate) const ASK: &str = "Press Sync once to let this machine keep the project in step with its repository.";

/// How the settings begin under which consents are kept.
const CONSENTS: &str = "[\"syncs\",";

/// The setting under which the consent to one project is kept.
fn key(context: &str, namespace: &str, id: &str) -> Result<String> {
    serde_json::to_string(&("syncs", context, namespace, id)).map_err(|e| AppError::internal(e.to_string()))
}

/// What was consented to.
fn place(url: &str, branch: &str) -> Result<String> {
    serde_json::to_string(&(url, branch)).map_err(|e| AppError::internal(e.to_string()))
}

/// A project by namespace and id, and the repository and branch that it may be synced with.
pub(crate) type Agreed = (String, String, String, String);

impl App {
    /// Remembers that the user lets this machine sync a project with the repository and the branch it follows now.
    pub(crate) async fn consent_to_sync(&self, live: &Live, project: &Project) -> Result<()> {
        let key = key(live.name(), &project.namespace, &project.id)?;
        self.storage.set_setting(&key, Some(place(&project.url, &project.branch)?)).await
    }

    /// Takes that back.
    pub(crate) async fn withdraw_consent(&self, live: &Live, project: &Project) -> Result<()> {
        self.storage.set_setting(&key(live.name(), &project.namespace, &project.id)?, None).await
    }

    /// Whether the user lets this machine sync a project as it is now.
    pub(crate) async fn consented(&self, live: &Live, project: &Project) -> Result<bool> {
        let kept = self.storage.setting(&key(live.name(), &project.namespace, &project.id)?).await?;
        Ok(kept == Some(place(&project.url, &project.branch)?))
    }

    /// Replaces every consent by these, for one context.
    pub(crate) async fn replace_consents(&self, context: &str, agreed: &[Agreed]) -> Result<()> {
        let entries = agreed
            .iter()
            .map(|(namespace, id, url, branch)| Ok((key(context, namespace, id)?, place(url, branch)?)))
            .collect::<Result<Vec<_>>>()?;
        self.storage.replace_settings(CONSENTS, entries).await
    }
}
