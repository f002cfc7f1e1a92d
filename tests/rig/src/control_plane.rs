//! A real Kubernetes API on loopback.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::assets::Assets;
use crate::error::{At, Error, Result};
use crate::leash::Leash;
use crate::pki::{self, Authority, Context, write_kubeconfig};
use crate::{crds, rbac};

/// How long a part may take to come up. Generous: it is only spent when something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

/// The namespace of the rig's KubeRocketCI objects.
pub const PLATFORM: &str = "krci";

/// The kubeconfigs of a control plane.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Kubeconfigs {
    /// One context `rig`, whose user may do everything.
    pub admin: PathBuf,
    /// One context `developer`, with the rights of KubeRocketCI's developer role in the platform namespace.
    pub developer: PathBuf,
    /// One context `viewer`, with the rights of KubeRocketCI's viewer role in the platform namespace.
    pub viewer: PathBuf,
    /// Contexts `rig`, `developer`, `viewer`, `live-eu` (production by its name), `nowhere` (nothing listens there),
    /// `stranger` (trusts another authority), `outsider` (its certificate is another authority's) and `dangling`
    /// (its user is missing).
    pub many: PathBuf,
}

/// A running control plane; dropping it ends it.
#[derive(Debug)]
pub struct ControlPlane {
    kubeconfigs: Kubeconfigs,
    server: String,
    minor: u32,
    has_controllers: bool,
    has_node: bool,
    // Dropped in this order: first the API server, then what it stands on and what stands on it.
    api_server: Program,
    _children: Vec<Leash>,
}

/// A program that can be started again as it was.
#[derive(Debug)]
struct Program {
    command: Command,
    log: PathBuf,
    leash: Leash,
}

impl Program {
    fn start(command: Command, log: PathBuf) -> Result<Self> {
        let leash = Leash::start(&command, &log)?;
        Ok(Self { command, log, leash })
    }
}

impl ControlPlane {
    /// Starts etcd, kube-apiserver and kube-controller-manager in `dir` (which it owns), and with `with_node` the
    /// scheduler and a hollow node; applies the CRDs of tests/crds, and waits until all answer. The node alone is not
    /// awaited: it turns Ready some ten seconds later.
    pub fn start(dir: &Path, with_node: bool) -> Result<Self> {
        let assets = Assets::find()?;
        let mut last = None;
        // A free port found may be taken by another before its program listens: then all is begun anew.
        for attempt in 0..3 {
            let dir = dir.join(format!("plane-{attempt}"));
            match Self::try_start(&assets, &dir, with_node) {
                Ok(plane) => return Ok(plane),
                Err(Error::NotReady { what, log }) if log.contains("address already in use") => {
                    last = Some(Error::NotReady { what, log });
                }
                Err(other) => return Err(other),
            }
        }
        Err(last.unwrap_or_else(|| Error::Assets("no free port".to_owned())))
    }

    fn try_start(assets: &Assets, dir: &Path, with_node: bool) -> Result<Self> {
        let pki = dir.join("pki");
        fs::create_dir_all(&pki).at("make the folder", &pki)?;
        let [etcd_client, etcd_peer, api, controllers, kubelet] = free_ports().at("find free ports", "127.0.0.1")?;
        let server = format!("https://127.0.0.1:{api}");

        let authority = Authority::create(&pki, "ca")?;
        authority.issue("apiserver", "kube-apiserver", None, &["127.0.0.1", "10.0.0.1", "localhost"])?;
        pki::service_account_keys(&pki)?;
        let kubeconfigs = write_kubeconfigs(dir, &pki, &authority, &server)?;

        let log = |name: &str| dir.join(format!("{name}.log"));
        let mut etcd = Command::new(&assets.etcd);
        etcd.args(["--data-dir", "data", "--unsafe-no-fsync"])
            .arg(format!("--listen-client-urls=http://127.0.0.1:{etcd_client}"))
            .arg(format!("--advertise-client-urls=http://127.0.0.1:{etcd_client}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{etcd_peer}"))
            .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{etcd_peer}"))
            .arg(format!("--initial-cluster=default=http://127.0.0.1:{etcd_peer}"))
            .current_dir(dir);
        let etcd = Leash::start(&etcd, &log("etcd"))?;

        let mut apiserver = Command::new(&assets.apiserver);
        apiserver
            .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_client}"))
            // Short, so that tests can see a watch expire (410 Gone).
            .arg("--etcd-compaction-interval=5s")
            // The server's own cache would serve what etcd no longer has; not for this kind.
            .arg("--watch-cache-sizes=configmaps#0")
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={api}"))
            .args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24"])
            .args(["--tls-cert-file=pki/apiserver.crt", "--tls-private-key-file=pki/apiserver.key"])
            .args(["--client-ca-file=pki/ca.crt", "--cert-dir=pki"])
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .args(["--service-account-key-file=pki/sa.pub", "--service-account-signing-key-file=pki/sa.key"])
            .args(["--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false"])
            .arg("--kubelet-preferred-address-types=InternalIP")
            // Tests are bursts: nobody else's requests are to be protected from them.
            .args(["--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000"])
            // With all the CRDs it would grow to 2 GB.
            .envs([("GOMEMLIMIT", "500MiB"), ("GOGC", "50")])
            .current_dir(dir);
        let mut api_server = Program::start(apiserver, log("apiserver"))?;
        wait_ready(&kubeconfigs.admin, &mut api_server.leash)?;
        let mut children = vec![etcd];

