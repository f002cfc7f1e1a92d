//! cd-pipeline-operator's part: a CDPipeline has one ApplicationSet, a Stage adds one element
//! to it for each application, and has its namespace, variables and verified image streams
//! (cd-pipeline-operator, `pkg/argocd/argoapplicationset_manager.go`).

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::kinds::{
    APP_PROJECT, APPLICATION_SET, CD_PIPELINE, CODEBASE, CONFIG_MAP, GIT_SERVER, IMAGE_STREAM, NAMESPACE, STAGE,
};
use super::object_fields::{Fields, Named, owner_reference};
use super::{Part, Scene, also_watch, controller, play};
use crate::{Error, Result};

const OWNED_STAGES: &str = "edp.epam.com/ownedStages";
const ENV_LABEL: &str = "envLabelDeletion";
const ELEMENTS: &str = "/spec/generators/0/list/elements";

/// The CDPipeline controller.
pub(super) fn pipelines(scene: &Arc<Scene>) -> Part {
    let namespace = scene.platform();
    let pipelines = controller(scene, CD_PIPELINE, namespace);
    let known = pipelines.store();
    let pipelines = also_watch(pipelines, scene, (CODEBASE, namespace), CD_PIPELINE, move |codebase| {
        match codebase.text("/spec/type") {
            // A GitOps repository that came or went concerns every pipeline.
            "system" => known.state().iter().map(|p| place(p)).collect(),
            _ => Vec::new(),
        }
    });
    let pipelines = also_watch(pipelines, scene, (APPLICATION_SET, namespace), CD_PIPELINE, |set| {
        vec![(set.ns().into(), set.name().into())]
    });
    let pipelines = also_watch(pipelines, scene, (STAGE, namespace), CD_PIPELINE, |stage| {
        vec![(stage.ns().into(), stage.text("/spec/cdPipeline").into())]
    });
    Box::pin(play("cdpipeline", pipelines, scene.clone(), CD_PIPELINE, pipeline))
}

/// The Stage controller.
pub(super) fn stages(scene: &Arc<Scene>) -> Part {
    let namespace = scene.platform();
    let stages = controller(scene, STAGE, namespace);
    let (by_set, by_pipeline) = (stages.store(), stages.store());
    let of = |stages: Vec<Arc<DynamicObject>>, pipeline: &str| {
        stages.iter().filter(|s| s.text("/spec/cdPipeline") == pipeline).map(|s| place(s)).collect()
    };
    let stages =
        also_watch(stages, scene, (APPLICATION_SET, namespace), STAGE, move |set| of(by_set.state(), set.name()));
    let stages = also_watch(stages, scene, (CD_PIPELINE, namespace), STAGE, move |p| of(by_pipeline.state(), p.name()));
    Box::pin(play("stage", stages, scene.clone(), STAGE, stage))
}

fn place(object: &DynamicObject) -> (String, String) {
    (object.ns().into(), object.name().into())
}

async fn pipeline(pipeline: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    let (namespace, name) = (pipeline.ns(), pipeline.name());
    if pipeline.deleting() {
        let stages = stages_of(&scene, &pipeline).await?;
        for stage in &stages {
            scene.delete(STAGE, namespace, stage.name()).await?;
        }
        if stages.is_empty() {
            scene.release(CD_PIPELINE, &pipeline, &[OWNED_STAGES]).await?;
        }
        return Ok(Action::await_change());
    }
    mark(&scene, CD_PIPELINE, &pipeline, OWNED_STAGES, json!({})).await?;
    if pipeline.text("/status/status").is_empty() {
        let status = running_status(&scene, "accept_cd_pipeline_registration");
        scene.merge_status(CD_PIPELINE, namespace, name, status).await?;
        scene.pause().await;
    }
    let outcome = ensure_set(&scene, &pipeline).await;
    conclude(&scene, CD_PIPELINE, &pipeline, "setup_initial_structure", outcome).await
}

