//! What is known of a chart: its defaults, the comments in them, and its schema.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::diagnostics::{Diagnostic, MOST, Severity, diagnosed};
use crate::effective::{Parameter, Passed, merged};
use crate::key_path::{KeyPath, Segment};
use crate::outline::{Outline, outline};
use crate::places::{Lines, Ways};
use crate::reading::{Document, document};
use crate::schema::{Fault, Schema};
use crate::unused::effectless;
use crate::{Error, comments, read};

/// A chart's defaults and schema, read once and asked often.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    defaults: Option<Value>,
    schema: Option<Schema>,
    descriptions: HashMap<KeyPath, String>,
    problems: Vec<String>,
}

/// What is known of one key of a chart.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Knowledge {
    /// What it is for: the schema's words, or the comment of the defaults.
    pub description: Option<String>,
    /// Its type in words, such as `a number` or `text or a number`; of the schema, or else of the default.
    pub kind: Option<String>,
    /// The chart's default.
    pub default: Option<Value>,
    /// The values the schema allows, when it lists them; of many or long ones, the first.
    pub allowed: Vec<Value>,
    /// The schema allows more values than are listed.
    pub allows_more: bool,
    /// The schema requires it.
    pub required: bool,
    /// The schema calls it deprecated.
    pub deprecated: bool,
}

/// The most allowed values that are listed for one key, and the most bytes of their text together.
const MOST_ALLOWED: (usize, usize) = (200, 16 * 1024);

impl Chart {
    /// Reads a chart's values.yaml and values.schema.json, whichever there are. One that cannot be read is left out
    /// and told by [`Self::problems`].
    pub fn new(defaults: Option<&str>, schema: Option<&str>) -> Self {
        let mut chart = Self::default();
        if let Some(text) = defaults {
            match read(text) {
                Ok(tree) => {
                    chart.descriptions = comments::descriptions(text, &outline(text));
                    chart.defaults = Some(tree);
                }
                Err(error) => chart.problems.push(format!("The chart's values.yaml is not used: {error}.")),
            }
        }
        if let Some(text) = schema {
            match Schema::parse(text) {
                Ok(schema) => chart.schema = Some(schema),
                Err(error) => chart.problems.push(format!("{error}.")),
            }
        }
        chart
    }

    /// What could not be read of the chart, in sentences.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The chart's defaults.
    pub fn defaults(&self) -> Option<&Value> {
        self.defaults.as_ref()
    }

    /// Whether the chart has a schema that is used.
    pub fn has_schema(&self) -> bool {
        self.schema.is_some()
    }

    /// What is known of a key; `None` when neither the defaults nor the schema mention it.
    pub fn about(&self, path: &KeyPath) -> Option<Knowledge> {
        let default = self.defaults.as_ref().and_then(|tree| path.find(tree)).cloned();
        let schemas = self.schema.as_ref().map(|schema| schema.at(path.segments())).unwrap_or_default();
        if default.is_none() && !schemas.iter().any(|schema| schema.is_object()) {
            return None;
        }
        let text = |name: &str| {
            schemas.iter().find_map(|schema| schema.get(name)?.as_str()).filter(|text| !text.trim().is_empty())
        };
        let mut kinds: Vec<&str> = Vec::new();
        for kind in schemas.iter().filter_map(|schema| schema.get("type")) {
            match kind {
                Value::String(one) => kinds.push(one),
                Value::Array(many) => kinds.extend(many.iter().filter_map(Value::as_str)),
                _ => {}
            }
        }
        let mut allowed: Vec<Value> = Vec::new();
        let (mut allows_more, mut bytes) = (false, 0);
        for one in schemas.iter().flat_map(|schema| {
            let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            listed.chain(schema.get("const"))
        }) {
            bytes += one.as_str().map_or_else(|| one.to_string().len(), str::len);
            if allowed.len() >= MOST_ALLOWED.0 || bytes > MOST_ALLOWED.1 {
                allows_more = true;
                break;
            }
            allowed.push(one.clone());
        }
        let mut words: Vec<&str> = Vec::new();
        for kind in kinds.into_iter().map(crate::schema::in_words) {
            if !words.contains(&kind) {
                words.push(kind);
            }
        }
        let kind = if words.is_empty() {
            default.as_ref().filter(|one| !one.is_null()).map(|one| crate::unused::kind(one).to_owned())
        } else {
            Some(words.join(" or "))
        };
        let required = match path.segments().split_last() {
            Some((Segment::Key(key), above)) => self.schema.as_ref().is_some_and(|schema| {
                let lists = |one: &&Value| {
                    one.get("required").and_then(Value::as_array).is_some_and(|all| all.iter().any(|name| name == key))
                };
                schema.at(above).iter().any(lists)
            }),
            _ => false,
        };
        Some(Knowledge {
            description: text("description")
                .or_else(|| text("title"))
                .map(|words| words.chars().take(2_000).collect())
                .or_else(|| self.descriptions.get(path).cloned()),
            kind,
            default: default.or_else(|| schemas.iter().find_map(|schema| schema.get("default")).cloned()),
            allowed,
            allows_more,
            required,
            deprecated: schemas.iter().any(|schema| schema.get("deprecated") == Some(&Value::Bool(true))),
        })
    }

