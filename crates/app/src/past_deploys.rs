//! Going back where Argo CD alone deploys: the deploys that Argo CD remembers, and an Application set to one of them
//! again, its values file included.

use std::sync::Arc;

use kube::api::DynamicObject;
use pilothouse_cluster::kinds;
use pilothouse_delivery::{
    argo_cd::{self, past_deploys, set_source, source_of, why_kept, why_no_sync},
    objects::Application,
};
use pilothouse_git::CommitId;
use serde_json::Value;

use crate::{
    App, Result,
    argo_cd::{Stood, is_branch, source_digest, source_shown, stood},
    commits::check_message,
    contract::{AppError, GoBack, PastDeploy, ReturnPreview, ReturnRequest, Topic, ValuesFile},
    deploys::confirmed,
    journal::End,
    operations::Operation,
    rollbacks::PutBack,
    session::Live,
    values::text_diff,
};

/// A past deploy with what it is gone back from.
struct Way {
    stood: Stood,
    /// The chart's source now.
    now: Value,
    /// The chart's source of then.
    then: Value,
    /// What the source of then leads to by its name is not what it led to then.
    pinned: bool,
    past: argo_cd::PastDeploy,
    file: ValuesFile,
}

impl App {
    fn remembered(&self, live: &Live, stood: &Stood) -> Result<(Arc<DynamicObject>, Vec<argo_cd::PastDeploy>)> {
        let meta = &stood.application.meta;
        let raw = live.index().get(&kinds::APPLICATION, &meta.namespace, &meta.name);
        let raw = raw.ok_or_else(|| AppError::not_found(format!("the Application {} is gone", meta.name)))?;
        let all = past_deploys(&raw, &stood.place);
        Ok((raw, all))
    }

    /// The deploys of an application that Argo CD remembers, newest first.
    pub async fn past_deploys(&self, flow: String, env: String, app: String) -> Result<Vec<PastDeploy>> {
        let live = self.argo_cd_alone()?;
        let stood = stood(&self.objects(&live), &flow, &env, &app)?;
        let (_, all) = self.remembered(&live, &stood)?;
        let view = |(at, one): (usize, &argo_cd::PastDeploy)| PastDeploy {
            id: one.id,
            time: one.time.clone(),
            by: one.by.clone(),
            version: one.version.clone(),
            revision: one.revision.clone(),
            values: one.values.clone(),
            latest: at == 0,
            why_not: one.source.is_none().then(|| "It was deployed from another place's values then.".to_owned()),
        };
        Ok(all.iter().enumerate().map(view).collect())
    }

    fn way_back(&self, live: &Live, request: &ReturnRequest) -> Result<Way> {
        let ReturnRequest { flow, env, app, deploy } = request;
        let stood = stood(&self.objects(live), flow, env, app)?;
        let (raw, all) = self.remembered(live, &stood)?;
        let gone = || AppError::not_found(format!("Argo CD does not remember deploy {deploy} of {app} any more"));
        let past = all.iter().find(|one| one.id == *deploy).cloned().ok_or_else(gone)?;
        let (then, pinned) = source_of(&past, &all)
            .ok_or_else(|| AppError::blocked(format!("{app} was deployed from another place's values then")))?;
        let mut changed = DynamicObject::clone(&raw);
        let sources = &mut changed.data["spec"]["sources"];
        let now = sources.get(stood.place.chart).cloned().unwrap_or_default();
        if let Some(source) = sources.get_mut(stood.place.chart) {
            *source = then.clone();
        }
        if argo_cd::place(&Application::read(&changed)).as_ref() != Some(&stood.place) {
            return Err(AppError::blocked(format!("the sources of {app} were put together in another way then")));
        }
        let file = ValuesFile { flow: flow.clone(), env: env.clone(), app: app.clone() };
        Ok(Way { stood, now, then, pinned, past, file })
    }

