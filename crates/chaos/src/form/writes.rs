//! The edits that changes of a form are.

use pilothouse_cluster::{Name, Subdomain};
use serde_json::{Value, json};

use super::{Change, NewProbe, by_hand, experiment_of, schedule_text, wrong};
use crate::document::{DocumentKind, WorkflowDocument};
use crate::edit::{Edit, apply, insert_first, set_scalar};
use crate::embedded::EngineText;
use crate::error::{Error, Result};
use crate::places::{Form, Places};

const MODES: [&str; 5] = ["SOT", "EOT", "Edge", "Continuous", "OnChaos"];
const CRITERIA: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// A text with a change made, as far as the way it is written allows.
pub(super) fn write(document: &WorkflowDocument, text: &str, change: &Change) -> Result<String> {
    let edits = match change {
        Change::Schedule { schedule } => return schedule_text::write(document, text, schedule.as_ref()),
        Change::Name { name } => {
            Subdomain::parse("workflow", name)?;
            Places::read(text).and_then(|places| set_scalar(&places, "/metadata/name", name)).map(|edit| vec![edit])
        }
        Change::Weight { template, weight } => {
            if *weight > 1000 {
                return Err(wrong("weight", "give a whole number up to 1000"));
            }
            set_weight(document, text, template, *weight).map(|edit| vec![edit])
        }
        Change::Parameter { template, fault, name, value } => {
            let plain = |text: &str| text.len() <= 4096 && !text.contains("{{") && !text.contains(char::is_control);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || !plain(value) {
                return Err(wrong(name, "use one line without braces that a template would fill in"));
            }
            in_engine(document, text, template, fault, |engine, experiment| {
                set_parameter(engine, experiment, name, value)
            })?
        }
        Change::AddProbe { template, fault, probe } => {
            let value = probe_value(probe)?;
            let lines = lines_of(&value)?;
            in_engine(document, text, template, fault, |engine, experiment| add_probe(engine, experiment, &lines))?
        }
        Change::RemoveProbe { template, fault, probe } => {
            in_engine(document, text, template, fault, |engine, experiment| remove_probe(engine, experiment, probe))?
        }
        Change::ProbeExpects { template, fault, probe, value } => {
            if value.is_empty() || value.len() > 253 || value.contains("{{") || value.contains(char::is_control) {
                return Err(wrong(probe, "give a value in one line"));
            }
            in_engine(document, text, template, fault, |engine, experiment| {
                let at = probe_at(engine, experiment, probe)?;
                let found = engine.value.pointer(&at)?;
                let kind = found.get("type").and_then(Value::as_str)?;
                set_scalar(&engine.places, &format!("{at}{}", expects_pointer(kind, found)?), value)
            })?
        }
    };
    let after = edits.and_then(|edits| apply(text, &edits));
    after.ok_or_else(|| by_hand("this"))
}

