//! New chaos workflows: from what is ready-made, from a file, or step by step with a form over the text.

use std::path::Path;

use jiff::Timestamp;
use pilothouse_chaos::{
    Problem, WorkflowDocument,
    document::DocumentKind,
    dry_run::{self, Answer},
    engine::Target,
    form::{self, Change, Cron, Form},
    instantiate::RunLabels,
    schedule::Schedule,
    templates::{Parameter, Request, TemplateTarget, YES_NO, known, render, templates},
};
use pilothouse_cluster::kinds;

use crate::{
    App, Result,
    commits::FILE_LIMIT,
    contract::{
        AppError, ChangedWorkflow, ChaosTarget, DryRunAnswer, DryRunEntry, ErrorCode, FormChange, FormFault,
        FormParameter, FormProbe, FormSchedule, ImportedWorkflow, NewProbe, ParameterChoice, TemplateChoice,
        TemplateParameter, WorkflowForm, WorkflowTemplate,
    },
    session::Live,
    workflows::{diagnostic, diagnostics},
};

/// ChaosCenter's service account for the steps of workflows.
const STEPS_ACCOUNT: &str = "argo-chaos";
/// ChaosCenter's service account for the chaos itself.
const CHAOS_ACCOUNT: &str = "litmus-admin";

/// The kinds of a file whose text is shown; a Secret, or a kubeconfig, picked by mistake never gets into the window.
const SHOWN: [DocumentKind; 4] =
    [DocumentKind::Workflow, DocumentKind::CronWorkflow, DocumentKind::ChaosEngine, DocumentKind::ChaosSchedule];

/// What a file must have for its text to be shown.
#[derive(serde::Deserialize)]
struct Manifest {
    #[expect(dead_code, reason = "only whether it is there is asked")]
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
}

impl Manifest {
    fn is_shown(&self) -> bool {
        SHOWN.iter().any(|kind| kind.as_str() == self.kind)
    }
}

/// How many of the next times of a schedule are shown.
const NEXT: usize = 3;

fn parameter(known: &Parameter) -> TemplateParameter {
    let number = |n: Option<i64>| n.and_then(|n| i32::try_from(n).ok());
    TemplateParameter {
        name: known.name.to_owned(),
        label: known.label.to_owned(),
        unit: known.unit.map(str::to_owned),
        default: known.default.to_owned(),
        min: number(known.min),
        max: number(known.max),
        help: known.help.to_owned(),
    }
}

fn target_words(target: &Target) -> String {
    let kind = match target.kind.as_str() {
        "" => "pods",
        "deployment" => "Deployment",
        "statefulset" => "StatefulSet",
        "daemonset" => "DaemonSet",
        other => other,
    };
    let which = match (&target.labels, &target.names[..]) {
        (_, names @ [_, ..]) => names.join(", "),
        (Some(labels), []) => labels.clone(),
        (None, []) => String::new(),
    };
    format!("{kind} {}/{which}", target.namespace)
}

fn form_view(found: Form, document: &WorkflowDocument) -> WorkflowForm {
    let schedule = found.schedule.map(|Cron { cron, timezone }| FormSchedule { cron, timezone });
    let followed = Schedule::of(document);
    let (mut next, mut at) = (Vec::new(), Timestamp::now());
    while let Some(time) = followed.as_ref().ok().filter(|_| next.len() < NEXT).and_then(|all| all.next_after(at)) {
        next.push(time.to_string());
        at = time;
    }
    WorkflowForm {
        schedule_problem: schedule.as_ref().and_then(|_| followed.err()).map(Into::into),
        schedule,
        next,
        name: found.name,
        kind: found.kind.as_str().to_owned(),
        faults: found.faults.into_iter().map(fault_view).collect(),
    }
}