    /// What going back to a past deploy changes; nothing is written.
    pub async fn preview_return(&self, request: ReturnRequest) -> Result<ReturnPreview> {
        let live = self.argo_cd_alone()?;
        let Way { stood, now, then, pinned, past, file } = self.way_back(&live, &request)?;
        let application = &stood.application;
        let (mut values, mut values_unknown) = (None, None);
        match self.fetch_gitops(None).await {
            Ok((_, fetched)) => {
                let read_at = application.sources.get(stood.place.values).map(|one| one.target_revision.as_str());
                let read_at = read_at.unwrap_or_default();
                if is_branch(read_at, &fetched.branch) {
                    values = Some(self.file_then(&file, past.values.as_deref(), &fetched).await?);
                } else {
                    values_unknown = Some(format!(
                        "Argo CD reads the values at `{read_at}`, which is not edited here: they stay as they are there."
                    ));
                }
            }
            Err(error) => values_unknown = Some(error.message),
        }
        let mut words = Vec::new();
        if pinned {
            words.push(format!(
                "`{}` has moved since, so the Application is set to what it was then: {}.",
                past.revision,
                past.resolved.as_deref().unwrap_or_default()
            ));
        }
        if application.automated.is_some() {
            words.push("Argo CD syncs it by itself, as soon as it sees each of the two changes.".to_owned());
        }
        let permission = self.may(&live, "update", &kinds::APPLICATION, Some(&application.meta.namespace)).await;
        Ok(ReturnPreview {
            diff: text_diff(&source_shown(&now)?, &source_shown(&then)?),
            seen: source_digest(&now),
            values,
            values_unknown,
            words,
            blocked: why_kept(application).or_else(|| why_no_sync(application)),
            permission,
        })
    }

    /// Sets an application to what a past deploy was, if it is still what was shown: its values file first, then the
    /// Application, which Argo CD then syncs. Where the file cannot be put back the Application is not touched.
    pub async fn go_back(&self, back: GoBack, operation: String) -> Result<()> {
        let live = self.argo_cd_alone()?;
        confirmed(live.cluster.is_production(), live.name(), &back.request.env, back.confirm.as_deref())?;
        if let Some(message) = &back.message {
            self.author().await?;
            check_message(message)?;
        }
        self.operations
            .run(operation, "Going back", |operation| async move {
                // What was begun is followed to its end: half of the way back is nobody's wish.
                let app = self.arc()?;
                let follow = tokio::spawn(async move { app.follow_back(&live, back, &operation).await });
                follow.await.map_err(|e| AppError::internal(format!("going back ended early: {e}")))?
            })
            .await
    }

    async fn follow_back(&self, live: &Live, back: GoBack, operation: &Operation) -> Result<()> {
        let GoBack { request, seen, message, blob, prune, .. } = back;
        let Way { stood, now, then, past, file, .. } = self.way_back(live, &request)?;
        let application = &stood.application;
        if source_digest(&now) != seen {
            let what = format!("the Application `{}`", application.meta.name);
            return Err(pilothouse_delivery::Error::PreviewStale { what }.into());
        }
        if let Some(why) = why_kept(application).or_else(|| why_no_sync(application)) {
            return Err(AppError::blocked(why));
        }
        let ReturnRequest { flow, env, app, deploy } = &request;
        if let Some(message) = message {
            let commit = past.values.as_deref().and_then(|commit| CommitId::parse(commit).ok());
            let unknown = || AppError::blocked(format!("which values {app} was deployed with is not known"));
            let put = PutBack {
                files: vec![(file.path()?, commit.ok_or_else(unknown)?, blob)],
                message: message.trim().to_owned(),
                words: format!("Put the values of {app} in {flow}/{env} back as of deploy {deploy}"),
                page: format!("/environments/{flow}/{env}/{app}"),
            };
            self.put_back(put, operation).await?;
        }
        operation.step("Setting the Application", 1, Some(2));
        let words = format!("Set {app} in {flow}/{env} back to {}", past.version);
        let entry = self.journal.enter(self.begin(live, words, &stood)).await?;
        let reason = format!("back to {}", past.version);
        // Where Argo CD syncs by itself, the change is enough.
        let sync = application.automated.is_none().then_some((prune, reason.as_str()));
        let outcome = set_source(&live.cluster, stood.target(), &now, &then, sync).await;
        let url = Some(stood.page());
        entry.close_with(outcome.map_err(AppError::from), |()| End { url, ..End::default() }).await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }
}
