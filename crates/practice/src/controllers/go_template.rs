//! The part of Go's template language that cd-pipeline-operator writes into an ApplicationSet:
//! `{{ .field }}`, `{{ if .field }}`, `{{ if eq .field "text" }}`, `{{ else }}`, `{{ end }}` and
//! the trim markers `{{-` and `-}}`. A missing key is an error, as with `missingkey=error`.

use serde_json::Value;

use crate::{Error, Result};

/// Renders a template over the fields of one element.
pub(crate) fn render(template: &str, data: &Value) -> Result<String> {
    let pieces = split(template)?;
    let mut out = String::new();
    let rest = block(&pieces, data, true, &mut out)?;
    match rest {
        [] => Ok(out),
        _ => Err(wrong("an end or else without an if")),
    }
}

/// Renders every text inside a value.
pub(crate) fn render_value(value: &Value, data: &Value) -> Result<Value> {
    Ok(match value {
        Value::String(text) => Value::String(render(text, data)?),
        Value::Array(items) => Value::Array(items.iter().map(|v| render_value(v, data)).collect::<Result<_>>()?),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(k, v)| Ok((render(k, data)?, render_value(v, data)?))).collect::<Result<_>>()?,
        ),
        other => other.clone(),
    })
}

#[derive(Debug)]
enum Piece<'t> {
    Text(&'t str),
    Action(&'t str),
}

fn split(template: &str) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut trim_next = false;
    while let Some(open) = rest.find("{{") {
        let mut text = &rest[..open];
        let inner = &rest[open + 2..];
        let close = inner.find("}}").ok_or_else(|| wrong("an action is not closed with }}"))?;
        let mut action = &inner[..close];
        if trim_next {
            text = text.trim_start();
        }
        if let Some(trimmed) = action.strip_prefix("- ") {
            text = text.trim_end();
            action = trimmed;
        }
        trim_next = action.ends_with(" -");
        if trim_next {
            action = &action[..action.len() - 2];
        }
        pieces.push(Piece::Text(text));
        pieces.push(Piece::Action(action.trim()));
        rest = &inner[close + 2..];
    }
    pieces.push(Piece::Text(match trim_next {
        true => rest.trim_start(),
        false => rest,
    }));
    Ok(pieces)
}

/// Renders up to the `else` or `end` that closes this block and returns what follows from there.
fn block<'p, 't>(mut pieces: &'p [Piece<'t>], data: &Value, live: bool, out: &mut String) -> Result<&'p [Piece<'t>]> {
    while let [piece, rest @ ..] = pieces {
        match piece {
            Piece::Text(text) => {
                if live {
                    out.push_str(text);
                }
                pieces = rest;
            }
            Piece::Action("else" | "end") => return Ok(pieces),
            Piece::Action(action) => match action.strip_prefix("if ") {
                Some(condition) => {
                    let holds = live && truth(condition, data)?;
                    let mut after = block(rest, data, holds, out)?;
                    if let [Piece::Action("else"), tail @ ..] = after {
                        after = block(tail, data, live && !holds, out)?;
                    }
                    match after {
                        [Piece::Action("end"), tail @ ..] => pieces = tail,
                        _ => return Err(wrong("an if without its end")),
                    }
                }
                None => {
                    if live {
                        out.push_str(&written(&operand(action, data)?));
                    }
                    pieces = rest;
                }
            },
        }
    }
    Ok(pieces)
}

fn truth(condition: &str, data: &Value) -> Result<bool> {
    let condition = condition.trim();
    if let Some(pair) = condition.strip_prefix("eq ") {
        let (left, right) =
            pair.trim().split_once(char::is_whitespace).ok_or_else(|| wrong("eq needs two operands"))?;
        return Ok(operand(left, data)? == operand(right.trim(), data)?);
    }
    Ok(match operand(condition, data)? {
        Value::Null => false,
        Value::Bool(value) => value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    })
}

fn operand(text: &str, data: &Value) -> Result<Value> {
    if let Some(quoted) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return Ok(Value::String(quoted.into()));
    }
    let Some(path) = text.strip_prefix('.') else {
        return Err(wrong(&format!("{text} is not understood here")));
    };
    let mut value = data;
    for key in path.split('.') {
        value = value.get(key).ok_or_else(|| wrong(&format!("map has no entry for key \"{key}\"")))?;
    }
    Ok(value.clone())
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<no value>".into(),
        other => other.to_string(),
    }
}

fn wrong(reason: &str) -> Error {
    Error::Template { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn renders_what_the_operator_writes() {
        let data = json!({"imageTag": "1.2", "versionType": "semver", "on": true, "off": false});
        let revision = r#"{{ if eq .versionType "semver" }}build/{{ .imageTag }}{{ else }}{{ .imageTag }}{{ end }}"#;
        for (template, expected) in [
            (revision, "build/1.2"),
            ("a {{- if .on }} b {{- end }} c", "a b c"),
            ("a {{- if .off }} b {{- end }} c", "a c"),
            ("{{ if .off }}{{ .absent }}{{ end }}x", "x"),
            ("{{ .on }}", "true"),
            ("plain", "plain"),
        ] {
            assert_eq!(render(template, &data).unwrap(), expected, "{template}");
        }
        let plain = json!({"imageTag": "1.2", "versionType": "default"});
        assert_eq!(render(revision, &plain).unwrap(), "1.2");
    }

    #[test]
    fn refuses_what_it_cannot_render() {
        for template in [
            "{{ .absent }}",
            "{{ if .on }}",
            "{{ end }}",
            "{{ .on",
            "{{ range .on }}{{ end }}",
            "{{ if eq .on }}{{ end }}",
        ] {
            assert!(render(template, &json!({"on": true})).is_err(), "{template}");
        }
    }
}