        if let Some(program) = &assets.controller_manager {
            let mut command = Command::new(program);
            command
                .args(["--kubeconfig=kcm.kubeconfig", "--authentication-kubeconfig=kcm.kubeconfig"])
                .args(["--authorization-kubeconfig=kcm.kubeconfig", "--cert-dir=pki", "--bind-address=127.0.0.1"])
                .arg(format!("--secure-port={controllers}"))
                .args(["--service-account-private-key-file=pki/sa.key", "--root-ca-file=pki/ca.crt"])
                .args(["--use-service-account-credentials", "--leader-elect=false"])
                .arg("--controllers=*,-nodeipam,-route,-service")
                .args(["--kube-api-qps=200", "--kube-api-burst=400"])
                .envs([("GOMEMLIMIT", "200MiB"), ("GOGC", "50")])
                .current_dir(dir);
            if assets.minor < 24 {
                command.arg("--port=0"); // the plain-HTTP port, which later releases do not have
            }
            children.push(Leash::start(&command, &log("kcm"))?);
        }
        let mut has_node = false;
        if let (true, Some(scheduler), Some(kubemark)) = (with_node, &assets.scheduler, &assets.kubemark) {
            let mut command = Command::new(scheduler);
            command.args(["--kubeconfig=scheduler.kubeconfig", "--leader-elect=false", "--secure-port=0"]);
            if assets.minor < 24 {
                command.arg("--port=0");
            }
            command.env("GOGC", "50").current_dir(dir);
            children.push(Leash::start(&command, &log("scheduler"))?);
            let mut command = Command::new(kubemark);
            command
                .args([
                    "--morph=kubelet",
                    "--name=node-1",
                    "--kubeconfig=node.kubeconfig",
                    "--kubelet-read-only-port=0",
                ])
                .arg(format!("--kubelet-port={kubelet}"))
                .env("TMPDIR", dir)
                .env("GOGC", "50")
                .current_dir(dir);
            children.push(Leash::start(&command, &log("node"))?);
            has_node = true;
        }

        let admin = kubeconfigs.admin.clone();
        on_own_thread(async move {
            let client = client_from(&admin).await?;
            crds::apply(&client).await?;
            rbac::apply(&client).await
        })?;
        Ok(Self {
            kubeconfigs,
            server,
            minor: assets.minor,
            has_controllers: assets.controller_manager.is_some(),
            has_node,
            api_server,
            _children: children,
        })
    }

    /// Kills the API server where it stands, starts it again on the same port and the same data, and waits until it
    /// answers.
    pub fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.leash.stop();
        // What is killed keeps its port until its memory is given back.
        let address = self.server.trim_start_matches("https://");
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_ok() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.api_server.leash = Leash::start(&self.api_server.command, &self.api_server.log)?;
        wait_ready(&self.kubeconfigs.admin, &mut self.api_server.leash)
    }

    /// The kubeconfigs.
    pub fn kubeconfigs(&self) -> &Kubeconfigs {
        &self.kubeconfigs
    }

    /// The API server's URL.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The API server's minor version.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Whether controllers run: Deployments roll out, namespaces end.
    pub fn has_controllers(&self) -> bool {
        self.has_controllers
    }

    /// Whether pods get a (hollow) node to run on.
    pub fn has_node(&self) -> bool {
        self.has_node
    }
}

