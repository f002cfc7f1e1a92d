//! Private authorities, and proxies.

use std::{
    process::{Command, Output},
    sync::Arc,
};

use pilothouse_app::contract::{
    AppError, DeleteAtProvider, DeleteRepository, ErrorCode, RemoteTarget, RepositoryStrategy, Transport,
};
use pilothouse_rig::{
    Rig,
    provider_host::{Api, ProviderHost},
    proxy::{Manner, Proxy},
};

use crate::stage::{Place, SERVER, Stage, Told, form, furnish, path, platform, sign_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_has_to_be_given() {
    let stage = Stage::new(Api::GitLab).await;
    let attempt = async |authority: Option<&std::path::Path>, folder: &str| {
        let data = stage.place.data.with_file_name(folder);
        let place = Place { authority: authority.map(Into::into), data, ..stage.place.clone() };
        let app = place.open(Arc::new(Told::default())).await;
        (sign_in(&app, place.credential()).await, app)
    };
    let (refused, _) = attempt(None, "without").await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ProviderTls, "{refused:?}");
    assert!(refused.message.contains("does not trust"), "{refused:?}");
    assert!(refused.hint.as_deref().unwrap().contains("in the settings"), "the next step: {refused:?}");
    assert!(stage.host.calls().is_empty(), "no token goes to a server that cannot prove who it is");

    // A file that is none is told, to the API and to Git alike, before anything is sent.
    let folder = stage.place.data.with_file_name("odd");
    std::fs::create_dir(&folder).unwrap();
    let large = stage.place.data.with_file_name("large.pem");
    std::fs::write(&large, vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    let missing = stage.place.data.with_file_name("missing.pem");
    for (file, part) in [(&folder, "not a file"), (&large, "larger than 1 MiB"), (&missing, "cannot be read")] {
        let (refused, app) = attempt(Some(file), "bad").await;
        let target =
            RemoteTarget::GitServer { git_server: SERVER.into(), path: "acme/any".into(), transport: Transport::Https };
        let by_git = app.test_remote(target, Some(stage.place.credential())).await.unwrap_err();
        for refused in [refused.unwrap_err(), by_git] {
            assert_eq!(refused.code, ErrorCode::GitBadAuthority, "{refused:?}");
            assert!(refused.message.contains(part), "{refused:?}");
        }
        app.close().await;
    }
    assert!(stage.host.calls().is_empty());
    sign_in(&stage.app, stage.place.credential()).await.unwrap();
}

const CHILD: &str = "PILOTHOUSE_TEST_PROVIDER";

/// The child of the tests below, with their environment: signs in, and then uses what the provider offers.
#[tokio::test(flavor = "multi_thread")]
async fn child_uses_a_provider() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let place: Place = serde_json::from_str(&place).unwrap();
    let app = place.open(Arc::new(Told::default())).await;
    if let Err(refused) = sign_in(&app, place.credential()).await {
        println!("\nrefused {}", serde_json::to_string(&refused).unwrap());
        return;
    }
    let owners = app.repository_owners(SERVER.into()).await.unwrap();
    assert!(owners.complete && owners.owners.iter().any(|one| one.path == "gamma"), "{owners:?}");
    let listed = app.owner_repositories(SERVER.into(), "acme".into()).await.unwrap();
    assert!(listed.complete && listed.repositories.len() == 5, "{listed:?}");
    let clash = app.look_at_repository(form(RepositoryStrategy::Create, "krci-gitops")).await.unwrap();
    assert_eq!(clash.problems.len(), 1, "{clash:?}");
    let other = app.look_at_repository(form(RepositoryStrategy::Import, "other")).await.unwrap();
    assert_eq!(other.default_branch.as_deref(), Some("trunk"), "{other:?}");
    let theirs = app.look_at_repository(form(RepositoryStrategy::Import, "theirs")).await.unwrap();
    assert!(theirs.notes[0].contains("not push"), "{theirs:?}");
    let plan = app.plan_repository_deletion().await.unwrap();
    let provider = DeleteAtProvider { typed: plan.provider.full_name, host: plan.provider.host, credential: None };
    let request = DeleteRepository { name: plan.name, uid: plan.uid, provider: Some(provider), confirm: None };
    let done = app.delete_repository(request, "delete".into()).await.unwrap();
    assert!(done.provider.is_some(), "{done:?}");
    println!("\ndone");
}

/// A provider that is reached by another name than this machine's, so through a proxy alone.
struct Afar {
    host: ProviderHost,
    place: Place,
    folder: tempfile::TempDir,
}

