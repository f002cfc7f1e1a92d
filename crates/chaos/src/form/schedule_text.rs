//! From a workflow to one that runs on a schedule and back: the spec moves in or out by one level, with its comments.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::{Cron, by_hand, wrong};
use crate::document::{DocumentKind, WorkflowDocument};
use crate::edit::{Edit, apply, insert_first, line_break, remove_line, set_scalar};
use crate::error::Result;
use crate::places::{Form, Places};

/// What a schedule consists of besides its times; gone with it.
const OWN: [&str; 8] = [
    "schedule",
    "timezone",
    "concurrencyPolicy",
    "startingDeadlineSeconds",
    "suspend",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
    "workflowSpec",
];

/// The schedule of a document, where it is one that a form can show.
pub(super) fn read(document: &WorkflowDocument) -> Option<Cron> {
    let [cron] = &document.schedules[..] else { return None };
    let timezone = document.value.pointer("/spec/timezone").and_then(Value::as_str).map(str::to_owned);
    Some(Cron { cron: cron.clone(), timezone })
}

/// A text with another schedule.
pub(super) fn write(document: &WorkflowDocument, text: &str, schedule: Option<&Cron>) -> Result<String> {
    if let Some(Cron { cron, timezone }) = schedule {
        let plain =
            |text: &str| text.len() <= 100 && !text.contains(['"', '\\', '{', '}']) && !text.contains(char::is_control);
        if cron.trim().is_empty() || !plain(cron) {
            return Err(wrong("schedule", "write five fields of cron, such as 0 3 * * 1-5"));
        }
        if timezone.as_deref().is_some_and(|zone| zone.is_empty() || !plain(zone)) {
            return Err(wrong("timezone", "write a time zone's name, such as Europe/Berlin"));
        }
    }
    let written = match (document.kind, schedule) {
        (DocumentKind::Workflow, None) => return Ok(text.to_owned()),
        (DocumentKind::Workflow, Some(cron)) => wrapped(text, cron),
        (DocumentKind::CronWorkflow, None) => unwrapped(document, text),
        (DocumentKind::CronWorkflow, Some(cron)) => replaced(document, text, cron),
        _ => None,
    };
    let after = written.ok_or_else(|| by_hand("the schedule"))?;
    // The whole document must be what it would be if it had been moved as data.
    let found: Option<Value> = serde_yaml::from_str(&after).ok();
    if found.as_ref() != Some(&moved(document, schedule)) {
        return Err(by_hand("the schedule"));
    }
    Ok(after)
}

/// What a document is as data after the change.
fn moved(document: &WorkflowDocument, schedule: Option<&Cron>) -> Value {
    let mut value = document.value.clone();
    let spec = document.workflow_spec().cloned().unwrap_or(Value::Null);
    match schedule {
        None => {
            value["kind"] = json!("Workflow");
            value["spec"] = spec;
        }
        Some(Cron { cron, timezone }) => {
            let mut own = match (document.kind, &value["spec"]) {
                (DocumentKind::CronWorkflow, Value::Object(own)) => own.clone(),
                _ => Map::from_iter([
                    ("concurrencyPolicy".to_owned(), json!("Forbid")),
                    ("startingDeadlineSeconds".to_owned(), json!(0)),
                    ("workflowSpec".to_owned(), spec),
                ]),
            };
            own.insert("schedule".to_owned(), json!(cron));
            match timezone {
                Some(zone) => own.insert("timezone".to_owned(), json!(zone)),
                None => own.remove("timezone"),
            };
            value["kind"] = json!("CronWorkflow");
            value["spec"] = Value::Object(own);
        }
    }
    value
}

/// A key that is written by indentation: the column of its own lines, and the lines below it.
struct Block {
    /// The column of the keys directly below it.
    column: usize,
    /// Whole lines, from the first below the key to the last.
    lines: Range<usize>,
}

