//! Help while a values file is written: what can stand at the cursor, what a key is for, and the same edit by clicking.

use pilothouse_values::{Chart, KeyPath, Source, completions, effective, hover, read, remove_path, set_path};
use serde_json::{Map, Value};

use crate::{
    App, Result,
    contract::{FieldKind, ValueSource, ValuesCompletion, ValuesField, ValuesFile, ValuesHover},
    values::small,
};

/// The most fields that are given at once.
const MOST_FIELDS: usize = 5_000;

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A value as a field shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn kind_of(value: &Value, about: &pilothouse_values::Knowledge) -> FieldKind {
    let (allowed, said) = (&about.allowed, about.kind.as_deref());
    // A list of which some is missing is none to choose from.
    if !allowed.is_empty() && !about.allows_more && allowed.iter().all(|one| !one.is_object() && !one.is_array()) {
        return FieldKind::Choice;
    }
    match value {
        Value::Bool(_) => FieldKind::Switch,
        Value::Number(_) => FieldKind::Number,
        Value::String(text) if !text.contains(['\n', '\r']) => FieldKind::Text,
        // Nothing yet, where text is wanted.
        Value::Null if said == Some("text") => FieldKind::Text,
        _ => FieldKind::Other,
    }
}

fn fields(text: &str, chart: &Chart, parameters: &[pilothouse_values::Parameter]) -> Result<Vec<ValuesField>> {
    let (file, nothing) = (read(text)?, Value::Object(Map::new()));
    let defaults = chart.defaults().unwrap_or(&nothing);
    let lines = effective(defaults, &file, parameters);
    let field = |line: pilothouse_values::EffectiveLine| {
        let path = KeyPath::parse(&line.path).ok()?;
        let about = chart.about(&path).unwrap_or_default();
        let in_list = line.path.contains('[');
        Some(ValuesField {
            value: shown(&line.value),
            default: about.default.as_ref().map(shown),
            source: match line.source {
                Source::Default => ValueSource::Defaults,
                Source::File => ValueSource::File,
                Source::Parameter => ValueSource::Parameter,
            },
            kind: kind_of(&line.value, &about),
            allowed: about.allowed.iter().map(shown).collect(),
            description: about.description,
            fixed: in_list && line.source == Source::Default,
            path: line.path,
        })
    };
    Ok(lines.into_iter().filter_map(field).take(MOST_FIELDS).collect())
}

impl App {
    /// What could be written at a place of a values file; lines and columns count from 1.
    pub async fn complete_values(
        &self,
        file: ValuesFile,
        text: String,
        line: u32,
        column: u32,
    ) -> Result<Vec<ValuesCompletion>> {
        let chart = self.chart_knowledge(&file);
        let found = crate::blocking(move || Ok(completions(&text, place(line), place(column), &chart))).await?;
        let one = |one: pilothouse_values::Completion| ValuesCompletion {
            insert: one.insert,
            label: one.label,
            detail: one.detail,
            description: one.description,
            from: small(one.from),
        };
        Ok(found.into_iter().map(one).collect())
    }

    /// What is known of the key at a place of a values file.
    pub async fn hover_values(
        &self,
        file: ValuesFile,
        text: String,
        line: u32,
        column: u32,
    ) -> Result<Option<ValuesHover>> {
        let chart = self.chart_knowledge(&file);
        let found = crate::blocking(move || Ok(hover(&text, place(line), place(column), &chart))).await?;
        Ok(found.map(|one| ValuesHover {
            path: one.path,
            default: one.default,
            description: one.description,
            kind: one.kind,
            allowed: one.allowed,
            required: one.required,
            deprecated: one.deprecated,
        }))
    }

    /// The effective values as fields to click.
    pub async fn values_fields(&self, file: ValuesFile, text: String) -> Result<Vec<ValuesField>> {
        let (chart, parameters) = (self.chart_knowledge(&file), self.parameters(&file));
        crate::blocking(move || fields(&text, &chart, &parameters)).await
    }

    /// A values file with one value changed, and every other byte as it was.
    pub async fn set_value(&self, text: String, path: String, value: String, kind: FieldKind) -> Result<String> {
        crate::blocking(move || {
            let value = match kind {
                FieldKind::Text => Value::String(value),
                // What the schema lists, or what is a number or a switch, is written as what it is.
                FieldKind::Number | FieldKind::Switch | FieldKind::Choice | FieldKind::Other => {
                    serde_json::from_str(&value).unwrap_or(Value::String(value))
                }
            };
            Ok(set_path(&text, &KeyPath::parse(&path)?, &value)?)
        })
        .await
    }

    /// A values file without one of its keys, so that the chart's default counts again.
    pub async fn unset_value(&self, text: String, path: String) -> Result<String> {
        crate::blocking(move || Ok(remove_path(&text, &KeyPath::parse(&path)?)?)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str =
        "# How many pods.\nreplicaCount: 1\nservice:\n  type: ClusterIP\n  enabled: true\nhosts:\n  - a\n";
    const SCHEMA: &str = r#"{"properties":{"service":{"properties":{"type":{"enum":["ClusterIP","NodePort"]}}}}}"#;

    #[test]
    fn a_field_is_edited_as_what_it_is() {
        let chart = Chart::new(Some(DEFAULTS), Some(SCHEMA));
        let found = fields("replicaCount: 3\n", &chart, &[]).unwrap();
        let one = |path: &str| found.iter().find(|field| field.path == path).unwrap();
        let replicas = one("replicaCount");
        assert_eq!((replicas.kind, replicas.source), (FieldKind::Number, ValueSource::File));
        assert_eq!((replicas.value.as_str(), replicas.default.as_deref()), ("3", Some("1")));
        assert_eq!(replicas.description.as_deref(), Some("How many pods."));
        assert_eq!(one("service.type").kind, FieldKind::Choice);
        assert_eq!(one("service.type").allowed, ["ClusterIP", "NodePort"]);
        assert_eq!(one("service.enabled").kind, FieldKind::Switch);
        // A file's list takes the place of the chart's: one entry of it is not to be set alone.
        assert!(one("hosts[0]").fixed);
    }

    #[test]
    fn a_long_list_of_allowed_values_is_cut_and_not_to_choose_from() {
        let many: Vec<String> = (0..100_000).map(|n| format!("v{n}")).collect();
        let schema = serde_json::json!({"properties": {"a": {"enum": many}}}).to_string();
        let found = fields("a: v1\n", &Chart::new(None, Some(&schema)), &[]).unwrap();
        assert_eq!((found[0].allowed.len(), found[0].kind), (200, FieldKind::Text));
    }
}
