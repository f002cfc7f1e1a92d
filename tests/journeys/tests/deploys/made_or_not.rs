//! A new Application that cannot be made once its values file is committed: what was done is told, what is somebody
//! else's stays, and saving again goes on from there.

use std::path::Path;
use std::sync::Arc;

use kube::api::{DeleteParams, PostParams};
use pilothouse_app::App;
use pilothouse_app::contract::{
    ActivityOutcome, AppError, ApplicationForm, ApplicationMade, ApplicationPreview, ErrorCode, NewApplication,
    ValuesFileState,
};
use pilothouse_cluster::{Kind, kinds};
use serde_json::{Value, json};

use super::argo_cd_alone::{Alone, GITOPS, post};
use super::stage::until;

const BINDING: Kind =
    Kind { group: "rbac.authorization.k8s.io", version: "v1", kind: "RoleBinding", plural: "rolebindings" };

/// Holds each push, once it is in, until somebody lets it go.
struct Held<'a> {
    folder: &'a Path,
}

impl<'a> Held<'a> {
    fn new(alone: &Alone, folder: &'a Path) -> Self {
        let hooks = alone.host.repositories().join(format!("{GITOPS}.git/hooks"));
        std::fs::create_dir_all(&hooks).unwrap();
        let script = format!(
            "#!/bin/sh\ntouch '{0}/pushed'\nwhile [ ! -e '{0}/go' ]; do sleep 0.05; done\nrm -f '{0}/pushed' '{0}/go'\n",
            folder.display()
        );
        let hook = hooks.join("post-receive");
        std::fs::write(&hook, script).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder }
    }

    async fn pushed(&self) {
        until("the push", async || self.folder.join("pushed").exists().then_some(())).await;
    }

    fn let_go(&self) {
        std::fs::write(self.folder.join("go"), "").unwrap();
    }
}

fn save(app: &Arc<App>, form: &ApplicationForm, preview: &ApplicationPreview) -> Save {
    let (app, form) = (app.clone(), form.clone());
    let (seen, seen_file) = (preview.yaml.clone(), preview.file_text.clone());
    tokio::spawn(async move {
        let request = NewApplication { form, seen, seen_file, confirm: None };
        app.create_application(request, "make".into()).await
    })
}

type Save = tokio::task::JoinHandle<Result<ApplicationMade, AppError>>;

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_after_the_commit_is_told_and_gone_on_with() {
    let alone = Alone::start().await;
    let data = tempfile::tempdir().unwrap();
    let app = alone.app("robin", data.path()).await;
    alone.register(&app).await;
    let signals = tempfile::tempdir().unwrap();
    let held = Held::new(&alone, signals.path());
    let form = alone.form("dev");
    let path = "shop/dev/cart-values.yaml";
    let preview = app.preview_application(form.clone()).await.unwrap();
    let text = preview.file_text.clone().unwrap();

    // The right to make Applications is taken away while the commit is on its way.
    let saving = save(&app, &form, &preview);
    held.pushed().await;
    let bindings = alone.api(&BINDING, &alone.argo).await;
    bindings.delete("robin", &DeleteParams::default()).await.unwrap();
    until("the lost right", async || (!alone.may("robin", "create").await).then_some(())).await;
    held.let_go();
    let error = saving.await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::ClusterForbidden, "{error:?}");
    for words in [path, "was committed", "the Application was not made", "save again"] {
        assert!(error.message.contains(words), "{words}: {error:?}");
    }
    assert_eq!(alone.read(path).as_deref(), Some(text.as_str()), "the file is there, as it was shown");
    assert!(alone.application("shop-dev-cart").await.is_none());
    let entries = app.activity(None, 50).await.unwrap().entries;
    let outcome = |start: &str| entries.iter().find(|one| one.words.starts_with(start)).map(|one| one.outcome);
    assert_eq!(outcome("Commit the values of cart in shop/dev"), Some(ActivityOutcome::Done), "{entries:#?}");
    assert_eq!(outcome("Make the Application shop-dev-cart"), Some(ActivityOutcome::Failed), "{entries:#?}");

    // With the right back, saving again uses the file that is there and commits nothing.
    let binding = json!({ "metadata": { "name": "robin" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "robin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("robin-{}", alone.argo) }] });
    let at = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", alone.argo);
    post(&at, binding).await;
    let preview = until("the right again", async || {
        let preview = app.preview_application(form.clone()).await.unwrap();
        preview.checks.iter().all(|one| one.ok || !one.blocking).then_some(preview)
    })
    .await;
    assert_eq!((preview.file, &preview.file_text), (ValuesFileState::Present, &None));
    let made = save(&app, &form, &preview).await.unwrap().unwrap();
    assert_eq!(made.commit, None);
    assert!(alone.application("shop-dev-cart").await.is_some());

    // Somebody else makes an Application of that name while the commit is on its way: theirs stays as it is.
    let form = ApplicationForm { env: "qa".into(), ..alone.form("qa") };
    let preview = app.preview_application(form.clone()).await.unwrap();
    let saving = save(&app, &form, &preview);
    held.pushed().await;
    let theirs: Value = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": { "name": "shop-qa-cart", "annotations": { "made-by": "sam" } },
        "spec": { "project": "shop", "source": { "repoURL": "https://charts.example.com", "chart": "cart", "targetRevision": "1" },
            "destination": { "server": "https://kubernetes.default.svc", "namespace": "elsewhere" } } });
    let applications = alone.api(&kinds::APPLICATION, &alone.argo).await;
    applications.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    held.let_go();
    let error = saving.await.unwrap().unwrap_err();
    assert!(error.message.contains("was committed") && error.message.contains("not made"), "{error:?}");
    assert_eq!(alone.read("shop/qa/cart-values.yaml"), preview.file_text);
    let left = alone.application("shop-qa-cart").await.unwrap();
    assert_eq!(left.metadata.annotations.unwrap().get("made-by").map(String::as_str), Some("sam"));
    assert_eq!(left.data["spec"]["destination"]["namespace"], "elsewhere");
    let again = app.preview_application(form).await.unwrap();
    let taken = again.checks.iter().find(|one| one.id == "dryRun").unwrap();
    assert!(!taken.ok && taken.why.as_ref().unwrap().contains("already"), "{taken:?}");
}
