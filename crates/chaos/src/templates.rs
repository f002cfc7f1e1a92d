//! Ready-made workflows: one fault, its parameters, a probe that looks at the application, and cleaning up.

use std::collections::BTreeMap;

use pilothouse_cluster::{Name, Subdomain};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::names::{label_value, short_digest};
use crate::template_yaml;

/// A setting of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// The name Litmus knows it by, or one of our own (`MIN_READY`).
    pub name: &'static str,
    /// What to call it.
    pub label: &'static str,
    /// The unit of a number.
    pub unit: Option<&'static str>,
    /// What it is when not given.
    pub default: &'static str,
    /// The least allowed number; with `max`, this makes the parameter a number.
    pub min: Option<i64>,
    /// The greatest allowed number.
    pub max: Option<i64>,
    /// The values there are, each with what to call it; empty where it is free.
    pub choices: Choices,
    /// One sentence about it.
    pub help: &'static str,
}

/// Values and what to call them.
pub type Choices = &'static [(&'static str, &'static str)];

/// A ready-made workflow.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// The fault's exact name in Litmus.
    pub id: &'static str,
    /// A title.
    pub title: &'static str,
    /// What it does, in a sentence.
    pub what: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Settings the fault's definition needs besides.
    #[serde(skip)]
    pub(crate) fixed: &'static [(&'static str, &'static str)],
    /// Whether the fault talks to the container runtime of the node.
    #[serde(skip)]
    pub(crate) uses_runtime: bool,
}

/// What a template aims at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateTarget {
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The labels that select its pods, as `key=value,…`.
    pub selector: String,
}

/// What to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The workflow's name.
    pub name: String,
    /// The namespace it runs in.
    pub namespace: String,
    /// Service account of the workflow's steps (ChaosCenter's is `argo-chaos`).
    pub service_account: String,
    /// Service account of the chaos itself (ChaosCenter's is `litmus-admin`).
    pub chaos_service_account: String,
    /// What it aims at.
    pub target: TemplateTarget,
    /// Parameters by name; those not given take their defaults.
    pub parameters: BTreeMap<String, String>,
    /// The ChaosCenter infrastructure id, for a workflow that ChaosCenter is to know too.
    pub infra_id: Option<String>,
}

const fn number(
    name: &'static str,
    label: &'static str,
    unit: Option<&'static str>,
    default: &'static str,
    bounds: (i64, i64),
    help: &'static str,
) -> Parameter {
    Parameter { name, label, unit, default, min: Some(bounds.0), max: Some(bounds.1), choices: &[], help }
}

const fn text(name: &'static str, label: &'static str, default: &'static str, help: &'static str) -> Parameter {
    one_of(name, label, default, &[], help)
}

const fn one_of(
    name: &'static str,
    label: &'static str,
    default: &'static str,
    choices: Choices,
    help: &'static str,
) -> Parameter {
    Parameter { name, label, unit: None, default, min: None, max: None, choices, help }
}

/// On and off, as Litmus writes it down.
pub const YES_NO: Choices = &[("true", "Yes"), ("false", "No")];

const PERCENT: Parameter = number(
    "PODS_AFFECTED_PERC",
    "Pods affected",
    Some("%"),
    "0",
    (0, 100),
    "The share of the matching pods that is hit; 0 hits one pod.",
);
/// The steady state: how many replicas have to stay ready for the run to pass.
const MIN_READY: Parameter = number(
    "MIN_READY",
    "Ready replicas required",
    None,
    "1",
    (1, 1000),
    "The run fails when fewer replicas of the target than this are ready at any moment of the fault.",
);
const WEIGHT: Parameter =
    number("WEIGHT", "Weight", None, "10", (1, 10), "How much this fault counts in the resilience score.");
const RUNTIME: Parameter = one_of(
    "CONTAINER_RUNTIME",
    "Container runtime",
    "containerd",
    &[("containerd", "containerd"), ("crio", "CRI-O"), ("docker", "Docker")],
    "What runs the containers on the nodes.",
);
const SOCKET: Parameter = text(
    "SOCKET_PATH",
    "Runtime socket",
    "/run/containerd/containerd.sock",
    "Where the container runtime listens on the nodes.",
);
const CONTAINER: Parameter =
    text("TARGET_CONTAINER", "Container", "", "The container that is hit; empty takes the pod's first one.");

