//! The YAML of a ready-made workflow.
//!
//! Written as text, not serialised, so that a person who opens the file finds an order and comments made for reading.
//! Every value that comes from outside has been checked before it gets here.

use std::fmt::Write;

use crate::templates::{Request, Template};

/// The runner image of the public chaos charts.
const RUNNER: &str = "litmuschaos.docker.scarf.sh/litmuschaos/go-runner:latest";
const KUBECTL: &str = "litmuschaos/k8s:latest";
const CHECKER: &str = "litmuschaos/litmus-checker:latest";

/// What the fault's service account must be allowed: group, resources, verbs (as the public chaos charts state it).
const PERMISSIONS: &[(&str, &str, &str)] = &[
    ("", "pods", "create, delete, get, list, patch, update, deletecollection"),
    ("", "events", "create, get, list, patch, update"),
    ("", "configmaps", "get, list"),
    ("", "pods/log", "get, list, watch"),
    ("", "pods/exec", "get, list, create"),
    ("apps", "deployments, statefulsets, replicasets, daemonsets", "list, get"),
    ("apps.openshift.io", "deploymentconfigs", "list, get"),
    ("", "replicationcontrollers", "get, list"),
    ("argoproj.io", "rollouts", "list, get"),
    ("batch", "jobs", "create, list, get, delete, deletecollection"),
    ("litmuschaos.io", "chaosengines, chaosexperiments, chaosresults", "create, list, get, patch, update, delete"),
];

/// Everything the text is made of.
pub(crate) struct Parts<'a> {
    pub(crate) template: &'a Template,
    pub(crate) request: &'a Request,
    pub(crate) values: &'a [(&'static str, String)],
    pub(crate) ready_field: &'a str,
    pub(crate) infra: Option<&'a str>,
    pub(crate) engine_prefix: &'a str,
}

impl Parts<'_> {
    fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The parameters that are the fault's own, as environment entries.
    fn environment(&self) -> String {
        let mut out = String::new();
        let own = self.values.iter().filter(|(name, _)| !matches!(*name, "MIN_READY" | "WEIGHT"));
        for (name, value) in own.map(|(name, value)| (*name, value.as_str())).chain(self.template.fixed.iter().copied())
        {
            // An empty percentage is how Litmus is told to hit one pod.
            let value = if name == "PODS_AFFECTED_PERC" && value == "0" { "" } else { value };
            let _ = writeln!(out, "- name: {name}\n  value: \"{value}\"");
        }
        out.push_str("- name: SEQUENCE\n  value: \"parallel\"\n");
        out
    }
}

