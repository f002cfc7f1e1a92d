//! Judges a condition over what was settled and what is there now.

use crate::error::Reason;
use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{Seen, digest, key};
use super::{Among, Condition, ImageChanged, ImagePart, Operator, expression, operators};

/// What a condition says of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing that the condition names is another.
    Unchanged,
    /// Something is, and the condition does not hold.
    No,
    /// It holds; the change, in words.
    Yes(String),
    /// It cannot be told; why, in words.
    Unclear(String),
}

/// What is remembered of a workload.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// Its images by container.
    pub images: &'a BTreeMap<String, String>,
    /// What each test looked at, see [`Seen::remembered`].
    pub facts: &'a BTreeMap<String, String>,
}

/// Judges. What was never looked at before, because the condition is new, counts as unchanged.
pub fn judge(condition: &Condition, before: Before<'_>, now: &Seen) -> Judgement {
    let facts = now.remembered();
    let others = facts.iter().any(|(key, fact)| before.facts.get(key).is_some_and(|old| old != fact));
    let images = condition.names_images() && *before.images != now.images;
    if !others && !images {
        return Judgement::Unchanged;
    }
    match holds(condition, before, now) {
        Ok(true) => Judgement::Yes(words(condition, before, now)),
        Ok(false) => Judgement::No,
        Err(why) => Judgement::Unclear(why.into()),
    }
}

/// What cannot be told is absorbed by a branch that decides without it.
pub(crate) fn holds(condition: &Condition, before: Before<'_>, now: &Seen) -> Result<bool, Reason> {
    let of = |inner: &[Condition], decides: bool| {
        let mut unclear = None;
        for one in inner {
            match holds(one, before, now) {
                Ok(truth) if truth == decides => return Ok(decides),
                Ok(_) => {}
                Err(why) => unclear = unclear.or(Some(why)),
            }
        }
        unclear.map_or(Ok(!decides), Err)
    };
    match condition {
        Condition::All(inner) if inner.is_empty() => Ok(false),
        Condition::All(inner) => of(inner, false),
        Condition::Any(inner) => of(inner, true),
        Condition::ImageChanged(which) => Ok(!changed_images(which, before.images, now).is_empty()),
        test => holds_test(test, before, now),
    }
}

fn holds_test(test: &Condition, before: Before<'_>, now: &Seen) -> Result<bool, Reason> {
    let key = key(test).unwrap_or_default();
    let value = match now.values.get(&key) {
        Some(Ok(value)) => value,
        Some(Err(why)) => return Err(why.clone()),
        None => &Value::Null,
    };
    let old = before.facts.get(&key);
    match test {
        Condition::Cel(text) => {
            let old = old.map(|old| serde_json::from_str(old).map_err(|_| "the old state cannot be read".to_owned()));
            let old = old.transpose()?;
            expression::Compiled::new(text)?.holds(old.as_ref().unwrap_or(value), value)
        }
        test => match test.comparison() {
            Some((Operator::Changed, _)) => Ok(old.is_some_and(|old| *old != digest(value))),
            Some((operator, operand)) => operators::holds(operator, value, operand)
                .map_err(|why| format!("{}: {why}", name(test)))
                .map_err(Reason::from),
            None => Ok(false),
        },
    }
}

/// The containers whose images count as changed.
pub fn changed_images(which: &ImageChanged, old: &BTreeMap<String, String>, now: &Seen) -> Vec<String> {
    let counts = |name: &String| {
        let init = now.init.contains(name);
        (which.containers.is_empty() || which.containers.contains(name))
            && !which.except.contains(name)
            && match which.among {
                Among::All => true,
                Among::Containers => !init,
                Among::InitContainers => init,
            }
    };
    let differs = |old: Option<&String>, new: &String| match (which.part, old) {
        (_, Some(old)) if old == new => false,
        (ImagePart::Any, _) => true,
        // A container that is new brings another image, not only another digest of one.
        (ImagePart::DigestOnly, old) => old.is_some_and(|old| without_digest(old) == without_digest(new)),
        (ImagePart::NameOrTag, old) => old.is_none_or(|old| without_digest(old) != without_digest(new)),
    };
    let found = now.images.iter().filter(|(name, image)| counts(name) && differs(old.get(*name), image));
    found.map(|(name, _)| name.clone()).collect()
}

fn without_digest(image: &str) -> &str {
    image.split_once('@').map_or(image, |(name, _)| name)
}

/// A test's name in words.
fn name(test: &Condition) -> String {
    match test {
        Condition::ImageChanged(_) => "the image".to_owned(),
        Condition::Replicas(_) => "the number of replicas".to_owned(),
        Condition::Label(test) => format!("the label {}", test.key),
        Condition::Annotation(test) => format!("the annotation {}", test.key),
        Condition::Env(test) => format!("the variable {}", test.name),
        Condition::Field(test) => test.path.clone(),
        Condition::Jmespath(test) => test.key.clone(),
        Condition::Cel(_) => "what the expression looks at".to_owned(),
        Condition::All(_) | Condition::Any(_) => "something".to_owned(),
    }
}

/// The change in words; never a value, which may be a secret.
fn words(condition: &Condition, before: Before<'_>, now: &Seen) -> String {
    let facts = now.remembered();
    let mut names: Vec<String> = Vec::new();
    for test in condition.tests() {
        let said = match test {
            Condition::ImageChanged(which) => {
                let containers = changed_images(which, before.images, now);
                (!containers.is_empty()).then(|| format!("the image of {}", containers.join(", ")))
            }
            test => {
                let key = key(test).unwrap_or_default();
                let differs = matches!((before.facts.get(&key), facts.get(&key)), (Some(a), Some(b)) if a != b);
                differs.then(|| name(test))
            }
        };
        if let Some(said) = said
            && !names.contains(&said)
        {
            names.push(said);
        }
    }
    if names.is_empty() { "something it names changed".to_owned() } else { format!("{} changed", names.join(" and ")) }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
