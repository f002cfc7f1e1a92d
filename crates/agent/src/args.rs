//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

/// Where Kubernetes mounts a service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Pilothouse's agent: keeps chaos projects in step with Git and serves triggers from within the cluster.
#[derive(Debug, Parser)]
#[command(name = "pilothouse-agent", version, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look after projects and triggers until told to end
    Run(Run),
    /// Tell whether the agent could do its work: configuration, connection, kinds, credentials, and each missing right
    Check(Check),
    /// Start a chaos workflow for a pipeline, and with --wait tell by the exit code what came of it
    #[command(
        after_help = "Exit codes with --wait: 0 good enough, 10 failed, 11 below the threshold, 12 not finished \
                            in time, 13 not judged (stopped, or a fault could not be carried out). Without: 0 started. \
                            1 could not be done, 2 wrongly called."
    )]
    RunWorkflow(RunWorkflow),
    /// Print the objects that install the agent, fit for `kubectl apply -f -`, with what each right is for
    PrintManifests(PrintManifests),
}

/// How to reach the API server.
#[derive(Debug, clap::Args)]
pub struct Reach {
    /// The kubeconfig to connect with; without one, the service account of this pod
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context; without one, the kubeconfig's current one
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
    /// The folder of the service account: `token`, `ca.crt` and `namespace`
    #[arg(long, value_name = "FOLDER", default_value = SERVICE_ACCOUNT)]
    pub service_account: PathBuf,
    /// The API server's address; without one, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say it
    #[arg(long, value_name = "URL", conflicts_with = "kubeconfig")]
    pub server: Option<String>,
}

/// What to look after.
#[derive(Debug, clap::Args)]
pub struct Duty {
    /// The configuration: the key `config.yaml` of the ConfigMap. `known_hosts` and `authority.pem` are looked for
    /// beside it
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The folder of the mounted Secret with the Git credentials
    #[arg(long, value_name = "FOLDER")]
    pub credentials: PathBuf,
}

/// `run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its help would stand before the options' own")]
    pub duty: Duty,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its help would stand before the options' own")]
    pub reach: Reach,
    /// The folder for clones and the timeline; losing it loses nothing
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Where /healthz, /readyz and /metrics are answered
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Who this agent is in Leases; it must differ from every other candidate's name
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub identity: Option<String>,
}

/// `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its help would stand before the options' own")]
    pub duty: Duty,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its help would stand before the options' own")]
    pub reach: Reach,
}

/// `run-workflow`.
#[derive(Debug, clap::Args)]
pub struct RunWorkflow {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its help would stand before the options' own")]
    pub reach: Reach,
    /// The name that the cluster is known by, when it is reached without a kubeconfig; one that says production wants
    /// --confirm
    #[arg(long, value_name = "NAME", required_unless_present = "kubeconfig", conflicts_with = "kubeconfig")]
    pub cluster: Option<String>,
    /// The namespace of the chaos project
    #[arg(long, short)]
    pub namespace: String,
    /// The chaos project
    #[arg(long, short)]
    pub project: String,
    /// The chaos workflow
    pub workflow: String,
    /// Wait for the end, and end with an exit code that says what came of it
    #[arg(long)]
    pub wait: bool,
    /// How long to wait at most, in seconds. The run goes on all the same
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "wait")]
    pub timeout: u64,
    /// The least resilience score that is good enough; without one, every fault must be withstood
    #[arg(long, value_name = "SCORE", requires = "wait")]
    pub threshold: Option<f64>,
    /// Write a JUnit report here at the end
    #[arg(long, value_name = "FILE", requires = "wait")]
    pub junit: Option<PathBuf>,
    /// Write a JSON report here at the end
    #[arg(long, value_name = "FILE", requires = "wait")]
    pub json: Option<PathBuf>,
    /// The workflow's name once more, where the cluster's name says that it is in production
    #[arg(long, value_name = "WORKFLOW")]
    pub confirm: Option<String>,
}

/// `print-manifests`.
#[derive(Debug, clap::Args)]
pub struct PrintManifests {
    /// What to install and to look after: the values of the Helm chart
    #[arg(long, value_name = "FILE")]
    pub values: PathBuf,
    /// Print the agent's rights in words instead, one to a line
    #[arg(long)]
    pub rights: bool,
}
