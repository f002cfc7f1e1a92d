//! A chart's values.schema.json, read as input that may be hostile.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::key_path::Segment;
use crate::{Error, Result};

/// The largest schema that is read, in bytes.
pub const SCHEMA_LIMIT: usize = 1024 * 1024;

/// The deepest nesting of a schema, and the longest way through its references.
const DEEPEST: usize = 128;

/// The most steps that checking one file against a schema may take.
const MOST_STEPS: u64 = 2_000_000;

/// The most patterns in a schema: each is made into a machine of its own, of up to a megabyte.
const MOST_PATTERNS: usize = 256;

/// A schema with references into itself only.
#[derive(Debug, Clone)]
pub struct Schema {
    document: Value,
    /// The patterns of `patternProperties`, ready to be asked; one that is missing matches nothing.
    patterns: HashMap<String, regex::Regex>,
}

impl Schema {
    /// Reads a schema. Nothing is ever fetched: a reference must lead to a place in the same text.
    ///
    /// # Errors
    /// [`Error::Schema`] when it is too large, too deep, not JSON, not a schema, or refers to somewhere else.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |why: String| Error::Schema { why };
        if text.len() > SCHEMA_LIMIT {
            return Err(refused(format!("it has {} bytes, and {SCHEMA_LIMIT} are the most", text.len())));
        }
        // The reader itself ends at 128 levels.
        let mut document: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| refused(format!("it is not JSON: {error}")))?;
        if !document.is_object() && !document.is_boolean() {
            return Err(refused("it is neither an object nor true or false".to_owned()));
        }
        localise(&mut document, true)?;
        if patterns(&document) > MOST_PATTERNS {
            return Err(refused(format!("it has more than {MOST_PATTERNS} patterns")));
        }
        let mut patterns = HashMap::new();
        key_patterns(&document, &mut patterns);
        let schema = Self { document, patterns };
        validator(&schema.document).map_err(|error| refused(error.to_string().chars().take(300).collect()))?;
        Ok(schema)
    }

    /// Checks a tree; each finding names its place in the tree.
    pub(crate) fn check(&self, tree: &Value) -> Result<Vec<Fault>> {
        let mut weigher = Weigher { root: &self.document, known: HashMap::new(), open: HashSet::new() };
        weigher.weigh(&self.document, tree, 0)?;
        let validator = validator(&self.document)
            .map_err(|error| Error::Schema { why: error.to_string().chars().take(300).collect() })?;
        Ok(validator.iter_errors(tree).take(crate::diagnostics::MOST).map(|error| Fault::of(&error)).collect())
    }

    /// What the schema says about a place: every schema that applies there, in the order found.
    pub(crate) fn at(&self, path: &[Segment]) -> Vec<&Value> {
        let mut here = self.applying(vec![&self.document]);
        for segment in path {
            let mut next = Vec::new();
            for schema in here {
                let Some(map) = schema.as_object() else { continue };
                match segment {
                    Segment::Key(key) => {
                        let own = map.get("properties").and_then(|all| all.get(key));
                        let patterns = map.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
                        let fits = |pattern: &String| self.patterns.get(pattern).is_some_and(|one| one.is_match(key));
                        let before = next.len();
                        next.extend(own);
                        next.extend(patterns.filter(|(pattern, _)| fits(pattern)).map(|(_, one)| one));
                        if next.len() == before {
                            next.extend(map.get("additionalProperties").filter(|one| one.is_object()));
                        }
                    }
                    Segment::Index(index) => {
                        let listed =
                            |name: &str| map.get(name).and_then(Value::as_array).and_then(|all| all.get(*index));
                        match listed("prefixItems").or_else(|| listed("items")) {
                            Some(one) => next.push(one),
                            None => next.extend(map.get("items").filter(|one| one.is_object())),
                        }
                    }
                }
            }
            here = self.applying(next);
        }
        here
    }

    /// The schemas and all they refer to or combine, each once and no more than 200.
    fn applying<'a>(&'a self, from: Vec<&'a Value>) -> Vec<&'a Value> {
        let mut seen: HashSet<*const Value> = HashSet::new();
        let mut out = Vec::new();
        let mut waiting: std::collections::VecDeque<&Value> = from.into();
        while let Some(schema) = waiting.pop_front() {
            if out.len() >= 200 || !seen.insert(std::ptr::from_ref(schema)) {
                continue;
            }
            out.push(schema);
            let Some(map) = schema.as_object() else { continue };
            waiting.extend(map.get("$ref").and_then(Value::as_str).and_then(|name| resolve(&self.document, name)));
            for name in ["allOf", "anyOf", "oneOf"] {
                waiting.extend(map.get(name).and_then(Value::as_array).into_iter().flatten());
            }
            waiting.extend(["then", "else"].iter().filter_map(|name| map.get(*name)));
        }
        out
    }
}