async fn ensure_set(scene: &Scene, pipeline: &DynamicObject) -> Result<()> {
    let (namespace, name) = (pipeline.ns(), pipeline.name());
    if scene.get(APP_PROJECT, namespace, namespace).await?.is_none() {
        let project = app_project(namespace);
        scene.create(APP_PROJECT, namespace, project).await?;
    }
    if scene.get(APPLICATION_SET, namespace, name).await?.is_some() {
        return Ok(());
    }
    let codebases = scene.list(CODEBASE, namespace, "app.edp.epam.com/systemType=gitops").await?;
    let gitops = gitops_codebase(&codebases)?;
    let server = scene.want(GIT_SERVER, namespace, gitops.text("/spec/gitServer")).await?;
    let url = argo_url(&server, gitops.text("/spec/gitUrlPath"));
    let set = application_set(pipeline, &url);
    scene.create(APPLICATION_SET, namespace, set).await?;
    Ok(())
}

/// The one GitOps Codebase, or the operator's own words for why there is none.
fn gitops_codebase(codebases: &[DynamicObject]) -> Result<&DynamicObject> {
    let fail = |words: &str| Err(Error::Played(words.into()));
    match codebases {
        [] => fail("no GitOps codebases found"),
        [one] if one.text("/spec/type") == "system" => Ok(one),
        [_] => fail("gitOps codebase does not have \"system\" type"),
        _ => fail("found more than one GitOps codebase"),
    }
}

/// Argo CD always reads over SSH, whatever credential the platform itself uses.
pub(crate) fn argo_url(server: &DynamicObject, path: &str) -> String {
    let user = match server.text("/spec/gitUser") {
        "" => "git",
        user => user,
    };
    format!(
        "ssh://{user}@{}:{}/{}",
        server.text("/spec/gitHost"),
        server.number("/spec/sshPort"),
        path.trim_start_matches('/')
    )
}

/// The AppProject that an administrator makes for the platform.
pub(crate) fn app_project(namespace: &str) -> Value {
    json!({
        "metadata": { "name": namespace, "namespace": namespace },
        "spec": {
            "description": "Applications of the delivery platform",
            "destinations": [{ "namespace": format!("{namespace}-*"), "server": "*", "name": "*" }],
            "sourceRepos": ["*"],
            "sourceNamespaces": [namespace],
            "namespaceResourceBlacklist": [],
            "clusterResourceWhitelist": [],
        },
    })
}

/// The ApplicationSet of a pipeline, still without elements.
pub(crate) fn application_set(pipeline: &DynamicObject, gitops_url: &str) -> Value {
    let name = pipeline.name();
    let revision = r#"{{ if eq .versionType "semver" }}build/{{ .imageTag }}{{ else }}{{ .imageTag }}{{ end }}"#;
    let patch = format!(
        r#"
    {{{{- if .customValues }}}}
    spec:
      sources:
        - ref: values
          RepoURL: {gitops_url}
          targetRevision: main
        - helm:
            parameters:
              - name: image.tag
                value: '{{{{ .imageTag }}}}'
              - name: image.repository
                value: {{{{ .imageRepository }}}}
              - name: image.digest
                value: '{{{{ .imageDigest }}}}'
            releaseName: '{{{{ .codebase }}}}'
            valueFiles:
              - $values/{name}/{{{{ .stage }}}}/{{{{ .codebase }}}}-values.yaml
          path: deploy-templates
          RepoURL: {{{{ .repoURL }}}}
          targetRevision: '{revision}'
    {{{{- end }}}}
"#
    );
    json!({
        "metadata": {
            "name": name,
            "namespace": pipeline.ns(),
            "ownerReferences": [owner_reference(CD_PIPELINE, pipeline)],
        },
        "spec": {
            "generators": [{ "list": { "elements": [] } }],
            "goTemplate": true,
            "goTemplateOptions": ["missingkey=error"],
            "templatePatch": patch,
            "template": {
                "metadata": {
                    "name": format!("{name}-{{{{ .stage }}}}-{{{{ .codebase }}}}"),
                    "finalizers": ["resources-finalizer.argocd.argoproj.io"],
                    "labels": {
                        "app.edp.epam.com/app-name": "{{ .codebase }}",
                        "app.edp.epam.com/pipeline": name,
                        "app.edp.epam.com/stage": "{{ .stage }}",
                    },
                },
                "spec": {
                    "destination": { "name": "{{ .cluster }}", "namespace": "{{ .namespace }}" },
                    "project": pipeline.ns(),
                    "source": {
                        "helm": {
                            "parameters": [
                                { "name": "image.tag", "value": "{{ .imageTag }}" },
                                { "name": "image.repository", "value": "{{ .imageRepository }}" },
                                { "name": "image.digest", "value": "{{ .imageDigest }}" },
                            ],
                            "releaseName": "{{ .codebase }}",
                        },
                        "path": "deploy-templates",
                        "repoURL": "{{ .repoURL }}",
                        "targetRevision": revision,
                    },
                },
            },
        },
    })
}

