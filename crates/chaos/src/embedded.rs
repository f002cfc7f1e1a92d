//! The text of a chaos engine inside a workflow's template, and where its bytes stand in the file.

use pilothouse_cluster::Unfolding;
use serde_json::Value;

use crate::document::WorkflowDocument;
use crate::edit::{Edit, line_break};
use crate::places::{Places, line_at};

/// An engine's own text: a literal inside a template, or the whole document of a standalone engine.
pub(crate) struct EngineText<'a> {
    whole: &'a str,
    /// The engine's text without the file's indentation.
    pub(crate) text: String,
    /// Where its values stand in it.
    pub(crate) places: Places,
    /// The engine as it is read, with its templates' braces taken for text.
    pub(crate) value: Value,
    /// For each line: where it begins here, and where in the file.
    lines: Vec<(usize, usize)>,
    indent: usize,
}

/// The text with each `{{…}}` made into letters of the same length, so that it is YAML and every byte keeps its place.
fn masked(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let end = start + rest[start..].find("}}")? + 2;
        out.push_str(&rest[..start]);
        out.push_str(&"x".repeat(end - start));
        rest = &rest[end..];
    }
    out.push_str(rest);
    Some(out)
}

/// The pointer of the text in a template that creates a chaos engine.
fn pointer_of(document: &WorkflowDocument, template: &str) -> Option<String> {
    let under = if document.kind == crate::DocumentKind::CronWorkflow { "/spec/workflowSpec" } else { "/spec" };
    let templates = document.workflow_spec()?.get("templates")?.as_array()?;
    let index = templates.iter().position(|one| one.get("name").and_then(Value::as_str) == Some(template))?;
    let holds =
        |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| text.contains("kind: ChaosEngine"));
    let artifacts = templates[index].pointer("/inputs/artifacts").and_then(Value::as_array);
    let artifact = artifacts.and_then(|all| all.iter().position(|artifact| holds(artifact.pointer("/raw/data"))));
    match artifact {
        Some(artifact) => Some(format!("{under}/templates/{index}/inputs/artifacts/{artifact}/raw/data")),
        None if holds(templates[index].pointer("/resource/manifest")) => {
            Some(format!("{under}/templates/{index}/resource/manifest"))
        }
        None => None,
    }
}

impl<'a> EngineText<'a> {
    /// Finds the engine of a template; of the document itself when that is an engine. `None` when it is not written
    /// line by line, so that nothing in it can be pointed at.
    pub(crate) fn find(document: &WorkflowDocument, whole: &'a str, template: &str) -> Option<Self> {
        if document.kind == crate::DocumentKind::ChaosEngine {
            let places = Places::read(whole)?;
            let text = whole.to_owned();
            return Some(Self { whole, text, places, value: document.value.clone(), lines: vec![(0, 0)], indent: 0 });
        }
        Self::within(document, whole, &Places::read(whole)?, template)
    }

    /// As [`find`](Self::find), where the file's places are known.
    pub(crate) fn within(document: &WorkflowDocument, whole: &'a str, outer: &Places, template: &str) -> Option<Self> {
        if document.kind == crate::DocumentKind::ChaosEngine {
            return Self::find(document, whole, template);
        }
        let pointer = pointer_of(document, template)?;
        let key = outer.get(&pointer)?.key.clone()?;
        let line_start = whole[..key.start].rfind('\n').map_or(0, |at| at + 1);
        let column = key.start - line_start;
        let header_end = key.end + whole[key.end..].find('\n')? + 1;
        let header = whole[key.end..header_end].trim().trim_start_matches(':').trim();
        let header = header.split_whitespace().next()?;
        if !matches!(header, "|" | "|-" | "|+" | ">" | ">-" | ">+") {
            return None;
        }
        let (mut text, mut lines, mut indent, mut at) = (String::new(), Vec::new(), None, header_end);
        for raw in whole[header_end..].split_inclusive('\n') {
            let line = raw.trim_end_matches(['\n', '\r']);
            let lead = line.len() - line.trim_start_matches(' ').len();
            if !line.trim().is_empty() && lead <= column {
                break;
            }
            if !line.trim().is_empty() {
                indent.get_or_insert(lead);
            }
            let cut = indent.unwrap_or(0).min(lead);
            lines.push((text.len(), at + cut));
            text.push_str(&line[cut..]);
            text.push('\n');
            at += raw.len();
        }
        let shown = masked(&text)?;
        // Another text of the same template may be a trap that nothing has looked at yet.
        let mut unfolding = Unfolding::default();
        unfolding.count(&shown).ok()?;
        let (places, value): (_, Value) = (Places::read(&shown)?, serde_yaml::from_str(&shown).ok()?);
        // A folded text is read line by line only where folding takes nothing from its meaning.
        let meant = masked(document.value.pointer(&pointer)?.as_str()?)?;
        unfolding.count(&meant).ok()?;
        if serde_yaml::from_str::<Value>(&meant).ok()? != value {
            return None;
        }
        Some(Self { whole, text, places, value, lines, indent: indent.unwrap_or(0) })
    }

    fn outside(&self, byte: usize) -> usize {
        let at = self.lines.partition_point(|(here, _)| *here <= byte).saturating_sub(1);
        self.lines.get(at).map_or(byte, |(here, there)| there + (byte - here))
    }

    /// An edit of this text as an edit of the file.
    pub(crate) fn lift(&self, edit: &Edit) -> Edit {
        let joint = format!("{}{}", line_break(self.whole), " ".repeat(self.indent));
        let own = line_break(&self.text);
        // Whole lines go with their indentation.
        let whole_lines = edit.text.is_empty() && edit.range.end > edit.range.start;
        let (start, end) = (self.outside(edit.range.start), self.outside(edit.range.end));
        let back = if whole_lines { self.indent } else { 0 };
        Edit { range: start.saturating_sub(back)..end.saturating_sub(back), text: edit.text.replace(own, &joint) }
    }

    /// The 1-based line in the file of what stands at a pointer.
    pub(crate) fn line(&self, pointer: &str) -> Option<usize> {
        let place = self.places.get(pointer)?;
        let start = place.key.as_ref().map_or(place.value.start, |key| key.start);
        Some(line_at(self.whole, self.outside(start)))
    }

    /// The bytes of a value as they are written, quotes and braces and all.
    pub(crate) fn written(&self, pointer: &str) -> Option<&str> {
        self.text.get(self.places.get(pointer)?.value.clone())
    }
}