/// One thing that does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The way to it, keys and list places as JSON pointers have them.
    pub place: Vec<String>,
    /// Keys at the place that it is about, when it is about keys.
    pub keys: Vec<String>,
    /// What is wrong, without the value; it follows the key path in the sentence.
    pub words: String,
}

impl Fault {
    fn of(error: &jsonschema::ValidationError<'_>) -> Self {
        use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
        let place = error
            .instance_path()
            .as_str()
            .split('/')
            .skip(1)
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        let mut keys = Vec::new();
        let is = crate::unused::kind(error.instance());
        let words = match error.kind() {
            Kind::Type { kind } => {
                let wanted = match kind {
                    TypeKind::Single(one) => in_words(&one.to_string()).to_owned(),
                    TypeKind::Multiple(many) => {
                        many.iter().map(|one| in_words(&one.to_string()).to_owned()).collect::<Vec<_>>().join(" or ")
                    }
                };
                format!("must be {wanted}, but is {is}")
            }
            Kind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                format!("must have the key `{key}`")
            }
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                keys.clone_from(unexpected);
                "is no key the chart's schema allows".to_owned()
            }
            Kind::Enum { options } => format!("must be one of {}", listed(options)),
            Kind::Constant { expected_value } => format!("must be {}", shown(expected_value)),
            Kind::Minimum { limit } => format!("must be at least {limit}"),
            Kind::Maximum { limit } => format!("must be at most {limit}"),
            Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
            Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
            Kind::MinLength { limit } => format!("must have at least {limit} letters"),
            Kind::MaxLength { limit } => format!("must have at most {limit} letters"),
            Kind::MinItems { limit } => format!("must have at least {limit} entries"),
            Kind::MaxItems { limit } => format!("must have at most {limit} entries"),
            Kind::MinProperties { limit } => format!("must have at least {limit} keys"),
            Kind::MaxProperties { limit } => format!("must have at most {limit} keys"),
            Kind::Pattern { pattern } => format!("must match the pattern {}", short(pattern)),
            Kind::Format { format } => format!("must be written as a {}", short(format)),
            Kind::UniqueItems => "must not hold the same entry twice".to_owned(),
            Kind::FalseSchema => "must not be set".to_owned(),
            Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
                format!("fits none of the forms the schema offers ({is} is given)")
            }
            Kind::OneOfMultipleValid { .. } => "fits several forms of the schema, where it must fit one".to_owned(),
            Kind::Not { .. } => "has a form the schema forbids".to_owned(),
            Kind::PropertyNames { .. } => "holds a key whose name the schema does not allow".to_owned(),
            Kind::Contains => "lacks an entry the schema asks for".to_owned(),
            _ => format!("does not fit the schema's `{}`", error.kind().keyword()),
        };
        Self { place, keys, words }
    }
}

/// A JSON type in words.
pub(crate) fn in_words(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

fn shown(value: &Value) -> String {
    short(&crate::scalar::inline(value))
}

fn listed(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut words: Vec<String> = options.iter().take(12).map(shown).collect();
    if options.len() > 12 {
        words.push("…".to_owned());
    }
    words.join(", ")
}

fn validator(document: &Value) -> std::result::Result<jsonschema::Validator, jsonschema::ValidationError<'static>> {
    // The pattern engine is the one whose time is linear; patterns it cannot do are refused with the schema.
    jsonschema::options()
        .offline()
        .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(1 << 20))
        .build(document)
}

/// Refuses references to elsewhere, and takes away the names by which other texts would find this one.
fn localise(value: &mut Value, top: bool) -> Result<()> {
    match value {
        Value::Object(map) => {
            for name in ["$ref", "$dynamicRef", "$recursiveRef"] {
                if let Some(target) = map.get(name).and_then(Value::as_str)
                    && !(target == "#" || target.starts_with("#/"))
                {
                    let why = format!("`{}` leads out of the file, and nothing is fetched", short(target));
                    return Err(Error::Schema { why });
                }
            }
            for name in ["$id", "id"] {
                if map
                    .get(name)
                    .is_some_and(|id| id.as_str().is_some_and(|id| name == "$id" || top || id.contains("://")))
                {
                    map.shift_remove(name);
                }
            }
            let known = |uri: &str| uri.contains("json-schema.org/draft-0") || uri.contains("json-schema.org/draft/20");
            if map.get("$schema").is_some_and(|uri| uri.as_str().is_some_and(|uri| !top || !known(uri))) {
                map.shift_remove("$schema");
            }
            map.values_mut().try_for_each(|inner| localise(inner, false))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|inner| localise(inner, false)),
        _ => Ok(()),
    }
}

/// Makes the patterns of keys ready. What the engine does not take fits nothing here; the validator says so anyway.
fn key_patterns(value: &Value, out: &mut HashMap<String, regex::Regex>) {
    match value {
        Value::Object(map) => {
            for pattern in map.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
                if let Ok(ready) = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build() {
                    out.insert(pattern.clone(), ready);
                }
            }
            map.values().for_each(|inner| key_patterns(inner, out));
        }
        Value::Array(items) => items.iter().for_each(|inner| key_patterns(inner, out)),
        _ => {}
    }
}

