use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::templates::{Request, TemplateTarget, render, templates};

fn made(template: &str) -> String {
    let request = Request {
        name: "cart-fault".into(),
        namespace: "litmus".into(),
        service_account: "argo-chaos".into(),
        chaos_service_account: "litmus-admin".into(),
        target: TemplateTarget {
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "cart".into(),
            selector: "app=cart".into(),
        },
        parameters: BTreeMap::new(),
        infra_id: None,
    };
    render(template, &request).unwrap()
}

fn cron(cron: &str, timezone: Option<&str>) -> Option<Cron> {
    Some(Cron { cron: cron.into(), timezone: timezone.map(str::to_owned) })
}

fn http(name: &str) -> NewProbe {
    NewProbe::Http {
        name: name.into(),
        url: "http://cart.shop:8080/health?a=b#c".into(),
        code: 200,
        mode: "Continuous".into(),
    }
}

/// A probe without anything that reads like a comment.
fn http_plain(name: &str) -> NewProbe {
    NewProbe::Http { name: name.into(), url: "http://a:1/b".into(), code: 200, mode: "EOT".into() }
}

/// The lines that two texts differ in, without their indentation.
fn changed_lines(before: &str, after: &str) -> Vec<(char, String)> {
    let mut all = Vec::new();
    for one in similar::TextDiff::from_lines(before, after).iter_all_changes() {
        match one.tag() {
            similar::ChangeTag::Equal => {}
            similar::ChangeTag::Insert => all.push(('+', one.value().trim().to_owned())),
            similar::ChangeTag::Delete => all.push(('-', one.value().trim().to_owned())),
        }
    }
    all
}

#[test]
fn a_form_shows_what_a_template_made() {
    let form = read(&made("pod-network-latency")).unwrap();
    assert_eq!((form.name.as_str(), form.kind, &form.schedule), ("cart-fault", DocumentKind::Workflow, &None));
    let [fault] = &form.faults[..] else { panic!("one fault") };
    assert_eq!((fault.fault.as_str(), fault.weight, fault.by_hand), ("pod-network-latency", Some(10), None));
    assert!(fault.parameters.contains(&("NETWORK_LATENCY".into(), "2000".into())));
    let [probe] = &fault.probes[..] else { panic!("one probe") };
    assert_eq!(
        (probe.name.as_str(), probe.criteria.as_deref(), probe.expects.as_deref()),
        ("ready-replicas", Some(">="), Some("1"))
    );
    assert!(probe.looks_at.starts_with("kubectl get deployment cart"));
}

#[test]
fn a_change_touches_only_the_lines_that_it_is_about() {
    let (template, fault) = ("pod-delete".to_owned(), "pod-delete".to_owned());
    let text = made("pod-delete");
    let table: Vec<(Change, Vec<(char, &str)>)> = vec![
        (Change::Name { name: "other".into() }, vec![('-', "name: cart-fault"), ('+', "name: other")]),
        (
            Change::Weight { template: template.clone(), weight: 3 },
            vec![('-', "weight: \"10\""), ('+', "weight: \"3\"")],
        ),
        (
            Change::Parameter {
                template: template.clone(),
                fault: fault.clone(),
                name: "FORCE".into(),
                value: "true".into(),
            },
            vec![('-', "value: \"false\""), ('+', "value: \"true\"")],
        ),
        (
            Change::Parameter {
                template: template.clone(),
                fault: fault.clone(),
                name: "NODE_LABEL".into(),
                value: "a: #b".into(),
            },
            vec![('+', "- name: NODE_LABEL"), ('+', "value: \"a: #b\"")],
        ),
        (
            Change::ProbeExpects {
                template: template.clone(),
                fault: fault.clone(),
                probe: "ready-replicas".into(),
                value: "2".into(),
            },
            vec![('-', "value: \"1\""), ('+', "value: \"2\"")],
        ),
    ];
    for (one, lines) in table {
        let after = change(&text, &one).unwrap();
        let found = changed_lines(&text, &after);
        let found: Vec<_> = found.iter().map(|(sign, line)| (*sign, line.as_str())).collect();
        assert_eq!(found, lines, "{one:?}");
        // Said again, it changes nothing.
        if !matches!(one, Change::Name { .. }) {
            assert_eq!(change(&after, &one).unwrap(), after);
        }
    }
    // Of the two places that a setting stands in, the definition of the fault keeps its default.
    let after =
        change(&text, &Change::Parameter { template, fault, name: "FORCE".into(), value: "true".into() }).unwrap();
    assert_eq!((after.matches("value: \"true\"").count(), after.matches("value: \"false\"").count()), (1, 1));
}