async fn stage(stage: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    let (namespace, name) = (stage.ns(), stage.name());
    if stage.deleting() {
        write_elements(&scene, &stage, |old| {
            old.iter().filter(|e| e.text("/stage") != stage.text("/spec/name")).cloned().collect()
        })
        .await?;
        let target = stage.text("/spec/namespace");
        if !target.is_empty() && target != namespace {
            scene.delete(NAMESPACE, "", target).await?;
        }
        scene.release(STAGE, &stage, &[ENV_LABEL]).await?;
        return Ok(Action::await_change());
    }
    let pipeline_name = stage.text("/spec/cdPipeline");
    let Some(pipeline) = scene.get(CD_PIPELINE, namespace, pipeline_name).await? else {
        let missing = Error::Missing { resource: "cdpipelines.v2.edp.epam.com".into(), name: pipeline_name.into() };
        return conclude(&scene, STAGE, &stage, ACCEPTED, Err(missing)).await;
    };
    let extra = json!({
        "labels": { "app.edp.epam.com/cdPipelineName": pipeline_name },
        "ownerReferences": [owner_reference(CD_PIPELINE, &pipeline)],
    });
    mark(&scene, STAGE, &stage, ENV_LABEL, extra).await?;
    if stage.text("/status/status").is_empty() {
        let status = running_status(&scene, ACCEPTED);
        scene.merge_status(STAGE, namespace, name, status).await?;
        scene.pause().await;
    }
    let outcome = equip_stage(&scene, &stage, &pipeline).await;
    conclude(&scene, STAGE, &stage, ACCEPTED, outcome).await
}

const ACCEPTED: &str = "accept_cd_stage_registration";

async fn equip_stage(scene: &Scene, stage: &DynamicObject, pipeline: &DynamicObject) -> Result<()> {
    let namespace = stage.ns();
    let (flow, env) = (stage.text("/spec/cdPipeline"), stage.text("/spec/name"));
    scene.ensure_namespace(stage.text("/spec/namespace"), json!({ "app.edp.epam.com/tenant": namespace })).await?;
    let variables = format!("{flow}-{env}");
    if scene.get(CONFIG_MAP, namespace, &variables).await?.is_none() {
        let object = json!({
            "metadata": {
                "name": variables,
                "ownerReferences": [owner_reference(STAGE, stage)],
            },
            "data": {},
        });
        scene.create(CONFIG_MAP, namespace, object).await?;
    }
    let inputs = input_streams(scene, pipeline).await?;
    for (application, input) in &inputs {
        let verified = format!("{flow}-{env}-{application}-verified");
        if scene.get(IMAGE_STREAM, namespace, &verified).await?.is_none() {
            let object = json!({
                "metadata": {
                    "name": verified,
                    "ownerReferences": [owner_reference(STAGE, stage)],
                },
                "spec": { "codebase": application, "imageName": input.text("/spec/imageName") },
                "status": { "failureCount": 0 },
            });
            scene.plant(IMAGE_STREAM, namespace, object).await?;
        }
    }
    let mut fresh = Vec::new();
    for (application, input) in &inputs {
        let codebase = scene.want(CODEBASE, namespace, application).await?;
        let server = scene.want(GIT_SERVER, namespace, codebase.text("/spec/gitServer")).await?;
        fresh.push(element(stage, &codebase, &server, input));
    }
    let applications = pipeline.texts("/spec/applications");
    write_elements(scene, stage, |old| merge_elements(old, env, &applications, &fresh)).await?;
    Ok(())
}