fn block(text: &str, places: &Places, pointer: &str) -> Option<Block> {
    let place = places.get(pointer).filter(|place| place.form == Form::Block)?;
    let key = place.key.as_ref()?;
    let key_column = key.start - text[..key.start].rfind('\n').map_or(0, |at| at + 1);
    let start = key.end + text[key.end..].find('\n')? + 1;
    let first = places.first_below(pointer)?.key.as_ref()?.start;
    let column = first - text[..first].rfind('\n').map_or(0, |at| at + 1);
    let mut end = start;
    for line in text[start..].split_inclusive('\n') {
        let lead = line.len() - line.trim_start_matches(' ').len();
        // A comment at the margin belongs to what it stands in, when more of that follows.
        let outside = lead <= key_column && !line.trim_start().starts_with('#');
        if !line.trim().is_empty() && outside {
            break;
        }
        end += line.len();
    }
    // What stands after the last line of its own is the next one's.
    let mut own = end;
    while own > start {
        let last = text[..own - 1].rfind('\n').map_or(0, |at| at + 1).max(start);
        let line = &text[last..own];
        let lead = line.len() - line.trim_start_matches(' ').len();
        if line.trim().is_empty() || (line.trim_start().starts_with('#') && lead <= key_column) {
            own = last;
        } else {
            break;
        }
    }
    (own > start && column > key_column).then_some(Block { column, lines: start..own })
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn wrapped(text: &str, Cron { cron, timezone }: &Cron) -> Option<String> {
    let places = Places::read(text)?;
    let Block { column, lines } = block(text, &places, "/spec")?;
    let (pad, end) = (" ".repeat(column), line_break(text));
    let mut head = format!("{pad}schedule: {}{end}", quoted(cron));
    if let Some(zone) = timezone {
        head.push_str(&format!("{pad}timezone: {}{end}", quoted(zone)));
    }
    head.push_str(&format!(
        "{pad}concurrencyPolicy: Forbid{end}{pad}startingDeadlineSeconds: 0{end}{pad}workflowSpec:{end}"
    ));
    let inner: String = text[lines.clone()]
        .split_inclusive('\n')
        .map(|line| if line.trim().is_empty() { line.to_owned() } else { format!("  {line}") })
        .collect();
    let kind = set_scalar(&places, "/kind", "CronWorkflow")?;
    apply(text, &[kind, Edit { range: lines, text: format!("{head}{inner}") }])
}

fn unwrapped(document: &WorkflowDocument, text: &str) -> Option<String> {
    // What else stands there would be lost.
    let spec = document.value.get("spec")?.as_object()?;
    if !spec.keys().all(|key| OWN.contains(&key.as_str())) {
        return None;
    }
    let places = Places::read(text)?;
    let (outer, inner) = (block(text, &places, "/spec")?, block(text, &places, "/spec/workflowSpec")?);
    let less = inner.column.checked_sub(outer.column)?;
    let lines: String = text[inner.lines]
        .split_inclusive('\n')
        .map(|line| {
            let lead = line.len() - line.trim_start_matches(' ').len();
            &line[less.min(lead)..]
        })
        .collect();
    let kind = set_scalar(&places, "/kind", "Workflow")?;
    apply(text, &[kind, Edit { range: outer.lines, text: lines }])
}

fn replaced(document: &WorkflowDocument, text: &str, Cron { cron, timezone }: &Cron) -> Option<String> {
    let places = Places::read(text)?;
    let mut edits = Vec::new();
    let there = |key: &str| document.value.pointer(key).and_then(Value::as_str);
    if there("/spec/schedule") != Some(cron) {
        edits.push(set_scalar(&places, "/spec/schedule", cron)?);
    }
    match (there("/spec/timezone"), timezone) {
        (Some(zone), Some(wanted)) if zone == wanted => {}
        (Some(_), Some(zone)) => edits.push(set_scalar(&places, "/spec/timezone", zone)?),
        (Some(_), None) => edits.push(remove_line(text, &places, "/spec/timezone")?),
        (None, Some(zone)) => {
            edits.push(insert_first(text, &places, "/spec", &[format!("timezone: {}", quoted(zone))])?);
        }
        (None, None) => {}
    }
    apply(text, &edits)
}
