//! Argo Workflows, as far as a chaos workflow needs it: the steps of the entrypoint in order,
//! each with its node; faults create their ChaosEngine and wait for its end. As with the real
//! checker image, a workflow succeeds whatever the verdict is.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Value, json};

use super::kinds::{CHAOS_ENGINE, CHAOS_EXPERIMENT, WORKFLOW};
use super::object_fields::{Fields, Named, random_suffix};
use super::workflow_steps::{Step, groups, node, node_id, work};
use super::{Part, Scene, controller, play};
use crate::{Error, Result};

/// The Workflow controller.
pub(super) fn workflows(scene: &Arc<Scene>) -> Part {
    let workflows = controller(scene, WORKFLOW, &scene.config.chaos_namespace);
    Box::pin(play("workflow", workflows, scene.clone(), WORKFLOW, reconcile))
}

async fn reconcile(workflow: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    let phase = workflow.text("/status/phase");
    if workflow.deleting() || matches!(phase, "Succeeded" | "Failed" | "Error") {
        return Ok(Action::await_change());
    }
    let mut run = Run::new(&workflow, &scene)?;
    let outcome = run.play().await;
    run.finish(outcome).await?;
    Ok(Action::await_change())
}

struct Run<'s> {
    scene: &'s Scene,
    workflow: &'s DynamicObject,
    whole: Value,
    status: Value,
    total: usize,
    done: usize,
}

impl<'s> Run<'s> {
    fn new(workflow: &'s DynamicObject, scene: &'s Scene) -> Result<Self> {
        let mut status = match workflow.at("/status") {
            Value::Object(_) => workflow.at("/status").clone(),
            _ => json!({}),
        };
        if status["startedAt"].is_null() {
            status["startedAt"] = json!(scene.now());
        }
        Ok(Self { scene, workflow, whole: serde_json::to_value(workflow)?, status, total: 0, done: 0 })
    }

    async fn write(&mut self) -> Result<()> {
        self.status["progress"] = json!(format!("{}/{}", self.done, self.total));
        self.scene
            .merge_status(WORKFLOW, self.workflow.ns(), self.workflow.name(), self.status.clone())
            .await
            .map(|_| ())
    }

    fn node(&mut self, id: &str) -> &mut Value {
        &mut self.status["nodes"][id]
    }

    /// Adds a node below its parent; a node that is there keeps what it has.
    fn add(&mut self, full: &str, display: &str, kind: &str, template: &str, parents: &[String]) -> String {
        let name = self.workflow.name().to_string();
        let id = node_id(&name, full);
        if self.status["nodes"][&id].is_null() {
            let mut fresh = node(&name, full, display, kind);
            fresh["startedAt"] = json!(self.scene.now());
            fresh["phase"] = json!("Running");
            if !template.is_empty() {
                fresh["templateName"] = json!(template);
            }
            if id != name {
                fresh["boundaryID"] = json!(name);
            }
            self.status["nodes"][&id] = fresh;
        }
        for parent in parents {
            let children = &mut self.status["nodes"][parent]["children"];
            if !children.is_array() {
                *children = json!([]);
            }
            if let Some(children) = children.as_array_mut()
                && !children.iter().any(|c| c.as_str() == Some(&id))
            {
                children.push(json!(id));
            }
        }
        id
    }

    fn end(&mut self, id: &str, phase: &str, message: Option<&str>) {
        let now = self.scene.now();
        let node = self.node(id);
        node["phase"] = json!(phase);
        node["finishedAt"] = json!(now);
        if let Some(message) = message {
            node["message"] = json!(message);
        }
    }

    async fn play(&mut self) -> Result<()> {
        let name = self.workflow.name().to_string();
        let plan = groups(&self.whole)?;
        self.total = plan.iter().map(Vec::len).sum();
        self.status["phase"] = json!("Running");
        let entrypoint = self.whole.text("/spec/entrypoint").to_string();
        let mut parents = vec![self.add(&name, &name, "Steps", &entrypoint, &[])];
        self.write().await?;
        self.scene.pause().await;
        for (number, group) in plan.iter().enumerate() {
            let title = format!("[{number}]");
            let group_id = self.add(&format!("{name}{title}"), &title, "StepGroup", "", &parents);
            let mut nodes = Vec::new();
            for step in group {
                let full = format!("{name}{title}.{}", step.name);
                let above = std::slice::from_ref(&group_id);
                nodes.push(self.add(&full, &step.name, "Pod", &step.template, above));
            }
            self.write().await?;
            self.group(group, &nodes).await?;
            self.end(&group_id, "Succeeded", None);
            parents = nodes;
        }
        Ok(())
    }