impl Afar {
    async fn new(api: Api, git_host: &str, name: &str) -> Self {
        let host = ProviderHost::start_as(api, &[name]).unwrap();
        furnish(&host);
        let (_, platform) = platform(api, (git_host, 443)).await;
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, &host.ca_pem).unwrap();
        let place = Place {
            kubeconfig: Rig::get().kubeconfig(),
            platform,
            data: folder.path().join("data"),
            authority: Some(authority),
            user: host.user.clone(),
            token: host.token.clone(),
        };
        Self { host, place, folder }
    }

    /// What comes of it in a process with this environment, in a fresh data folder.
    fn played(&self, proxy: &str, around: &str) -> Played {
        let data = self.folder.path().join(format!("data-{:08x}", next_number()));
        let place = Place { data, ..self.place.clone() };
        let mut command = Command::new(std::env::current_exe().unwrap());
        // Whatever this process was told about proxies is not for the child.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let output = command
            .args(["--exact", "trust::child_uses_a_provider", "--nocapture"])
            .env(CHILD, serde_json::to_string(&place).unwrap())
            .env("HTTPS_PROXY", proxy)
            .env("NO_PROXY", around)
            .output()
            .unwrap();
        Played::read(&output)
    }
}

/// A number that no other call of this process gets.
fn next_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[derive(Debug)]
enum Played {
    Done,
    Refused(AppError),
}

impl Played {
    fn read(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let mut lines = text.lines();
        let refused = lines.find_map(|line| line.strip_prefix("refused "));
        match refused {
            Some(refused) => Self::Refused(serde_json::from_str(refused).unwrap()),
            None => {
                assert!(text.lines().any(|line| line == "done"), "{text}");
                Self::Done
            }
        }
    }

    fn refused(self) -> AppError {
        match self {
            Self::Refused(error) => error,
            Self::Done => panic!("it was not refused"),
        }
    }
}

/// The cluster is asked without a proxy in all of them.
const HERE: &str = "127.0.0.1";

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_cloud_is_used_through_the_environments_proxy() {
    through_a_proxy(Api::Bitbucket, "bitbucket.org", "api.bitbucket.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn github_com_is_used_through_the_environments_proxy() {
    through_a_proxy(Api::GitHub, "github.com", "api.github.com").await;
}

async fn through_a_proxy(api: Api, git_host: &str, name: &str) {
    let afar = Afar::new(api, git_host, name).await;
    let proxy = Proxy::http(Manner::Towards(afar.host.port)).unwrap();
    let played = afar.played(&format!("http://ada:proxy-word@127.0.0.1:{}", proxy.port), HERE);
    assert!(matches!(played, Played::Done), "{played:?}");
    assert!(!afar.host.holds(path(api)), "deleted at the provider");
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for one in asked {
        assert!(one.line.starts_with(&format!("CONNECT {name}:443 ")), "{one:?}");
        // base64 of ada:proxy-word
        assert_eq!(one.authorization.as_deref(), Some("Basic YWRhOnByb3h5LXdvcmQ="));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_is_honoured_and_a_proxys_refusal_is_told() {
    let name = "gitlab.corp.invalid";
    let afar = Afar::new(Api::GitLab, name, name).await;
    let open = Proxy::http(Manner::Towards(afar.host.port)).unwrap();
    let at = |proxy: &Proxy| format!("http://ada:proxy-word@127.0.0.1:{}", proxy.port);

    // A name that does not exist is reached through the proxy, and not around it.
    for around in [format!("{HERE},{name}"), format!("{HERE},.corp.invalid")] {
        let refused = afar.played(&at(&open), &around).refused();
        assert_eq!(refused.code, ErrorCode::ProviderNetwork, "{refused:?}");
        assert!(open.asked().is_empty() && afar.host.calls().is_empty());
    }

    let closed = Proxy::http(Manner::Page(403)).unwrap();
    let guarded = Proxy::http(Manner::Guarded("Basic nobody".into())).unwrap();
    for proxy in [&closed, &guarded] {
        let refused = afar.played(&at(proxy), HERE).refused();
        assert_eq!(refused.code, ErrorCode::ProviderNetwork, "{refused:?}");
        assert!(refused.message.contains("the proxy") && refused.message.contains("HTTPS_PROXY"), "{refused:?}");
        assert!(!format!("{refused:?}").contains("proxy-word"), "{refused:?}");
        assert!(!proxy.asked().is_empty() && afar.host.calls().is_empty());
    }
    // One that opens the way to somebody else shows no token to them.
    let thief = ProviderHost::start(Api::GitLab).unwrap();
    let swindler = Proxy::http(Manner::Towards(thief.port)).unwrap();
    let refused = afar.played(&at(&swindler), HERE).refused();
    assert_eq!(refused.code, ErrorCode::ProviderTls, "{refused:?}");
    assert!(!swindler.asked().is_empty() && thief.calls().is_empty());

    let played = afar.played(&at(&open), HERE);
    assert!(matches!(played, Played::Done), "the same way without those obstacles: {played:?}");
    assert!(!open.asked().is_empty() && !afar.host.holds(path(Api::GitLab)));
}