const fn duration(default: &'static str) -> Parameter {
    number("TOTAL_CHAOS_DURATION", "Duration", Some("s"), default, (5, 3600), "How long the fault lasts.")
}

const fn interval(default: &'static str) -> Parameter {
    number("CHAOS_INTERVAL", "Interval", Some("s"), default, (1, 3600), "The time between one strike and the next.")
}

const TEMPLATES: &[Template] = &[
    Template {
        id: "pod-delete",
        title: "Delete pods",
        what: "Deletes pods of the target again and again, as a node failure or an eviction would.",
        parameters: &[
            duration("30"),
            interval("10"),
            PERCENT,
            one_of(
                "FORCE",
                "Force",
                "false",
                YES_NO,
                "Kills the pods without the time they are given to end properly.",
            ),
            MIN_READY,
            WEIGHT,
        ],
        fixed: &[],
        uses_runtime: false,
    },
    Template {
        id: "pod-cpu-hog",
        title: "Load the CPU",
        what: "Keeps processor cores of the target's containers busy.",
        parameters: &[
            duration("60"),
            number("CPU_CORES", "Cores", None, "1", (1, 64), "How many cores are kept busy in each pod."),
            number("CPU_LOAD", "Load", Some("%"), "100", (1, 100), "How busy each core is kept."),
            CONTAINER,
            PERCENT,
            RUNTIME,
            SOCKET,
            MIN_READY,
            WEIGHT,
        ],
        fixed: &[("STRESS_IMAGE", "alexeiled/stress-ng:latest-ubuntu")],
        uses_runtime: true,
    },
    Template {
        id: "pod-memory-hog",
        title: "Fill the memory",
        what: "Takes memory inside the target's containers, up to their limits and beyond.",
        parameters: &[
            duration("60"),
            number(
                "MEMORY_CONSUMPTION",
                "Memory",
                Some("MB"),
                "500",
                (1, 65536),
                "How much memory is taken in each pod.",
            ),
            number("NUMBER_OF_WORKERS", "Workers", None, "1", (1, 64), "How many processes share the work."),
            CONTAINER,
            PERCENT,
            RUNTIME,
            SOCKET,
            MIN_READY,
            WEIGHT,
        ],
        fixed: &[("STRESS_IMAGE", "alexeiled/stress-ng:latest-ubuntu")],
        uses_runtime: true,
    },
    Template {
        id: "pod-network-latency",
        title: "Delay the network",
        what: "Delays the packets that leave the target's pods.",
        parameters: &[
            duration("60"),
            number("NETWORK_LATENCY", "Delay", Some("ms"), "2000", (1, 60000), "How long each packet is held back."),
            number("JITTER", "Jitter", Some("ms"), "0", (0, 60000), "How much the delay varies."),
            text("DESTINATION_HOSTS", "Only towards", "", "Host names, separated by commas; empty delays everything."),
            PERCENT,
            RUNTIME,
            SOCKET,
            MIN_READY,
            WEIGHT,
        ],
        fixed: &[("NETWORK_INTERFACE", "eth0"), ("TC_IMAGE", "gaiadocker/iproute2")],
        uses_runtime: true,
    },
    Template {
        id: "pod-network-loss",
        title: "Lose packets",
        what: "Drops packets that leave the target's pods.",
        parameters: &[
            duration("60"),
            number(
                "NETWORK_PACKET_LOSS_PERCENTAGE",
                "Loss",
                Some("%"),
                "100",
                (1, 100),
                "How many packets are dropped.",
            ),
            text("DESTINATION_HOSTS", "Only towards", "", "Host names, separated by commas; empty drops everywhere."),
            PERCENT,
            RUNTIME,
            SOCKET,
            MIN_READY,
            WEIGHT,
        ],
        fixed: &[("NETWORK_INTERFACE", "eth0"), ("TC_IMAGE", "gaiadocker/iproute2")],
        uses_runtime: true,
    },
    Template {
        id: "container-kill",
        title: "Kill a container",
        what: "Kills one container of the target's pods; the pod stays and restarts it.",
        parameters: &[
            duration("20"),
            interval("10"),
            CONTAINER,
            one_of(
                "SIGNAL",
                "Signal",
                "SIGKILL",
                &[("SIGKILL", "SIGKILL: ends it at once"), ("SIGTERM", "SIGTERM: asks it to end")],
                "The signal that its main process gets.",
            ),
            PERCENT,
            RUNTIME,
            SOCKET,
            MIN_READY,
            WEIGHT,
        ],
        fixed: &[],
        uses_runtime: true,
    },
];