/// The application and image stream pairs of a pipeline, by the streams' own codebase.
async fn input_streams(scene: &Scene, pipeline: &DynamicObject) -> Result<Vec<(String, DynamicObject)>> {
    let mut pairs = Vec::new();
    let applications = pipeline.texts("/spec/applications");
    for stream in pipeline.texts("/spec/inputDockerStreams") {
        let stream = scene.want(IMAGE_STREAM, pipeline.ns(), &stream).await?;
        let codebase = stream.text("/spec/codebase").to_string();
        if applications.contains(&codebase) {
            pairs.push((codebase, stream));
        }
    }
    Ok(pairs)
}

/// A new element: never deployed, override off.
fn element(stage: &DynamicObject, codebase: &DynamicObject, server: &DynamicObject, stream: &DynamicObject) -> Value {
    let path = codebase.text("/spec/gitUrlPath");
    json!({
        "stage": stage.text("/spec/name"),
        "codebase": codebase.name(),
        "imageTag": "NaN",
        "imageRepository": stream.text("/spec/imageName"),
        "imageDigest": "",
        "cluster": match stage.text("/spec/clusterName") { "" => "in-cluster", name => name },
        "namespace": stage.text("/spec/namespace"),
        "repoURL": argo_url(server, path),
        "gitUrlPath": path.trim_start_matches('/'),
        "versionType": codebase.text("/spec/versioning/type"),
        "customValues": false,
    })
}

/// Elements as they should be: those there are kept as they stand, also when what they were made
/// from has changed since; those of this stage whose application left go; new ones come last.
fn merge_elements(old: &[Value], stage: &str, applications: &[String], fresh: &[Value]) -> Vec<Value> {
    let mut elements: Vec<Value> = old
        .iter()
        .filter(|e| e.text("/stage") != stage || applications.iter().any(|a| a == e.text("/codebase")))
        .cloned()
        .collect();
    for element in fresh {
        let there =
            elements.iter().any(|e| e.text("/stage") == stage && e.text("/codebase") == element.text("/codebase"));
        if !there {
            elements.push(element.clone());
        }
    }
    elements
}

/// Rewrites the elements of a stage's ApplicationSet when they differ.
async fn write_elements(
    scene: &Scene,
    stage: &DynamicObject,
    change: impl FnOnce(&[Value]) -> Vec<Value>,
) -> Result<()> {
    let name = stage.text("/spec/cdPipeline");
    let set = scene.get(APPLICATION_SET, stage.ns(), name).await?;
    let Some(mut set) = set else {
        return match stage.deleting() {
            true => Ok(()),
            false => Err(Error::Played(format!(
                "failed to get ApplicationSet: applicationsets.argoproj.io \"{name}\" not found"
            ))),
        };
    };
    let elements = change(set.items(ELEMENTS));
    if elements != set.items(ELEMENTS) {
        set.data["spec"]["generators"][0]["list"]["elements"] = Value::Array(elements);
        scene.replace(APPLICATION_SET, stage.ns(), &set).await?;
    }
    Ok(())
}

async fn stages_of(scene: &Scene, pipeline: &DynamicObject) -> Result<Vec<DynamicObject>> {
    let mut stages = scene.list(STAGE, pipeline.ns(), "").await?;
    stages.retain(|s| s.text("/spec/cdPipeline") == pipeline.name());
    Ok(stages)
}

/// Adds a finalizer, and the metadata given with it, once.
async fn mark(
    scene: &Scene,
    kind: super::Kind,
    object: &DynamicObject,
    finalizer: &str,
    mut metadata: Value,
) -> Result<()> {
    let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
    if finalizers.iter().any(|f| f == finalizer) {
        return Ok(());
    }
    finalizers.push(finalizer.into());
    metadata["finalizers"] = json!(finalizers);
    let patch = json!({ "metadata": metadata });
    scene.merge(kind, object.ns(), object.name(), patch).await.map(|_| ())
}

fn running_status(scene: &Scene, action: &str) -> Value {
    json!({
        "action": action,
        "available": false,
        "last_time_updated": scene.now(),
        "result": "success",
        "status": "in progress",
        "username": "system",
        "value": "inactive",
    })
}

/// The status of a CDPipeline or Stage that is done.
pub(crate) fn done_status(action: &str, time: &str) -> Value {
    json!({
        "action": action,
        "available": true,
        "detailed_message": null,
        "last_time_updated": time,
        "result": "success",
        "status": "created",
        "username": "system",
        "value": "active",
    })
}

