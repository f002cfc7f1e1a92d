//! The condition and the guards of a trigger.

use serde::{Deserialize, Serialize};
use specta::Type;

/// What has to change about a workload, and what has to hold then: a tree of tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum TriggerCondition {
    /// An image of the pod template is another.
    ImageChanged {
        /// The containers whose image counts; empty means all.
        containers: Vec<String>,
        /// Containers whose image never counts.
        except: Vec<String>,
        /// Which of the two lists of containers.
        among: ContainersAmong,
        /// Which difference counts.
        part: ImagePart,
    },
    /// About the replicas asked for.
    Replicas {
        /// The test.
        test: ConditionTest,
    },
    /// About a label of the workload.
    Label {
        /// Its key.
        key: String,
        /// The test.
        test: ConditionTest,
    },
    /// About an annotation of the workload.
    Annotation {
        /// Its key.
        key: String,
        /// The test.
        test: ConditionTest,
    },
    /// About an environment variable.
    Env {
        /// Its name.
        name: String,
        /// Its container; none for the first that has it.
        container: Option<String>,
        /// The test.
        test: ConditionTest,
    },
    /// About any field.
    Field {
        /// Its path, as `spec.template.spec.containers[name=app].image`.
        path: String,
        /// The test.
        test: ConditionTest,
    },
    /// About what a JMESPath expression finds.
    Jmespath {
        /// The expression.
        key: String,
        /// The test.
        test: ConditionTest,
    },
    /// A CEL expression over `old` and `new`.
    Cel {
        /// The expression.
        expression: String,
    },
    /// Every one of these.
    All {
        /// The conditions.
        conditions: Vec<TriggerCondition>,
    },
    /// At least one of these.
    Any {
        /// The conditions.
        conditions: Vec<TriggerCondition>,
    },
}

/// A test of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ConditionTest {
    /// The operator.
    pub operator: ConditionOperator,
    /// What it compares with: nothing, one value, or the list of `in` and `notIn`.
    pub values: Vec<String>,
    /// True when the values are written as numbers.
    pub numeric: bool,
}

/// How a value is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ConditionOperator {
    /// It is another than before.
    Changed,
    /// It equals the value.
    Equals,
    /// It does not.
    NotEquals,
    /// It is a number below the value.
    LessThan,
    /// It is a number not above the value.
    LessOrEqual,
    /// It is a number above the value.
    GreaterThan,
    /// It is a number not below the value.
    GreaterOrEqual,
    /// It has the value in it.
    Contains,
    /// It begins with the value.
    StartsWith,
    /// It ends with the value.
    EndsWith,
    /// A regular expression finds something in it.
    Matches,
    /// It is one of the values.
    In,
    /// It is none of them.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    Absent,
}

/// Which containers of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ContainersAmong {
    /// Both kinds.
    All,
    /// Those that run.
    Containers,
    /// Those that run before.
    InitContainers,
}

/// Which difference between two images counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ImagePart {
    /// Any.
    Any,
    /// The digest alone.
    DigestOnly,
    /// The repository or the tag.
    NameOrTag,
}

/// When a trigger holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TriggerGuards {
    /// Wait until the rollout is complete.
    pub wait_for_rollout: bool,
    /// Seconds after which a change whose rollout is not complete is passed over.
    pub rollout_timeout_seconds: Option<u32>,
    /// Seconds to wait after the rollout.
    pub soak_seconds: u32,
    /// Seconds between two runs for one workload.
    pub cooldown_seconds: u32,
    /// Runs a day at most.
    pub max_per_day: Option<u32>,
    /// When no run is started.
    pub quiet_hours: Option<QuietHours>,
    /// Which other runs must have ended.
    pub exclusive: ExclusiveRuns,
    /// So many replicas must be ready.
    pub min_ready_replicas: Option<u32>,
    /// Wait while a disruption budget allows no pod to go.
    pub respect_disruption_budget: bool,
    /// Wait for a person's word.
    pub approval: bool,
    /// Only tell what would be run.
    pub dry_run: bool,
}

impl Default for TriggerGuards {
    fn default() -> Self {
        Self {
            wait_for_rollout: true,
            rollout_timeout_seconds: None,
            soak_seconds: 0,
            cooldown_seconds: 0,
            max_per_day: None,
            quiet_hours: None,
            exclusive: ExclusiveRuns::Workload,
            min_ready_replicas: None,
            respect_disruption_budget: false,
            approval: false,
            dry_run: false,
        }
    }
}

/// Which runs must have ended before the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum ExclusiveRuns {
    /// Those for the same workload.
    Workload,
    /// Those of the same trigger too.
    Trigger,
    /// All that triggers started.
    All,
}

/// Times of the week in which nothing is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct QuietHours {
    /// The IANA name of the time zone.
    pub time_zone: String,
    /// The windows.
    pub windows: Vec<QuietWindow>,
}

/// A window of quiet hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct QuietWindow {
    /// The days on which it begins; empty means every day.
    pub days: Vec<QuietDay>,
    /// When it begins, as `22:00`.
    pub from: String,
    /// When it ends; not later than it begins means the day after.
    pub to: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum QuietDay {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// What becomes of a change that happened while no engine was looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub enum WhileAway {
    /// It is offered.
    Offer,
    /// It is run like any other.
    Run,
}