fn in_engine(
    document: &WorkflowDocument,
    text: &str,
    template: &str,
    fault: &str,
    edit: impl FnOnce(&EngineText<'_>, &str) -> Option<Edit>,
) -> Result<Option<Vec<Edit>>> {
    let missing = || Error::NotFound { what: "the fault", name: fault.to_owned() };
    let known = |one: &crate::engine::Fault| one.template == template && one.name == fault;
    if !document.faults.iter().any(known) {
        return Err(missing());
    }
    let Some(engine) = EngineText::find(document, text, template) else { return Ok(None) };
    let experiment = experiment_of(&engine, fault).ok_or_else(missing)?;
    Ok(edit(&engine, &experiment).map(|edit| vec![engine.lift(&edit)]))
}

fn set_weight(document: &WorkflowDocument, text: &str, template: &str, weight: u32) -> Option<Edit> {
    let under = if document.kind == DocumentKind::CronWorkflow { "/spec/workflowSpec" } else { "/spec" };
    let templates = document.workflow_spec()?.get("templates")?.as_array()?;
    let index = templates.iter().position(|one| one.get("name").and_then(Value::as_str) == Some(template))?;
    let at = format!("{under}/templates/{index}");
    let places = Places::read(text)?;
    let weight = format!("weight: \"{weight}\"");
    let place = |rest: &str| places.get(&format!("{at}{rest}"));
    if let Some(there) = place("/metadata/labels/weight") {
        let scalar = matches!(there.form, Form::Plain | Form::Single | Form::Double);
        let range = there.value.clone();
        // A label is a text, so that a bare number never was right.
        return scalar.then(|| Edit { range, text: weight["weight: ".len()..].to_owned() });
    }
    match (place("/metadata/labels"), place("/metadata")) {
        (Some(_), _) => insert_first(text, &places, &format!("{at}/metadata/labels"), &[weight]),
        (None, Some(_)) => {
            insert_first(text, &places, &format!("{at}/metadata"), &["labels:".into(), format!("  {weight}")])
        }
        (None, None) => {
            let lines = ["metadata:".to_owned(), "  labels:".to_owned(), format!("    {weight}")];
            insert_first(text, &places, &at, &lines)
        }
    }
}

fn set_parameter(engine: &EngineText<'_>, experiment: &str, name: &str, value: &str) -> Option<Edit> {
    let list = format!("{experiment}/spec/components/env");
    let listed = engine.value.pointer(&list).and_then(Value::as_array);
    let is = |one: &Value| one.get("name").and_then(Value::as_str) == Some(name);
    if let Some(index) = listed.and_then(|all| all.iter().position(is)) {
        let at = format!("{list}/{index}/value");
        let place = engine.places.get(&at)?;
        let scalar = matches!(place.form, Form::Plain | Form::Single | Form::Double);
        // A variable is a text, whatever it looks like.
        let written = Value::String(value.to_owned()).to_string();
        let text = if place.value.is_empty() { format!(" {written}") } else { written };
        return scalar.then(|| Edit { range: place.value.clone(), text });
    }
    let item = [format!("name: {name}"), format!("value: {}", Value::String(value.to_owned()))];
    append_item(&engine.text, &engine.places, &list, &item)
}

/// The edit that puts an item at the end of a list that is written by indentation.
fn append_item(text: &str, places: &Places, list: &str, lines: &[String]) -> Option<Edit> {
    places.get(list).filter(|place| place.form == Form::Block)?;
    let first = places.get(&format!("{list}/0"))?;
    let line_start = text[..first.value.start].rfind('\n').map_or(0, |at| at + 1);
    let dash = text[line_start..first.value.start].rfind('-')?;
    let mut last = 0;
    while places.get(&format!("{list}/{}", last + 1)).is_some() {
        last += 1;
    }
    let end = text[..places.get(&format!("{list}/{last}"))?.value.end].trim_end().len();
    let at = text[end..].find('\n').map_or(text.len(), |found| end + found);
    let at = if text[..at].ends_with('\r') { at - 1 } else { at };
    let pad = " ".repeat(dash);
    let end = crate::edit::line_break(text);
    let item: String = lines
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{end}{pad}{} {line}", if index == 0 { "-" } else { " " }))
        .collect();
    Some(Edit::insert(at, item))
}

fn add_probe(engine: &EngineText<'_>, experiment: &str, lines: &[String]) -> Option<Edit> {
    let spec = format!("{experiment}/spec");
    let listed = engine.value.pointer(&format!("{spec}/probe"));
    match listed {
        Some(Value::Array(all)) if !all.is_empty() => {
            append_item(&engine.text, &engine.places, &format!("{spec}/probe"), lines)
        }
        Some(_) => None,
        None => {
            let item =
                lines.iter().enumerate().map(|(at, line)| format!("  {} {line}", if at == 0 { "-" } else { " " }));
            let all: Vec<String> = std::iter::once("probe:".to_owned()).chain(item).collect();
            insert_first(&engine.text, &engine.places, &spec, &all)
        }
    }
}

fn probe_at(engine: &EngineText<'_>, experiment: &str, probe: &str) -> Option<String> {
    let list = format!("{experiment}/spec/probe");
    let all = engine.value.pointer(&list)?.as_array()?;
    let index = all.iter().position(|one| one.get("name").and_then(Value::as_str) == Some(probe))?;
    Some(format!("{list}/{index}"))
}

fn remove_probe(engine: &EngineText<'_>, experiment: &str, probe: &str) -> Option<Edit> {
    let at = probe_at(engine, experiment, probe)?;
    let (text, places) = (&engine.text, &engine.places);
    let list = format!("{experiment}/spec/probe");
    let alone = engine.value.pointer(&list)?.as_array()?.len() == 1;
    let item = places.get(&at).filter(|place| place.form == Form::Block)?;
    places.get(&list).filter(|place| place.form == Form::Block)?;
    // A list of nothing is no list: the key goes with its last item.
    let from = if alone { places.get(&list)?.key.as_ref()?.start } else { item.value.start };
    let start = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let lead = &text[start..from];
    if !lead.chars().all(|c| matches!(c, ' ' | '-')) || (alone && lead.contains('-')) {
        return None;
    }
    let end = text[..item.value.end].trim_end().len();
    let end = text[end..].find('\n').map_or(text.len(), |found| end + found + 1);
    Some(Edit { range: start..end, text: String::new() })
}

/// Where in a probe the value stands that it must find.
pub(super) fn expects_pointer(probe_type: &str, probe: &Value) -> Option<String> {
    let inputs = format!("/{probe_type}~1inputs");
    let at = match probe_type {
        "httpProbe" => ["method/get/responseCode", "method/post/responseCode"],
        "cmdProbe" | "promProbe" | "sloProbe" => ["comparator/value", "comparator/value"],
        _ => return None,
    };
    at.iter().map(|rest| format!("{inputs}/{rest}")).find(|at| probe.pointer(at).is_some())
}

/// A new probe as data.
pub(super) fn probe_value(probe: &NewProbe) -> Result<Value> {
    Name::parse("probe", probe.name())?;
    let (NewProbe::Http { mode, .. } | NewProbe::PodsRunning { mode, .. } | NewProbe::Prometheus { mode, .. }) = probe;
    if !MODES.contains(&mode.as_str()) {
        return Err(wrong("mode", format!("choose one of {}", MODES.join(", "))));
    }
    let plain =
        |text: &str| !text.is_empty() && text.len() <= 2000 && !text.contains("{{") && !text.contains(char::is_control);
    let web = |name: &str, text: &str| {
        let is = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if is && plain(text) {
            Ok(())
        } else {
            Err(wrong(name, "write an address that begins with http:// or https://"))
        }
    };
    let times = json!({"probeTimeout": "10s", "interval": "2s", "attempt": 3});
    Ok(match probe {
        NewProbe::Http { name, url, code, .. } => {
            web("url", url)?;
            if !(100..=599).contains(code) {
                return Err(wrong("code", "give an HTTP status, 100 to 599"));
            }
            json!({"name": name, "type": "httpProbe", "mode": mode, "httpProbe/inputs": {"url": url,
                "method": {"get": {"criteria": "==", "responseCode": code.to_string()}}}, "runProperties": times})
        }
        NewProbe::PodsRunning { name, namespace, selector, .. } => {
            Name::parse("namespace", namespace)?;
            if selector.is_empty() || !selector.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=,".contains(&b)) {
                return Err(wrong("selector", "write it as key=value,key=value"));
            }
            json!({"name": name, "type": "k8sProbe", "mode": mode, "k8sProbe/inputs": {"version": "v1",
                "resource": "pods", "namespace": namespace, "labelSelector": selector,
                "fieldSelector": "status.phase=Running", "operation": "present"}, "runProperties": times})
        }
        NewProbe::Prometheus { name, endpoint, query, criteria, value, .. } => {
            web("endpoint", endpoint)?;
            if !plain(query) {
                return Err(wrong("query", "write the query in one line"));
            }
            if !CRITERIA.contains(&criteria.as_str()) {
                return Err(wrong("criteria", format!("choose one of {}", CRITERIA.join(", "))));
            }
            if value.parse::<f64>().is_err() {
                return Err(wrong("value", "give a number"));
            }
            json!({"name": name, "type": "promProbe", "mode": mode, "promProbe/inputs": {"endpoint": endpoint,
                "query": query, "comparator": {"type": "float", "criteria": criteria, "value": value}},
                "runProperties": times})
        }
    })
}

/// A probe as lines of YAML, in the order that people write them in.
fn lines_of(probe: &Value) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let order = ["name", "type", "mode"];
    let all = probe.as_object().ok_or_else(|| by_hand("the probe"))?;
    let rest = all.iter().filter(|(key, _)| !order.contains(&key.as_str()));
    for (key, value) in
        order.iter().filter_map(|key| Some((*key, all.get(*key)?))).chain(rest.map(|(k, v)| (k.as_str(), v)))
    {
        push(&mut out, 0, key, value);
    }
    Ok(out)
}

fn push(out: &mut Vec<String>, depth: usize, key: &str, value: &Value) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            out.push(format!("{pad}{key}:"));
            for (key, value) in map {
                push(out, depth + 1, key, value);
            }
        }
        Value::String(text) => out.push(format!("{pad}{key}: {}", crate::edit::scalar(text, Form::Plain))),
        other => out.push(format!("{pad}{key}: {other}")),
    }
}