/// Writes how a pass ended, when that is news.
async fn conclude(
    scene: &Scene,
    kind: super::Kind,
    object: &DynamicObject,
    action: &str,
    outcome: Result<()>,
) -> Result<Action> {
    let status = match outcome {
        Ok(()) => done_status(action, &scene.now()),
        Err(error @ Error::Kube(_)) => return Err(error),
        Err(reason) => json!({
            "action": action,
            "available": false,
            "detailed_message": reason.to_string(),
            "last_time_updated": scene.now(),
            "result": "error",
            "status": "failed",
            "username": "system",
            "value": "failed",
        }),
    };
    let failed = status.text("/status") == "failed";
    let stays = object.text("/status/status") == status.text("/status")
        && object.text("/status/detailed_message") == status.text("/detailed_message");
    if !stays {
        scene.merge_status(kind, object.ns(), object.name(), status).await?;
    }
    // What was missing may be of a kind that is not watched here.
    Ok(match failed {
        true => Action::requeue(scene.config.pace * 10),
        false => Action::await_change(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn exactly_one_system_codebase_gives_the_address() {
        let codebase = |kind: &str| object(json!({"metadata": {"name": "g"}, "spec": {"type": kind}}));
        let words = |list: &[DynamicObject]| gitops_codebase(list).err().map(|e| e.to_string());
        for (list, expected) in [
            (vec![], Some("no GitOps codebases found")),
            (vec![codebase("system")], None),
            (vec![codebase("library")], Some("gitOps codebase does not have \"system\" type")),
            (vec![codebase("system"), codebase("system")], Some("found more than one GitOps codebase")),
        ] {
            assert_eq!(words(&list).as_deref(), expected);
        }
    }

    #[test]
    fn existing_elements_stay_as_they_stand() {
        let e = |stage: &str, app: &str, tag: &str| json!({"stage": stage, "codebase": app, "imageTag": tag, "cluster": "old"});
        let new = |app: &str| json!({"stage": "dev", "codebase": app, "imageTag": "NaN", "cluster": "new"});
        let apps = ["cart".to_string(), "checkout".to_string()];
        let old = [e("dev", "cart", "1"), e("qa", "gone", "2"), e("dev", "gone", "3")];
        let merged = merge_elements(&old, "dev", &apps, &[new("cart"), new("checkout")]);
        assert_eq!(merged, [e("dev", "cart", "1"), e("qa", "gone", "2"), new("checkout")]);
    }

    #[test]
    fn an_application_set_has_the_shape_of_the_operators_own() {
        let origin: Value = serde_yaml::from_str(include_str!("../../tests/data/applicationset.yaml")).unwrap();
        let pipeline = object(json!({
            "metadata": { "name": "mypipe", "namespace": "krci",
                "uid": "00000000-0000-0000-0000-000000000000" },
        }));
        let made = application_set(&pipeline, "ssh://git@github.com:22/acme/krci-gitops");
        assert_eq!(made.at("/spec/template"), origin.at("/spec/template"));
        assert_eq!(made.at("/spec/goTemplate"), origin.at("/spec/goTemplate"));
        assert_eq!(made.at("/spec/goTemplateOptions"), origin.at("/spec/goTemplateOptions"));
        let words = |v: &Value| {
            let text = v.text("/spec/templatePatch").to_string();
            text.split_whitespace().map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(words(&made), words(&origin));
        let server = object(json!({"metadata": {"name": "my-github"},
            "spec": {"gitHost": "github.com", "gitUser": "git", "sshPort": 22}}));
        let stage = object(json!({"metadata": {"name": "mypipe-qa"}, "spec": {
            "name": "qa", "namespace": "krci-mypipe-qa", "clusterName": "in-cluster"}}));
        let codebase = object(json!({"metadata": {"name": "fastapi-demo"}, "spec": {
            "gitUrlPath": "/acme/fastapi-demo", "versioning": {"type": "semver"}}}));
        let stream = object(json!({"metadata": {"name": "fastapi-demo-main"}, "spec": {
            "imageName": "registry.example.com/krci/fastapi-demo"}}));
        assert_eq!(&element(&stage, &codebase, &server, &stream), origin.at("/spec/generators/0/list/elements/1"));
    }
}
