//! codebase-operator's part: GitServers become connected, Codebases get their repository,
//! branch and image stream. Statuses are those the operator leaves (codebase-operator,
//! `controllers/codebase`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::kinds::{CODEBASE, CODEBASE_BRANCH, GIT_SERVER, IMAGE_STREAM, SECRET};
use super::object_fields::{Fields, Named, owner_reference};
use super::{Part, Scene, controller, play};
use crate::git_remote::RepositoryState;
use crate::{Error, Result};

const FINALIZERS: [&str; 2] = ["codebase.operator.finalizer.name", "foregroundDeletion"];
const PAUSED: &str = "edp.epam.com/paused";
const TYPE_LABEL: &str = "app.edp.epam.com/codebaseType";
const HASH_LABEL: &str = "app.edp.epam.com/gitUrlPathHash";

/// The GitServer controller.
pub(super) fn git_servers(scene: &Arc<Scene>) -> Part {
    let servers = controller(scene, GIT_SERVER, scene.platform());
    Box::pin(play("gitserver", servers, scene.clone(), GIT_SERVER, git_server))
}

/// The Codebase controller.
pub(super) fn codebases(scene: &Arc<Scene>) -> Part {
    let codebases = controller(scene, CODEBASE, scene.platform());
    let seen = Arc::new(Seen::default());
    Box::pin(play("codebase", codebases, scene.clone(), CODEBASE, move |object, scene| {
        let changed = seen.changed(&object);
        codebase(object, scene, changed)
    }))
}

/// What each Codebase was like at the last look: the operator looks anew at once when the spec or the pause annotation
/// changes (codebase_controller.go, SetupWithManager), whatever a failure's rest.
#[derive(Default)]
struct Seen(Mutex<HashMap<String, (Value, String)>>);

impl Seen {
    fn changed(&self, codebase: &DynamicObject) -> bool {
        let now = (codebase.at("/spec").clone(), codebase.annotation(PAUSED).to_owned());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(codebase.uid().to_owned(), now.clone());
        before.is_some_and(|before| before != now)
    }
}

async fn git_server(server: Arc<DynamicObject>, scene: Arc<Scene>) -> Result<Action> {
    let secret = server.text("/spec/nameSshKeySecret");
    let found = scene.get(SECRET, server.ns(), secret).await?.is_some();
    let (status, next) = match found {
        true => (json!({ "connected": true, "status": "ok", "error": null }), Duration::from_secs(30 * 60)),
        false => (
            json!({
                "connected": false,
                "status": "failed",
                "error": format!("failed to get secret {secret}: secrets \"{secret}\" not found"),
            }),
            Duration::from_secs(30),
        ),
    };
    let stays = server.flag("/status/connected") == found
        && server.text("/status/status") == status.text("/status")
        && server.text("/status/error") == status.text("/error");
    if !stays {
        scene.pause().await;
        scene.merge_status(GIT_SERVER, server.ns(), server.name(), status).await?;
    }
    Ok(Action::requeue(next))
}

async fn codebase(codebase: Arc<DynamicObject>, scene: Arc<Scene>, changed: bool) -> Result<Action> {
    if codebase.annotation(PAUSED) == "true" {
        return Ok(Action::await_change());
    }
    if codebase.deleting() {
        scene.release(CODEBASE, &codebase, &FINALIZERS).await?;
        return Ok(Action::await_change());
    }
    if let Some(patch) = missing_marks(&codebase) {
        scene.merge(CODEBASE, codebase.ns(), codebase.name(), patch).await?;
    }
    match codebase.text("/status/status") {
        "created" if !changed => ensure_branch(&codebase, &scene).await,
        "failed" if !changed => match time_to_retry(&codebase, (scene.config.now)()) {
            Some(wait) => Ok(Action::requeue(wait)),
            None => provision(&codebase, &scene).await,
        },
        _ => provision(&codebase, &scene).await,
    }
}

/// The finalizers and labels that the operator adds, as a merge patch; none when all are there.
fn missing_marks(codebase: &DynamicObject) -> Option<Value> {
    let hash = path_hash(codebase.text("/spec/gitUrlPath"));
    let mut finalizers = codebase.metadata.finalizers.clone().unwrap_or_default();
    let before = finalizers.len();
    for finalizer in FINALIZERS {
        if !finalizers.iter().any(|f| f == finalizer) {
            finalizers.push(finalizer.into());
        }
    }
    let kind = match codebase.label(TYPE_LABEL) {
        "" => codebase.text("/spec/type"),
        set => set,
    };
    let done = finalizers.len() == before && codebase.label(HASH_LABEL) == hash && codebase.label(TYPE_LABEL) == kind;
    (!done).then(|| {
        json!({ "metadata": {
            "finalizers": finalizers,
            "labels": { TYPE_LABEL: kind, HASH_LABEL: hash },
        } })
    })
}

