//! An engine in a process of its own: this test program, started again for one test, that can be killed and held still
//! as only a process can.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pilothouse_cluster::{Cluster, Leadership, Timing};
use pilothouse_rig::Rig;
use pilothouse_rig::control_plane::client_from;
use pilothouse_rig::leash::Leash;
use pilothouse_triggers::Engine;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::place::ObjectLauncher;

const ORDERS: &str = "PILOTHOUSE_TEST_ENGINE";
/// Short, so that a new leader need not be waited for.
const TIMING: Timing =
    Timing { lease: Duration::from_secs(3), renew_within: Duration::from_secs(2), every: Duration::from_millis(400) };

/// Where engines are started, and for what.
pub struct Engines {
    test: &'static str,
    orders: Value,
    log: PathBuf,
}

impl Engines {
    /// Engines for a namespace of a rig. `test` is the test that is to be started again; its first line is
    /// [`serve_if_ordered`].
    pub fn new(test: &'static str, rig: &Rig, namespace: &str, dir: &Path) -> Self {
        let orders = json!({"kubeconfig": rig.kubeconfig(), "namespace": namespace});
        Self { test, orders, log: dir.join("engines.log") }
    }

    /// One that serves at once.
    pub fn start(&self) -> Leash {
        self.process(self.orders.clone())
    }

    /// One that serves while it holds the Lease.
    pub fn candidate(&self, identity: &str) -> Leash {
        let mut orders = self.orders.clone();
        orders["identity"] = json!(identity);
        self.process(orders)
    }

    fn process(&self, orders: Value) -> Leash {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", self.test, "--nocapture"]).env(ORDERS, orders.to_string());
        Leash::start(&command, &self.log).unwrap()
    }

    /// How often any of them found a run there already that it was about to start.
    pub fn found(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("found the run")).count()
    }
}

/// Sends a signal to a process and whatever it started.
pub fn signal(process: &Leash, name: &str) {
    let group = format!("-{}", process.group());
    let status = Command::new("sh").args(["-c", "kill -s \"$1\" -- \"$2\"", "kill", name, &group]).status().unwrap();
    assert!(status.success());
}

/// In a process that was started for it: serves until it is killed.
pub async fn serve_if_ordered() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Value = serde_json::from_str(&orders).unwrap();
    let text = |key: &str| orders[key].as_str().map(str::to_owned);
    let client = client_from(Path::new(&text("kubeconfig").unwrap())).await.unwrap();
    let (cluster, namespace) = (Cluster::from_client(client, "rig", false), text("namespace").unwrap());
    let launcher = Arc::new(ObjectLauncher::new(cluster.clone(), &namespace));
    let serve = |cancel: CancellationToken| {
        let (launcher, clock) = (launcher.clone(), Arc::new(Timestamp::now));
        Engine::run(cluster.clone(), vec![namespace.clone()], launcher, clock, Arc::new(|_| {}), cancel)
    };
    let Some(identity) = text("identity") else {
        return serve(CancellationToken::new()).await;
    };
    let leadership = Leadership::start(&cluster, &namespace, "engines", &identity, TIMING);
    let mut leads = leadership.watch();
    loop {
        let round = CancellationToken::new();
        let leading = *leads.borrow_and_update();
        let work = async { if leading { serve(round.clone()).await } else { std::future::pending().await } };
        tokio::select! {
            () = work => {}
            changed = leads.changed() => changed.unwrap(),
        }
    }
}
