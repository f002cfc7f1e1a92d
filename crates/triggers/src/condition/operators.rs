//! The operators of a test, typed: numbers compare as numbers, also where YAML or an environment variable wrote them as
//! text, and Kubernetes' quantities (`500m`, `1Gi`) are numbers.

use crate::error::Reason;
use std::cmp::Ordering;

use regex::RegexBuilder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a value is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// It is another than what was settled before.
    Changed,
    /// It equals the operand.
    Equals,
    /// It does not; a value that is not there does not either.
    NotEquals,
    /// It is a number below the operand.
    LessThan,
    /// It is a number not above the operand.
    LessOrEqual,
    /// It is a number above the operand.
    GreaterThan,
    /// It is a number not below the operand.
    GreaterOrEqual,
    /// A text that has the operand in it, or a list of which the operand is one.
    Contains,
    /// A text that begins with the operand.
    StartsWith,
    /// A text that ends with the operand.
    EndsWith,
    /// A text in which the operand, a regular expression, finds something.
    Matches,
    /// It equals one of the operand's list.
    In,
    /// It equals none of them; a value that is not there does not either.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    Absent,
}

/// The longest regular expression.
const MAX_PATTERN: usize = 256;
/// The memory a compiled regular expression may take, in bytes.
const PATTERN_MEMORY: usize = 256 * 1024;
/// The longest list an operand may be.
const MAX_LIST: usize = 100;

/// Whether an operand suits an operator; else why not.
pub fn fits(operator: Operator, operand: &Value) -> Result<(), Reason> {
    let text = || operand.as_str().filter(|text| !text.is_empty());
    match operator {
        Operator::Changed | Operator::Exists | Operator::Absent => Ok(()),
        Operator::Equals | Operator::NotEquals if operand.is_null() => Err("give a value to compare with".into()),
        Operator::Equals | Operator::NotEquals => Ok(()),
        Operator::LessThan | Operator::LessOrEqual | Operator::GreaterThan | Operator::GreaterOrEqual => {
            number(operand).map(|_| ()).ok_or_else(|| "give a number".into())
        }
        Operator::Contains if operand.is_number() || operand.is_boolean() => Ok(()),
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            text().map(|_| ()).ok_or_else(|| "give a text".into())
        }
        Operator::Matches => pattern(text().ok_or_else(|| "give a regular expression".to_owned())?).map(|_| ()),
        Operator::In | Operator::NotIn => match operand.as_array() {
            Some(list) if !list.is_empty() && list.len() <= MAX_LIST => Ok(()),
            _ => Err(format!("give a list of 1 to {MAX_LIST} values").into()),
        },
    }
}

/// Compiles a regular expression within bounds.
pub(crate) fn pattern(text: &str) -> Result<regex::Regex, Reason> {
    if text.len() > MAX_PATTERN {
        return Err(format!("a regular expression has at most {MAX_PATTERN} characters").into());
    }
    let built =
        RegexBuilder::new(text).size_limit(PATTERN_MEMORY).dfa_size_limit(PATTERN_MEMORY).nest_limit(16).build();
    built.map_err(|error| format!("not a regular expression: {error}")).map_err(Reason::from)
}

/// Tests a value that is there, or `null` for one that is not; `Changed` is not this function's business and never
/// holds here.
///
/// # Errors
/// When the operator has no meaning for the value, in words.
pub fn holds(operator: Operator, found: &Value, operand: &Value) -> Result<bool, Reason> {
    let there = !found.is_null();
    let list = || operand.as_array().into_iter().flatten();
    let order = |wanted: fn(Ordering) -> bool| match (there, number(found), number(operand)) {
        (false, ..) => Ok(false),
        (true, Some(found), Some(operand)) => Ok(wanted(found.cmp(&operand))),
        (true, None, _) => Err(format!("{} is not a number", shown(found))),
        (true, _, None) => Err(format!("{} is not a number", shown(operand))),
    };
    let text = |test: &dyn Fn(&str, &str) -> bool| match (found, scalar(operand)) {
        (Value::Null, _) => Ok(false),
        (Value::Object(_) | Value::Array(_), _) => Err(format!("{} is not a text", shown(found))),
        (found, Some(operand)) => Ok(scalar(found).is_some_and(|found| test(&found, &operand))),
        (_, None) => Ok(false),
    };
    match operator {
        Operator::Changed => Ok(false),
        Operator::Exists => Ok(there),
        Operator::Absent => Ok(!there),
        Operator::Equals => Ok(there && same(found, operand)),
        Operator::NotEquals => Ok(!there || !same(found, operand)),
        Operator::LessThan => order(Ordering::is_lt).map_err(Reason::from),
        Operator::LessOrEqual => order(Ordering::is_le).map_err(Reason::from),
        Operator::GreaterThan => order(Ordering::is_gt).map_err(Reason::from),
        Operator::GreaterOrEqual => order(Ordering::is_ge).map_err(Reason::from),
        Operator::Contains => match found {
            Value::Array(all) => Ok(all.iter().any(|one| same(one, operand))),
            _ => text(&|found, operand| found.contains(operand)).map_err(Reason::from),
        },
        Operator::StartsWith => text(&|found, operand| found.starts_with(operand)).map_err(Reason::from),
        Operator::EndsWith => text(&|found, operand| found.ends_with(operand)).map_err(Reason::from),
        Operator::Matches => {
            let pattern = pattern(operand.as_str().unwrap_or_default())?;
            text(&|found, _| pattern.is_match(found)).map_err(Reason::from)
        }
        Operator::In => Ok(there && list().any(|one| same(found, one))),
        Operator::NotIn => Ok(!there || !list().any(|one| same(found, one))),
    }
}

