//! Conditions: what about a workload has to change, and what has to hold then.
//!
//! A condition is a tree of tests under `all` and `any`. A *change* is a difference in anything that the tree names;
//! on a change the tree is judged. `Changed` and `imageChanged` compare with what was settled before; every other
//! operator looks at the workload as it is now. So a test that merely holds starts nothing by itself, and a change of
//! anything the tree does not name (a status, a scale, a re-list) is none.

pub mod expression;
pub mod facts;
pub mod judge;
pub mod operators;
pub mod path;
pub mod query;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use operators::Operator;

/// How deep a tree may nest.
pub const MAX_DEPTH: usize = 6;
/// How many tests a tree may hold.
pub const MAX_TESTS: usize = 64;

/// A condition over a workload before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Condition {
    /// An image of the pod template is another.
    ImageChanged(ImageChanged),
    /// About how many replicas it asks for.
    Replicas(ReplicasTest),
    /// About one of its own labels.
    Label(KeyTest),
    /// About one of its own annotations.
    Annotation(KeyTest),
    /// About an environment variable of the pod template.
    Env(EnvTest),
    /// About any field.
    Field(FieldTest),
    /// About what a JMESPath expression finds, as Litmus' policies have it.
    Jmespath(QueryTest),
    /// A CEL expression over `old` and `new` that yields a boolean.
    Cel(String),
    /// Every one of these; at least one is given.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
}

impl Default for Condition {
    fn default() -> Self {
        Self::ImageChanged(ImageChanged::default())
    }
}

/// Which images count, and what about them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ImageChanged {
    /// The containers whose images count; empty takes all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Containers whose images never count, such as a sidecar that somebody else keeps up to date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Which of the two lists of containers.
    #[serde(skip_serializing_if = "is_default")]
    pub among: Among,
    /// Which difference counts.
    #[serde(skip_serializing_if = "is_default")]
    pub part: ImagePart,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which containers of the pod template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Among {
    /// Both kinds.
    #[default]
    All,
    /// Those that run.
    Containers,
    /// Those that run before.
    InitContainers,
}

/// Which difference between two images counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImagePart {
    /// Any.
    #[default]
    Any,
    /// The digest is another while repository and tag stay.
    DigestOnly,
    /// The repository or the tag is another.
    NameOrTag,
}

/// A test of the replicas asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplicasTest {
    /// The operator.
    pub operator: Operator,
    /// What it compares with.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// A test of a label or an annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyTest {
    /// The key.
    pub key: String,
    /// The operator.
    pub operator: Operator,
    /// What it compares with.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// A test of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvTest {
    /// The variable.
    pub name: String,
    /// The container; without one, the first that has the variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The operator.
    pub operator: Operator,
    /// What it compares with.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// A test of any field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldTest {
    /// Where it is, as `spec.template.spec.containers[name=app].resources`, see [`path`].
    pub path: String,
    /// The operator.
    pub operator: Operator,
    /// What it compares with.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// A test of what a JMESPath expression finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueryTest {
    /// The expression.
    pub key: String,
    /// The operator.
    pub operator: Operator,
    /// What it compares with.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

impl Condition {
    /// The tests of the tree, in order.
    pub fn tests(&self) -> Vec<&Condition> {
        match self {
            Self::All(inner) | Self::Any(inner) => inner.iter().flat_map(Self::tests).collect(),
            one => vec![one],
        }
    }

    /// Whether images are all that it is about.
    pub fn images_only(&self) -> bool {
        self.tests().iter().all(|one| matches!(one, Self::ImageChanged(_)))
    }

    /// Whether images are among what it is about.
    pub fn names_images(&self) -> bool {
        self.tests().iter().any(|one| matches!(one, Self::ImageChanged(_)))
    }

    fn depth(&self) -> usize {
        match self {
            Self::All(inner) | Self::Any(inner) => 1 + inner.iter().map(Self::depth).max().unwrap_or(0),
            _ => 1,
        }
    }

    /// The operator and the operand of a test that has them.
    pub fn comparison(&self) -> Option<(Operator, &Value)> {
        match self {
            Self::Replicas(test) => Some((test.operator, &test.value)),
            Self::Label(test) | Self::Annotation(test) => Some((test.operator, &test.value)),
            Self::Env(test) => Some((test.operator, &test.value)),
            Self::Field(test) => Some((test.operator, &test.value)),
            Self::Jmespath(test) => Some((test.operator, &test.value)),
            Self::ImageChanged(_) | Self::Cel(_) | Self::All(_) | Self::Any(_) => None,
        }
    }

    /// What breaks a rule: where in the tree, and why.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if self.depth() > MAX_DEPTH {
            found.push((String::new(), format!("at most {MAX_DEPTH} levels of all and any")));
        } else if self.tests().len() > MAX_TESTS {
            found.push((String::new(), format!("at most {MAX_TESTS} tests")));
        } else {
            self.look("", &mut found);
        }
        found
    }

    fn look(&self, at: &str, found: &mut Vec<(String, String)>) {
        let mut say = |field: &str, message: String| found.push((format!("{at}{field}"), message));
        if let Some((operator, value)) = self.comparison()
            && let Err(why) = operators::fits(operator, value)
        {
            say(&format!(".{}.value", self.word()), why.into());
        }
        match self {
            Self::ImageChanged(images) => {
                for (field, names) in [("containers", &images.containers), ("except", &images.except)] {
                    if !names.iter().all(|name| is_label(name)) {
                        let rule = "a container's name has lower-case letters, digits and '-'";
                        say(&format!(".imageChanged.{field}"), rule.to_owned());
                    }
                }
            }
            Self::Label(test) | Self::Annotation(test) => {
                if test.key.is_empty() || test.key.len() > 317 || test.key.chars().any(char::is_whitespace) {
                    say(&format!(".{}.key", self.word()), "name a key".to_owned());
                }
            }
            Self::Env(test) => {
                if test.name.is_empty() || test.name.len() > 253 {
                    say(".env.name", "name a variable".to_owned());
                }
                if test.container.as_ref().is_some_and(|name| !is_label(name)) {
                    say(".env.container", "a container's name has lower-case letters, digits and '-'".to_owned());
                }
            }
            Self::Field(test) => {
                if let Err(why) = path::FieldPath::parse(&test.path) {
                    say(".field.path", why.into());
                }
            }
            Self::Jmespath(test) => {
                if let Err(why) = query::compile(&test.key) {
                    say(".jmespath.key", why.into());
                }
            }
            Self::Cel(text) => {
                if let Err(why) = expression::Compiled::new(text) {
                    say(".cel", why.into());
                }
            }
            Self::Replicas(_) => {}
            Self::All(inner) | Self::Any(inner) => {
                if inner.is_empty() {
                    say(&format!(".{}", self.word()), "give at least one condition".to_owned());
                }
                for (n, one) in inner.iter().enumerate() {
                    one.look(&format!("{at}.{}[{n}]", self.word()), found);
                }
            }
        }
    }

    /// The name of this node in YAML.
    pub fn word(&self) -> &'static str {
        match self {
            Self::ImageChanged(_) => "imageChanged",
            Self::Replicas(_) => "replicas",
            Self::Label(_) => "label",
            Self::Annotation(_) => "annotation",
            Self::Env(_) => "env",
            Self::Field(_) => "field",
            Self::Jmespath(_) => "jmespath",
            Self::Cel(_) => "cel",
            Self::All(_) => "all",
            Self::Any(_) => "any",
        }
    }
}

pub(crate) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
