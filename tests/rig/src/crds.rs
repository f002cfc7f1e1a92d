//! The upstream CRDs of tests/crds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::error::{At, Error, Result};

const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The folder of the CRDs.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds")
}

/// The YAML files of the CRDs.
pub fn files() -> Result<Vec<PathBuf>> {
    let folder = folder();
    let mut files = Vec::new();
    for origin in std::fs::read_dir(&folder).at("list the CRDs", &folder)? {
        let origin = origin.at("list the CRDs", &folder)?.path();
        if !origin.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&origin).at("list the CRDs", &origin)? {
            let file = file.at("list the CRDs", &origin)?.path();
            if file.extension().is_some_and(|extension| extension == "yaml") {
                files.push(file);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Creates all CRDs and waits until the API serves them.
///
/// The files go over the wire as they are. Parsing them here would cost seconds, and through plain create (not
/// server-side apply) an old server merely drops the fields it does not know, such as x-kubernetes-validations.
pub async fn apply(client: &Client) -> Result<()> {
    let files = files()?;
    try_join_all(files.iter().map(|file| create(client, file))).await?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let established =
            api.list(&ListParams::default()).await?.items.iter().filter(|crd| is_established(crd)).count();
        if established >= files.len() {
            return Ok(());
        }
        if Instant::now() > end {
            let what = format!("only {established} of {} CRDs are established", files.len());
            return Err(Error::NotReady { what, log: String::new() });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn create(client: &Client, file: &Path) -> Result<()> {
    let body = std::fs::read(file).at("read the CRD", file)?;
    let request = http::Request::post(PATH)
        .header(http::header::CONTENT_TYPE, "application/yaml")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    match client.request_text(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Established" && condition.status == "True")
}
