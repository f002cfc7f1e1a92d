//! The app itself, contexts, and the connection.

use serde::{Deserialize, Serialize};
use specta::Type;

/// The app and the machine it runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AppInfo {
    /// The app's version.
    pub version: String,
    /// Where clones, timeline and preferences are.
    pub data_dir: String,
    /// Where secrets are kept.
    pub keychain: KeychainInfo,
    /// The author of commits, when set.
    pub identity: Option<IdentityInfo>,
    /// The operating system, for example `linux`.
    pub os: String,
}

/// Where secrets are kept on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KeychainInfo {
    /// True when a secret set now is still there after a restart.
    pub available: bool,
    /// The store in words, for example `Secret Service` or `memory of this session`.
    pub kind: String,
    /// Why the keychain cannot be used.
    pub problem: Option<String>,
    /// How to mend that.
    pub hint: Option<String>,
    /// What the keychain, or what was asked for it, said itself, word for word.
    pub said: Option<String>,
    /// The keychain has not answered yet.
    pub checking: bool,
    /// What is set now is forgotten when the app ends.
    pub session_only: bool,
}

/// The author of commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct IdentityInfo {
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

/// How the app looks and behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Preferences {
    /// Light, dark, or as the system says.
    pub theme: Theme,
    /// Tell through the operating system when a run ends while the window is hidden.
    pub notify_when_hidden: bool,
}

/// Light, dark, or as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum Theme {
    /// As the operating system says.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// The certificates that Git servers are trusted by besides the system's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityView {
    /// Who named the file.
    pub source: AuthoritySource,
    /// The file.
    pub path: Option<String>,
    /// The certificates in it, the first ones when there are many.
    pub certificates: Vec<AuthorityCertificate>,
    /// How many more there are.
    pub more: u32,
    /// Why the file cannot be used; Git servers are not reached over HTTPS then.
    pub problem: Option<String>,
}

/// Who named the file of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum AuthoritySource {
    /// Nobody: the system's certificates alone are trusted.
    None,
    /// `GIT_SSL_CAINFO` in the environment, which goes before the settings.
    Environment,
    /// The user, in the settings.
    Settings,
}

/// A certificate of a private authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityCertificate {
    /// Whom it names.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it ends.
    pub expires: String,
    /// True when today is in its time.
    pub valid: bool,
}

/// What the first screen offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Contexts {
    /// The kubeconfig files read, in order.
    pub files: Vec<KubeconfigFile>,
    /// The contexts in them.
    pub contexts: Vec<ContextEntry>,
    /// True when the practice cluster can be started.
    pub practice: bool,
    /// True when it goes on where it was left.
    pub practice_kept: bool,
    /// The same for the one where Argo CD works alone.
    pub practice_argo_cd_kept: bool,
}

/// A kubeconfig file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigFile {
    /// Its path.
    pub path: String,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// A context of the kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ContextEntry {
    /// Its name.
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// The API server's address.
    pub server: String,
    /// Its user's name.
    pub user: String,
    /// Its default namespace.
    pub namespace: Option<String>,
    /// True for the file's current context.
    pub current: bool,
    /// True when the server's certificate is not checked.
    pub insecure: bool,
    /// The credential plugin it runs.
    pub exec: Option<String>,
    /// True when its name or its cluster's name says production.
    pub production: bool,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConnectTarget {
    /// A context of the kubeconfig.
    Context {
        /// Its name.
        name: String,
    },
    /// The built-in practice cluster.
    Practice,
    /// The built-in practice cluster that has Argo CD and no KubeRocketCI.
    PracticeArgoCd,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The context's name.
    pub name: String,
    /// True for the practice cluster.
    pub practice: bool,
    /// True when the context is marked as production.
    pub production: bool,
    /// The API server's address.
    pub server: String,
    /// The API server's version.
    pub version: String,
    /// What is installed and what is not.
    pub components: Vec<ComponentEntry>,
    /// Namespaces that hold KubeRocketCI objects.
    pub platforms: Vec<String>,
    /// The chosen one.
    pub platform: Option<String>,
    /// True when the server's certificate is not checked.
    pub insecure: bool,
    /// True when the user may install the app's own kinds.
    pub can_install_crds: bool,
}

/// A component of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ComponentEntry {
    /// Which one.
    pub id: ComponentKind,
    /// Its name in words.
    pub name: String,
    /// True when all kinds the app uses are served.
    pub present: bool,
    /// The API version served.
    pub version: Option<String>,
    /// What is missing and what still works without it, in a sentence; empty when present.
    pub missing_means: String,
}

/// A component the app can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ComponentKind {
    /// KubeRocketCI.
    Krci,
    /// Argo CD.
    ArgoCd,
    /// Tekton.
    Tekton,
    /// Litmus.
    Litmus,
    /// Argo Workflows.
    ArgoWorkflows,
    /// The app's own kinds.
    Pilothouse,
}

/// One check of the doctor's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DoctorCheck {
    /// A stable id, for example `keychain`.
    pub id: String,
    /// What is checked.
    pub label: String,
    /// How it stands.
    pub state: CheckState,
    /// What was found, in words.
    pub words: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum CheckState {
    /// All right.
    Ok,
    /// Works, with something to know.
    Warn,
    /// Does not work.
    Bad,
}
