//! Values without a deploy: Argo CD syncs an application as it is configured, with what is in Git now.

use pilothouse_cluster::ComponentId;
use pilothouse_delivery::deploy::sync_values;

use crate::{
    App, Result,
    contract::{ActivityKind, AppError, SyncRequest, Topic, ValuesFile, ValuesFileState},
    deploys::confirmed,
    journal::{Begin, End, Intent},
};

impl App {
    /// Has Argo CD sync an application's values. The tag stays. Refused where the file is known to be missing, as the
    /// sync could only fail.
    pub async fn sync_values(&self, request: SyncRequest) -> Result<()> {
        let (live, Some(platform)) = self.deliverer()? else {
            let live = self.live()?;
            return self.sync_application(&live, request).await;
        };
        self.need(&live, ComponentId::ArgoCd)?;
        let SyncRequest { flow, env, app, prune: _, confirm } = request;
        confirmed(live.cluster.is_production(), live.name(), &env, confirm.as_deref())?;
        if let Err(error) = self.fetch_gitops(None).await {
            tracing::warn!(%error, "the GitOps repository could not be fetched before a sync");
        }
        let objects = self.objects(&live);
        let found = pilothouse_delivery::environment(&objects, &flow, &env)?;
        let facts = self.file_facts(&flow, &env, &found.applications).await;
        let path = ValuesFile { flow: flow.clone(), env: env.clone(), app: app.clone() }.path()?;
        if facts.get(&app).is_some_and(|fact| fact.state == ValuesFileState::Absent) {
            return Err(AppError::blocked(format!("{path} is not in Git, so the sync could only fail")));
        }
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: format!("Sync the values of {app} in {flow}/{env}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Application/{platform}/{flow}-{env}-{app}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let reason = format!("values of {path}");
        let outcome = sync_values(&live.cluster, &platform, &flow, &env, &app, &reason).await;
        entry
            .close_with(outcome.map_err(AppError::from), |name| End {
                object: Some(format!("Application/{platform}/{name}")),
                url: Some(format!("/environments/{flow}/{env}/{app}")),
                ..End::default()
            })
            .await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }
}
