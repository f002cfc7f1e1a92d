//! What ChaosCenter would refuse, line by line, and the fixes.

use std::collections::BTreeMap;

use pilothouse_chaos::mend::{Around, Remark, mend, remarks};
use pilothouse_chaos::remap::{Changed, Experiments, Remap, remap, ties};
use pilothouse_chaos::{Error, WorkflowDocument};

use super::{GOOD, read};

const INFRA: &str = "5b9be872-6396-4ad1-b64a-ed4b25edd516";

fn around(stem: &str) -> Around {
    Around { stem: Some(stem.to_owned()), infra: Some(INFRA.to_owned()) }
}

/// Makes every fix that is offered, one after the other, until none is.
fn all_mended(text: &str, around: &Around) -> String {
    let mut text = text.to_owned();
    for _ in 0..30 {
        let found = remarks(&text, around);
        let Some(first) = found.iter().find(|remark| remark.fix.is_some()) else { return text };
        text = mend(&text, around, std::slice::from_ref(&first.id)).unwrap();
    }
    panic!("the fixes do not end:\n{text}");
}

fn told(found: &[Remark]) -> Vec<(&str, usize)> {
    found.iter().map(|remark| (remark.problem.code.as_str(), remark.problem.line.unwrap_or(0))).collect()
}