#[test]
fn probes_come_and_go_and_the_text_is_as_before() {
    for id in ["pod-delete", "container-kill"] {
        let text = made(id);
        let of = |probe: &str| Change::RemoveProbe { template: id.into(), fault: id.into(), probe: probe.into() };
        let add = |probe| Change::AddProbe { template: id.into(), fault: id.into(), probe };
        let two = change(&text, &add(http("front"))).unwrap();
        assert!(two.contains("url: \"http://cart.shop:8080/health?a=b#c\""), "{two}");
        let three = change(
            &two,
            &add(NewProbe::PodsRunning {
                name: "pods".into(),
                namespace: "shop".into(),
                selector: "app=cart".into(),
                mode: "EOT".into(),
            }),
        )
        .unwrap();
        let form = read(&three).unwrap();
        assert_eq!(
            form.faults[0].probes.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            ["ready-replicas", "front", "pods"]
        );
        assert_eq!(form.faults[0].probes[1].expects.as_deref(), Some("200"));
        assert_eq!(WorkflowDocument::parse(&three).unwrap().problems, WorkflowDocument::parse(&text).unwrap().problems);
        let back = change(&change(&three, &of("pods")).unwrap(), &of("front")).unwrap();
        assert_eq!(back, text);
        // With the last one its list goes, and the next one makes it anew.
        let none = change(&text, &of("ready-replicas")).unwrap();
        assert!(read(&none).unwrap().faults[0].probes.is_empty());
        assert_eq!(read(&change(&none, &add(http("front"))).unwrap()).unwrap().faults[0].probes.len(), 1);
    }
}

#[test]
fn a_schedule_comes_and_goes_with_every_comment_in_its_place() {
    for template in templates() {
        let text = made(template.id);
        let set = |schedule| Change::Schedule { schedule };
        let nightly = change(&text, &set(cron("0 3 * * 1-5", Some("Europe/Berlin")))).unwrap();
        let document = WorkflowDocument::accept("shop", "litmus/shop/cart-fault.yaml", &nightly).unwrap();
        assert_eq!((document.kind, document.faults.len()), (DocumentKind::CronWorkflow, 1));
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
        assert_eq!(comments(&nightly), comments(&text));
        let hourly = change(&nightly, &set(cron("@hourly", None))).unwrap();
        assert_eq!(
            changed_lines(&nightly, &hourly),
            [
                ('-', "schedule: \"0 3 * * 1-5\"".to_owned()),
                ('-', "timezone: \"Europe/Berlin\"".to_owned()),
                ('+', "schedule: \"@hourly\"".to_owned()),
            ]
        );
        assert_eq!(change(&hourly, &set(None)).unwrap(), text);
        // The rest of the form works all the same.
        let weighed = change(&nightly, &Change::Weight { template: template.id.into(), weight: 2 }).unwrap();
        assert_eq!(read(&weighed).unwrap().faults[0].weight, Some(2));
    }
    let text = made("pod-delete");
    for wrong in ["", "0 3 * *", "61 * * * *", "0 3 * * *\"\nx: y", "every day"] {
        let refused = change(&text, &Change::Schedule { schedule: cron(wrong, None) });
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{wrong:?}");
    }
    let nowhere = change(&text, &Change::Schedule { schedule: cron("@daily", Some("Mars/Base")) });
    assert!(matches!(nowhere, Err(Error::Parameter { .. })));
}

