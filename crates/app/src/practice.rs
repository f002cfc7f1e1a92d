//! The practice cluster: started when it is first wanted, kept between starts, and made anew when the user asks.

use std::{path::PathBuf, sync::Arc};

use pilothouse_git::RemoteUrl;
use pilothouse_practice::PracticeCluster;

use crate::{
    App, Result,
    contexts::PRACTICE,
    contract::{ActivityKind, AppError, ErrorCode, Topic},
    journal::{Begin, End, Intent},
    remotes::note_name,
};

impl App {
    fn practice_dir(&self) -> PathBuf {
        self.options.data_dir.join("practice")
    }

    /// The practice cluster, running.
    pub(crate) async fn practice_cluster(&self) -> Result<Arc<PracticeCluster>> {
        let mut practice = self.practice.lock().await;
        if let Some(running) = practice.as_ref() {
            return Ok(running.clone());
        }
        let started = Arc::new(PracticeCluster::start(&self.practice_dir()).await?);
        *practice = Some(started.clone());
        Ok(started)
    }

    /// Whether something of an earlier practice is there to go on with.
    pub(crate) async fn is_practice_kept(&self) -> bool {
        let dir = self.practice_dir();
        crate::blocking(move || Ok(PracticeCluster::is_kept(&dir))).await.unwrap_or_default()
    }

    /// Writes what the practice cluster has not written yet.
    pub(crate) async fn keep_practice(&self) {
        let Some(running) = self.practice.lock().await.clone() else { return };
        let kept = crate::blocking(move || running.save().map_err(AppError::from)).await;
        if let Err(error) = kept {
            tracing::warn!(error = %error.message, "the practice cluster was not kept as it stood at its end");
        }
    }

    /// Removes all that was made on the practice cluster, its Git repositories included. The next start is as the first
    /// one was. A connection to it ends; other clusters are not touched.
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
        let running = practice.take();
        let dir = self.practice_dir();
        let mut clones = Vec::new();
        for repository in repositories(&dir.join("repositories")) {
            let url = RemoteUrl::local(&repository)?;
            clones.push(self.clone_dir(&url));
            self.storage.set_setting(&note_name(&url), None).await?;
            let _turn = self.outbox.turn(url.as_str()).await?;
            self.outbox.remove_all_of(url.as_str()).await?;
        }
        self.storage
            .set_setting(&format!("repository:{PRACTICE}:{}", pilothouse_practice::seed::PLATFORM), None)
            .await?;
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
