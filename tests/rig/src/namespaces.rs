//! The namespaces that tests make. Each carries the mark of its process and goes once that has ended: a shared rig's node
//! has room for about a hundred pods, and a workload that finds none never rolls out.

use std::path::Path;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, Error, ResourceExt};
use serde_json::json;

use crate::error::Result;

/// The label with the number of the process that made the namespace.
const MADE_BY: &str = "pilothouse.dev/test-process";

/// Makes one of this process.
pub async fn make(client: &Client, name: &str) -> Result<()> {
    let labels = json!({MADE_BY: std::process::id().to_string()});
    let namespace = json!({"metadata": {"name": name, "labels": labels}});
    let namespace = serde_json::from_value(namespace).map_err(Error::SerdeError)?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// Has one deleted with all that is in it, without waiting for it.
pub async fn delete(client: &Client, name: &str) -> Result<()> {
    match Api::<Namespace>::all(client.clone()).delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        // It is going already.
        Err(Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Has those deleted whose process has ended.
pub async fn sweep(client: &Client) -> Result<()> {
    let marked = ListParams::default().labels(MADE_BY);
    for namespace in Api::<Namespace>::all(client.clone()).list(&marked).await? {
        let maker = namespace.labels().get(MADE_BY).map_or("", String::as_str);
        if cfg!(target_os = "linux") && !Path::new("/proc").join(maker).exists() {
            delete(client, &namespace.name_any()).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::Rig;

    #[tokio::test]
    async fn the_namespaces_of_a_process_that_has_ended_go() {
        let client = Rig::get().client().await;
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let left = json!({"metadata": {"generateName": "left-", "labels": {MADE_BY: ended.id().to_string()}}});
        let api: Api<Namespace> = Api::all(client.clone());
        let left = api.create(&PostParams::default(), &serde_json::from_value(left).unwrap()).await.unwrap().name_any();
        let kept = Rig::get().namespace("kept").await;
        sweep(&client).await.unwrap();
        for _ in 0..900 {
            if api.get_opt(&left).await.unwrap().is_none() {
                let kept = api.get(&kept).await.unwrap();
                assert!(kept.metadata.deletion_timestamp.is_none());
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{left} is still there");
    }
}
