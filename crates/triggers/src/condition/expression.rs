//! CEL expressions over `old` and `new`, within bounds. CEL always ends, but not soon: nested loops multiply, and a
//! loop that builds values can double them with every step. So an expression is short and shallow, its loops only look
//! (`all`, `exists`, `exists_one`, `filter`; no `map`), and all of them together turn a bounded number of times.

use crate::error::Reason;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::extractors::This;
use cel::{Context, ExecutionError, IdedExpr, Program, Value as CelValue};
use serde_json::{Map, Value};

/// The longest expression.
const MAX_LENGTH: usize = 1024;
/// The most brackets, marks before operands, and alternatives: each lets the parser descend.
const MAX_NESTING: usize = 64;
/// The most nodes of its tree.
const MAX_NODES: usize = 300;
/// The deepest its tree may be.
const MAX_DEPTH: usize = 40;
/// How often all loops together may turn.
const TURNS: u32 = 2_000;
/// How many turns compiling a regular expression counts for.
const PATTERN_TURNS: u32 = 50;
/// The function that each turn of a loop calls; not a name that can be written in CEL.
const TICK: &str = "@tick";

/// An expression, read and found harmless.
#[derive(Debug, Clone)]
pub struct Compiled {
    root: IdedExpr,
    paths: BTreeSet<Vec<String>>,
}

impl Compiled {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it or not allowed, in words.
    pub fn new(text: &str) -> Result<Self, Reason> {
        if text.trim().is_empty() || text.len() > MAX_LENGTH {
            return Err(format!("give a CEL expression of 1 to {MAX_LENGTH} characters").into());
        }
        if text.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{' | b'!' | b'?' | b'-')).count() > MAX_NESTING {
            return Err(format!("at most {MAX_NESTING} brackets and marks").into());
        }
        let program = Program::compile(text).map_err(|errors| {
            let all = errors.to_string();
            format!("not a CEL expression: {}", all.lines().next().unwrap_or_default())
        })?;
        let mut root = program.expression().clone();
        let mut nodes = 0;
        check(&root, 0, &mut nodes)?;
        let mut paths = BTreeSet::new();
        collect(&root, &mut paths);
        if paths.is_empty() {
            return Err("the expression must look at old or new".into());
        }
        bound(&mut root);
        Ok(Self { root, paths })
    }

    /// What of an object the expression looks at: the part to remember of it. Values of environment variables, which
    /// may be secrets, are replaced by digests.
    pub fn part_of(&self, object: &Value) -> Value {
        let mut part = Value::Object(Map::new());
        for path in &self.paths {
            if path.is_empty() {
                part = whole(object);
                break;
            }
            // As much of the path as there is: `has` asks the parent of what is not there.
            let mut found = object;
            let mut length = 0;
            while let Some(next) = path.get(length).and_then(|key| found.get(key)) {
                (found, length) = (next, length + 1);
            }
            let there = path.get(..length).unwrap_or_default();
            let whole = length == path.len() || !found.is_object();
            place(&mut part, there, if whole { found.clone() } else { Value::Object(Map::new()) });
        }
        hide(&mut part);
        part
    }

    /// Whether it holds for two such parts.
    ///
    /// # Errors
    /// When it fails, yields no boolean, or takes too long, in words.
    pub fn holds(&self, old: &Value, new: &Value) -> Result<bool, Reason> {
        let left = Arc::new(AtomicU32::new(TURNS));
        let spent = Arc::new(AtomicBool::new(false));
        let mut context = Context::default();
        for (name, value) in [("old", old), ("new", new)] {
            let value = cel::to_value(value).map_err(|error| error.to_string())?;
            context.add_variable_from_value(name, value);
        }
        let tick = {
            let (left, spent) = (left.clone(), spent.clone());
            move || take(&left, &spent, 1)
        };
        context.add_function(TICK, tick).map_err(|error| error.to_string())?;
        let known: Mutex<HashMap<String, regex::Regex>> = Mutex::default();
        let (counter, over) = (left.clone(), spent.clone());
        let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| -> Result<bool, ExecutionError> {
            let failed = |why: &str| ExecutionError::function_error("matches", why);
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(regex) = known.get(pattern.as_str()) {
                return Ok(regex.is_match(&text));
            }
            if !take(&counter, &over, PATTERN_TURNS) {
                return Err(failed("too many regular expressions"));
            }
            let regex = super::operators::pattern(&pattern).map_err(|why| failed(&why))?;
            let found = regex.is_match(&text);
            known.insert(pattern.to_string(), regex);
            Ok(found)
        };
        context.add_function("matches", matches).map_err(|error| error.to_string())?;
        let found = context.resolve(&self.root);
        if spent.load(Ordering::Relaxed) {
            return Err(format!("the expression's loops turn more than {TURNS} times").into());
        }
        match found {
            Ok(CelValue::Bool(holds)) => Ok(holds),
            Ok(_) => Err("the expression yields no true or false".into()),
            Err(error) => Err(short(&error.to_string()).into()),
        }
    }
}