    /// The keys the chart knows below a path, those of the defaults first.
    pub(crate) fn keys(&self, path: &KeyPath) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        let mut known = std::collections::HashSet::new();
        // Entries of a list are alike: the first of the default shows what the others may hold.
        let default = self.defaults.as_ref().and_then(|tree| {
            path.segments().iter().try_fold(tree, |at, segment| match segment {
                Segment::Key(key) => at.get(key),
                Segment::Index(index) => at.get(index).or_else(|| at.get(0)),
            })
        });
        let default = default.and_then(Value::as_object);
        let schemas = self.schema.as_ref().map(|schema| schema.at(path.segments())).unwrap_or_default();
        let listed = schemas.iter().filter_map(|schema| schema.get("properties")?.as_object()).flat_map(Map::keys);
        let patterns =
            schemas.iter().filter_map(|schema| schema.get("patternProperties")?.as_object()).flat_map(Map::keys);
        let named = patterns.flat_map(|pattern| crate::schema::named_by(pattern));
        for key in default.into_iter().flat_map(Map::keys).chain(listed).cloned().chain(named) {
            if keys.len() < 1_000 && known.insert(key.clone()) {
                keys.push(key);
            }
        }
        keys
    }
}

/// Checks a values file against the chart's schema, as Helm does before it installs: the file merged with the defaults
/// and the parameters. Only what the file has a part in is reported, at the line and column of the key or value it is
/// about. Empty without a schema, or when the text does not parse.
pub fn validate(text: &str, chart: &Chart, parameters: &[Parameter]) -> Vec<Diagnostic> {
    match document(text) {
        Ok(document) => validated(&Lines::new(text), &document, chart, parameters),
        Err(_) => Vec::new(),
    }
}

/// What [`validate`] finds in a text that was read.
fn validated(lines: &Lines<'_>, document: &Document, chart: &Chart, parameters: &[Parameter]) -> Vec<Diagnostic> {
    let Some(schema) = &chart.schema else { return Vec::new() };
    let (file, outline) = (&document.tree, &document.outline);
    let nothing = Value::Object(Map::new());
    let defaults = chart.defaults.as_ref().unwrap_or(&nothing);
    let tree = merged(defaults, file, parameters);
    let faults = match schema.check(&tree) {
        Ok(faults) => faults,
        Err(Error::Schema { why }) => {
            let message = format!("The chart's values.schema.json is not used: {why}.");
            return vec![Diagnostic::at(lines, 0, Severity::Hint, "schema-unused", message)];
        }
        Err(_) => return Vec::new(),
    };
    let passed = Passed::new(parameters);
    // What is wrong with the chart's own defaults is not the file's fault.
    let before: std::collections::HashSet<_> = schema
        .check(&merged(defaults, &nothing, parameters))
        .unwrap_or_default()
        .into_iter()
        .map(|fault| (fault.place, fault.words))
        .collect();
    let ways = Ways::new(outline);
    let mut found = Vec::new();
    for fault in faults {
        let path = path_in(&tree, &fault.place);
        let (place, taken) = ways.follow(&path);
        let whole = taken == path.segments().len();
        if passed.decide(&path) || (!whole && before.contains(&(fault.place.clone(), fault.words.clone()))) {
            continue;
        }
        found.extend(told(lines, (outline, &ways), place, whole, &path, &fault));
        if found.len() >= MOST {
            break;
        }
    }
    found.sort_by_key(|finding| (finding.line, finding.column));
    found
}