    /// Runs the steps of a group: all of them begin, then each is waited for.
    async fn group(&mut self, group: &[Step], nodes: &[String]) -> Result<()> {
        let mut engines = Vec::new();
        for (step, id) in group.iter().zip(nodes) {
            if self.status["nodes"][id]["phase"] == "Succeeded" {
                self.done += 1;
                continue;
            }
            self.check_shutdown().await?;
            let work = match work(&self.whole, step) {
                Ok(work) => work,
                Err(error) => {
                    self.end(id, "Failed", Some(&error.to_string()));
                    return Err(error);
                }
            };
            for experiment in work.experiments {
                self.install(experiment).await?;
            }
            for selector in work.deletes {
                let found = self.scene.list(CHAOS_ENGINE, "", &selector).await?;
                for engine in found {
                    self.scene.delete(CHAOS_ENGINE, engine.ns(), engine.name()).await?;
                }
            }
            let mut started = Vec::new();
            for engine in work.engines {
                started.push(self.start(engine, id).await?);
            }
            engines.push((id, started));
        }
        self.scene.pause().await;
        for (id, started) in engines {
            for (namespace, name) in started {
                self.wait_for(&namespace, &name).await?;
            }
            self.end(id, "Succeeded", None);
            self.done += 1;
            self.write().await?;
        }
        Ok(())
    }

    fn place(&self, object: &Value) -> String {
        match object.text("/metadata/namespace") {
            "" => self.workflow.ns().to_string(),
            named => named.to_string(),
        }
    }

    async fn install(&self, mut experiment: Value) -> Result<()> {
        // The step applies with `-n`, so a namespace of its own would be an error there.
        let namespace = self.place(&experiment);
        experiment["metadata"]["namespace"] = json!(namespace);
        let name = experiment.text("/metadata/name").to_string();
        let created = self.scene.create(CHAOS_EXPERIMENT, &namespace, experiment.clone()).await?;
        if !created {
            self.scene.merge(CHAOS_EXPERIMENT, &namespace, &name, experiment).await?;
        }
        Ok(())
    }

    /// Creates a step's engine, or finds the one that an interrupted run has created.
    async fn start(&self, mut engine: Value, node: &str) -> Result<(String, String)> {
        let namespace = self.place(&engine);
        let marked = self.scene.list(CHAOS_ENGINE, &namespace, &format!("step_pod_name={node}")).await?;
        if let Some(found) = marked.first() {
            return Ok((namespace, found.name().to_string()));
        }
        let name = match engine.text("/metadata/name") {
            "" => format!("{}{}", engine.text("/metadata/generateName"), random_suffix(5)),
            given => given.to_string(),
        };
        engine["metadata"]["name"] = json!(name);
        engine["metadata"]["namespace"] = json!(namespace);
        if node.len() <= 63 {
            engine["metadata"]["labels"]["step_pod_name"] = json!(node);
        }
        let created = self.scene.create(CHAOS_ENGINE, &namespace, engine.clone()).await?;
        if !created {
            // `kubectl apply` semantics: an old engine of a fixed name starts again.
            engine["status"] = json!({ "engineStatus": null, "experiments": null });
            engine["spec"]["engineState"] = json!("active");
            self.scene.merge(CHAOS_ENGINE, &namespace, &name, engine).await?;
        }
        Ok((namespace, name))
    }

    async fn wait_for(&self, namespace: &str, name: &str) -> Result<()> {
        loop {
            let engine = self.scene.get(CHAOS_ENGINE, namespace, name).await?;
            match engine.as_ref().map(|e| e.text("/status/engineStatus")) {
                None | Some("completed" | "stopped") => return Ok(()),
                Some(_) => {}
            }
            self.check_shutdown().await?;
            self.scene.pause().await;
        }
    }

    async fn check_shutdown(&self) -> Result<()> {
        let (namespace, name) = (self.workflow.ns(), self.workflow.name());
        match self.scene.get(WORKFLOW, namespace, name).await? {
            None => Err(Error::Cancelled),
            Some(now) => match now.text("/spec/shutdown") {
                "" => Ok(()),
                strategy => Err(Error::Played(format!("Stopped with strategy '{strategy}'"))),
            },
        }
    }

    async fn finish(&mut self, outcome: Result<()>) -> Result<()> {
        let now = self.scene.now();
        let root = self.workflow.name().to_string();
        let (phase, message) = match outcome {
            Ok(()) => ("Succeeded", None),
            Err(Error::Cancelled) => return Ok(()),
            Err(error @ Error::Kube(kube::Error::Service(_))) => return Err(error),
            Err(Error::Played(words)) if words.starts_with("invalid spec") => ("Error", Some(words)),
            Err(error) => ("Failed", Some(error.to_string())),
        };
        let open: Vec<String> = self.status["nodes"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(id, n)| **id != root && n.text("/phase") == "Running")
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            self.end(&id, phase, message.as_deref());
        }
        if self.status["nodes"][&root].is_object() {
            self.end(&root, phase, message.as_deref());
        }
        self.status["phase"] = json!(phase);
        self.status["finishedAt"] = json!(now);
        self.status["message"] = json!(message);
        self.status["conditions"] = json!([
            { "type": "PodRunning", "status": "False" },
            { "type": "Completed", "status": "True" },
        ]);
        self.write().await?;
        let labels = json!({ "metadata": { "labels": {
            "workflows.argoproj.io/completed": "true",
            "workflows.argoproj.io/phase": phase,
        } } });
        self.scene.merge(WORKFLOW, self.workflow.ns(), self.workflow.name(), labels).await.map(|_| ())
    }
}
