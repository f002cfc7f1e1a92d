//! JMESPath keys, as Litmus' policies have them, within bounds: what comes from a cluster is not trusted to be short,
//! shallow or cheap. Only what looks at a document is allowed. What builds new values (multi-selects, mapping, joining)
//! could double its size with every step, and no policy's key needs it.

use crate::error::Reason;
use jmespath::ast::Ast;
use jmespath::{Expression, Variable};
use serde_json::Value;

/// The longest expression.
const MAX_LENGTH: usize = 512;
/// How deep brackets, and marks before an operand, may nest.
const MAX_NESTING: usize = 16;
/// The most nodes, and so the deepest, a tree may be.
const MAX_NODES: usize = 96;

/// How far a slice may reach, and the widest step. The evaluation counts in 32 bits and would run over their end.
const MAX_SLICE: u32 = 10_000;

/// The functions that only look.
const FUNCTIONS: [&str; 15] = [
    "abs",
    "avg",
    "ceil",
    "contains",
    "ends_with",
    "floor",
    "keys",
    "length",
    "max",
    "min",
    "sort",
    "starts_with",
    "sum",
    "to_number",
    "type",
];

/// Compiles a key.
///
/// # Errors
/// What is wrong with it or not allowed, in words.
pub fn compile(key: &str) -> Result<Expression<'static>, Reason> {
    if key.trim().is_empty() || key.len() > MAX_LENGTH {
        return Err(format!("give a JMESPath expression of 1 to {MAX_LENGTH} characters").into());
    }
    // The parser descends into itself at each of these.
    if key.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{' | b'!' | b'&')).count() > MAX_NESTING {
        return Err(format!("at most {MAX_NESTING} brackets").into());
    }
    let expression = jmespath::compile(key).map_err(|error| {
        format!("not a JMESPath expression: {}", error.to_string().lines().next().unwrap_or_default())
    })?;
    let mut nodes = 0;
    allowed(expression.as_ast(), &mut nodes)?;
    Ok(expression)
}

fn allowed(ast: &Ast, nodes: &mut usize) -> Result<(), Reason> {
    *nodes += 1;
    if *nodes > MAX_NODES {
        return Err("the expression is too long".into());
    }
    let mut both = |a: &Ast, b: &Ast| allowed(a, nodes).and_then(|()| allowed(b, nodes));
    match ast {
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Literal { .. } => Ok(()),
        Ast::Slice { start, stop, step, .. } => {
            let within = |number: &i32| number.unsigned_abs() <= MAX_SLICE;
            if *step != 0 && within(step) && start.iter().chain(stop).all(within) {
                Ok(())
            } else {
                Err(format!("a slice [start:stop:step] goes up to {MAX_SLICE}, with a step other than 0").into())
            }
        }
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => both(lhs, rhs),
        Ast::Condition { predicate, then, .. } => both(predicate, then),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => allowed(node, nodes),
        Ast::Function { name, args, .. } if FUNCTIONS.contains(&name.as_str()) => {
            args.iter().try_for_each(|one| allowed(one, nodes))
        }
        Ast::Function { name, .. } => Err(format!("the function {name} is not allowed here").into()),
        Ast::MultiList { .. } | Ast::MultiHash { .. } | Ast::Expref { .. } => {
            Err("[a, b], {a: b} and &a are not allowed here".into())
        }
    }
}

/// What a key finds in an object; `null` for nothing.
///
/// # Errors
/// Why it cannot be told, in words.
pub fn search(key: &str, object: &Value) -> Result<Value, Reason> {
    let expression = compile(key)?;
    let failed = |error: &dyn std::fmt::Display| error.to_string().lines().next().unwrap_or_default().to_owned();
    let data = Variable::from_serializable(object).map_err(|error| failed(&error))?;
    let found = expression.search(data).map_err(|error| failed(&error))?;
    serde_json::to_value(&*found).map_err(|error| failed(&error)).map_err(Reason::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_policies() {
        let object = json!({"metadata": {"annotations": {"a/b": "x"}}, "spec": {"replicas": 1,
            "template": {"spec": {"containers": [{"image": "nginx:1"}, {"image": "side:2"}]}}}});
        let find = |key: &str| search(key, &object).unwrap();
        assert_eq!(find("spec.replicas"), json!(1));
        assert_eq!(find("spec.template.spec.containers[0].image"), json!("nginx:1"));
        assert_eq!(find("spec.template.spec.containers[*].image"), json!(["nginx:1", "side:2"]));
        assert_eq!(find("metadata.annotations.\"a/b\""), json!("x"));
        assert_eq!(find("spec.nothing"), Value::Null);
        assert_eq!(find("length(spec.template.spec.containers)"), json!(2));
        assert_eq!(find("spec.template.spec.containers[?contains(image, 'side')].image | [0]"), json!("side:2"));
    }

    #[test]
    fn what_is_hostile_is_refused_before_it_runs() {
        let doubling = "[@,@]|".repeat(7) + "[@,@]";
        let nested = "(".repeat(200) + "a" + &")".repeat(200);
        let marks = "!".repeat(400) + "a";
        let long = "a.".repeat(100) + "a";
        for key in
            [&*doubling, &nested, &marks, &long, "map(&a, @)", "to_string(@)", "join('x', a)", "{a: b}", "a[", ""]
        {
            assert!(compile(key).is_err(), "{key}");
        }
        for key in ["a[1::2147483647]", "a[::-2147483647]", "a[2147483647:]", "a[:-10001]", "a[::0]", "b.a[1::10001]"] {
            assert!(compile(key).is_err(), "{key}");
        }
        let object = json!({"a": [1, 2, 3]});
        assert_eq!(search("a[1::10000]", &object).unwrap(), json!([2]));
        assert_eq!(search("a[::-1]", &object).unwrap(), json!([3, 2, 1]));
        assert_eq!(search("a[-10000:10000]", &object).unwrap(), json!([1, 2, 3]));
        assert!(search("abs(a)", &json!({"a": "x"})).is_err(), "an error, no panic");
    }
}