/// The first 32 hexadecimal digits of the SHA-256 of the lower-cased path with its leading slash.
pub(crate) fn path_hash(path: &str) -> String {
    let path = format!("/{}", path.trim_start_matches('/')).to_lowercase();
    let digest = Sha256::digest(path.as_bytes());
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// How long a failed Codebase still rests: ten seconds per failure, two minutes at most.
fn time_to_retry(codebase: &DynamicObject, now: Timestamp) -> Option<Duration> {
    let failures = u64::try_from(codebase.number("/status/failureCount")).unwrap_or(0);
    let last: Timestamp = codebase.text("/status/lastTimeUpdated").parse().ok()?;
    let due = last.as_second() + (failures.max(1) * 10).min(120) as i64;
    let rest = due - now.as_second();
    u64::try_from(rest).ok().filter(|r| *r > 0).map(Duration::from_secs)
}

async fn provision(codebase: &DynamicObject, scene: &Scene) -> Result<Action> {
    let pushed_before = !codebase.text("/status/git").is_empty();
    let failures = codebase.number("/status/failureCount");
    write(
        codebase,
        scene,
        json!({
            "status": "in progress",
            "action": "accept_codebase_registration",
            "available": false,
            "failureCount": failures,
            "git": codebase.text("/status/git"),
            "result": "success",
            "value": "inactive",
            "detailedMessage": null,
        }),
    )
    .await?;
    scene.pause().await;
    match provision_repository(codebase, scene, pushed_before).await {
        Ok(web_url) => {
            let ours = codebase.text("/spec/type") == "application" && codebase.text("/spec/strategy") != "import";
            write(
                codebase,
                scene,
                json!({
                    "status": "created",
                    "action": "setup_deployment_templates",
                    "available": true,
                    "failureCount": 0,
                    "git": if ours { "templates_pushed" } else { "pushed" },
                    "gitWebUrl": web_url,
                    "webHookRef": web_hook(codebase),
                    "result": "success",
                    "value": "active",
                    "detailedMessage": null,
                }),
            )
            .await?;
            // The branch and the stream follow on the event of this very change.
            Ok(Action::await_change())
        }
        Err(error @ Error::Kube(_)) => Err(error),
        Err(reason) => {
            write(
                codebase,
                scene,
                json!({
                    "status": "failed",
                    "action": "repository_provisioning",
                    "available": false,
                    "failureCount": failures + 1,
                    "result": "error",
                    "value": "failed",
                    "detailedMessage": reason.to_string(),
                }),
            )
            .await?;
            Ok(Action::await_change())
        }
    }
}

async fn write(codebase: &DynamicObject, scene: &Scene, mut status: Value) -> Result<()> {
    status["lastTimeUpdated"] = json!(scene.now());
    status["username"] = json!("system");
    scene.merge_status(CODEBASE, codebase.ns(), codebase.name(), status).await.map(|_| ())
}

/// Makes or finds the remote repository and returns its web address.
async fn provision_repository(codebase: &DynamicObject, scene: &Scene, pushed_before: bool) -> Result<String> {
    let server_name = codebase.text("/spec/gitServer");
    let server = scene.want(GIT_SERVER, codebase.ns(), server_name).await?;
    let host = server.text("/spec/gitHost");
    let path = codebase.text("/spec/gitUrlPath").trim_matches('/');
    let branch = codebase.text("/spec/defaultBranch");
    let web_url = format!("https://{host}/{path}");
    // What was pushed once is never made again, wherever the path points now (put_project.go, skipPutProjectStatuses).
    let pushed = matches!(codebase.text("/status/git"), "pushed" | "gitlab_ci_pushed" | "templates_pushed");
    let import = pushed || codebase.text("/spec/strategy") == "import";
    write(
        codebase,
        scene,
        json!({
            "status": "in progress",
            "action": "repository_provisioning",
            "gitWebUrl": web_url,
            "git": match (pushed, import) {
                (true, _) => "pushed",
                (false, true) => "",
                (false, false) => "push_in_progress",
            },
        }),
    )
    .await?;
    scene.pause().await;
    if let Some(git) = &scene.config.git {
        let state = git.state(path)?;
        match (import, state) {
            (true, RepositoryState::Missing) => {
                return Err(Error::Played(format!("failed to create webhook: repository {path} not found on {host}")));
            }
            (true, _) => {}
            (false, RepositoryState::WithHistory) if !pushed_before => {
                write(codebase, scene, json!({ "git": "" })).await?;
                return Err(Error::Played(format!(
                    "remote repository already contains default branch {branch} with history not \
                     pushed by this provisioning; refusing to overwrite it - remove the remote \
                     branch or onboard the repository with the import strategy"
                )));
            }
            (false, RepositoryState::WithHistory) => {}
            (false, _) => {
                let files = vec![("README.md".to_string(), readme(codebase))];
                git.create(path, branch, &files, "Initial commit")?;
            }
        }
    }
    write(
        codebase,
        scene,
        json!({
            "status": "in progress",
            "action": "put_web_hook",
            "git": "pushed",
            "webHookRef": web_hook(codebase),
        }),
    )
    .await?;
    scene.pause().await;
    Ok(web_url)
}

/// A steady number in the place of the one that a Git server gives to a new webhook.
fn web_hook(codebase: &DynamicObject) -> String {
    let digits = path_hash(codebase.text("/spec/gitUrlPath"));
    let number = u32::from_str_radix(&digits[..8], 16).unwrap_or_default();
    (100_000_000 + number % 900_000_000).to_string()
}

/// What a new repository holds: a note, and never a values file.
fn readme(codebase: &DynamicObject) -> String {
    match codebase.text("/spec/framework") {
        "gitops" => "# GitOps repository\n\n\
            Values that override the defaults of an application's chart, one file for each\n\
            application in each environment:\n\n\
            ```text\n<flow>/<environment>/<application>-values.yaml\n```\n\n\
            A file takes effect when the application is deployed with Values override on.\n"
            .to_string(),
        _ => format!("# {}\n", codebase.name()),
    }
}

/// The default branch and its image stream, named `<codebase>-<branch>`.
async fn ensure_branch(codebase: &DynamicObject, scene: &Scene) -> Result<Action> {
    let branch = codebase.text("/spec/defaultBranch");
    let name = format!("{}-{}", codebase.name(), branch.replace(['.', '/'], "-").to_lowercase());
    let created = scene.now();
    let branch_object = match scene.get(CODEBASE_BRANCH, codebase.ns(), &name).await? {
        Some(found) => found,
        None => {
            let object = json!({
                "metadata": {
                    "name": name,
                    "labels": {
                        "app.edp.epam.com/codebaseName": codebase.name(),
                        "app.edp.epam.com/codebase": codebase.name(),
                    },
                    "ownerReferences": [owner_reference(CODEBASE, codebase)],
                },
                "spec": {
                    "branchName": branch,
                    "codebaseName": codebase.name(),
                    "release": false,
                    "version": codebase.at("/spec/versioning/startFrom"),
                },
                "status": branch_status(&created),
            });
            scene.plant(CODEBASE_BRANCH, codebase.ns(), object).await?;
            scene.want(CODEBASE_BRANCH, codebase.ns(), &name).await?
        }
    };
    if scene.get(IMAGE_STREAM, codebase.ns(), &name).await?.is_none() {
        let object = json!({
            "metadata": {
                "name": name,
                "labels": {
                    "app.edp.epam.com/codebasebranch": name,
                    "app.edp.epam.com/codebase": codebase.name(),
                },
                "ownerReferences": [owner_reference(CODEBASE_BRANCH, &branch_object)],
            },
            "spec": {
                "codebase": codebase.name(),
                "imageName": format!("{}/{}", scene.config.registry, codebase.name()),
            },
            "status": { "failureCount": 0 },
        });
        scene.plant(IMAGE_STREAM, codebase.ns(), object).await?;
    }
    Ok(Action::await_change())
}

/// The status of a branch that is done.
pub(crate) fn branch_status(time: &str) -> Value {
    json!({
        "action": "put_codebase_image_stream",
        "failureCount": 0,
        "git": "branch-created",
        "lastTimeUpdated": time,
        "result": "success",
        "status": "created",
        "username": "system",
        "value": "active",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_path_as_the_operator_does() {
        let hash = "e11959203f24be79a890fabd97d48c4c";
        for path in ["/acme/krci-gitops", "acme/krci-gitops", "/Acme/KRCI-gitops"] {
            assert_eq!(path_hash(path), hash, "{path}");
        }
    }

    #[test]
    fn a_failed_codebase_rests_longer_each_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let failed = |count: i64| -> DynamicObject {
            serde_json::from_value(json!({
                "metadata": { "name": "x" },
                "status": { "failureCount": count, "lastTimeUpdated": "2026-08-20T10:00:00Z" },
            }))
            .unwrap()
        };
        let rest = |count, now| time_to_retry(&failed(count), at(now)).map(|d| d.as_secs());
        assert_eq!(rest(1, "2026-08-20T10:00:00Z"), Some(10));
        assert_eq!(rest(1, "2026-08-20T10:00:10Z"), None);
        assert_eq!(rest(3, "2026-08-20T10:00:10Z"), Some(20));
        assert_eq!(rest(99, "2026-08-20T10:00:00Z"), Some(120));
    }
}
