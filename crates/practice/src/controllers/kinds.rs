//! The kinds that the actors read and write.

use kube::api::ApiResource;

/// One kind of object, with what is needed to address it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    /// Whether status is a subresource; Argo and Litmus keep it in the object itself.
    pub status: bool,
}

impl Kind {
    pub fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.into(),
            version: self.version.into(),
            api_version: self.api_version(),
            kind: self.kind.into(),
            plural: self.plural.into(),
        }
    }

    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.into(),
            group => format!("{group}/{}", self.version),
        }
    }
}

macro_rules! kinds {
    ($($name:ident = $group:literal $version:literal $kind:literal $plural:literal $status:literal;)*) => {
        $(pub(crate) const $name: Kind = Kind {
            group: $group,
            version: $version,
            kind: $kind,
            plural: $plural,
            status: $status,
        };)*
    };
}

kinds! {
    CODEBASE = "v2.edp.epam.com" "v1" "Codebase" "codebases" true;
    CODEBASE_BRANCH = "v2.edp.epam.com" "v1" "CodebaseBranch" "codebasebranches" true;
    IMAGE_STREAM = "v2.edp.epam.com" "v1" "CodebaseImageStream" "codebaseimagestreams" true;
    GIT_SERVER = "v2.edp.epam.com" "v1" "GitServer" "gitservers" true;
    CD_PIPELINE = "v2.edp.epam.com" "v1" "CDPipeline" "cdpipelines" true;
    STAGE = "v2.edp.epam.com" "v1" "Stage" "stages" true;
    APPLICATION = "argoproj.io" "v1alpha1" "Application" "applications" false;
    APPLICATION_SET = "argoproj.io" "v1alpha1" "ApplicationSet" "applicationsets" true;
    APP_PROJECT = "argoproj.io" "v1alpha1" "AppProject" "appprojects" false;
    WORKFLOW = "argoproj.io" "v1alpha1" "Workflow" "workflows" false;
    PIPELINE_RUN = "tekton.dev" "v1" "PipelineRun" "pipelineruns" true;
    TASK_RUN = "tekton.dev" "v1" "TaskRun" "taskruns" true;
    TRIGGER_TEMPLATE = "triggers.tekton.dev" "v1beta1" "TriggerTemplate" "triggertemplates" true;
    CHAOS_ENGINE = "litmuschaos.io" "v1alpha1" "ChaosEngine" "chaosengines" false;
    CHAOS_EXPERIMENT = "litmuschaos.io" "v1alpha1" "ChaosExperiment" "chaosexperiments" false;
    CHAOS_RESULT = "litmuschaos.io" "v1alpha1" "ChaosResult" "chaosresults" false;
    DEPLOYMENT = "apps" "v1" "Deployment" "deployments" true;
    STATEFUL_SET = "apps" "v1" "StatefulSet" "statefulsets" true;
    REPLICA_SET = "apps" "v1" "ReplicaSet" "replicasets" true;
    POD = "" "v1" "Pod" "pods" true;
    SERVICE = "" "v1" "Service" "services" true;
    NAMESPACE = "" "v1" "Namespace" "namespaces" true;
    CONFIG_MAP = "" "v1" "ConfigMap" "configmaps" false;
    SECRET = "" "v1" "Secret" "secrets" false;
    SERVICE_ACCOUNT = "" "v1" "ServiceAccount" "serviceaccounts" false;
}
