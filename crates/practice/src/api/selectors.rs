//! Label and field selectors, as in query strings and in `LabelSelector` objects.

use serde_json::Value;

use super::status_errors::Refusal;

/// One clause of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Clause {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Above(String, i64),
    Below(String, i64),
}

/// A parsed `labelSelector`; the empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<Clause>);

/// A parsed `fieldSelector`: (path, value, equal).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String, bool)>);

/// Both selectors of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The label selector.
    pub labels: Labels,
    /// The field selector.
    pub fields: Fields,
}

impl Selection {
    /// Whether nothing is filtered.
    pub fn is_everything(&self) -> bool {
        self.labels.0.is_empty() && self.fields.0.is_empty()
    }

    /// Whether the object is selected.
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

/// Splits at commas outside parentheses.
fn clauses(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut out) = (0usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push(&text[from..]);
    out
}

fn values(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some(inner.split(',').map(|v| v.trim().to_owned()).collect())
}

impl Labels {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut out = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self(out));
        }
        for part in clauses(text) {
            out.push(Self::clause(part.trim()).ok_or_else(|| {
                Refusal::bad_request(format!("unable to parse requirement: {part:?} in selector {text:?}"))
            })?);
        }
        Ok(Self(out))
    }

    fn clause(part: &str) -> Option<Clause> {
        let key = |text: &str| {
            let text = text.trim();
            let bare = text.strip_prefix('!').unwrap_or(text);
            is_label_key(bare).then(|| bare.to_owned())
        };
        let one = |text: &str| {
            let text = text.trim();
            is_label_value(text).then(|| text.to_owned())
        };
        let words = part.split_whitespace().collect::<Vec<_>>();
        if words.len() >= 2 && (words[1].starts_with("in") || words[1].starts_with("notin")) {
            let rest = part[part.find(words[0])? + words[0].len()..].trim_start();
            let (negated, list) = match rest.strip_prefix("notin") {
                Some(list) => (true, list),
                None => (false, rest.strip_prefix("in")?),
            };
            let (name, list) = (key(words[0])?, values(list)?);
            if !list.iter().all(|v| is_label_value(v)) {
                return None;
            }
            return Some(if negated { Clause::NotIn(name, list) } else { Clause::In(name, list) });
        }
        if let Some((name, value)) = part.split_once("!=") {
            return Some(Clause::NotIn(key(name)?, vec![one(value)?]));
        }
        if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            return Some(Clause::In(key(name)?, vec![one(value)?]));
        }
        if let Some((name, value)) = part.split_once('>') {
            return Some(Clause::Above(key(name)?, value.trim().parse().ok()?));
        }
        if let Some((name, value)) = part.split_once('<') {
            return Some(Clause::Below(key(name)?, value.trim().parse().ok()?));
        }
        match part.strip_prefix('!') {
            Some(name) => Some(Clause::Absent(key(name)?)),
            None => Some(Clause::Exists(key(part)?)),
        }
    }

    /// Whether the object's labels satisfy every clause.
    pub fn matches(&self, object: &Value) -> bool {
        self.matches_labels(&object["metadata"]["labels"])
    }

    /// Whether a map of labels satisfies every clause.
    pub fn matches_labels(&self, labels: &Value) -> bool {
        let get = |key: &str| labels.get(key).and_then(Value::as_str);
        let number = |key: &str| get(key).and_then(|v| v.parse::<i64>().ok());
        self.0.iter().all(|clause| match clause {
            Clause::In(key, any) => get(key).is_some_and(|v| any.iter().any(|a| a == v)),
            Clause::NotIn(key, none) => get(key).is_none_or(|v| none.iter().all(|n| n != v)),
            Clause::Exists(key) => get(key).is_some(),
            Clause::Absent(key) => get(key).is_none(),
            Clause::Above(key, limit) => number(key).is_some_and(|v| v > *limit),
            Clause::Below(key, limit) => number(key).is_some_and(|v| v < *limit),
        })
    }

    /// Reads a `LabelSelector` object (`matchLabels`, `matchExpressions`).
    pub fn from_object(selector: &Value) -> Self {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let mut out = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            out.push(Clause::In(key.clone(), vec![text(value)]));
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = text(&expression["key"]);
            let list = expression["values"].as_array().into_iter().flatten().map(text).collect();
            out.push(match expression["operator"].as_str() {
                Some("In") => Clause::In(key, list),
                Some("NotIn") => Clause::NotIn(key, list),
                Some("DoesNotExist") => Clause::Absent(key),
                _ => Clause::Exists(key),
            });
        }
        Self(out)
    }
}