/// What only a person can mend, by sample; every other sample ends without a remark.
const LEFT: &[(&str, &[&str])] = &[
    ("chaosengine-chaoscenter-standalone-mock.yaml", &["fault.probe_not_here"]),
    // Faults of nodes and engines without a target: nobody can tell what a probe should look at.
    ("chaosengine-container-kill.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
    ("chaosengine-node-drain.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
    ("chaosengine-pod-cpu-hog.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
    ("chaosengine-pod-delete.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
    ("chaosengine-pod-network-latency.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
    ("chaosengine-pod-network-loss.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
    // Its step applies the engine, and `kubectl apply` takes no generateName.
    ("cronworkflow-argocd-catalogue-pod-cpu-hog.yaml", &["chaoscenter.kind", "chaoscenter.generate_name"]),
    ("cronworkflow-bank-of-anthos.yaml", &["chaoscenter.kind"]),
    ("cronworkflow-chaoscenter-mock.yaml", &["chaoscenter.kind"]),
    ("cronworkflow-node-cpu-hog.yaml", &["chaoscenter.kind", "chaoscenter.no_probe", "fault.no_target"]),
    ("cronworkflow-pod-cpu-hog.yaml", &["chaoscenter.kind"]),
    ("cronworkflow-pod-delete.yaml", &["chaoscenter.kind"]),
    ("cronworkflow-pod-memory-hog.yaml", &["chaoscenter.kind"]),
    ("cronworkflow-sock-shop.yaml", &["chaoscenter.kind"]),
    ("cronworkflow-sock-shop-promProbe.yaml", &["chaoscenter.kind"]),
    ("workflow-chaoscenter-saved-cart-network-latency.yaml", &["fault.probe_not_here"]),
    ("workflow-chaoscenter-saved-recommendation-pod-delete.yaml", &["fault.probe_not_here"]),
    ("workflow-node-cpu-hog.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
    ("workflow-node-memory-hog.yaml", &["chaoscenter.no_probe", "fault.no_target"]),
];

#[test]
fn every_fix_holds_and_leaves_the_other_lines_alone() {
    let left: BTreeMap<&str, &[&str]> = LEFT.iter().copied().collect();
    for (name, ..) in GOOD {
        let text = read(name);
        let around = around(&WorkflowDocument::parse(&text).unwrap().name);
        let after = all_mended(&text, &around);
        let remain = remarks(&after, &around);
        let codes: Vec<&str> = remain.iter().map(|remark| remark.problem.code.as_str()).collect();
        assert_eq!(codes, left.get(name).copied().unwrap_or_default(), "{name}: {remain:?}");
        // Of the lines that were there, only those that a remark named are others now, and they are still in order.
        let named = remarks(&text, &around).iter().filter(|remark| remark.fix.is_some()).count();
        let mut rest = after.split_inclusive('\n');
        let lost: Vec<&str> = text
            .split_inclusive('\n')
            .filter(|line| !rest.clone().any(|there| there == *line) || rest.all(|there| there != *line))
            .collect();
        // A fix of a name changes the clean-up as well.
        assert!(lost.len() <= 2 * named, "{name}: {lost:?}");
        assert_eq!(after.ends_with('\n'), text.ends_with('\n'), "{name}");
    }
}

#[test]
fn the_checker_names_the_line_and_says_what_the_fix_does() {
    let text = read("workflow-pod-delete.yaml");
    let found = remarks(&text, &around("renamed"));
    let wanted = [
        ("document.stem", 4),
        ("label.value", 7),
        ("chaoscenter.infra", 3),
        ("chaoscenter.generate_name", 127),
        ("chaoscenter.no_probe", 141),
    ];
    assert_eq!(told(&found), wanted);
    assert!(found.iter().all(|remark| remark.fix.is_some()), "{found:?}");
    let line = |number: usize| text.lines().nth(number - 1).unwrap().trim();
    assert_eq!(
        (line(4), line(127), line(141)),
        ("name: argowf-chaos-pod-delete", "name: pod-delete-chaos", "- name: pod-delete")
    );

    // All at once is one edit.
    let ids: Vec<String> = found.iter().map(|remark| remark.id.clone()).collect();
    let mended = mend(&text, &around("renamed"), &ids).unwrap();
    assert_eq!(told(&remarks(&mended, &around("renamed"))), []);
    assert!(mended.contains("  name: renamed\n") && mended.contains("subject: \"default_pod-delete\"\n"));
    // What is cleaned up is what was made: the engine has another name each time.
    assert!(mended.contains("delete chaosengine -l workflow_run_id={{workflow.uid}} -n"));
    let document = WorkflowDocument::parse(&mended).unwrap();
    assert_eq!(document.labels["infra_id"], INFRA);
    assert_eq!(document.labels["workflows.argoproj.io/controller-instanceid"], INFRA);
    assert_eq!(document.faults[0].probes[0].probe_type, "k8sProbe");

    // Without any installation in sight there is no id to write.
    let alone = Around { infra: None, ..around("argowf-chaos-pod-delete") };
    assert!(remarks(&text, &alone).iter().any(|one| one.problem.code == "chaoscenter.infra" && one.fix.is_none()));
    assert!(matches!(mend(&text, &alone, &["chaoscenter.infra:3:1".into()]), Err(Error::Refused(_))));
}

#[test]
fn labels_of_an_installation_move_to_another_and_nothing_else_does() {
    let name = "workflow-chaoscenter-saved-recommendation-pod-delete.yaml";
    let text = read(name);
    let found: Vec<_> =
        ties(&WorkflowDocument::parse(&text).unwrap(), &text).into_iter().map(|tie| (tie.label, tie.line)).collect();
    assert_eq!(found.len(), 4);
    let how =
        Remap { infra: BTreeMap::from([(INFRA.to_owned(), "other".to_owned())]), experiments: Experiments::Forget };
    let moved = remap(&text, &how).unwrap();
    let lines: Vec<_> = moved.changed.iter().map(|Changed { line, .. }| *line).collect();
    assert_eq!(lines, [8, 9, 10, 11]);
    for (number, (old, new)) in text.split_inclusive('\n').zip(moved.text.split_inclusive('\n')).enumerate() {
        assert!(old == new || lines.contains(&(number + 1)), "{old:?} {new:?}");
    }
    let labels = WorkflowDocument::parse(&moved.text).unwrap().labels;
    assert_eq!(
        (labels["infra_id"].as_str(), labels["workflow_id"].as_str(), labels["revision_id"].as_str()),
        ("other", "", "")
    );
}

/// The shortest workflow.
fn short(kind: &str, name: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n  entrypoint: a\n  templates:\n  - name: a\n"
    )
}

/// What a text is refused for as the file `w.yaml`: code, line, and whether a fix is offered that mends it.
fn refused(text: &str) -> (String, Option<usize>, bool) {
    let Err(Error::Refused(problem)) = WorkflowDocument::accept("shop", "litmus/shop/w.yaml", text) else {
        panic!("accepted:\n{text}")
    };
    let around = Around { stem: Some("w".into()), infra: None };
    let found = remarks(text, &around);
    let same = found.iter().find(|remark| remark.problem.code == problem.code).unwrap();
    if same.fix.is_some() {
        let mended = mend(text, &around, std::slice::from_ref(&same.id)).unwrap();
        WorkflowDocument::accept("shop", "litmus/shop/w.yaml", &mended).unwrap();
    }
    (problem.code, problem.line, same.fix.is_some())
}

#[test]
fn case_29_several_documents_are_a_visible_diagnostic() {
    let two = format!("{}---\n{}", short("Workflow", "w"), short("Workflow", "x"));
    assert_eq!(refused(&two), ("document.several".into(), Some(9), false));
}

#[test]
fn case_29_another_kind_is_a_visible_diagnostic_and_a_misspelt_one_is_mended() {
    assert_eq!(refused(&short("ConfigMap", "w")), ("document.kind".into(), Some(2), false));
    assert_eq!(refused(&short("workflow", "w")), ("document.kind".into(), Some(2), true));
    let engine = short("ChaosEngine", "w");
    assert_eq!(refused(&engine).0, "document.api_version");
    assert_eq!(
        refused(&short("Workflow", "w").replace("v1alpha1", "v1")),
        ("document.api_version".into(), Some(1), true)
    );
}

#[test]
fn case_29_a_name_that_is_not_the_files_is_a_visible_diagnostic_with_a_fix() {
    assert_eq!(refused(&short("Workflow", "other")), ("document.stem".into(), Some(4), true));
}

#[test]
fn case_29_a_cron_workflow_is_read_and_says_what_chaoscenter_does_with_it() {
    let text = "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {name: w}\nspec:\n  schedule: '0 3 * * *'\n  workflowSpec: {entrypoint: a, templates: [{name: a}]}\n";
    let document = WorkflowDocument::accept("shop", "litmus/shop/w.yaml", text).unwrap();
    let problem = document.problems.iter().find(|problem| problem.code == "chaoscenter.kind").unwrap();
    assert!(problem.line == Some(2) && problem.message.contains("without a word"), "{problem}");
}

#[test]
fn a_trap_beside_an_engine_is_not_unfolded_for_its_line() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (next, last) in ('b'..='j').zip('a'..='i') {
        bomb.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 9].join(", ")));
    }
    bomb.push_str("kind: ChaosEngine\n");
    let engine = "kind: ChaosEngine\nmetadata: {name: e}\nspec: {experiments: [{name: pod-delete}]}\n";
    let data = |text: &str| text.lines().map(|line| format!("          {line}\n")).collect::<String>();
    let artifact = |text: &str| format!("      - name: x\n        raw:\n         data: |\n{}", data(text));
    let text = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: a\n  templates:\n  - name: a\n    inputs:\n      artifacts:\n{}{}",
        artifact(&bomb),
        artifact(engine)
    );
    let found = remarks(&text, &around("w"));
    let codes: Vec<&str> = found.iter().map(|remark| remark.problem.code.as_str()).collect();
    assert!(codes.contains(&"engine.not_yaml") && codes.contains(&"chaoscenter.generate_name"), "{codes:?}");
}
