//! Codebases and Git servers (`v2.edp.epam.com/v1`).

use kube::api::DynamicObject;

use super::Meta;
use super::reader::Reader;
use crate::FieldProblem;

/// A Git repository the platform knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codebase {
    /// Metadata.
    pub meta: Meta,
    /// `application`, `autotest`, `library`, `infrastructure` or `system`.
    pub kind: String,
    /// `create`, `clone` or `import`.
    pub strategy: String,
    /// The GitServer's name.
    pub git_server: String,
    /// The path on the server, with a leading slash by convention.
    pub git_url_path: String,
    /// The default branch.
    pub default_branch: String,
    /// `tekton` or `gitlab`.
    pub ci_tool: String,
    /// Whether the provider was asked for a private repository; the CRD's default is true.
    pub private: bool,
    /// `default`, `semver` or `edp`.
    pub versioning: String,
    /// The operator's words.
    pub status: CodebaseStatus,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

/// What the operator says of a Codebase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodebaseStatus {
    /// `created`, `in progress`, `failed`, or nothing yet.
    pub status: Option<String>,
    /// Ready for use.
    pub available: bool,
    /// `success` or `error`.
    pub result: Option<String>,
    /// The last step of the operator's chain.
    pub action: Option<String>,
    /// Why it failed, in full.
    pub detailed_message: Option<String>,
    /// How often it failed.
    pub failure_count: i64,
    /// How far the push went.
    pub git: Option<String>,
    /// The provider's page.
    pub git_web_url: Option<String>,
    /// When the operator wrote last, RFC 3339.
    pub last_time_updated: Option<String>,
    /// `inactive`, `active` or `failed`.
    pub value: Option<String>,
    /// The provider's number for the webhook; older operators wrote it as a number.
    pub webhook: Option<String>,
}

/// The operator leaves a Codebase alone while this annotation is `true`, and looks at it again when the annotation
/// changes (codebase-operator, pkg/predicate/pause.go).
pub const PAUSED: &str = "edp.epam.com/paused";
/// What the operator's admission webhook refuses, joined by dashes: `update`, `delete` (pkg/webhook/protected_label.go).
pub const PROTECTED: &str = "app.edp.epam.com/edit-protection";

impl Codebase {
    /// Reads a Codebase.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        Self {
            meta: Meta::read(object),
            kind: reader.required("spec.type"),
            strategy: reader.required("spec.strategy"),
            git_server: reader.required("spec.gitServer"),
            git_url_path: reader.required("spec.gitUrlPath"),
            default_branch: reader.required("spec.defaultBranch"),
            ci_tool: reader.text("spec.ciTool").unwrap_or_else(|| "tekton".to_owned()),
            private: reader.flag("spec.private").unwrap_or(true),
            versioning: reader.text("spec.versioning.type").unwrap_or_default(),
            status: CodebaseStatus {
                status: reader.text("status.status"),
                available: reader.flag("status.available").unwrap_or(false),
                result: reader.text("status.result"),
                action: reader.text("status.action"),
                detailed_message: reader.text("status.detailedMessage").filter(|text| !text.is_empty()),
                failure_count: reader.number("status.failureCount").unwrap_or(0),
                git: reader.text("status.git"),
                git_web_url: reader.text("status.gitWebUrl").filter(|text| !text.is_empty()),
                last_time_updated: reader.text("status.lastTimeUpdated"),
                value: reader.text("status.value").filter(|text| !text.is_empty()),
                webhook: reader.text("status.webHookRef").filter(|text| !text.is_empty()).or_else(|| {
                    reader.number("status.webHookID").filter(|number| *number != 0).map(|number| number.to_string())
                }),
            },
            problems: reader.problems(),
        }
    }

    /// The operator was told to leave it alone.
    pub fn is_paused(&self) -> bool {
        matches!(self.meta.annotation(PAUSED), Some("true" | "1" | "t" | "T" | "TRUE" | "True"))
    }

    /// Whether a label forbids `operation`: `update` or `delete`.
    pub fn is_protected_from(&self, operation: &str) -> bool {
        self.meta.label(PROTECTED).is_some_and(|words| words.split('-').any(|word| word == operation))
    }

    /// Whether the operator gave up for now; it tries again by itself.
    pub fn has_failed(&self) -> bool {
        self.status.status.as_deref() == Some("failed") || self.status.result.as_deref() == Some("error")
    }

    /// Whether the operator has made the repository, or found that it had; it never makes it again then
    /// (codebase-operator, put_project.go: skipPutProjectStatuses).
    pub fn is_pushed(&self) -> bool {
        matches!(self.status.git.as_deref(), Some("pushed" | "gitlab_ci_pushed" | "templates_pushed"))
    }

    /// Whether this is a GitOps repository. The portal asks for both labels (`krci-portal`, gitops view); the operator
    /// for `systemType` and the type.
    pub fn is_gitops(&self) -> bool {
        self.meta.label("app.edp.epam.com/systemType") == Some("gitops")
            && (self.meta.label("app.edp.epam.com/codebaseType") == Some("system") || self.kind == "system")
    }
}

/// A Git server of the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitServer {
    /// Metadata.
    pub meta: Meta,
    /// Host name.
    pub host: String,
    /// `github`, `gitlab`, `bitbucket` or `gerrit`.
    pub provider: String,
    /// The SSH user.
    pub user: String,
    /// The Secret with its credentials.
    pub secret_name: String,
    /// HTTPS port.
    pub https_port: u16,
    /// SSH port.
    pub ssh_port: u16,
    /// Whether the operator reports a connection. It says nothing of the API token.
    pub connected: bool,
    /// Why there is no connection.
    pub error: Option<String>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

impl GitServer {
    /// Reads a GitServer.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        let port = |path: &str, usual: u16| {
            reader.number(path).and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0).unwrap_or(usual)
        };
        Self {
            meta: Meta::read(object),
            host: reader.required("spec.gitHost"),
            provider: reader.text("spec.gitProvider").unwrap_or_else(|| "github".to_owned()),
            user: reader.text("spec.gitUser").filter(|user| !user.is_empty()).unwrap_or_else(|| "git".to_owned()),
            secret_name: reader.text("spec.nameSshKeySecret").unwrap_or_default(),
            https_port: port("spec.httpsPort", 443),
            ssh_port: port("spec.sshPort", 22),
            connected: reader.flag("status.connected").unwrap_or(false),
            error: reader.text("status.error").filter(|text| !text.is_empty()),
            problems: reader.problems(),
        }
    }
}
