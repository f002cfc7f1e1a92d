//! Charts from a Helm repository and from a registry, each a real server on loopback.

use std::path::{Path, PathBuf};

use pilothouse_cluster::web::{ApiToken, Connection, WebError};
use pilothouse_delivery::chart::{Puller, RemoteChart};
use pilothouse_rig::chart_host::{ChartHost, Page};
use pilothouse_rig::registry::{PASSWORD, Registry, USER, package};
use pilothouse_rig::{proxy, registry};

use super::*;

const BASIC: &str = "Basic cmlnLXVzZXI6cmlnLXJlZ2lzdHJ5LXBhc3N3b3Jk";

fn login() -> ApiToken {
    ApiToken { username: USER.into(), token: PASSWORD.to_owned().into() }
}

fn source(repository: &str, revision: &str) -> RemoteChart {
    RemoteChart { repository: repository.into(), chart: "cart".into(), revision: revision.into() }
}

/// Charts of these versions, packed by Helm.
fn packed(helm: &Helm, dir: &Path, versions: &[&str]) -> Vec<PathBuf> {
    let folder = dir.join("cart");
    for (path, bytes) in chart(STOCK, &[]).files() {
        let place = folder.join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
    versions.iter().map(|version| package(&helm.program, &folder, version, dir).unwrap()).collect()
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An index of the archives, with their digests.
fn index(archives: &[PathBuf], address: impl Fn(&str) -> String) -> String {
    let mut out = "apiVersion: v1\nentries:\n  other:\n  - version: 9.0.0\n    urls: [x.tgz]\n  cart:\n".to_owned();
    for path in archives {
        let name = path.file_name().unwrap().to_str().unwrap();
        let version = name.trim_start_matches("cart-").trim_end_matches(".tgz");
        let digest = digest(&std::fs::read(path).unwrap());
        out.push_str(&format!(
            "  - {{name: cart, version: {version}, digest: {digest}, urls: ['{}']}}\n",
            address(name)
        ));
    }
    out
}

fn puller(ca_pem: &str, shelf: &Path) -> Puller {
    let connection = Connection { authority_pem: Some(ca_pem.as_bytes().to_vec()), ..Connection::default() };
    Puller::new(&connection, shelf.to_owned()).unwrap()
}

async fn pull(puller: &Puller, source: &RemoteChart, login: Option<&ApiToken>) -> Result<(String, usize), Box<str>> {
    let pulled = puller
        .pull(source, login, &|_, _| {})
        .await
        .map_err(|error| format!("{}: {error}", error.code()).into_boxed_str())?;
    Ok((pulled.version, pulled.chart.files().len()))
}

#[tokio::test]
async fn a_chart_comes_from_a_helm_repository() {
    let Some(helm) = helm("a_chart_comes_from_a_helm_repository").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let archives = packed(&helm, dir.path(), &["1.2.0", "1.3.1", "2.0.0-rc.1"]);
    let host = ChartHost::start().unwrap();
    host.put("/stable/index.yaml", Page::of(index(&archives, |name| format!("packed/{name}"))));
    for path in &archives {
        let name = path.file_name().unwrap().to_str().unwrap();
        host.put(&format!("/stable/packed/{name}"), Page::of(std::fs::read(path).unwrap()));
    }
    let shelf = dir.path().join("shelf");
    let puller = puller(&host.ca_pem, &shelf);
    let place = host.url("/stable");
    let told = std::sync::Mutex::new(Vec::new());
    let pulled = puller
        .pull(&source(&place, "^1.0"), None, &|done, total| told.lock().unwrap().push((done, total)))
        .await
        .unwrap();
    assert_eq!((pulled.version.as_str(), pulled.chart.name()), ("1.3.1", "cart"));
    assert_eq!(pulled.digest, digest(&std::fs::read(&archives[1]).unwrap()));
    assert!(told.lock().unwrap().iter().any(|(done, total)| Some(*done) == *total), "{told:?}");
    // It renders as the one from Git does.
    let rendering = render(&helm, &Arc::new(pulled.chart), &release("replicaCount: 7\n")).await.unwrap();
    assert!(text(&rendering, "Deployment").contains("replicas: 7"));

    assert_eq!(pull(&puller, &source(&place, "1.2.0"), None).await.unwrap().0, "1.2.0");
    assert_eq!(pull(&puller, &source(&place, "2.0.0-rc.1"), None).await.unwrap().0, "2.0.0-rc.1");
    let gone = pull(&puller, &source(&place, "7.0.0"), None).await.unwrap_err();
    assert!(gone.contains("no such version of cart; it has 1.2.0"), "{gone}");
    let other = RemoteChart { chart: "unknown".into(), ..source(&place, "*") };
    assert!(pull(&puller, &other, None).await.unwrap_err().contains("no such version of unknown"));

    // What was fetched once is not fetched again, unless somebody changed it.
    let before = host.count("/stable/packed/");
    assert_eq!(pull(&puller, &source(&place, "1.3.1"), None).await.unwrap().0, "1.3.1");
    assert_eq!(host.count("/stable/packed/"), before);
    std::fs::write(shelf.join(format!("{}.tgz", pulled.digest)), "spoiled").unwrap();
    assert_eq!(pull(&puller, &source(&place, "1.3.1"), None).await.unwrap().0, "1.3.1");
    assert_eq!(host.count("/stable/packed/"), before + 1);
    assert!(host.calls().iter().all(|call| !call.headers.contains_key("authorization")));
}

#[tokio::test]
async fn a_login_goes_to_its_own_server_alone() {
    let Some(helm) = helm("a_login_goes_to_its_own_server_alone").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let archives = packed(&helm, dir.path(), &["1.0.0", "1.1.0", "1.2.0"]);
    let host = ChartHost::start().unwrap();
    let elsewhere = ChartHost::start().unwrap();
    let both = format!("{}{}", host.ca_pem, elsewhere.ca_pem);
    let bytes = |at: usize| std::fs::read(&archives[at]).unwrap();
    let guard = |page: Page| page.guarded(BASIC, "Basic realm=\"charts\"");
    let addresses = |name: &str| match name {
        "cart-1.0.0.tgz" => name.to_owned(),
        "cart-1.1.0.tgz" => "away.tgz".to_owned(),
        _ => elsewhere.url("/direct.tgz"),
    };
    host.put("/index.yaml", guard(Page::of(index(&archives, addresses))));
    host.put("/cart-1.0.0.tgz", guard(Page::of(bytes(0))));
    host.put("/away.tgz", guard(Page::to(elsewhere.url("/stored.tgz?signed=1"))));
    elsewhere.put("/stored.tgz?signed=1", Page::of(bytes(1)));
    elsewhere.put("/direct.tgz", Page::of(bytes(2)));
    let puller = puller(&both, &dir.path().join("shelf"));
    let place = host.url("/");

    let refused = pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err();
    assert!(refused.contains("wants a user name and a password or token"), "{refused}");
    let wrong = ApiToken { username: USER.into(), token: "wrong-password".to_owned().into() };
    let refused = pull(&puller, &source(&place, "1.0.0"), Some(&wrong)).await.unwrap_err();
    assert!(refused.starts_with("provider.auth") && !refused.contains("wrong-password"), "{refused}");
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        assert_eq!(pull(&puller, &source(&place, version), Some(&login())).await.unwrap().0, version);
    }
    assert_eq!(elsewhere.calls().len(), 2);
    assert!(elsewhere.calls().iter().all(|call| !call.headers.contains_key("authorization")));

    // Over plain HTTP nothing secret is sent, and nobody leads us from TLS to it.
    let plain = source("http://charts.example/", "1.0.0");
    for login in [Some(&login()), None] {
        let refused = pull(&puller, &plain, login).await.unwrap_err();
        assert!(refused.contains("over HTTPS only"), "{refused}");
    }
    host.put("/index.yaml", Page::to("http://127.0.0.1:9/index.yaml"));
    let refused = pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err();
    assert!(refused.contains("redirect"), "{refused}");
    let round = host.url("/index.yaml");
    host.put("/index.yaml", Page::to(round));
    let refused = pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err();
    assert!(refused.contains("on and on"), "{refused}");
}

#[tokio::test]
async fn what_a_repository_sends_is_looked_at() {
    let Some(helm) = helm("what_a_repository_sends_is_looked_at").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let archives = packed(&helm, dir.path(), &["1.0.0", "1.1.0"]);
    let host = ChartHost::start().unwrap();
    let shelf = dir.path().join("shelf");
    let puller = puller(&host.ca_pem, &shelf);
    let place = host.url("/");
    host.put("/index.yaml", Page::of(index(&archives, str::to_owned)));

    // Another archive than the one that was published, and one that calls itself otherwise.
    host.put("/cart-1.0.0.tgz", Page::of(std::fs::read(&archives[1]).unwrap()));
    let altered = pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err();
    assert!(altered.contains("not what is published"), "{altered}");
    let lying = "entries: {cart: [{version: 1.0.0, urls: [cart-1.0.0.tgz]}]}\n";
    host.put("/index.yaml", Page::of(lying));
    let altered = pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err();
    assert!(altered.contains("published as cart 1.0.0 is of cart 1.1.0"), "{altered}");
    assert!(!shelf.exists(), "nothing of it is kept");

    host.put("/cart-1.0.0.tgz", Page::of(vec![0; (16 << 20) + 1]));
    let large = pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err();
    assert!(large.contains("larger than"), "{large}");
    host.put("/cart-1.0.0.tgz", Page::of("<html>log in</html>"));
    assert!(pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err().contains("no packed chart"));
    host.put("/index.yaml", Page::of("<html>log in</html>"));
    assert!(pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err().contains("index.yaml"));
    host.put("/index.yaml", Page { status: 503, ..Page::of("sleeping") });
    assert!(pull(&puller, &source(&place, "1.0.0"), None).await.unwrap_err().contains("sleeping"));

    // Without the private authority nobody is believed.
    let stranger = Puller::new(&Connection::default(), shelf).unwrap();
    let error = stranger.pull(&source(&place, "1.0.0"), None, &|_, _| {}).await.unwrap_err();
    assert!(matches!(error, ChartError::Web(WebError::Tls { .. })), "{error}");
}

#[tokio::test]
async fn a_transfer_that_is_given_up_ends() {
    let host = ChartHost::start().unwrap();
    let gate = Arc::new(pilothouse_rig::provider_host::Gate::default());
    host.put("/index.yaml", Page { gate: Some(gate.clone()), ..Page::of("entries: {}\n") });
    let dir = tempfile::tempdir().unwrap();
    let puller = puller(&host.ca_pem, dir.path());
    let source = source(&host.url("/"), "*");
    tokio::select! {
        ended = pull(&puller, &source, None) => panic!("{ended:?}"),
        () = async { while host.count("/index.yaml") == 0 { tokio::task::yield_now().await } } => {}
    }
    gate.open();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_chart_comes_from_a_registry() {
    const NAME: &str = "a_chart_comes_from_a_registry";
    let Some(helm) = helm(NAME).await else { return };
    let program = match registry::program() {
        Ok(program) => program,
        Err(why) => return skipped(NAME, &why),
    };
    let dir = tempfile::tempdir().unwrap();
    let archives = packed(&helm, dir.path(), &["1.2.0", "1.3.1", "2.0.0+build.7"]);
    let registry = Registry::start(&program, true).unwrap();
    for archive in &archives {
        registry.push(&helm.program, archive).unwrap();
    }
    let shelf = dir.path().join("shelf");
    let puller = puller(&registry.ca_pem, &shelf);
    let bare = format!("127.0.0.1:{}/charts", registry.port);
    let login = login();
    let refused = pull(&puller, &source(&bare, "1.2.0"), None).await.unwrap_err();
    assert!(refused.contains("wants a user name"), "{refused}");
    let wrong = ApiToken { username: USER.into(), token: "wrong-password".to_owned().into() };
    let refused = pull(&puller, &source(&bare, "1.2.0"), Some(&wrong)).await.unwrap_err();
    assert!(refused.starts_with("provider.auth"), "{refused}");

    for (repository, revision, version) in [
        (bare.clone(), "1.2.0", "1.2.0"),
        (format!("oci://{bare}"), "~1.3", "1.3.1"),
        (format!("oci://{bare}"), "*", "2.0.0+build.7"),
        (bare.clone(), "2.0.0+build.7", "2.0.0+build.7"),
    ] {
        let (found, files) = pull(&puller, &source(&repository, revision), Some(&login)).await.unwrap();
        assert_eq!((found.as_str(), files), (version, STOCK.len()), "{repository} {revision}");
    }
    let whole = RemoteChart { chart: String::new(), ..source(&format!("oci://{bare}/cart"), "1.2.0") };
    assert_eq!(pull(&puller, &whole, Some(&login)).await.unwrap().0, "1.2.0");
    let gone = pull(&puller, &source(&bare, "9.9.9"), Some(&login)).await.unwrap_err();
    assert!(gone.contains("no such version"), "{gone}");
    let none = pull(&puller, &source(&bare, ">9"), Some(&login)).await.unwrap_err();
    assert!(none.contains("no such version of cart; it has"), "{none}");

    // A registry whose disk lies.
    let digest = digest(&std::fs::read(&archives[0]).unwrap());
    registry.spoil(&digest).unwrap();
    assert_eq!(pull(&puller, &source(&bare, "1.2.0"), Some(&login)).await.unwrap().0, "1.2.0", "it is kept here");
    std::fs::remove_dir_all(&shelf).unwrap();
    let altered = pull(&puller, &source(&bare, "1.2.0"), Some(&login)).await.unwrap_err();
    assert!(altered.contains("not what is published"), "{altered}");
}

#[tokio::test]
async fn a_registry_that_gives_tokens_is_asked_for_one() {
    let Some(helm) = helm("a_registry_that_gives_tokens_is_asked_for_one").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let archive = std::fs::read(&packed(&helm, dir.path(), &["1.0.0"])[0]).unwrap();
    let (host, elsewhere) = (ChartHost::start().unwrap(), ChartHost::start().unwrap());
    let manifest = format!(
        "{{\"schemaVersion\": 2, \"layers\": [{{\"mediaType\": \"application/vnd.cncf.helm.chart.content.v1.tar+gzip\", \
         \"digest\": \"sha256:{}\", \"size\": {}}}]}}",
        digest(&archive),
        archive.len()
    );
    let scope = "scope=repository%3Acharts%2Fcart%3Apull";
    let challenge =
        format!("Bearer realm=\"{}\",service=\"rig\",scope=\"repository:charts/cart:pull\"", host.url("/token"));
    let guard = |page: Page| page.guarded("Bearer for-a-while", challenge.clone());
    host.put("/v2/charts/cart/manifests/1.0.0", guard(Page::of(manifest.clone())));
    host.put(&format!("/v2/charts/cart/blobs/sha256:{}", digest(&archive)), guard(Page::to(elsewhere.url("/stored"))));
    elsewhere.put("/stored", Page::of(archive.clone()));
    let grant = Page::of("{\"token\": \"for-a-while\"}");
    host.put(&format!("/token?service=rig&{scope}"), grant.clone());
    let both = format!("{}{}", host.ca_pem, elsewhere.ca_pem);
    let bare = format!("127.0.0.1:{}/charts", host.port);

    // For everybody, and then for those who log in.
    let shelf = dir.path().join("one");
    assert_eq!(pull(&puller(&both, &shelf), &source(&bare, "1.0.0"), None).await.unwrap().0, "1.0.0");
    host.put(&format!("/token?service=rig&{scope}"), grant.guarded(BASIC, "Basic realm=\"rig\""));
    let refused = pull(&puller(&both, &dir.path().join("two")), &source(&bare, "1.0.0"), None).await.unwrap_err();
    assert!(refused.contains("wants a user name"), "{refused}");
    let login = login();
    assert_eq!(
        pull(&puller(&both, &dir.path().join("three")), &source(&bare, "1.0.0"), Some(&login)).await.unwrap().0,
        "1.0.0"
    );
    let shown: Vec<_> = host
        .calls()
        .into_iter()
        .filter_map(|call| Some((call.target, call.headers.get("authorization")?.clone())))
        .collect();
    assert!(shown.iter().all(|(target, header)| (header == BASIC) == target.starts_with("/token")), "{shown:?}");
    assert!(elsewhere.calls().iter().all(|call| !call.headers.contains_key("authorization")));

    // A registry that would have the login shown to somebody else, and one that lies about its manifest.
    let thief =
        format!("Bearer realm=\"{}\",service=\"rig\"", elsewhere.url("/token").replace("127.0.0.1", "localhost"));
    host.put("/v2/charts/cart/manifests/1.0.0", Page::of(manifest.clone()).guarded("Bearer x", thief));
    let refused = pull(&puller(&both, &shelf), &source(&bare, "1.0.0"), Some(&login)).await.unwrap_err();
    assert!(refused.contains("which the login is not shown to"), "{refused}");
    assert_eq!(elsewhere.count("/token"), 0);
    let lie = Page::of(manifest).with("Docker-Content-Digest", format!("sha256:{}", "0".repeat(64)));
    host.put("/v2/charts/cart/manifests/1.0.0", lie);
    let refused = pull(&puller(&both, &shelf), &source(&bare, "1.0.0"), None).await.unwrap_err();
    assert!(refused.contains("not what is published"), "{refused}");
    for (manifest, words) in [
        ("{}", "no Helm chart"),
        ("<html>", "no manifest"),
        ("{\"layers\":[{\"mediaType\":\"application/tar+gzip\",\"digest\":\"md5:0\",\"size\":1}]}", "not SHA-256"),
    ] {
        host.put("/v2/charts/cart/manifests/1.0.0", Page::of(manifest));
        let refused = pull(&puller(&both, &shelf), &source(&bare, "1.0.0"), None).await.unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test]
async fn packed_charts_within_a_chart_are_looked_into() {
    let Some(helm) = helm("packed_charts_within_a_chart_are_looked_into").await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let schema = format!("{{\"$ref\": \"http://{}/x.json\"}}", listener.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("lib");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: lib\nversion: 1.0.0\n").unwrap();
    std::fs::write(folder.join("templates/a.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inner}\n")
        .unwrap();
    // Helm would open the address while it packs, too.
    let packed = package(&helm.program, &folder, "1.0.0", dir.path()).unwrap();
    let with_schema = {
        use std::io::Read as _;
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()).read_to_end(&mut plain).unwrap();
        let mut out = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for entry in tar::Archive::new(&plain[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header().clone();
            out.append(&header, entry).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(schema.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, "lib/values.schema.json", schema.as_bytes()).unwrap();
        out.into_inner().unwrap().finish().unwrap()
    };
    let about =
        "apiVersion: v2\nname: cart\nversion: 0.1.0\ndependencies:\n- {name: lib, version: 1.0.0, repository: ''}\n";
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::from([("Chart.yaml".to_owned(), about.as_bytes().to_vec())]);
    files.insert("charts/lib-1.0.0.tgz".to_owned(), with_schema);
    let chart = Arc::new(Chart::of("deploy-templates", files).unwrap());
    let rendering = render(&helm, &chart, &release("a: 1\n")).await.unwrap();
    assert_eq!(rendering.manifests[0].name, "inner");
    assert!(
        rendering.warnings.iter().any(|words| words.contains("charts/lib-1.0.0/values.schema.json")),
        "{:?}",
        rendering.warnings
    );
    assert!(listener.accept().is_err(), "nobody called");
}

#[tokio::test]
async fn a_proxy_is_used_where_one_is_set() {
    // The environment is this process's own, so that another one tries it.
    const INSIDE: &str = "PILOTHOUSE_TEST_PROXY";
    if let Ok(ca) = std::env::var(INSIDE) {
        let dir = tempfile::tempdir().unwrap();
        let found = pull(&puller(&ca, dir.path()), &source("https://localhost.charts.example/", "1.0.0"), None).await;
        let told = found.unwrap_err();
        assert!(told.contains("cannot prove who it is") || told.contains("no such version"), "{told}");
        return;
    }
    let host = ChartHost::start().unwrap();
    host.put("/index.yaml", Page::of("entries: {}\n"));
    let proxy = proxy::Proxy::http(proxy::Manner::Towards(host.port)).unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "published::a_proxy_is_used_where_one_is_set"])
        .env(INSIDE, &host.ca_pem)
        .env("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    let asked = proxy.asked();
    assert!(asked.iter().any(|one| one.line.contains("CONNECT localhost.charts.example:443")), "{asked:?}");
}