/// Whether two values are one. A number also equals the text that writes it, and `true` the text `true`; two texts are
/// equal only letter by letter, so that the tag `1.10` is not `1.1`.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_) | Value::String(_)) | (Value::String(_), Value::Number(_)) => {
            matches!((number(a), number(b)), (Some(a), Some(b)) if a == b)
        }
        (Value::Bool(truth), Value::String(text)) | (Value::String(text), Value::Bool(truth)) => {
            text == if *truth { "true" } else { "false" }
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, one)| b.get(key).is_some_and(|other| same(one, other)))
        }
        (a, b) => a == b,
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A value in a message, short.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// Thousand-millionths, so that whole numbers of any size and quantities down to nano compare exactly.
const NANO: i128 = 1_000_000_000;

/// A value as a number.
fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => decimal(&number.to_string()),
        Value::String(text) => quantity(text.trim()),
        _ => None,
    }
}

/// A number with or without one of Kubernetes' suffixes.
fn quantity(text: &str) -> Option<i128> {
    const SUFFIXES: [(&str, i128, i128); 14] = [
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1),
        ("n", 1, NANO),
        ("u", 1, 1_000_000),
        ("m", 1, 1_000),
        ("k", 1_000, 1),
        ("M", 1_000_000, 1),
        ("G", NANO, 1),
        ("T", 1_000 * NANO, 1),
        ("P", 1_000_000 * NANO, 1),
    ];
    if let Some(plain) = decimal(text) {
        return Some(plain);
    }
    let (digits, by, of) = SUFFIXES.iter().find_map(|(suffix, by, of)| Some((text.strip_suffix(suffix)?, *by, *of)))?;
    decimal(digits)?.checked_mul(by).map(|number| number / of)
}

fn decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if digits.len() > 40 || !plain(whole) || !plain(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let all: i128 = format!("{whole}{part}").parse().ok()?;
    // The value is `all` times ten to this, in nanos.
    let scale = exponent - i32::try_from(part.len()).ok()? + 9;
    let ten = 10_i128.checked_pow(scale.unsigned_abs())?;
    let nanos = if scale >= 0 { all.checked_mul(ten)? } else { all / ten };
    Some(sign * nanos)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_numbers() {
        let less = |a: Value, b: Value| holds(Operator::LessThan, &a, &b);
        assert_eq!(less(json!(9), json!("10")), Ok(true));
        assert_eq!(less(json!("9"), json!("10")), Ok(true), "as texts 10 would come first");
        assert_eq!(less(json!("500m"), json!(1)), Ok(true));
        assert_eq!(less(json!("1Gi"), json!("1G")), Ok(false));
        assert_eq!(less(json!(9_007_199_254_740_993_u64), json!("9007199254740994")), Ok(true));
        assert_eq!(less(json!(1e3), json!("1001")), Ok(true));
        assert_eq!(less(json!("-1.5"), json!("-1.4")), Ok(true));
        assert_eq!(less(Value::Null, json!(1)), Ok(false));
        assert!(less(json!("abc"), json!(1)).is_err());
        assert!(less(json!([1]), json!(1)).is_err());
    }

    #[test]
    fn equality() {
        let equal = |a: Value, b: Value| holds(Operator::Equals, &a, &b);
        assert_eq!(equal(json!(1), json!("1")), Ok(true));
        assert_eq!(equal(json!(1_000_000), json!("1000000")), Ok(true), "never written as 1e+06");
        assert_eq!(equal(json!("1.10"), json!("1.1")), Ok(false), "tags are not numbers");
        assert_eq!(equal(json!(true), json!("true")), Ok(true));
        assert_eq!(equal(json!(["a", 1]), json!(["a", "1"])), Ok(true));
        assert_eq!(equal(json!({"a": 1}), json!({"a": 2})), Ok(false));
        assert_eq!(equal(Value::Null, json!("")), Ok(false));
        assert_eq!(holds(Operator::NotEquals, &Value::Null, &json!("x")), Ok(true));
    }

    #[test]
    fn texts_and_lists() {
        assert_eq!(holds(Operator::Contains, &json!(["a", "b"]), &json!("b")), Ok(true));
        assert_eq!(holds(Operator::Contains, &json!("abc"), &json!("bc")), Ok(true));
        assert_eq!(holds(Operator::Matches, &json!("v1.2.3"), &json!(r"^v\d+\.\d+")), Ok(true));
        assert_eq!(holds(Operator::StartsWith, &json!(8080), &json!("80")), Ok(true));
        assert!(holds(Operator::EndsWith, &json!({}), &json!("x")).is_err());
        assert_eq!(holds(Operator::In, &json!(2), &json!(["1", "2"])), Ok(true));
        assert_eq!(holds(Operator::NotIn, &Value::Null, &json!(["1"])), Ok(true));
        assert_eq!(holds(Operator::Exists, &json!(""), &Value::Null), Ok(true));
        assert_eq!(holds(Operator::Absent, &Value::Null, &Value::Null), Ok(true));
    }

    #[test]
    fn operands_are_checked() {
        assert!(fits(Operator::Equals, &Value::Null).is_err());
        assert!(fits(Operator::LessThan, &json!("many")).is_err());
        assert!(fits(Operator::Matches, &json!("(")).is_err());
        assert!(fits(Operator::Matches, &json!(r"(\w{200}){200}")).is_err(), "a pattern that takes too much memory");
        assert!(fits(Operator::In, &json!([])).is_err());
        assert!(fits(Operator::Changed, &Value::Null).is_ok());
    }
}