/// What every fault of Litmus that hits pods understands besides.
const EVERYWHERE: &[Parameter] = &[one_of(
    "SEQUENCE",
    "Order",
    "parallel",
    &[("parallel", "All pods at once"), ("serial", "One pod after the other")],
    "How the pods that are hit are taken.",
)];

/// What is known about a setting of a fault, whoever wrote its document.
pub fn known(fault: &str, name: &str) -> Option<&'static Parameter> {
    let template = TEMPLATES.iter().find(|template| template.id == fault);
    template.into_iter().flat_map(|template| template.parameters).chain(EVERYWHERE).find(|known| known.name == name)
}

/// Every ready-made workflow.
pub fn templates() -> &'static [Template] {
    TEMPLATES
}

/// Renders a template to the YAML of a `Workflow` that Argo, Litmus and ChaosCenter accept.
pub fn render(id: &str, request: &Request) -> Result<String> {
    let template = TEMPLATES
        .iter()
        .find(|template| template.id == id)
        .ok_or_else(|| Error::NotFound { what: "the template", name: id.to_owned() })?;
    let target = &request.target;
    Subdomain::parse("workflow", &request.name)?;
    Name::parse("namespace", &request.namespace)?;
    Name::parse("target namespace", &target.namespace)?;
    Subdomain::parse("target", &target.name)?;
    Subdomain::parse("service account", &request.service_account)?;
    Subdomain::parse("service account", &request.chaos_service_account)?;
    let ready_field = match target.kind.as_str() {
        "Deployment" | "StatefulSet" => ".status.readyReplicas",
        "DaemonSet" => ".status.numberReady",
        other => {
            let why = "chaos aims at a Deployment, StatefulSet or DaemonSet".to_owned();
            return Err(Error::BadName { what: "target kind", name: other.to_owned(), why });
        }
    };
    if target.selector.is_empty()
        || !target.selector.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=,".contains(&b))
    {
        let why = "write it as key=value,key=value".to_owned();
        return Err(Error::BadName { what: "selector", name: target.selector.clone(), why });
    }
    let values = values(template, &request.parameters)?;
    let infra = request.infra_id.as_deref().map(label_value);
    let engine_prefix = format!("{}-{}", template.id, &short_digest(&request.name)[..3]);
    Ok(template_yaml::render(&template_yaml::Parts {
        template,
        request,
        values: &values,
        ready_field,
        infra: infra.as_deref(),
        engine_prefix: &engine_prefix,
    }))
}

fn values(template: &Template, given: &BTreeMap<String, String>) -> Result<Vec<(&'static str, String)>> {
    if let Some(unknown) = given.keys().find(|key| !template.parameters.iter().any(|known| known.name == **key)) {
        let known: Vec<_> = template.parameters.iter().map(|known| known.name).collect();
        let message = format!("{} has no such parameter; it has {}", template.id, known.join(", "));
        return Err(Error::Parameter { name: unknown.clone(), message });
    }
    template.parameters.iter().map(|parameter| Ok((parameter.name, value_of(parameter, given)?))).collect()
}

fn value_of(parameter: &Parameter, given: &BTreeMap<String, String>) -> Result<String> {
    parameter.check(given.get(parameter.name).map_or(parameter.default, |text| text.trim()))
}

impl Parameter {
    /// A value as it is written down.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is out of bounds, or not one of those that there are.
    pub fn check(&self, value: &str) -> Result<String> {
        checked(self, value)
    }
}

fn checked(parameter: &Parameter, value: &str) -> Result<String> {
    let refuse = |message: String| Err(Error::Parameter { name: parameter.name.to_owned(), message });
    if let (Some(min), Some(max)) = (parameter.min, parameter.max) {
        return match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => refuse(format!("{value:?} is not a whole number from {min} to {max}")),
        };
    }
    let choices: Vec<&str> = parameter.choices.iter().map(|(choice, _)| *choice).collect();
    if !choices.is_empty() && !choices.contains(&value) {
        return refuse(format!("{value:?} is not one of {}", choices.join(", ")));
    }
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./,:".contains(&b));
    if value.len() > 253 || !plain {
        return refuse("use at most 253 letters, digits, '-', '_', '.', ',', ':' and '/'".to_owned());
    }
    Ok(value.to_owned())
}