fn setting(known: Option<&Parameter>, name: String, value: String) -> FormParameter {
    let known_choices = known.map(|known| known.choices).unwrap_or_default();
    // What says yes or no is no free text, whatever it is about.
    let choices = if known.is_none() && matches!(value.as_str(), "true" | "false") { YES_NO } else { known_choices };
    let choices =
        choices.iter().map(|(value, label)| ParameterChoice { value: (*value).into(), label: (*label).into() });
    FormParameter { known: known.map(parameter), choices: choices.collect(), name, value }
}

fn fault_view(found: form::FormFault) -> FormFault {
    let template = templates().iter().find(|one| one.id == found.fault);
    let first = found.targets.first();
    FormFault {
        title: template.map(|one| one.title.to_owned()),
        namespace: first.map(|one| one.namespace.clone()).unwrap_or_default(),
        selector: first.and_then(|one| one.labels.clone()).unwrap_or_default(),
        targets: found.targets.iter().map(target_words).collect(),
        parameters: found
            .parameters
            .into_iter()
            .map(|(name, value)| setting(known(&found.fault, &name), name, value))
            .collect(),
        probes: found
            .probes
            .into_iter()
            .map(|probe| FormProbe {
                name: probe.name,
                kind: probe.probe_type,
                mode: probe.mode,
                looks_at: probe.looks_at,
                criteria: probe.criteria,
                expects: probe.expects,
            })
            .collect(),
        template: found.template,
        fault: found.fault,
        weight: found.weight,
        by_hand: found.by_hand.map(str::to_owned),
    }
}

fn new_probe(probe: NewProbe) -> form::NewProbe {
    match probe {
        NewProbe::Http { name, url, code, mode } => form::NewProbe::Http { name, url, code, mode },
        NewProbe::PodsRunning { name, namespace, selector, mode } => {
            form::NewProbe::PodsRunning { name, namespace, selector, mode }
        }
        NewProbe::Prometheus { name, endpoint, query, criteria, value, mode } => {
            form::NewProbe::Prometheus { name, endpoint, query, criteria, value, mode }
        }
    }
}

fn form_change(change: FormChange) -> Change {
    match change {
        FormChange::Name { name } => Change::Name { name },
        FormChange::Schedule { schedule } => {
            Change::Schedule { schedule: schedule.map(|FormSchedule { cron, timezone }| Cron { cron, timezone }) }
        }
        FormChange::Weight { template, weight } => Change::Weight { template, weight },
        FormChange::Parameter { template, fault, name, value } => Change::Parameter { template, fault, name, value },
        FormChange::AddProbe { template, fault, probe } => {
            Change::AddProbe { template, fault, probe: new_probe(probe) }
        }
        FormChange::RemoveProbe { template, fault, probe } => Change::RemoveProbe { template, fault, probe },
        FormChange::ProbeExpects { template, fault, probe, value } => {
            Change::ProbeExpects { template, fault, probe, value }
        }
    }
}

/// A setting of a known fault is within its bounds; the form changes what the template would not have made either.
fn bounded(change: &FormChange) -> Result<()> {
    let FormChange::Parameter { fault, name, value, .. } = change else { return Ok(()) };
    let Some(known) = known(fault, name) else { return Ok(()) };
    // An empty share is how one pod is meant.
    if known.name == "PODS_AFFECTED_PERC" && value.is_empty() {
        return Ok(());
    }
    known.check(value).map(|_| ()).map_err(AppError::from)
}

impl App {
    /// Ready-made workflows to start from.
    pub async fn workflow_templates(&self) -> Result<Vec<WorkflowTemplate>> {
        Ok(templates()
            .iter()
            .map(|t| WorkflowTemplate {
                id: t.id.to_owned(),
                title: t.title.to_owned(),
                what: t.what.to_owned(),
                parameters: t.parameters.iter().map(parameter).collect(),
            })
            .collect())
    }