/// The findings of one fault.
fn told(
    lines: &Lines<'_>,
    (outline, ways): (&Outline, &Ways<'_>),
    place: Option<usize>,
    whole: bool,
    path: &KeyPath,
    fault: &Fault,
) -> Vec<Diagnostic> {
    let finding = |at: usize, message: String| Diagnostic::at(lines, at, Severity::Error, "schema", message);
    if !fault.keys.is_empty() {
        let named = |key: &String| {
            let path = path.key(key);
            let entry = outline.entries.get(ways.find(&path).filter(|_| whole)?)?;
            Some(finding(entry.key.start, format!("`{path}` {}.", fault.words)).about(path))
        };
        return fault.keys.iter().filter_map(named).collect();
    }
    let at = match place.map(|index| &outline.entries[index]) {
        // A missing key is told at the key that should hold it.
        Some(entry) if whole && !fault.words.starts_with("must have the key") => {
            entry.value.as_ref().map_or(entry.key.start, |value| value.start)
        }
        Some(entry) => entry.key.start,
        None => 0,
    };
    let name = if path.segments().is_empty() { "The values".to_owned() } else { format!("`{path}`") };
    let found = finding(at, format!("{name} {}.", fault.words));
    vec![if path.segments().is_empty() { found } else { found.about(path.clone()) }]
}

/// A pointer into a tree as a key path: a step is a list place where the tree has a list.
fn path_in(tree: &Value, place: &[String]) -> KeyPath {
    let mut path = KeyPath::root();
    let mut at = Some(tree);
    for step in place {
        match (at, step.parse::<usize>()) {
            (Some(Value::Array(list)), Ok(index)) => {
                path = path.index(index);
                at = list.get(index);
            }
            (here, _) => {
                path = path.key(step);
                at = here.and_then(|value| value.get(step));
            }
        }
    }
    path
}

/// Everything there is to say about a text before it is committed: what [`crate::diagnose`], [`crate::keys_without_effect`] and
/// [`validate`] find, in the order of the text. A key that the schema refuses is not also told to be unknown.
pub fn check(text: &str, chart: &Chart, parameters: &[Parameter]) -> Vec<Diagnostic> {
    let lines = Lines::new(text);
    let (mut found, read) = diagnosed(text, &lines);
    if found.iter().any(|finding| finding.severity == Severity::Error && finding.code != "not-a-number") {
        return found;
    }
    let Some(document) = read.or_else(|| document(text).ok()) else { return found };
    let schema = validated(&lines, &document, chart, parameters);
    let places: std::collections::HashSet<_> = schema.iter().map(|one| (one.line, one.column)).collect();
    let outline = &document.outline;
    let hints = effectless(text, &lines, outline, chart.defaults(), parameters);
    // What the schema lists is known, whether the defaults mention it or not.
    let listed = |one: &Diagnostic| {
        let Some(schema) = &chart.schema else { return false };
        let at = lines.offset(one.line, one.column);
        let found = outline.entries.partition_point(|entry| entry.key.start < at);
        found < outline.entries.len() && !schema.at(outline.path(found).segments()).is_empty()
    };
    found.extend(hints.into_iter().filter(|one| match one.code {
        "unknown-key" => !places.contains(&(one.line, one.column)) && !listed(one),
        "type-differs" => !places.contains(&(one.line, one.column)),
        _ => true,
    }));
    found.extend(schema);
    found.sort_by_key(|finding| (finding.line, finding.column));
    found.truncate(MOST);
    found
}