fn take(left: &AtomicU32, spent: &AtomicBool, turns: u32) -> bool {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(turns)).is_ok();
    if !taken {
        spent.store(true, Ordering::Relaxed);
    }
    taken
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(200).collect()
}

/// Puts a value where a path says; a value that is there already and no object has it all.
fn place(at: &mut Value, path: &[String], value: Value) {
    match (path, at) {
        // An empty one only says that there is an object.
        ([], Value::Object(_)) if value.as_object().is_some_and(Map::is_empty) => {}
        ([], at) => *at = value,
        ([first, rest @ ..], Value::Object(map)) => {
            place(map.entry(first.clone()).or_insert_with(|| Value::Object(Map::new())), rest, value);
        }
        _ => {}
    }
}

/// An object without what changes by itself.
fn whole(object: &Value) -> Value {
    let mut whole = object.clone();
    if let Some(map) = whole.as_object_mut() {
        map.shift_remove("status");
        if let Some(meta) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in ["managedFields", "resourceVersion", "generation"] {
                meta.shift_remove(key);
            }
            if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.retain(|key, _| {
                    key != "kubectl.kubernetes.io/last-applied-configuration"
                        && key != "deployment.kubernetes.io/revision"
                });
            }
        }
    }
    whole
}

/// Replaces the values of environment variables by digests.
fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, one) in map.iter_mut() {
                if key == "env"
                    && let Value::Array(variables) = one
                {
                    for value in variables.iter_mut().filter_map(|one| one.get_mut("value")) {
                        *value = Value::String(super::facts::digest(value));
                    }
                }
                hide(one);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(hide),
        _ => {}
    }
}

fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).collect(),
        Expr::Comprehension(c) => vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => entries(map.entries.iter().map(|entry| &entry.expr)),
        Expr::Struct(all) => entries(all.entries.iter().map(|entry| &entry.expr)),
        Expr::Select(select) => vec![&select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entries<'a>(all: impl Iterator<Item = &'a EntryExpr>) -> Vec<&'a IdedExpr> {
    all.flat_map(|entry| match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    })
    .collect()
}

fn check(expression: &IdedExpr, depth: usize, nodes: &mut usize) -> Result<(), Reason> {
    *nodes += 1;
    if *nodes > MAX_NODES || depth > MAX_DEPTH {
        return Err("the expression is too large".into());
    }
    match &expression.expr {
        Expr::Unspecified => return Err("the expression has a hole".into()),
        Expr::Struct(_) => return Err("messages are not known here".into()),
        Expr::Comprehension(loop_) if !only_looks(loop_) => {
            return Err("of the loops all, exists, exists_one and filter are allowed".into());
        }
        _ => {}
    }
    children(expression).into_iter().try_for_each(|child| check(child, depth + 1, nodes))
}

/// Whether a loop carries on a truth, a count, or some of the elements themselves.
fn only_looks(loop_: &ComprehensionExpr) -> bool {
    let is = |expression: &IdedExpr, name: &str| matches!(&expression.expr, Expr::Ident(one) if one == name);
    match &loop_.accu_init.expr {
        Expr::Literal(LiteralValue::Boolean(_) | LiteralValue::Int(_)) => true,
        // A filter appends the element as it is, or not.
        Expr::List(list) if list.elements.is_empty() => {
            let Expr::Call(choice) = &loop_.loop_step.expr else { return false };
            let Some(Expr::Call(append)) = choice.args.get(1).map(|one| &one.expr) else { return false };
            choice.func_name == operators::CONDITIONAL
                && append.func_name == operators::ADD
                && matches!(append.args.get(1).map(|one| &one.expr),
                    Some(Expr::List(list)) if list.elements.iter().all(|one| is(one, &loop_.iter_var)))
        }
        _ => false,
    }
}

/// Has every loop count its turns.
fn bound(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| bound(target));
            call.args.iter_mut().for_each(bound);
        }
        Expr::Comprehension(loop_) => {
            for one in [&mut loop_.iter_range, &mut loop_.loop_step, &mut loop_.result] {
                bound(one);
            }
            let tick = CallExpr { func_name: TICK.to_owned(), target: None, args: Vec::new() };
            let tick = IdedExpr { id: 0, expr: Expr::Call(tick) };
            let condition = std::mem::take(&mut loop_.loop_cond);
            let both =
                CallExpr { func_name: operators::LOGICAL_AND.to_owned(), target: None, args: vec![tick, condition] };
            loop_.loop_cond = IdedExpr { id: 0, expr: Expr::Call(both) };
        }
        Expr::List(list) => list.elements.iter_mut().for_each(bound),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    bound(&mut entry.key);
                    bound(&mut entry.value);
                }
            }
        }
        Expr::Select(select) => bound(&mut select.operand),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// The path below `old` or `new` that an expression spells, if it spells one.
