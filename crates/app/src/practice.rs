//! The practice clusters: started when they are first wanted, kept between starts, and made anew when the user asks.

use std::{path::PathBuf, sync::Arc};

use pilothouse_git::RemoteUrl;
use pilothouse_practice::{Installed, PracticeCluster, seed};

use crate::{
    App, Result,
    contexts::{PRACTICE, PRACTICE_ARGO_CD},
    contract::{ActivityKind, AppError, ErrorCode, Topic},
    journal::{Begin, End, Intent},
    remotes::note_name,
};

/// The name of the connection to one.
pub(crate) fn practice_name(installed: Installed) -> &'static str {
    match installed {
        Installed::Platform => PRACTICE,
        Installed::ArgoCdAlone => PRACTICE_ARGO_CD,
    }
}

impl App {
    fn practice_dir(&self, installed: Installed) -> PathBuf {
        self.options.data_dir.join(practice_name(installed))
    }

    /// A practice cluster, running.
    pub(crate) async fn practice_cluster(&self, installed: Installed) -> Result<Arc<PracticeCluster>> {
        let mut practice = self.practice.lock().await;
        if let Some(running) = practice.get(&installed) {
            return Ok(running.clone());
        }
        let dir = self.practice_dir(installed);
        let started = Arc::new(PracticeCluster::start_with_installed(&dir, installed).await?);
        practice.insert(installed, started.clone());
        Ok(started)
    }

    /// Whether something of an earlier practice is there to go on with.
    pub(crate) async fn is_practice_kept(&self, installed: Installed) -> bool {
        let dir = self.practice_dir(installed);
        crate::blocking(move || Ok(PracticeCluster::is_kept(&dir))).await.unwrap_or_default()
    }

    /// Writes what the practice clusters have not written yet.
    pub(crate) async fn keep_practice(&self) {
        let all: Vec<Arc<PracticeCluster>> = self.practice.lock().await.values().cloned().collect();
        for running in all {
            let kept = crate::blocking(move || running.save().map_err(AppError::from)).await;
            if let Err(error) = kept {
                tracing::warn!(error = %error.message, "a practice cluster was not kept as it stood at its end");
            }
        }
    }

    /// Removes all that was made on the practice clusters, their Git repositories included. The next start is as the
    /// first one was. A connection to one ends; other clusters are not touched.
    pub async fn reset_practice(&self) -> Result<()> {
        let begin = Begin {
            kind: ActivityKind::Cluster,
            words: "Start the practice cluster afresh".to_owned(),
            context: Some(PRACTICE.to_owned()),
            object: None,
            intent: Intent::Other,
        };
        let id = self.journal.begin(begin).await?;
        let outcome = self.remove_practice().await;
        self.journal.close_with(id, outcome, |()| End::default()).await?;
        self.changes.tell(Topic::Contexts);
        self.changes.tell(Topic::Session);
        self.told_outbox();
        Ok(())
    }

    async fn remove_practice(&self) -> Result<()> {
        let mut practice = self.practice.lock().await;
        if self.maybe_live().is_some_and(|live| live.practice.is_some()) {
            self.operations.cancel_all();
            self.set_live(None);
        }
        for installed in Installed::ALL {
            self.remove_one_practice(installed, practice.remove(&installed)).await?;
        }
        Ok(())
    }

    async fn remove_one_practice(&self, installed: Installed, running: Option<Arc<PracticeCluster>>) -> Result<()> {
        let dir = self.practice_dir(installed);
        let mut clones = Vec::new();
        for repository in repositories(&dir.join("repositories")) {
            let url = RemoteUrl::local(&repository)?;
            clones.push(self.clone_dir(&url));
            self.storage.set_setting(&note_name(&url), None).await?;
            let _turn = self.outbox.turn(url.as_str()).await?;
            self.outbox.remove_all_of(url.as_str()).await?;
        }
        let platform = match installed {
            Installed::Platform => seed::PLATFORM,
            Installed::ArgoCdAlone => "",
        };
        self.storage.set_setting(&format!("repository:{}:{platform}", practice_name(installed)), None).await?;
        crate::blocking(move || {
            if let Some(running) = running {
                running.stop();
            }
            PracticeCluster::forget(&dir)?;
            for clone in clones.iter().filter(|clone| clone.exists()) {
                std::fs::remove_dir_all(clone).map_err(|e| {
                    AppError::new(ErrorCode::Storage, format!("{} cannot be removed: {e}", clone.display()))
                })?;
            }
            Ok(())
        })
        .await
    }
}

/// The bare repositories of a folder, as `<owner>/<name>.git`.
fn repositories(dir: &std::path::Path) -> Vec<PathBuf> {
    let entries = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let owners = entries(dir);
    owners.iter().flat_map(|owner| entries(owner)).filter(|path| path.extension().is_some_and(|e| e == "git")).collect()
}