    /// The labels that select a workload's pods.
    async fn selector(&self, live: &Live, target: &ChaosTarget) -> Result<String> {
        let kind = match target.kind.to_ascii_lowercase().as_str() {
            "statefulset" => kinds::STATEFUL_SET,
            _ => kinds::DEPLOYMENT,
        };
        let api = live.cluster.api(&kind, &target.namespace);
        let found = live.cluster.in_time("the workload", api.get_opt(&target.name)).await?;
        let found = found.ok_or_else(|| {
            AppError::not_found(format!("there is no {} {} in {}", kind.kind, target.name, target.namespace))
        })?;
        let labels = found.data.pointer("/spec/selector/matchLabels").and_then(|l| l.as_object());
        let pairs = labels.into_iter().flatten().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)));
        let selector = pairs.collect::<Vec<_>>().join(",");
        if selector.is_empty() {
            return Err(AppError::blocked(format!("{} selects its pods by no plain label", target.name))
                .with_hint("write the workflow by hand and aim it by its own labels"));
        }
        Ok(selector)
    }

    /// The text of a workflow made from a template.
    pub async fn render_template(&self, choice: TemplateChoice) -> Result<String> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &choice.project).await?;
        let selector = self.selector(&live, &choice.target).await?;
        let request = Request {
            name: choice.name,
            namespace: project.namespace,
            service_account: STEPS_ACCOUNT.into(),
            chaos_service_account: CHAOS_ACCOUNT.into(),
            target: TemplateTarget {
                kind: choice.target.kind,
                namespace: choice.target.namespace,
                name: choice.target.name,
                selector,
            },
            parameters: choice.parameters.into_iter().map(|p| (p.name, p.value)).collect(),
            infra_id: None,
        };
        Ok(render(&choice.id, &request)?)
    }

    /// A text as a form.
    ///
    /// # Errors
    /// `chaos.refused` when it is no workflow.
    pub async fn workflow_form(&self, text: String) -> Result<WorkflowForm> {
        crate::blocking(move || Ok(form_view(form::read(&text)?, &WorkflowDocument::parse(&text)?))).await
    }

    /// A text with a change of its form; everything that the change is not about stays byte for byte.
    ///
    /// # Errors
    /// `chaos.parameter` for a value that cannot be; `chaos.refused` when only a person can change the text so.
    pub async fn change_workflow_form(&self, text: String, change: FormChange) -> Result<ChangedWorkflow> {
        bounded(&change)?;
        crate::blocking(move || {
            let text = form::change(&text, &form_change(change))?;
            let form = form_view(form::read(&text)?, &WorkflowDocument::parse(&text)?);
            Ok(ChangedWorkflow { form, diagnostics: diagnostics(&text), text })
        })
        .await
    }

    /// What the API server says to a text: its run, and each engine and fault inside of it. Nothing is created.
    pub async fn dry_run_workflow(&self, project: String, text: String) -> Result<Vec<DryRunEntry>> {
        let live = self.chaos_live()?;
        let project = self.project(&live, &project).await?;
        let workflow = WorkflowDocument::parse(&text)?.name;
        let labels = RunLabels { project: project.id, workflow, ..RunLabels::default() };
        let asked = dry_run::ask(&live.cluster, &project.namespace, &labels, &text).await?;
        Ok(asked
            .into_iter()
            .map(|one| {
                let told = |found: &[Problem]| found.iter().map(diagnostic).collect();
                let (answer, problems, why) = match one.answer {
                    Answer::Taken => (DryRunAnswer::Taken, Vec::new(), None),
                    Answer::UnknownFields(found) => (DryRunAnswer::UnknownFields, told(&found), None),
                    Answer::Refused(found) => (DryRunAnswer::Refused, told(&found), None),
                    Answer::NotAsked(why) => (DryRunAnswer::NotAsked, Vec::new(), Some(why)),
                };
                DryRunEntry { kind: one.kind, name: one.name, template: one.template, answer, problems, why }
            })
            .collect())
    }

    /// Reads a workflow from a file on disk that the user picked.
    pub async fn import_workflow_file(&self, _project: String, path: String) -> Result<ImportedWorkflow> {
        if !self.picked.has(&path) {
            return Err(AppError::blocked("this file was not picked").with_hint("choose the file with the button"));
        }
        let shown = path.clone();
        let text = crate::blocking(move || read_file(&path)).await?;
        // The parser's own words may quote the file, so they are not passed on.
        if !serde_yaml::from_str::<Manifest>(&text).is_ok_and(|manifest| manifest.is_shown()) {
            let kinds = SHOWN.map(DocumentKind::as_str).join(", ");
            return Err(AppError::new(ErrorCode::Chaos, format!("{shown} holds no chaos workflow"))
                .with_hint(format!("choose a YAML file of one object, of one of the kinds {kinds}")));
        }
        let name = WorkflowDocument::parse(&text).map(|d| d.name).unwrap_or_default();
        Ok(ImportedWorkflow { name, diagnostics: diagnostics(&text), text })
    }
}

