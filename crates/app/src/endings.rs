//! Taking deployments away: a clean run of an environment, the deletion of one application's deployment.

use pilothouse_cluster::{ComponentId, kinds};
use pilothouse_delivery::deploy::{
    Ending, SHOWN, SeenDeployment, clean_means, delete_application, deletion_means, render_clean, start_clean,
};

use crate::{
    App, Result,
    contract::{ActivityKind, AppError, CleanRequest, DeleteDeployment, DeployStarted, EndingView, Permission, Topic},
    deploys::confirmed,
    journal::{self, Begin, End, Intent},
};

fn view(ending: Ending, permission: Permission) -> EndingView {
    EndingView {
        digest: ending.shown_digest(None),
        goes: ending.goes,
        stays: ending.stays,
        blocked: ending.blocked,
        permission,
        yaml: None,
        uid: None,
        left_running: None,
    }
}

impl App {
    /// What a clean run of an environment means; nothing is written.
    pub async fn preview_clean(&self, flow: String, env: String) -> Result<EndingView> {
        let (live, platform) = self.platform()?;
        let objects = self.objects(&live);
        let means = clean_means(&objects, &flow, &env)?;
        let permission = self.may(&live, "create", &kinds::PIPELINE_RUN, Some(&platform)).await;
        let mut view = view(means.clone(), permission);
        let stage = objects.stage(&flow, &env);
        let named = stage.and_then(|stage| stage.clean_template.as_deref());
        let template = objects.templates.iter().flatten().find(|one| Some(one.meta.name.as_str()) == named);
        if let (Some(template), Some(stage)) = (template, stage) {
            let run = render_clean(template, stage, &platform, SHOWN)?;
            view.digest = means.shown_digest(Some(&run));
            view.yaml = Some(serde_yaml::to_string(&run).map_err(|e| AppError::internal(e.to_string()))?);
        }
        Ok(view)
    }

    /// Removes what is deployed in an environment, if that is what was shown.
    pub async fn clean(&self, request: CleanRequest) -> Result<DeployStarted> {
        let (live, platform) = self.platform()?;
        let CleanRequest { flow, env, seen, confirm } = request;
        self.need(&live, ComponentId::Tekton)?;
        confirmed(live.cluster.is_production(), live.name(), &env, confirm.as_deref())?;
        let objects = self.objects(&live);
        if let Some(why) = clean_means(&objects, &flow, &env)?.blocked {
            return Err(AppError::blocked(why));
        }
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: format!("Clean {flow}/{env}"),
            context: Some(live.name().to_owned()),
            object: None,
            intent: Intent::Deploy {
                namespace: platform.clone(),
                flow: flow.clone(),
                environment: env.clone(),
                since: journal::now(),
            },
        };
        let entry = self.journal.enter(begin).await?;
        let started = start_clean(&live.cluster, &platform, &objects, &flow, &env, Some(&seen)).await;
        let outcome = started.map_err(AppError::from);
        let run = entry
            .close_with(outcome, |run| End {
                object: Some(format!("PipelineRun/{platform}/{run}")),
                url: Some(format!("/environments/{flow}/{env}/runs/{run}")),
                ..End::default()
            })
            .await?;
        self.changes.tell(Topic::Environments);
        Ok(DeployStarted { run })
    }

    /// What deleting one application's deployment means; nothing is written.
    pub async fn preview_delete_deployment(&self, flow: String, env: String, app: String) -> Result<EndingView> {
        let (live, Some(platform)) = self.deliverer()? else {
            let live = self.live()?;
            return self.preview_delete_application(&live, &flow, &env, &app).await;
        };
        let objects = self.objects(&live);
        let means = deletion_means(&objects, &flow, &env, &app)?;
        let permission = self.may(&live, "delete", &kinds::APPLICATION, Some(&platform)).await;
        let uid = objects.application(&flow, &env, &app).map(|one| one.meta.uid.clone());
        Ok(EndingView { uid, ..view(means, permission) })
    }

    /// Deletes one application's deployment, if that means what was shown.
    pub async fn delete_deployment(&self, request: DeleteDeployment) -> Result<()> {
        let (live, Some(platform)) = self.deliverer()? else {
            let live = self.live()?;
            return self.delete_application(&live, request).await;
        };
        self.need(&live, ComponentId::ArgoCd)?;
        let DeleteDeployment { flow, env, app, uid, seen, leave_running: _, confirm } = request;
        confirmed(live.cluster.is_production(), live.name(), &app, confirm.as_deref())?;
        let begin = Begin {
            kind: ActivityKind::Deploy,
            words: format!("Delete the deployment of {app} in {flow}/{env}"),
            context: Some(live.name().to_owned()),
            object: Some(format!("Application/{platform}/{flow}-{env}-{app}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let (objects, place) = (self.objects(&live), (flow.as_str(), env.as_str(), app.as_str()));
        let seen = SeenDeployment { uid: &uid, digest: &seen };
        let outcome = delete_application(&live.cluster, &platform, &objects, place, seen).await;
        entry
            .close_with(outcome.map_err(AppError::from), |name| End {
                object: Some(format!("Application/{platform}/{name}")),
                url: Some(format!("/environments/{flow}/{env}")),
                ..End::default()
            })
            .await?;
        self.changes.tell(Topic::Environments);
        Ok(())
    }
}