/// The keys that a pattern names one by one, such as `^(http|https)$`.
pub(crate) fn named_by(pattern: &str) -> Vec<String> {
    let inner = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    let Some(inner) = inner else { return Vec::new() };
    let group = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let group = group.map(|group| group.strip_prefix("?:").unwrap_or(group));
    if group.is_none() && inner.contains('|') {
        return Vec::new();
    }
    let names: Vec<&str> = group.unwrap_or(inner).split('|').collect();
    let plain =
        |name: &&str| !name.is_empty() && name.chars().all(|ch| ch.is_ascii_alphanumeric() || "_-".contains(ch));
    if names.iter().all(plain) { names.into_iter().map(str::to_owned).collect() } else { Vec::new() }
}

/// How many patterns a schema has, wherever they stand.
fn patterns(value: &Value) -> usize {
    match value {
        Value::Object(map) => {
            let one = usize::from(map.get("pattern").is_some_and(Value::is_string));
            let keys = map.get("patternProperties").and_then(Value::as_object).map_or(0, Map::len);
            one + keys + map.values().map(patterns).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

fn resolve<'a>(root: &'a Value, name: &str) -> Option<&'a Value> {
    let pointer = name.strip_prefix('#')?;
    let plain = pointer.replace("%25", "%").replace("%20", " ");
    root.pointer(&plain)
}

/// Counts the steps a check would take before it is made, so that a schema which refers to itself without end, or
/// unfolds into too much, is refused instead of followed.
struct Weigher<'a> {
    root: &'a Value,
    known: HashMap<(*const Value, *const Value), u64>,
    open: HashSet<(*const Value, *const Value)>,
}

impl<'a> Weigher<'a> {
    fn weigh(&mut self, schema: &'a Value, tree: &'a Value, depth: usize) -> Result<u64> {
        let place = (std::ptr::from_ref(schema), std::ptr::from_ref(tree));
        if let Some(steps) = self.known.get(&place) {
            return Ok(*steps);
        }
        let Some(map) = schema.as_object() else { return Ok(1) };
        if depth > 2 * DEEPEST {
            return Err(Error::Schema { why: "its references lead too deep".to_owned() });
        }
        if !self.open.insert(place) {
            return Err(Error::Schema { why: "a reference leads back to itself".to_owned() });
        }
        let mut steps: u64 = 1;
        for (inner, below) in applied(self.root, map, tree) {
            steps = steps.saturating_add(self.weigh(inner, below, depth + 1)?);
        }
        if let Some(count) = tree.as_array().map(Vec::len).filter(|_| map.get("uniqueItems").is_some()) {
            steps = steps.saturating_add(count as u64);
        }
        if steps > MOST_STEPS || self.known.len() as u64 > MOST_STEPS {
            return Err(Error::Schema { why: "checking against it would take too long".to_owned() });
        }
        self.open.remove(&place);
        self.known.insert(place, steps);
        Ok(steps)
    }
}

/// The schemas below a schema, each with what it is applied to.
fn applied<'a>(root: &'a Value, map: &'a Map<String, Value>, tree: &'a Value) -> Vec<(&'a Value, &'a Value)> {
    let mut out: Vec<(&Value, &Value)> = Vec::new();
    for name in ["$ref", "$dynamicRef", "$recursiveRef"] {
        let target = map.get(name).and_then(Value::as_str).and_then(|name| resolve(root, name));
        out.extend(target.map(|target| (target, tree)));
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        out.extend(map.get(name).and_then(Value::as_array).into_iter().flatten().map(|one| (one, tree)));
    }
    for name in ["not", "if", "then", "else"] {
        out.extend(map.get(name).map(|one| (one, tree)));
    }
    for name in ["dependentSchemas", "dependencies"] {
        out.extend(map.get(name).and_then(Value::as_object).into_iter().flatten().map(|(_, one)| (one, tree)));
    }
    if let Value::Object(values) = tree {
        let properties = map.get("properties").and_then(Value::as_object);
        let patterns = map.get("patternProperties").and_then(Value::as_object);
        for (key, value) in values {
            out.extend(properties.and_then(|all| all.get(key)).map(|one| (one, value)));
            out.extend(patterns.into_iter().flatten().map(|(_, one)| (one, value)));
            for name in ["additionalProperties", "unevaluatedProperties"] {
                out.extend(map.get(name).map(|one| (one, value)));
            }
        }
        out.extend(map.get("propertyNames").map(|one| (one, tree)));
    }
    if let Value::Array(values) = tree {
        for name in ["items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"] {
            let Some(inner) = map.get(name) else { continue };
            for (place, value) in values.iter().enumerate() {
                out.extend(match inner {
                    Value::Array(listed) => listed.get(place).map(|one| (one, value)),
                    one => Some((one, value)),
                });
            }
        }
    }
    out
}