/// Reads a file the user picked; bounded, and only a plain one.
fn read_file(path: &str) -> Result<String> {
    let refused = |why: String| AppError::new(ErrorCode::Chaos, format!("{path} cannot be read: {why}"));
    let meta = std::fs::metadata(Path::new(path)).map_err(|e| refused(e.to_string()))?;
    if !meta.is_file() {
        return Err(refused("it is not a file".into()));
    }
    if meta.len() > FILE_LIMIT as u64 {
        return Err(refused("it is larger than 1 MiB".into()));
    }
    std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINE: &str = "\
# Kept as it is.
apiVersion: litmuschaos.io/v1alpha1
kind: ChaosEngine
metadata:
  name: kill
spec:
  appinfo: {appns: shop, applabel: app=cart, appkind: deployment}
  experiments:
    - name: pod-delete
      spec:
        components:
          env:
            - name: FORCE
              value: \"false\"   # gently
            - {name: SEQUENCE, value: \"parallel\"}
            - name: DEFAULT_HEALTH_CHECK
              value: 'false'
            - name: TARGET_PODS
              value: ''
";

    #[test]
    fn a_setting_with_few_values_is_offered_with_them_and_only_its_value_is_written() {
        let view = |text: &str| form_view(form::read(text).unwrap(), &WorkflowDocument::parse(text).unwrap());
        let shown = view(ENGINE);
        let offered = |name: &str| {
            let found = shown.faults[0].parameters.iter().find(|one| one.name == name).unwrap();
            let label = found.known.as_ref().map(|known| known.label.as_str());
            (label, found.choices.iter().map(|one| one.value.as_str()).collect::<Vec<_>>())
        };
        assert_eq!(offered("FORCE"), (Some("Force"), vec!["true", "false"]));
        assert_eq!(offered("SEQUENCE"), (Some("Order"), vec!["parallel", "serial"]));
        assert_eq!(offered("DEFAULT_HEALTH_CHECK"), (None, vec!["true", "false"]));
        assert_eq!(offered("TARGET_PODS"), (None, vec![]));

        let set = |name: &str, value: &str| FormChange::Parameter {
            template: "kill".into(),
            fault: "pod-delete".into(),
            name: name.into(),
            value: value.into(),
        };
        for (name, value, before, after) in [
            ("FORCE", "true", "value: \"false\"   # gently", "value: \"true\"   # gently"),
            ("SEQUENCE", "serial", "value: \"parallel\"}", "value: \"serial\"}"),
        ] {
            bounded(&set(name, value)).unwrap();
            let changed = form::change(ENGINE, &form_change(set(name, value))).unwrap();
            assert_eq!(changed, ENGINE.replace(before, after));
            assert_eq!(view(&changed).faults[0].parameters.iter().find(|one| one.name == name).unwrap().value, value);
        }
        for (name, value) in [("FORCE", "yes"), ("SEQUENCE", "both")] {
            assert!(bounded(&set(name, value)).is_err(), "{name}");
        }
    }
}