#[test]
fn hostile_values_are_refused_or_stay_values() {
    let text = made("pod-delete");
    let (template, fault) = ("pod-delete".to_owned(), "pod-delete".to_owned());
    let add = |probe| change(&text, &Change::AddProbe { template: template.clone(), fault: fault.clone(), probe });
    let with_url = |url: &str| NewProbe::Http { name: "p".into(), url: url.into(), code: 200, mode: "EOT".into() };
    for url in ["file:///etc/passwd", "http://", "x", "http://a/{{workflow.uid}}", "http://a/\n- name: b"] {
        assert!(add(with_url(url)).is_err(), "{url}");
    }
    assert!(add(http("a b")).is_err());
    assert!(add(http("ready-replicas")).is_ok_and(|after| read(&after).unwrap().faults[0].probes.len() == 2));
    let odd = "http://a/?q='\"#: &x *y !z";
    assert_eq!(read(&add(with_url(odd)).unwrap()).unwrap().faults[0].probes[1].looks_at, odd);
    for value in ["{{workflow.name}}", "a\nb: c", "\u{7}"] {
        let set = Change::Parameter {
            template: template.clone(),
            fault: fault.clone(),
            name: "FORCE".into(),
            value: value.into(),
        };
        assert!(change(&text, &set).is_err(), "{value:?}");
    }
    let flow = "apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata: {name: e}\nspec: {experiments: [{name: pod-delete, spec: {components: {env: [{name: A, value: b}]}}}]}\n";
    let set =
        Change::Parameter { template: "e".into(), fault: "pod-delete".into(), name: "B".into(), value: "c".into() };
    assert!(matches!(change(flow, &set), Err(Error::Refused(problem)) if problem.code == "form.by_hand"));
    let known =
        Change::Parameter { template: "e".into(), fault: "pod-delete".into(), name: "A".into(), value: "c".into() };
    assert_eq!(change(flow, &known).unwrap(), flow.replace("value: b", "value: \"c\""));
}

#[derive(Debug, Clone)]
enum Step {
    Weight(u32),
    Parameter(usize, String),
    Add(String),
    Remove(usize),
    Cron(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..=1000u32).prop_map(Step::Weight),
        (any::<usize>(), "[ -~]{0,20}").prop_map(|(at, text)| Step::Parameter(at, text)),
        "[a-z]{1,8}".prop_map(Step::Add),
        any::<usize>().prop_map(Step::Remove),
        any::<bool>().prop_map(Step::Cron),
    ];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However a text is changed, the form says what was asked for, no comment is lost, and every change that is refused
    /// leaves the text as it was.
    #[test]
    fn any_sequence_of_changes_holds(at in 0..6usize, steps in steps()) {
        let id = templates()[at].id;
        let mut text = made(id);
        let comments = text.matches('#').count();
        for step in steps {
            let form = read(&text).unwrap();
            let fault = &form.faults[0];
            let (template, name) = (fault.template.clone(), fault.fault.clone());
            let one = match step {
                Step::Weight(weight) => Change::Weight { template, weight },
                Step::Parameter(at, value) => {
                    let parameter = fault.parameters[at % fault.parameters.len()].0.clone();
                    Change::Parameter { template, fault: name, name: parameter, value: value.replace('#', "") }
                }
                Step::Add(probe) if fault.probes.iter().all(|one| one.name != probe) => {
                    Change::AddProbe { template, fault: name, probe: http_plain(&probe) }
                }
                Step::Remove(at) if !fault.probes.is_empty() => {
                    let probe = fault.probes[at % fault.probes.len()].name.clone();
                    // The comment above it is about it alone.
                    if probe == "ready-replicas" { continue }
                    Change::RemoveProbe { template, fault: name, probe }
                }
                Step::Cron(on) => Change::Schedule { schedule: if on { cron("0 3 * * *", None) } else { None } },
                _ => continue,
            };
            let expected = expected(form, &one).unwrap();
            match change(&text, &one) {
                Ok(after) => {
                    prop_assert_eq!(read(&after).unwrap(), expected);
                    prop_assert_eq!(after.matches('#').count(), comments);
                    text = after;
                }
                Err(Error::Parameter { .. }) => {
                    let about_a_value = matches!(one, Change::Parameter { .. });
                    prop_assert!(about_a_value);
                }
                Err(other) => prop_assert!(false, "{one:?}: {other}\n{text}"),
            }
        }
        let document = WorkflowDocument::parse(&text).unwrap();
        prop_assert_eq!(document.first_error(), None);
    }
}