fn write_kubeconfigs(dir: &Path, pki: &Path, authority: &Authority, server: &str) -> Result<Kubeconfigs> {
    let ca = authority.certificate();
    let other_dir = pki.join("other");
    fs::create_dir_all(&other_dir).at("make the folder", &other_dir)?;
    let other = Authority::create(&other_dir, "ca")?;
    let admin = authority.issue("admin", "admin", Some("system:masters"), &["admin"])?;
    let developer = authority.issue("developer", "developer", None, &["developer"])?;
    let viewer = authority.issue("viewer", "viewer", None, &["viewer"])?;
    let kcm = authority.issue("kcm", "system:kube-controller-manager", None, &["kcm"])?;
    let outsider = other.issue("outsider", "outsider", None, &["outsider"])?;

    let one = |file: &str, name: &str, user: &pki::Issued, namespace: Option<&str>| -> Result<PathBuf> {
        let path = dir.join(format!("{file}.kubeconfig"));
        write_kubeconfig(&path, &[Context { name, server, authority: &ca, user: Some(user), namespace }])?;
        Ok(path)
    };
    one("kcm", "kcm", &kcm, None)?;
    one("scheduler", "scheduler", &admin, None)?;
    one("node", "node", &admin, None)?;
    let many = dir.join("many.kubeconfig");
    let other_ca = other.certificate();
    let context = |name, user| Context { name, server, authority: &ca, user, namespace: None };
    write_kubeconfig(
        &many,
        &[
            context("rig", Some(&admin)),
            Context { namespace: Some(PLATFORM), ..context("developer", Some(&developer)) },
            Context { namespace: Some(PLATFORM), ..context("viewer", Some(&viewer)) },
            context("live-eu", Some(&admin)),
            // Port 1 is reserved and, on loopback, closed.
            Context { server: "https://127.0.0.1:1", ..context("nowhere", Some(&admin)) },
            Context { authority: &other_ca, ..context("stranger", Some(&admin)) },
            context("outsider", Some(&outsider)),
            context("dangling", None),
        ],
    )?;
    Ok(Kubeconfigs {
        admin: one("admin", "rig", &admin, None)?,
        developer: one("developer", "developer", &developer, Some(PLATFORM))?,
        viewer: one("viewer", "viewer", &viewer, Some(PLATFORM))?,
        many,
    })
}

/// Ports that were free a moment ago. All are held until all are found, so that they differ.
fn free_ports<const N: usize>() -> std::io::Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn wait_ready(kubeconfig: &Path, apiserver: &mut Leash) -> Result<()> {
    let kubeconfig = kubeconfig.to_owned();
    let failed = on_own_thread(async move {
        let client = client_from(&kubeconfig).await?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let request = http::Request::get("/readyz").body(Vec::new()).map_err(kube::Error::HttpError)?;
            if client.request_text(request).await.is_ok() {
                return Ok(None);
            }
            if !apiserver.running() {
                return Ok(Some(apiserver.not_ready("it ended")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Some(apiserver.not_ready("did not become ready")))
    })?;
    failed.map_or(Ok(()), Err)
}

/// A client for a kubeconfig file's current context.
pub async fn client_from(kubeconfig: &Path) -> Result<kube::Client> {
    let file = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

/// Runs a future to its end on a runtime of its own, whether or not the caller is within another.
pub(crate) fn on_own_thread<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|source| Error::Start { program: "a runtime".to_owned(), source })?
                .block_on(future)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Makes the namespace if it is not there.
pub(crate) async fn ensure_namespace(client: &kube::Client, name: &str) -> Result<()> {
    let api: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).map_err(kube::Error::SerdeError)?;
    match api.create(&kube::api::PostParams::default(), &namespace).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;

    use super::*;

    #[test]
    fn a_restarted_api_server_has_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let mut plane = ControlPlane::start(dir.path(), false).unwrap();
        let admin = plane.kubeconfigs().admin.clone();
        on_own_thread(async { ensure_namespace(&client_from(&admin).await?, "kept").await }).unwrap();
        for _ in 0..3 {
            plane.restart_api_server().unwrap();
            let found = on_own_thread(async {
                let api: kube::Api<Namespace> = kube::Api::all(client_from(&admin).await?);
                Ok(api.get("kept").await?)
            });
            assert_eq!(found.unwrap().metadata.name.as_deref(), Some("kept"));
        }
    }
}
