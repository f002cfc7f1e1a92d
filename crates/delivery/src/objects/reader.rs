//! Reading fields that may be anything.

use std::cell::RefCell;

use serde_json::Value;

use crate::FieldProblem;

/// Reads fields of a JSON value by dotted path. What is absent or null is `None`; what has another type is `None` and
/// noted.
pub(super) struct Reader<'a> {
    root: &'a Value,
    problems: RefCell<Vec<FieldProblem>>,
}

impl<'a> Reader<'a> {
    pub fn new(root: &'a Value) -> Self {
        Self { root, problems: RefCell::default() }
    }

    pub fn problems(self) -> Vec<FieldProblem> {
        self.problems.into_inner()
    }

    /// The value at a path, unless it is null.
    pub fn at(&self, path: &str) -> Option<&'a Value> {
        let mut value = self.root;
        for key in path.split('.') {
            value = match value {
                Value::Object(map) => map.get(key)?,
                Value::Null => return None,
                _ => {
                    self.note(path, "a mapping on the way to it");
                    return None;
                }
            };
        }
        (!value.is_null()).then_some(value)
    }

    fn note(&self, path: &str, wanted: &str) {
        self.problems.borrow_mut().push(FieldProblem::new(path, format!("should be {wanted}; it is ignored")));
    }

    fn typed<T>(&self, path: &str, wanted: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.at(path)?;
        let read = read(value);
        if read.is_none() {
            self.note(path, wanted);
        }
        read
    }

    pub fn text(&self, path: &str) -> Option<String> {
        self.typed(path, "text", |value| value.as_str().map(str::to_owned))
    }

    /// Text that must be there for the object to make sense.
    pub fn required(&self, path: &str) -> String {
        let noted = self.problems.borrow().len();
        let text = self.text(path).filter(|text| !text.is_empty());
        if text.is_none() && self.problems.borrow().len() == noted {
            self.problems.borrow_mut().push(FieldProblem::new(path, "is missing"));
        }
        text.unwrap_or_default()
    }

    pub fn flag(&self, path: &str) -> Option<bool> {
        self.typed(path, "true or false", Value::as_bool)
    }

    pub fn number(&self, path: &str) -> Option<i64> {
        self.typed(path, "a whole number", Value::as_i64)
    }

    /// The items of a list; empty when it is absent.
    pub fn list(&self, path: &str) -> &'a [Value] {
        self.typed(path, "a list", |value| value.as_array().map(Vec::as_slice)).unwrap_or_default()
    }

    /// The texts of a list; other items are noted and left out.
    pub fn texts(&self, path: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, item) in self.list(path).iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.note(&format!("{path}[{index}]"), "text"),
            }
        }
        texts
    }

    /// Reads the items of a list of mappings, keeping the problems found in them. `None` from `read` leaves one out.
    pub fn each<T>(&self, path: &str, read: impl Fn(&Reader<'a>) -> Option<T>) -> Vec<T> {
        let mut out = Vec::new();
        for (index, item) in self.list(path).iter().enumerate() {
            if !item.is_object() {
                self.note(&format!("{path}[{index}]"), "a mapping");
                continue;
            }
            let inner = Reader::new(item);
            out.extend(read(&inner));
            self.problems.borrow_mut().extend(
                inner
                    .problems()
                    .into_iter()
                    .map(|one| FieldProblem { field: format!("{path}[{index}].{}", one.field), message: one.message }),
            );
        }
        out
    }

    /// A mapping of texts, as Helm and label maps are.
    pub fn within(&self, path: &str) -> Option<Reader<'a>> {
        let value = self.typed(path, "a mapping", |value| value.is_object().then_some(value))?;
        Some(Reader::new(value))
    }
}
