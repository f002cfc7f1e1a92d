//! What every actor stands on: the client, the configuration, and the few verbs they use,
//! with the answers that are no failure (already there, already gone) taken as such.

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::ActorConfig;
use super::kinds::{self, Kind};
use crate::{Error, Result};

/// The client and the configuration of one set of actors.
pub(crate) struct Scene {
    pub client: Client,
    pub config: ActorConfig,
}

impl Scene {
    /// An interface to one kind; an empty namespace means all of them, or none for
    /// cluster-wide kinds.
    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let resource = kind.resource();
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    /// The platform namespace.
    pub fn platform(&self) -> &str {
        &self.config.namespace
    }

    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<DynamicObject>> {
        Ok(self.api(kind, namespace).get_opt(name).await?)
    }

    /// The object that must be there; the failure names it as the API server would.
    pub async fn want(&self, kind: Kind, namespace: &str, name: &str) -> Result<DynamicObject> {
        match self.get(kind, namespace, name).await? {
            Some(object) => Ok(object),
            None => Err(Error::Missing {
                resource: match kind.group {
                    "" => kind.plural.to_string(),
                    group => format!("{}.{group}", kind.plural),
                },
                name: name.into(),
            }),
        }
    }

    pub async fn list(&self, kind: Kind, namespace: &str, labels: &str) -> Result<Vec<DynamicObject>> {
        let mut params = ListParams::default();
        if !labels.is_empty() {
            params = params.labels(labels);
        }
        Ok(self.api(kind, namespace).list(&params).await?.items)
    }

    /// Creates; false when an object of that name is there already.
    pub async fn create(&self, kind: Kind, namespace: &str, mut object: Value) -> Result<bool> {
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        let object: DynamicObject = serde_json::from_value(object)?;
        match self.api(kind, namespace).create(&PostParams::default(), &object).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates and, for kinds with a status subresource, writes the status after it.
    /// What exists is left alone.
    pub async fn plant(&self, kind: Kind, namespace: &str, object: Value) -> Result<()> {
        let name = object["metadata"]["name"].as_str().map(str::to_string);
        let status = object.get("status").cloned();
        let created = self.create(kind, namespace, object).await?;
        if let (true, true, Some(name), Some(status)) = (created, kind.status, name, status) {
            self.merge_status(kind, namespace, &name, status).await?;
        }
        Ok(())
    }

    pub async fn merge(&self, kind: Kind, namespace: &str, name: &str, patch: Value) -> Result<DynamicObject> {
        Ok(self.api(kind, namespace).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?)
    }

    /// Merges into `.status`, through the subresource when the kind has one.
    pub async fn merge_status(&self, kind: Kind, namespace: &str, name: &str, status: Value) -> Result<DynamicObject> {
        let api = self.api(kind, namespace);
        let params = PatchParams::default();
        let patch = json!({ "status": status });
        Ok(match kind.status {
            true => api.patch_status(name, &params, &Patch::Merge(&patch)).await?,
            false => api.patch(name, &params, &Patch::Merge(&patch)).await?,
        })
    }

    /// Replaces the whole object; the API server refuses when it changed since it was read.
    pub async fn replace(&self, kind: Kind, namespace: &str, object: &DynamicObject) -> Result<DynamicObject> {
        let name = object.metadata.name.clone().unwrap_or_default();
        Ok(self.api(kind, namespace).replace(&name, &PostParams::default(), object).await?)
    }

    /// Deletes in the background; gone already is fine.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<()> {
        let outcome = self.api(kind, namespace).delete(name, &DeleteParams::background()).await;
        match outcome {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes finalizers off an object; gone already is fine.
    pub async fn release(&self, kind: Kind, object: &DynamicObject, finalizers: &[&str]) -> Result<()> {
        let all = object.metadata.finalizers.clone().unwrap_or_default();
        let kept: Vec<&String> = all.iter().filter(|f| !finalizers.contains(&f.as_str())).collect();
        if kept.len() == all.len() {
            return Ok(());
        }
        // The version makes a finalizer that someone else added meanwhile survive.
        let patch = json!({ "metadata": {
            "resourceVersion": object.metadata.resource_version,
            "finalizers": kept,
        } });
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default();
        match self.merge(kind, namespace, name, patch).await {
            Err(Error::Kube(kube::Error::Api(status))) if status.is_not_found() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// Makes a namespace when it is missing.
    pub async fn ensure_namespace(&self, name: &str, labels: Value) -> Result<()> {
        if self.get(kinds::NAMESPACE, "", name).await?.is_none() {
            let namespace = json!({ "metadata": { "name": name, "labels": labels } });
            self.create(kinds::NAMESPACE, "", namespace).await?;
        }
        Ok(())
    }

    /// One step that a watching person can see.
    pub async fn pause(&self) {
        tokio::time::sleep(self.config.pace).await;
    }

    /// The time now, as Kubernetes writes it.
    pub fn now(&self) -> String {
        (self.config.now)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}
