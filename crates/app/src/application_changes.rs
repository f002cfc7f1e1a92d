//! Changes of an Application where Argo CD alone deploys: a sync, another version, its deletion.

use std::sync::Arc;

use kube::api::DynamicObject;
use pilothouse_cluster::kinds;
use pilothouse_delivery::{
    argo_cd::{Parameter, Target, VersionChange, change_version, changed_source, delete, ending, sync, why_no_sync},
    deploy::Ending,
};
use serde_json::Value;

use crate::{
    App, Result,
    argo_cd::{Stood, source_digest, source_shown, stood},
    contract::{
        ActivityKind, AppError, DeleteDeployment, EndingView, LeftRunning, SetVersion, SyncRequest, Topic,
        ValuesFileState, VersionPreview, VersionRequest,
    },
    deploys::confirmed,
    journal::{Begin, End, Intent},
    session::Live,
    values::text_diff,
};

impl Stood {
    pub(crate) fn target(&self) -> Target<'_> {
        let meta = &self.application.meta;
        Target { namespace: &meta.namespace, name: &meta.name, uid: &meta.uid }
    }

    /// The object's name on the timeline.
    fn object(&self) -> String {
        format!("Application/{}/{}", self.application.meta.namespace, self.application.meta.name)
    }

    /// Why a sync could only fail, by what is known of the values file.
    pub(crate) fn why_it_would_fail(&self, file: Option<ValuesFileState>) -> Option<String> {
        let ignored = self.application.sources.get(self.place.chart).is_some_and(|source| source.ignore_missing);
        let missing = file == Some(ValuesFileState::Absent) && !ignored;
        missing.then(|| format!("{} is not in Git, so the sync could only fail", self.place.file()))
    }

    pub(crate) fn page(&self) -> String {
        format!("/environments/{}/{}/{}", self.place.flow, self.place.environment, self.place.application)
    }
}

fn version_change(request: &VersionRequest) -> VersionChange {
    let one = |one: &crate::contract::ArgoParameter| Parameter { name: one.name.clone(), value: one.value.clone() };
    VersionChange { revision: request.revision.clone(), parameters: request.parameters.iter().map(one).collect() }
}

fn means(one: Ending) -> LeftRunning {
    LeftRunning { digest: one.shown_digest(None), goes: one.goes, stays: one.stays }
}

/// The Application as it was last seen, and its chart's source.
fn source_now(live: &Live, stood: &Stood) -> Result<(Arc<DynamicObject>, Value)> {
    let meta = &stood.application.meta;
    let raw = live.index().get(&kinds::APPLICATION, &meta.namespace, &meta.name);
    let raw = raw.ok_or_else(|| AppError::not_found(format!("the Application {} is gone", meta.name)))?;
    let now = raw.data["spec"]["sources"].get(stood.place.chart).cloned().unwrap_or_default();
    Ok((raw, now))
}

impl App {
    pub(crate) fn begin(&self, live: &Live, words: String, stood: &Stood) -> Begin {
        Begin {
            kind: ActivityKind::Deploy,
            words,
            context: Some(live.name().to_owned()),
            object: Some(stood.object()),
            intent: Intent::Other,
        }
    }

    /// Has Argo CD sync an Application as it is set.
    pub(crate) async fn sync_application(&self, live: &Live, request: SyncRequest) -> Result<()> {
        let SyncRequest { flow, env, app, prune, confirm } = request;
        confirmed(live.cluster.is_production(), live.name(), &env, confirm.as_deref())?;
        if let Err(error) = self.fetch_gitops(None).await {
            tracing::warn!(%error, "the GitOps repository could not be fetched before a sync");
        }
        let objects = self.objects(live);
        let stood = stood(&objects, &flow, &env, &app)?;
        let found = pilothouse_delivery::environment(&objects, &flow, &env)?;
        let facts = self.file_facts(&flow, &env, &found.applications).await;
        if let Some(why) = stood.why_it_would_fail(facts.get(&app).map(|fact| fact.state)) {
            return Err(AppError::blocked(why));
        }
        self.ask_for_sync(live, &stood, None, prune.unwrap_or(false)).await
    }

