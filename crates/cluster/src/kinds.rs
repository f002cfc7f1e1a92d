//! The kinds of object that the app knows.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind of Kubernetes object at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version within the group.
    pub version: &'static str,
    /// The kind, as in manifests.
    pub kind: &'static str,
    /// The resource's plural, as in URLs and permissions.
    pub plural: &'static str,
}

impl Kind {
    /// What kube's dynamic API needs.
    pub fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }

    /// `group/version`, or the version alone for the core: as in a manifest's `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural.group`, or the plural alone for the core: as permissions and CRDs are named.
    pub fn resource_name(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $group:literal, $version:literal, $kind:literal, $plural:literal;)*) => {
        $($(#[$doc])* pub const $name: Kind =
            Kind { group: $group, version: $version, kind: $kind, plural: $plural };)*
        /// Every kind of this module.
        pub const ALL: &[Kind] = &[$($name),*];
    };
}

kinds! {
    /// KubeRocketCI: a repository under its care; of type `system`, the GitOps repository.
    CODEBASE = "v2.edp.epam.com", "v1", "Codebase", "codebases";
    /// KubeRocketCI: a Git server.
    GIT_SERVER = "v2.edp.epam.com", "v1", "GitServer", "gitservers";
    /// KubeRocketCI: a branch of a codebase.
    CODEBASE_BRANCH = "v2.edp.epam.com", "v1", "CodebaseBranch", "codebasebranches";
    /// KubeRocketCI: the image tags built from a branch.
    CODEBASE_IMAGE_STREAM = "v2.edp.epam.com", "v1", "CodebaseImageStream", "codebaseimagestreams";
    /// KubeRocketCI: a deployment flow.
    CD_PIPELINE = "v2.edp.epam.com", "v1", "CDPipeline", "cdpipelines";
    /// KubeRocketCI: an environment of a flow.
    STAGE = "v2.edp.epam.com", "v1", "Stage", "stages";
    /// Argo CD: an application.
    APPLICATION = "argoproj.io", "v1alpha1", "Application", "applications";
    /// Argo CD: a generator of applications.
    APPLICATION_SET = "argoproj.io", "v1alpha1", "ApplicationSet", "applicationsets";
    /// Argo CD: what applications may do.
    APP_PROJECT = "argoproj.io", "v1alpha1", "AppProject", "appprojects";
    /// Tekton: one run of a pipeline.
    PIPELINE_RUN = "tekton.dev", "v1", "PipelineRun", "pipelineruns";
    /// Tekton: one run of a task.
    TASK_RUN = "tekton.dev", "v1", "TaskRun", "taskruns";
    /// Tekton Triggers: what a trigger creates.
    TRIGGER_TEMPLATE = "triggers.tekton.dev", "v1beta1", "TriggerTemplate", "triggertemplates";
    /// Argo Workflows: a workflow.
    WORKFLOW = "argoproj.io", "v1alpha1", "Workflow", "workflows";
    /// Argo Workflows: a workflow on a schedule.
    CRON_WORKFLOW = "argoproj.io", "v1alpha1", "CronWorkflow", "cronworkflows";
    /// Argo Workflows: a template of workflows.
    WORKFLOW_TEMPLATE = "argoproj.io", "v1alpha1", "WorkflowTemplate", "workflowtemplates";
    /// Litmus: a fault (or several) let loose on a workload.
    CHAOS_ENGINE = "litmuschaos.io", "v1alpha1", "ChaosEngine", "chaosengines";
    /// Litmus: a fault's definition.
    CHAOS_EXPERIMENT = "litmuschaos.io", "v1alpha1", "ChaosExperiment", "chaosexperiments";
    /// Litmus: a fault's verdict.
    CHAOS_RESULT = "litmuschaos.io", "v1alpha1", "ChaosResult", "chaosresults";
    /// Litmus: an engine on a schedule.
    CHAOS_SCHEDULE = "litmuschaos.io", "v1alpha1", "ChaosSchedule", "chaosschedules";
    /// Litmus: conditions under which workflows start.
    EVENT_TRACKER_POLICY = "eventtracker.litmuschaos.io", "v1", "EventTrackerPolicy", "eventtrackerpolicies";
    /// Pilothouse: a chaos project.
    CHAOS_PROJECT = "pilothouse.dev", "v1alpha1", "ChaosProject", "chaosprojects";
    /// Pilothouse: a chaos workflow.
    CHAOS_WORKFLOW = "pilothouse.dev", "v1alpha1", "ChaosWorkflow", "chaosworkflows";
    /// Pilothouse: an event trigger.
    EVENT_TRIGGER = "pilothouse.dev", "v1alpha1", "EventTrigger", "eventtriggers";
    /// A Deployment.
    DEPLOYMENT = "apps", "v1", "Deployment", "deployments";
    /// A StatefulSet.
    STATEFUL_SET = "apps", "v1", "StatefulSet", "statefulsets";
    /// A DaemonSet.
    DAEMON_SET = "apps", "v1", "DaemonSet", "daemonsets";
    /// Argo Rollouts: a Deployment that rolls out by steps.
    ROLLOUT = "argoproj.io", "v1alpha1", "Rollout", "rollouts";
    /// A revision of a StatefulSet or a DaemonSet.
    CONTROLLER_REVISION = "apps", "v1", "ControllerRevision", "controllerrevisions";
    /// How many pods may be away at once.
    POD_DISRUPTION_BUDGET = "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets";
    /// A ReplicaSet.
    REPLICA_SET = "apps", "v1", "ReplicaSet", "replicasets";
    /// A Pod.
    POD = "", "v1", "Pod", "pods";
    /// A Namespace.
    NAMESPACE = "", "v1", "Namespace", "namespaces";
    /// A ConfigMap.
    CONFIG_MAP = "", "v1", "ConfigMap", "configmaps";
    /// A Secret.
    SECRET = "", "v1", "Secret", "secrets";
    /// A ServiceAccount.
    SERVICE_ACCOUNT = "", "v1", "ServiceAccount", "serviceaccounts";
    /// Rights within a namespace.
    ROLE = "rbac.authorization.k8s.io", "v1", "Role", "roles";
    /// Who has the rights of a Role.
    ROLE_BINDING = "rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings";
    /// Rights over the cluster.
    CLUSTER_ROLE = "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles";
    /// Who has the rights of a ClusterRole everywhere.
    CLUSTER_ROLE_BINDING = "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings";
    /// What pods may be reached by, and reach.
    NETWORK_POLICY = "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies";
    /// What happened to an object, for people.
    EVENT = "", "v1", "Event", "events";
    /// A Lease.
    LEASE = "coordination.k8s.io", "v1", "Lease", "leases";
    /// A CustomResourceDefinition.
    CRD = "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_names_itself() {
        assert_eq!(CODEBASE.api_version(), "v2.edp.epam.com/v1");
        assert_eq!(POD.api_version(), "v1");
        assert_eq!(CODEBASE.resource_name(), "codebases.v2.edp.epam.com");
        assert_eq!(POD.resource_name(), "pods");
        assert_eq!(CODEBASE.resource().plural, "codebases");
        let mut names: Vec<_> = ALL.iter().map(|kind| (kind.group, kind.plural)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
