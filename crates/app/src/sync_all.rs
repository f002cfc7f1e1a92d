//! All that is out of sync in an environment where Argo CD alone deploys, synced one after the other: what was shown, and
//! each only as it was shown.

use std::sync::Arc;

use pilothouse_cluster::kinds;
use pilothouse_delivery::{
    Error as DeliveryError,
    argo_cd::{set_to, why_no_sync},
    environment,
};

use crate::{
    App, Result,
    argo_cd::stood,
    contract::{
        AppError, ErrorCode, SyncAllChoice, SyncAllEnd, SyncAllEntry, SyncAllPreview, SyncAllRequest, SyncAllResult,
    },
    deploys::confirmed,
    operations::Operation,
    session::Live,
    values::small,
};

/// More than an environment has.
const MOST: usize = 10_000;

/// Whether the Application is gone, or not what was shown.
fn is_stale(error: &AppError) -> bool {
    matches!(error.code, ErrorCode::NotFound | ErrorCode::DeployPreviewStale | ErrorCode::ClusterConflict)
}

impl App {
    /// What syncing all that is out of sync in an environment would reach; nothing is written.
    pub async fn preview_sync_all(&self, flow: String, env: String) -> Result<SyncAllPreview> {
        let live = self.argo_cd_alone()?;
        let objects = self.objects(&live);
        let found = environment(&objects, &flow, &env)?;
        let facts = self.file_facts(&flow, &env, &found.applications).await;
        let index = live.index();
        let (mut applications, mut in_sync) = (Vec::new(), 0);
        for app in &found.applications {
            let fact = facts.get(&app.name);
            let drift = fact.is_some_and(|fact| fact.drift.is_some());
            if app.sync.status == "Synced" && !drift {
                in_sync += 1;
                continue;
            }
            let stood = stood(&objects, &flow, &env, &app.name)?;
            let meta = &stood.application.meta;
            // One that went meanwhile is no part of the environment any more.
            let Some(raw) = index.get(&kinds::APPLICATION, &meta.namespace, &meta.name) else { continue };
            let blocked =
                why_no_sync(&stood.application).or_else(|| stood.why_it_would_fail(fact.map(|fact| fact.state)));
            applications.push(SyncAllEntry {
                app: app.name.clone(),
                version: app.version.clone(),
                sync: app.sync.status.clone(),
                drift,
                blocked,
                seen: set_to(&raw),
            });
        }
        let [_, permission, _] = self.argo_permissions(&live, &objects, &flow, &env).await;
        Ok(SyncAllPreview { applications, in_sync: small(in_sync), permission })
    }

    /// Syncs applications of an environment, one after the other. One that is not what was shown is left alone and told.
    /// When it is cancelled, those that were asked for go on, as the timeline says.
    pub async fn sync_all(&self, request: SyncAllRequest, operation: String) -> Result<Vec<SyncAllResult>> {
        let live = self.argo_cd_alone()?;
        confirmed(live.cluster.is_production(), live.name(), &request.env, request.confirm.as_deref())?;
        if request.choices.is_empty() || request.choices.len() > MOST {
            return Err(AppError::blocked("choose the applications to sync"));
        }
        self.operations
            .run(operation, "Syncing", |operation| async move {
                if let Err(error) = self.fetch_gitops(Some(&operation)).await {
                    tracing::warn!(%error, "the GitOps repository could not be fetched before a sync");
                }
                // What was begun is followed to its end: the timeline must say what came of it.
                let app = self.arc()?;
                let follow = tokio::spawn(async move { app.sync_each(&live, &request, &operation).await });
                follow.await.map_err(|e| AppError::internal(format!("the syncs ended early: {e}")))?
            })
            .await
    }

    async fn sync_each(
        &self,
        live: &Arc<Live>,
        request: &SyncAllRequest,
        operation: &Operation,
    ) -> Result<Vec<SyncAllResult>> {
        let total = Some(small(request.choices.len()));
        let mut results = Vec::new();
        for (done, choice) in request.choices.iter().enumerate() {
            operation.check()?;
            operation.step(&format!("Syncing {}", choice.app), small(done), total);
            let (end, why) = match self.sync_one(live, request, choice).await {
                Ok(()) => (SyncAllEnd::Asked, None),
                Err(error) if is_stale(&error) => (SyncAllEnd::Stale, Some(error.message)),
                Err(error) => (SyncAllEnd::Failed, Some(error.message)),
            };
            results.push(SyncAllResult { app: choice.app.clone(), end, why });
        }
        Ok(results)
    }

    async fn sync_one(&self, live: &Live, request: &SyncAllRequest, choice: &SyncAllChoice) -> Result<()> {
        let stood = stood(&self.objects(live), &request.flow, &request.env, &choice.app)?;
        let meta = &stood.application.meta;
        let raw = live.index().get(&kinds::APPLICATION, &meta.namespace, &meta.name);
        if raw.is_some_and(|raw| set_to(&raw) != choice.seen) {
            return Err(DeliveryError::PreviewStale { what: format!("the Application `{}`", meta.name) }.into());
        }
        self.ask_for_sync(live, &stood, Some(&choice.seen), request.prune).await
    }
}