/// Renders the workflow.
pub(crate) fn render(parts: &Parts<'_>) -> String {
    let Parts { template, request, engine_prefix, .. } = parts;
    let id = template.id;
    let name = &request.name;
    let target = &request.target;
    let labels = match parts.infra {
        Some(infra) => format!(
            "  labels:\n    infra_id: \"{infra}\"\n    workflows.argoproj.io/controller-instanceid: \"{infra}\"\n"
        ),
        None => String::new(),
    };
    format!(
        "\
# {title} of {kind} {target_name} in {target_namespace}.
# {what}
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: {name}
  namespace: {namespace}
{labels}spec:
  entrypoint: chaos
  serviceAccountName: {service_account}
  podGC:
    strategy: OnWorkflowCompletion
  securityContext:
    runAsUser: 1000
    runAsNonRoot: true
  arguments:
    parameters:
      - name: adminModeNamespace
        value: {namespace}
  templates:
    - name: chaos
      steps:
        - - name: install-chaos-faults
            template: install-chaos-faults
        - - name: {id}
            template: {id}
        - - name: cleanup-chaos-resources
            template: cleanup-chaos-resources

    # Installs the definition of the fault.
    - name: install-chaos-faults
      inputs:
        artifacts:
          - name: {id}
            path: /tmp/{id}.yaml
            raw:
              data: |
{experiment}      container:
        image: {KUBECTL}
        command: [sh, -c]
        args:
          - kubectl apply -f /tmp/{id}.yaml -n {{{{workflow.parameters.adminModeNamespace}}}} && sleep 10

    # Injects the fault and waits for its verdict.
    - name: {id}
      inputs:
        artifacts:
          - name: {id}
            path: /tmp/chaosengine-{id}.yaml
            raw:
              data: |
{engine}      metadata:
        labels:
          weight: \"{weight}\"
      container:
        image: {CHECKER}
        args: [\"-file=/tmp/chaosengine-{id}.yaml\", \"-saveName=/tmp/engine-name\"]

    # Removes this run's engines; their results stay.
    - name: cleanup-chaos-resources
      container:
        image: {KUBECTL}
        command: [sh, -c]
        args:
          - kubectl delete chaosengine -l workflow_run_id={{{{workflow.uid}}}} -n {{{{workflow.parameters.adminModeNamespace}}}}
",
        title = template.title,
        what = template.what,
        kind = target.kind,
        target_name = target.name,
        target_namespace = target.namespace,
        namespace = request.namespace,
        service_account = request.service_account,
        experiment = indent(&experiment(parts), 16),
        engine = indent(&engine(parts, engine_prefix), 16),
        weight = parts.value("WEIGHT"),
    )
}

fn experiment(parts: &Parts<'_>) -> String {
    let template = parts.template;
    let id = template.id;
    let mut permissions = String::new();
    for (group, resources, verbs) in PERMISSIONS {
        let _ = writeln!(
            permissions,
            "      - apiGroups: [\"{group}\"]\n        resources: [{resources}]\n        verbs: [{verbs}]"
        );
    }
    let runtime = if template.uses_runtime {
        format!("      - name: LIB_IMAGE\n        value: \"{RUNNER}\"\n")
    } else {
        String::new()
    };
    let usage = if template.uses_runtime { "      app.kubernetes.io/runtime-api-usage: \"true\"\n" } else { "" };
    format!(
        "\
apiVersion: litmuschaos.io/v1alpha1
kind: ChaosExperiment
metadata:
  name: {id}
  labels:
    name: {id}
    app.kubernetes.io/part-of: litmus
    app.kubernetes.io/component: chaosexperiment
description:
  message: {what}
spec:
  definition:
    scope: Namespaced
    permissions:
{permissions}    image: {RUNNER}
    imagePullPolicy: Always
    command: [/bin/bash]
    args: [-c, ./experiments -name {id}]
    env:
{environment}{runtime}    labels:
      name: {id}
      app.kubernetes.io/part-of: litmus
      app.kubernetes.io/component: experiment-job
{usage}",
        what = template.what,
        environment = indent(&parts.environment(), 6),
    )
}

fn engine(parts: &Parts<'_>, prefix: &str) -> String {
    let request = parts.request;
    let target = &request.target;
    let kind = target.kind.to_lowercase();
    format!(
        "\
apiVersion: litmuschaos.io/v1alpha1
kind: ChaosEngine
metadata:
  generateName: {prefix}
  namespace: \"{{{{workflow.parameters.adminModeNamespace}}}}\"
  labels:
    workflow_run_id: \"{{{{ workflow.uid }}}}\"
    workflow_name: {workflow}
spec:
  engineState: active
  appinfo:
    appns: {namespace}
    applabel: \"{selector}\"
    appkind: {kind}
  chaosServiceAccount: {account}
  jobCleanUpPolicy: retain
  experiments:
    - name: {id}
      spec:
        probe:
          # The steady state. The 0 in front makes a number of the nothing that stands for no ready replica.
          - name: ready-replicas
            type: cmdProbe
            mode: Continuous
            cmdProbe/inputs:
              command: kubectl get {kind} {name} -n {namespace} -o jsonpath=0{{{ready}}}
              comparator:
                type: int
                criteria: \">=\"
                value: \"{minimum}\"
            runProperties:
              probeTimeout: 10s
              interval: 2s
              attempt: 1
              probePollingInterval: 2s
        components:
          env:
{environment}",
        workflow = crate::names::label_value(&request.name),
        namespace = target.namespace,
        selector = target.selector,
        account = request.chaos_service_account,
        id = parts.template.id,
        name = target.name,
        ready = parts.ready_field,
        minimum = parts.value("MIN_READY"),
        environment = indent(&parts.environment(), 12),
    )
}

fn indent(text: &str, by: usize) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        if !line.is_empty() {
            out.push_str(&" ".repeat(by));
        }
        out.push_str(line);
        out.push('\n');
        out
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::document::WorkflowDocument;
    use crate::templates::{Request, TemplateTarget, render, templates};

    fn request() -> Request {
        Request {
            name: "cart-fault".into(),
            namespace: "litmus".into(),
            service_account: "argo-chaos".into(),
            chaos_service_account: "litmus-admin".into(),
            target: TemplateTarget {
                kind: "Deployment".into(),
                namespace: "shop".into(),
                name: "cart".into(),
                selector: "app.kubernetes.io/name=cart".into(),
            },
            parameters: BTreeMap::new(),
            infra_id: Some("5b9be872-6396-4ad1-b64a-ed4b25edd516".into()),
        }
    }

    #[test]
    fn every_template_is_a_workflow_without_a_problem() {
        for template in templates() {
            let text = render(template.id, &request()).unwrap();
            let document = WorkflowDocument::accept("shop", "litmus/shop/cart-fault.yaml", &text)
                .unwrap_or_else(|error| panic!("{}: {error}\n{text}", template.id));
            assert_eq!(document.problems, [], "{}", template.id);
            let [fault] = &document.faults[..] else { panic!("{}: one fault", template.id) };
            assert_eq!((fault.name.as_str(), fault.weight), (template.id, 10));
            assert_eq!(fault.targets[0].labels.as_deref(), Some("app.kubernetes.io/name=cart"));
            assert_eq!(fault.probes[0].name, "ready-replicas");
            assert_eq!(fault.namespace.as_deref(), Some("litmus"));
            // The definition inside the install step is YAML too.
            let data = document.value.pointer("/spec/templates/1/inputs/artifacts/0/raw/data").unwrap();
            let experiment: serde_json::Value = serde_yaml::from_str(data.as_str().unwrap()).unwrap();
            assert_eq!(experiment["metadata"]["name"], template.id);
            assert!(experiment["spec"]["definition"]["env"].as_array().is_some_and(|env| env.len() > 3));
        }
    }

    #[test]
    fn parameters_reach_the_engine_and_bounds_hold() {
        let mut with = request();
        with.parameters = [("NETWORK_LATENCY", "150"), ("WEIGHT", "3"), ("MIN_READY", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let text = render("pod-network-latency", &with).unwrap();
        let document = WorkflowDocument::parse(&text).unwrap();
        assert_eq!(document.faults[0].weight, 3);
        assert!(document.faults[0].environment.contains(&("NETWORK_LATENCY".into(), "150".into())));
        assert!(text.contains("value: \"2\""));
        for (name, value) in [
            ("NETWORK_LATENCY", "0"),
            ("JITTER", "x"),
            ("SOCKET_PATH", "/a\"\n- b"),
            ("CONTAINER_RUNTIME", "podman"),
            ("NO_SUCH", "1"),
        ] {
            let mut bad = request();
            bad.parameters.insert(name.into(), value.into());
            assert!(render("pod-network-latency", &bad).is_err(), "{name}={value}");
        }
        let mut bad = request();
        bad.target.selector = "a=b\"".into();
        assert!(render("pod-delete", &bad).is_err());
        assert!(render("no-such", &request()).is_err());
    }
}