impl Fields {
    /// Reads `metadata.name=x,status.phase!=y`; `allowed` lists the paths that the kind knows.
    pub fn parse(text: &str, allowed: &[&str]) -> Result<Self, Refusal> {
        let mut out = Vec::new();
        for part in text.split(',').filter(|p| !p.trim().is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, value, true)
            } else {
                return Err(Refusal::bad_request(format!("invalid selector: {part:?}; can't understand {part:?}")));
            };
            let path = path.trim();
            if !["metadata.name", "metadata.namespace"].contains(&path) && !allowed.contains(&path) {
                return Err(Refusal::bad_request(format!("field label not supported: {path}")));
            }
            out.push((path.to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self(out))
    }

    /// Whether the object's fields satisfy every clause; an absent field is the empty text.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, wanted, equal)| {
            let mut at = object;
            for step in path.split('.') {
                at = &at[step];
            }
            let found = match at {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (found == *wanted) == *equal
        })
    }
}

/// DNS-1123 label: 1-63 of `[a-z0-9-]`, alphanumeric at both ends.
pub fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| alnum(b) || *b == b'-')
        && bytes.first().is_some_and(alnum)
        && bytes.last().is_some_and(alnum)
}

/// DNS-1123 subdomain: labels joined by dots, 253 at most.
pub fn is_dns_subdomain(text: &str) -> bool {
    let part = |p: &str| {
        let bytes = p.as_bytes();
        let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        !bytes.is_empty()
            && bytes.iter().all(|b| alnum(b) || *b == b'-')
            && bytes.first().is_some_and(alnum)
            && bytes.last().is_some_and(alnum)
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn is_qualified_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// A label, annotation or finalizer key: `[prefix/]name`.
pub fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_qualified_part(name),
        None => is_qualified_part(text),
    }
}

/// A label value: empty, or 63 of `[A-Za-z0-9._-]` with alphanumeric ends.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_part(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_select() {
        let object = json!({"metadata": {"labels": {"app": "cart", "tier": "web", "n": "7"}}});
        for (text, expected) in [
            ("", true),
            ("app=cart", true),
            ("app==cart,tier=web", true),
            ("app=checkout", false),
            ("app!=checkout", true),
            ("gone!=x", true),
            ("app in (cart, checkout)", true),
            ("app in(cart)", true),
            ("app notin (cart)", false),
            ("gone notin (cart)", true),
            ("tier", true),
            ("!tier", false),
            ("!gone", true),
            ("gone", false),
            ("n>6", true),
            ("n<7", false),
            ("app in (cart),!gone,n>1", true),
        ] {
            assert_eq!(Labels::parse(text).unwrap().matches(&object), expected, "{text}");
        }
        for text in ["app=a b", "=x", "a in x", "a in (b", ",", "-a", "a=-"] {
            assert!(Labels::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn label_objects_select() {
        let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["d"]}, {"key": "e", "operator": "DoesNotExist"}]});
        let labels = Labels::from_object(&selector);
        assert!(labels.matches_labels(&json!({"a": "b", "c": "d"})));
        assert!(!labels.matches_labels(&json!({"a": "b", "c": "d", "e": ""})));
    }

    #[test]
    fn field_selectors_select() {
        let object = json!({"metadata": {"name": "x", "namespace": "n"}, "status": {"phase": "Running"}});
        let parse = |text| Fields::parse(text, &["status.phase"]);
        assert!(parse("metadata.name=x,status.phase!=Failed").unwrap().matches(&object));
        assert!(!parse("metadata.namespace=m").unwrap().matches(&object));
        assert!(parse("spec.x=1").is_err());
    }

    #[test]
    fn names_follow_their_rules() {
        assert!(is_dns_label("a-1") && !is_dns_label("a.b") && !is_dns_label("-a") && !is_dns_label("A"));
        assert!(is_dns_subdomain("a.b-c.d") && !is_dns_subdomain("a..b") && !is_dns_subdomain("a.-b"));
        assert!(is_label_key("a.io/b_C") && !is_label_key("/b") && !is_label_key("a b"));
        assert!(is_label_value("") && !is_label_value(&"x".repeat(64)));
    }
}
