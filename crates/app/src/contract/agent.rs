//! The agent in the cluster, as the window shows and handles it.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{FieldProblem, Permission, TextDiff};

/// How the agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// In one word.
    pub state: AgentState,
    /// In a sentence.
    pub words: String,
    /// The namespace that it is in.
    pub namespace: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// How many pods there should be.
    pub replicas: u32,
    /// How many are ready.
    pub ready: u32,
    /// What keeps pods from running.
    pub problems: Vec<AgentProblem>,
    /// Who looks after what, agent or not.
    pub charges: Vec<AgentCharge>,
    /// Whether the cluster is the practice cluster, in which pods do not really run.
    pub practice: bool,
    /// What must be typed before anything is done to it; on contexts marked as production.
    pub confirm: Option<String>,
    /// Whether the user may scale it.
    pub can_pause: Permission,
    /// What was begun on this computer and did not come to its end.
    pub cut_off: Option<AgentCutOff>,
}

/// What somebody began about the agent on this computer, and what did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentCutOff {
    /// What.
    pub work: AgentWork,
    /// When it was begun, as RFC 3339.
    pub since: String,
    /// For a removal: whether Pilothouse's kinds were to go too.
    pub kinds: bool,
}

/// What is done about the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum AgentWork {
    /// It is installed, or brought up to date.
    Install,
    /// It is removed.
    Remove,
}

/// How the agent stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum AgentState {
    /// There is no agent.
    Absent,
    /// Some of what is its is there, and its Deployment is not: an installation or a removal was cut off.
    Halfway,
    /// Its pods are on their way.
    Starting,
    /// It runs.
    Running,
    /// It was scaled to nothing.
    Paused,
    /// Something keeps pods from running.
    Failing,
    /// It is being removed.
    Leaving,
}

/// Something that keeps pods from running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentProblem {
    /// What it is about, for example `Pod pilothouse-agent-7d…`.
    pub about: String,
    /// The cluster's reason, for example `ImagePullBackOff`.
    pub reason: String,
    /// What the cluster says.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Who looks after a project, or after the triggers of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentCharge {
    /// The namespace.
    pub namespace: String,
    /// The chaos project; none for the namespace's triggers.
    pub project: Option<String>,
    /// Who holds the Lease.
    pub by: ChargeHolder,
    /// The holder's name in the Lease.
    pub holder: Option<String>,
    /// The Lease.
    pub lease: String,
    /// When it was renewed last.
    pub renewed: Option<String>,
}

/// Who holds a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ChargeHolder {
    /// A pod of the agent.
    Agent,
    /// An app on somebody's computer; it may be this one.
    App,
    /// Nobody now.
    Nobody,
    /// The Lease cannot be read.
    Unknown,
}

/// How the agent is to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentForm {
    /// The namespace of the agent itself.
    pub namespace: String,
    /// The image.
    pub image: String,
    /// How many pods.
    pub replicas: u32,
    /// The name on its commits.
    pub author_name: String,
    /// The e-mail address on its commits.
    pub author_email: String,
    /// The chaos projects that it is to sync, as `namespace/id`.
    pub projects: Vec<String>,
    /// The namespaces whose triggers it is to serve.
    pub triggers: Vec<String>,
}

/// What an installation comes to; nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentPlan {
    /// The form that this is about: the given one, or what is installed, or the usual.
    pub form: AgentForm,
    /// True when an agent is there already.
    pub installed: bool,
    /// What of the form cannot stay so.
    pub problems: Vec<FieldProblem>,
    /// The chaos projects there are.
    pub projects: Vec<AgentProject>,
    /// The namespaces that hold triggers.
    pub triggers: Vec<AgentTriggers>,
    /// The objects, in the order in which they are written.
    pub objects: Vec<AgentObject>,
    /// Every right, and every one that goes.
    pub rights: Vec<AgentRight>,
    /// What the user may not do, one sentence each. Nothing is begun while there is any.
    pub missing: Vec<String>,
    /// All objects as one text, each Role with the reasons for its rights.
    pub yaml: String,
    /// Names what was shown, to be given back with the click.
    pub shown: String,
    /// How many objects would be made, changed or removed.
    pub changes: u32,
    /// What must be typed before it is carried out.
    pub confirm: Option<String>,
    /// The installation that was cut off and whose settings these are.
    pub cut_off: Option<AgentCutOff>,
}

/// A namespace that holds triggers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentTriggers {
    /// The namespace.
    pub namespace: String,
    /// How many there are.
    pub count: u32,
    /// Whether the agent that is installed looks after them; none when there is none.
    pub served: Option<bool>,
}

/// A chaos project, as far as the agent is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentProject {
    /// `namespace/id`.
    pub key: String,
    /// Its repository.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// What this computer keeps for the repository, in words that give nothing away, for example `a token of robin`.
    pub credential: Option<String>,
    /// Why it cannot be given to the agent.
    pub refused: Option<String>,
    /// Whether the cluster's Secret has a credential for it.
    pub in_cluster: bool,
    /// Whether the agent that is installed looks after it; none when there is none.
    pub served: Option<bool>,
    /// The Secret, as `namespace/name`.
    pub secret_name: String,
    /// Who could read it there, in a sentence.
    pub readers: String,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum AgentChange {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It stays as it is.
    Same,
    /// It goes.
    Remove,
    /// It is somebody else's, and is used as it is.
    Foreign,
    /// The cluster does not know its kind; the agent works without.
    Unserved,
}

/// An object of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentObject {
    /// The kind.
    pub kind: String,
    /// The namespace; none for objects outside namespaces.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// What becomes of it.
    pub change: AgentChange,
    /// What it will be; empty when it goes.
    pub yaml: String,
    /// What changes of it.
    pub diff: Option<TextDiff>,
}

/// A right of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentRight {
    /// The namespace in which it holds.
    pub namespace: String,
    /// The resource, for example `leases.coordination.k8s.io`.
    pub resource: String,
    /// The only objects that it reaches; empty for all.
    pub names: Vec<String>,
    /// The verbs.
    pub verbs: Vec<String>,
    /// What it is for.
    pub why: String,
    /// Whether it is new, stays or goes.
    pub change: AgentChange,
}

/// Asks to install the agent, or to bring it up to date.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct InstallAgent {
    /// How.
    pub form: AgentForm,
    /// What was shown.
    pub shown: String,
    /// The projects, as `namespace/id`, whose credential on this computer the user gives to the cluster.
    pub hand_over: Vec<String>,
    /// What had to be typed.
    pub confirm: Option<String>,
}

/// What a removal comes to; nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AgentRemoval {
    /// The objects that go, in words.
    pub goes: Vec<String>,
    /// What stays.
    pub stays: Vec<String>,
    /// What stays unless the kinds are removed.
    pub stays_with_kinds: Vec<String>,
    /// What goes too when the kinds are removed.
    pub with_kinds: Vec<String>,
    /// What the user may not do, one sentence each.
    pub missing: Vec<String>,
    /// What the user may not do that removing the kinds takes.
    pub kinds_missing: Vec<String>,
    /// Names what was shown, to be given back with the click.
    pub shown: String,
}

/// Asks to remove the agent.
#[derive(Debug, Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct UninstallAgent {
    /// What was shown.
    pub shown: String,
    /// Remove Pilothouse's kinds too, and with them all projects, workflows and triggers of the cluster.
    pub kinds: bool,
    /// What had to be typed: always for the kinds.
    pub confirm: Option<String>,
}