fn path_of(expression: &IdedExpr) -> Option<Vec<String>> {
    match &expression.expr {
        Expr::Ident(name) if name == "old" || name == "new" => Some(Vec::new()),
        Expr::Select(select) => {
            let mut path = path_of(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX && call.target.is_none() => {
            let mut path = path_of(call.args.first()?)?;
            let Some(Expr::Literal(LiteralValue::String(key))) = call.args.get(1).map(|one| &one.expr) else {
                return None;
            };
            path.push(key.inner().to_owned());
            Some(path)
        }
        _ => None,
    }
}

fn collect(expression: &IdedExpr, paths: &mut BTreeSet<Vec<String>>) {
    match path_of(expression) {
        Some(path) => {
            paths.insert(path);
        }
        None => children(expression).into_iter().for_each(|child| collect(child, paths)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(image: &str, replicas: i64) -> Value {
        json!({"metadata": {"name": "cart", "generation": 4, "labels": {"app": "cart"}}, "status": {"replicas": 9},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [
                {"name": "app", "image": image, "env": [{"name": "PASSWORD", "value": "hunter2"}]}]}}}})
    }

    fn holds(text: &str, old: &Value, new: &Value) -> Result<bool, Reason> {
        let compiled = Compiled::new(text)?;
        compiled.holds(&compiled.part_of(old), &compiled.part_of(new))
    }

    #[test]
    fn expressions() {
        let (old, new) = (deployment("a:1", 1), deployment("a:2", 3));
        for (text, wanted) in [
            ("old.spec.template.spec.containers[0].image != new.spec.template.spec.containers[0].image", true),
            ("new.spec.replicas > old.spec.replicas && new.spec.replicas >= 3", true),
            ("new.spec.template.spec.containers.exists(c, c.name == 'app' && c.image.endsWith(':2'))", true),
            ("new.spec.template.spec.containers.all(c, c.image.matches('^b:'))", false),
            ("size(new.spec.template.spec.containers.filter(c, c.image == 'a:2')) == 1", true),
            ("has(new.metadata.labels.tier)", false),
            ("has(new.metadata.labels.app) && new.metadata.labels['app'] == 'cart'", true),
            ("old == new", false),
            ("old.metadata == new.metadata", true),
        ] {
            assert_eq!(holds(text, &old, &new), Ok(wanted), "{text}");
        }
        assert!(holds("new.spec.nothing.at.all", &old, &new).is_err());
        assert!(holds("new.spec.replicas", &old, &new).unwrap_err().contains("true or false"));
    }

    #[test]
    fn only_what_is_looked_at_is_remembered_and_no_values_of_variables() {
        let object = deployment("a:1", 1);
        let part = |text: &str| Compiled::new(text).unwrap().part_of(&object);
        assert_eq!(
            part("new.spec.replicas > 1 && old.metadata.labels.app == ''"),
            json!({"metadata": {"labels": {"app": "cart"}}, "spec": {"replicas": 1}})
        );
        let shown = part("old != new").to_string();
        assert!(shown.contains("PASSWORD") && !shown.contains("hunter2") && !shown.contains("generation"), "{shown}");
        assert!(!shown.contains("\"status\""));
    }

    #[test]
    fn what_is_hostile_neither_hangs_nor_grows() {
        let doubling = "[old.a]".to_owned() + &".map(x, x + x)".repeat(60);
        let deep = "(".repeat(300) + "old.a" + &")".repeat(300);
        let marks = "!".repeat(300) + "old.a";
        let chain = "old".to_owned() + &".a".repeat(400);
        let sum = "old.a".to_owned() + &" + old.a".repeat(120);
        for text in [
            &*doubling,
            &deep,
            &marks,
            &chain,
            &sum,
            "old.?a.optMap(x, x + x)",
            "1 == 1",
            "",
            "old.a &&",
            "Message{a: old.a}",
            &"x".repeat(2000),
            "[old.a].map(x, [x, x])",
        ] {
            assert!(Compiled::new(text).is_err(), "{text}");
        }
        let many: Vec<u32> = (0..1000).collect();
        let object = json!({"a": many});
        let nested = "new.a.all(x, new.a.all(y, new.a.all(z, x >= 0)))";
        assert!(holds(nested, &object, &object).unwrap_err().contains("loops turn"));
        assert_eq!(holds("new.a.all(x, x >= 0)", &object, &object), Ok(true));
        let patterns = "new.a.exists(x, 'a'.matches(string(x)))";
        assert!(holds(patterns, &object, &object).is_err());
    }
}