    /// Asks for one sync, and says so on the timeline; with `seen` only where the Application is set to that.
    pub(crate) async fn ask_for_sync(&self, live: &Live, stood: &Stood, seen: Option<&str>, prune: bool) -> Result<()> {
        let place = &stood.place;
        let words = format!("Sync the values of {} in {}/{}", place.application, place.flow, place.environment);
        let entry = self.journal.enter(self.begin(live, words, stood)).await?;
        let reason = format!("values of {}", place.file());
        let outcome = sync(&live.cluster, stood.target(), seen, prune, &reason).await;
        let url = Some(stood.page());
        entry.close_with(outcome.map_err(AppError::from), |()| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }

    /// What another version of an application changes; nothing is written.
    pub async fn preview_version(&self, request: VersionRequest) -> Result<VersionPreview> {
        let live = self.argo_cd_alone()?;
        let stood = stood(&self.objects(&live), &request.flow, &request.env, &request.app)?;
        let (raw, now) = source_now(&live, &stood)?;
        let then = changed_source(&raw, &stood.place, &version_change(&request))?;
        let permission = self.may(&live, "update", &kinds::APPLICATION, Some(&stood.application.meta.namespace)).await;
        let why_kept = pilothouse_delivery::argo_cd::why_kept(&stood.application);
        let blocked = match (why_kept, request.sync) {
            (Some(why), _) => Some(why),
            (None, true) => why_no_sync(&stood.application),
            (None, false) => None,
        };
        let automated = stood.application.automated.is_some();
        let mut words = Vec::new();
        words.push(match (now == then, request.sync || automated) {
            (true, true) => "The same version is deployed again.".to_owned(),
            (true, false) => "Nothing changes.".to_owned(),
            (false, true) => {
                let place = stood.place.file();
                format!("Argo CD deploys it with {place} as it is in Git now.")
            }
            (false, false) => "Argo CD shows it as OutOfSync; nothing is deployed until somebody syncs it.".to_owned(),
        });
        if request.sync && request.prune {
            words.push("What is no longer made by the chart is removed from the cluster.".to_owned());
        }
        Ok(VersionPreview {
            diff: text_diff(&source_shown(&now)?, &source_shown(&then)?),
            seen: source_digest(&now),
            words,
            blocked,
            permission,
        })
    }

    /// Sets an application to another version, if the Application is what was shown.
    pub async fn set_version(&self, change: SetVersion) -> Result<()> {
        let live = self.argo_cd_alone()?;
        let SetVersion { request, seen, confirm } = change;
        let VersionRequest { flow, env, app, .. } = &request;
        confirmed(live.cluster.is_production(), live.name(), env, confirm.as_deref())?;
        let stood = stood(&self.objects(&live), flow, env, app)?;
        if let Some(why) = pilothouse_delivery::argo_cd::why_kept(&stood.application) {
            return Err(AppError::blocked(why));
        }
        let (_, now) = source_now(&live, &stood)?;
        if source_digest(&now) != seen {
            let what = format!("the Application `{}`", stood.application.meta.name);
            return Err(pilothouse_delivery::Error::Changed { what }.into());
        }
        let wanted = version_change(&request);
        let words = format!("Set {app} in {flow}/{env} to {}", request.revision.trim());
        let entry = self.journal.enter(self.begin(&live, words, &stood)).await?;
        let reason = format!("{app} {}", request.revision.trim());
        let sync = request.sync.then_some((request.prune, reason.as_str()));
        let outcome = change_version(&live.cluster, stood.target(), &now, &wanted, sync).await;
        let url = Some(stood.page());
        entry.close_with(outcome.map_err(AppError::from), |()| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }

    /// What deleting an Application means, with what it made and without.
    pub(crate) async fn preview_delete_application(
        &self,
        live: &Live,
        flow: &str,
        env: &str,
        app: &str,
    ) -> Result<EndingView> {
        let stood = stood(&self.objects(live), flow, env, app)?;
        let namespace = stood.application.meta.namespace.clone();
        // Whether it cascades is written into the object before it is deleted.
        let mut permission = self.may(live, "delete", &kinds::APPLICATION, Some(&namespace)).await;
        if permission.allowed {
            permission = self.may(live, "update", &kinds::APPLICATION, Some(&namespace)).await;
        }
        let with = ending(&stood.application, &stood.place, true);
        let without = ending(&stood.application, &stood.place, false);
        Ok(EndingView {
            digest: with.shown_digest(None),
            goes: with.goes,
            stays: with.stays,
            blocked: with.blocked,
            permission,
            yaml: None,
            uid: Some(stood.application.meta.uid.clone()),
            left_running: Some(means(without)),
        })
    }

    /// Deletes an Application, if that means what was shown.
    pub(crate) async fn delete_application(&self, live: &Live, request: DeleteDeployment) -> Result<()> {
        let DeleteDeployment { flow, env, app, uid, seen, leave_running, confirm } = request;
        confirmed(live.cluster.is_production(), live.name(), &app, confirm.as_deref())?;
        let mut stood = stood(&self.objects(live), &flow, &env, &app)?;
        let means = ending(&stood.application, &stood.place, !leave_running);
        if means.shown_digest(None) != seen {
            let what = format!("what deleting the deployment of `{app}` removes");
            return Err(pilothouse_delivery::Error::PreviewStale { what }.into());
        }
        if let Some(why) = means.blocked {
            return Err(AppError::blocked(why));
        }
        stood.application.meta.uid = uid;
        let how = if leave_running { ", and leave what runs" } else { "" };
        let begin = self.begin(live, format!("Delete the deployment of {app} in {flow}/{env}{how}"), &stood);
        let entry = self.journal.enter(begin).await?;
        let outcome = delete(&live.cluster, stood.target(), !leave_running).await;
        let url = Some(format!("/environments/{flow}/{env}"));
        entry.close_with(outcome.map_err(AppError::from), |()| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }
}
