//! Parameters without a command line, where others of this machine could read them. Helm sets them over all values files
//! (`--set`, then `--set-string`); here the same is worked out beforehand and given to it in a file.
//!
//! A values file knows floating-point numbers only, where a parameter's whole number is an integer: `1000000` would be
//! written as `1e+06`. So the numbers are put in once more by a template that Helm runs before all others.

use std::collections::BTreeMap;

use pilothouse_cluster::Unfolding;
use serde_json::{Map, Value};

use super::release::{HelmParameter, ValuesText, escaped, printable};

/// The most keys in a parameter's name, and the highest place in a list; both are Helm's own.
const DEEPEST: usize = 30;
const LARGEST_INDEX: usize = 65_536;

/// What Helm is given in the place of parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// A values file that goes over all others.
    pub file: Option<String>,
    /// A template that makes whole numbers of the whole numbers.
    pub template: Option<String>,
}

/// Why parameters could not be worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// Only Helm can tell what the values files come to.
    Unsure,
    /// Helm would refuse it too: the parameter's name, and why.
    Refused(String, String),
}

/// Works the parameters out. `base` is what the values files come to, where Helm has told it.
pub(super) fn pass(parameters: &[HelmParameter], files: &[ValuesText], base: Option<&Value>) -> Result<Passed, Failed> {
    if parameters.is_empty() {
        return Ok(Passed::default());
    }
    let nested = parameters.iter().any(|one| one.name.contains(['.', '[', ',']) || one.value.contains(','));
    let (tree, exact) = match base {
        Some(told) => (told.clone(), true),
        None if nested => (own_reading(files).ok_or(Failed::Unsure)?, false),
        None => (Value::Null, false),
    };
    let mut top = Node::Base(if tree.is_object() { tree } else { Value::Object(Map::new()) });
    let Some(map) = top.mapping() else { return Err(Failed::Unsure) };
    // As Helm: text that is text whatever it looks like comes last.
    for forced in [false, true] {
        for one in parameters.iter().filter(|one| one.force_string == forced) {
            let line = format!("{}={}", one.name, escaped(&one.value));
            let mut reader = Reader { left: line.chars().peekable(), forced, exact };
            reader.all(map).map_err(|why| match why {
                Why::Unsure => Failed::Unsure,
                Why::Bad(why) => Failed::Refused(printable(&one.name, 80), why),
            })?;
        }
    }
    let mut statements = String::new();
    numbers(map, &mut Vec::new(), &mut statements);
    // Text in JSON is text in YAML.
    let file = Value::Object(
        map.iter().filter(|(_, one)| one.is_set()).map(|(key, one)| (key.clone(), one.value(false))).collect(),
    );
    Ok(Passed { file: Some(file.to_string()), template: (!statements.is_empty()).then_some(statements) })
}

/// What the files come to, where this reader is sure to see the same as Helm's.
fn own_reading(files: &[ValuesText]) -> Option<Value> {
    let mut all = Value::Object(Map::new());
    for file in files {
        Unfolding::default().count(&file.text).ok()?;
        if file.text.contains("<<") {
            return None;
        }
        match serde_yaml::from_str(&file.text).ok()? {
            Value::Null => {}
            read @ Value::Object(_) => merge(&mut all, read),
            _ => return None,
        }
    }
    Some(all)
}

fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(there) if there.is_object() && value.is_object() => merge(there, value),
                    _ => drop(under.insert(key, value)),
                }
            }
        }
        (under, over) => *under = over,
    }
}

/// A value, and whether it came from a parameter.
#[derive(Debug, Clone)]
enum Node {
    /// Of the values files, as it was.
    Base(Value),
    /// Set: text, a switch, nothing.
    Leaf(Value),
    /// Set: a whole number.
    Whole(i64),
    /// A list that was set, or changed in one of its places.
    List(Vec<Node>),
    /// A mapping on the way to something set.
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// The mapping that stands here, if one does.
    fn mapping(&mut self) -> Option<&mut BTreeMap<String, Node>> {
        if let Self::Base(Value::Object(map)) = self {
            let below = std::mem::take(map).into_iter().map(|(key, value)| (key, Self::Base(value)));
            *self = Self::Map(below.collect());
        }
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    fn is_set(&self) -> bool {
        match self {
            Self::Base(_) => false,
            Self::Leaf(_) | Self::Whole(_) | Self::List(_) => true,
            Self::Map(map) => map.values().any(Self::is_set),
        }
    }

    /// What is set; of a list all of it, and with `whole` of a mapping too.
    fn value(&self, whole: bool) -> Value {
        match self {
            Self::Base(value) | Self::Leaf(value) => value.clone(),
            Self::Whole(number) => Value::from(*number),
            Self::List(items) => Value::Array(items.iter().map(|one| one.value(true)).collect()),
            Self::Map(map) => {
                let shown = map.iter().filter(|(_, one)| whole || one.is_set());
                Value::Object(shown.map(|(key, one)| (key.clone(), one.value(whole))).collect())
            }
        }
    }

    fn has_numbers(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::List(items) => items.iter().any(Self::has_numbers),
            Self::Map(map) => map.values().any(Self::has_numbers),
            Self::Base(_) | Self::Leaf(_) => false,
        }
    }
}

/// The statements that set whole numbers.
fn numbers(map: &BTreeMap<String, Node>, path: &mut Vec<String>, out: &mut String) {
    for (key, one) in map.iter().filter(|(_, one)| one.has_numbers()) {
        match one {
            Node::Map(below) => {
                path.push(quoted(key));
                numbers(below, path, out);
                path.pop();
            }
            leaf => {
                let above =
                    if path.is_empty() { ".Values".to_owned() } else { format!("(index .Values {})", path.join(" ")) };
                out.push_str(&format!("{{{{- $_ := set {above} {} {} -}}}}\n", quoted(key), expression(leaf)));
            }
        }
    }
}

/// A text as Go writes it.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A value as an expression of Go's templates.
fn expression(node: &Node) -> String {
    match node {
        Node::Whole(number) => format!("(int64 {number})"),
        Node::Base(value) | Node::Leaf(value) => plain(value),
        Node::List(items) => format!("(list {})", items.iter().map(expression).collect::<Vec<_>>().join(" ")),
        Node::Map(map) => {
            let pairs = map.iter().map(|(key, one)| format!("{} {}", quoted(key), expression(one)));
            format!("(dict {})", pairs.collect::<Vec<_>>().join(" "))
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("(float64 {number})"),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("(list {})", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, one)| format!("{} {}", quoted(key), plain(one)));
            format!("(dict {})", pairs.collect::<Vec<_>>().join(" "))
        }
    }
}

enum Why {
    Unsure,
    Bad(String),
}

fn bad<T>(why: impl Into<String>) -> Result<T, Why> {
    Err(Why::Bad(why.into()))
}

/// Reads `a.b[0].c=x,d={y,z}` and does what it says. What Helm's reader does is told beside each step.
struct Reader<'a> {
    left: std::iter::Peekable<std::str::Chars<'a>>,
    /// Every value is text.
    forced: bool,
    /// The values of the files are as Helm reads them, down to the last number.
    exact: bool,
}

impl Reader<'_> {
    fn all(&mut self, map: &mut BTreeMap<String, Node>) -> Result<(), Why> {
        while self.key(map, 0)? {}
        Ok(())
    }

    /// The letters up to one of `stops`, and which it was; `\` keeps the next letter as it is.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(letter) = self.left.next() {
            if stops.contains(&letter) {
                return (text, Some(letter));
            }
            match letter {
                '\\' => text.extend(self.left.next()),
                letter => text.push(letter),
            }
        }
        (text, None)
    }

    /// One key with what is said of it; false at the end.
    fn key(&mut self, map: &mut BTreeMap<String, Node>, depth: usize) -> Result<bool, Why> {
        let (key, stop) = self.until(&['=', '[', ',', '.']);
        match stop {
            None if key.is_empty() => Ok(false),
            None => bad(format!("{:?} is given no value", printable(&key, 80))),
            Some(',') => bad(format!("{:?} is given no value", printable(&key, 80))),
            Some('[') => {
                let at = self.index()?;
                let exact = self.exact;
                let list = match map.get(&key) {
                    None => Vec::new(),
                    Some(there) => as_list(there, exact, &key)?,
                };
                let list = self.item(list, at, depth)?;
                put(map, key, Node::List(list));
                Ok(true)
            }
            Some('=') => {
                let value = self.value()?;
                put(map, key, value);
                Ok(true)
            }
            Some(_) => {
                if depth + 1 > DEEPEST {
                    return bad(format!("its name has more than {DEEPEST} parts"));
                }
                let mut fresh = BTreeMap::new();
                let below = match map.get_mut(&key) {
                    None => &mut fresh,
                    Some(there) => match there.mapping() {
                        Some(below) => below,
                        None => return bad(format!("{:?} is no mapping in the values", printable(&key, 80))),
                    },
                };
                let more = self.key(below, depth + 1)?;
                if more && below.is_empty() {
                    return bad(format!("{:?} is given no value", printable(&key, 80)));
                }
                if !fresh.is_empty() {
                    put(map, key, Node::Map(fresh));
                }
                Ok(more)
            }
        }
    }

    fn index(&mut self) -> Result<usize, Why> {
        match self.until(&[']']) {
            (text, Some(_)) => match text.parse::<usize>() {
                Ok(at) if at <= LARGEST_INDEX => Ok(at),
                Ok(_) => bad(format!("a list has no place above {LARGEST_INDEX}")),
                Err(_) => bad(format!("{:?} is no place in a list", printable(&text, 40))),
            },
            _ => bad("a bracket is not closed"),
        }
    }

    /// Sets one place of a list.
    fn item(&mut self, mut list: Vec<Node>, at: usize, depth: usize) -> Result<Vec<Node>, Why> {
        let (rest, stop) = self.until(&['[', '.', '=']);
        if !rest.is_empty() {
            return bad("something stands behind a place in a list");
        }
        let there = list.get(at);
        let new = match stop {
            None => return bad("a place in a list is given no value"),
            Some('=') => self.value()?,
            Some('[') => {
                let next = self.index()?;
                let inner = match there {
                    None | Some(Node::Base(Value::Null) | Node::Leaf(Value::Null)) => Vec::new(),
                    Some(there) => as_list(there, self.exact, "the place")?,
                };
                Node::List(self.item(inner, next, depth)?)
            }
            Some(_) => {
                if depth + 1 > DEEPEST {
                    return bad(format!("its name has more than {DEEPEST} parts"));
                }
                let mut inner = match there {
                    None | Some(Node::Base(Value::Null) | Node::Leaf(Value::Null)) => Node::Map(BTreeMap::new()),
                    Some(there) => there.clone(),
                };
                match inner.mapping() {
                    Some(map) => self.key(map, depth + 1)?,
                    None => return bad("a place in a list holds no mapping"),
                };
                inner
            }
        };
        if list.len() <= at {
            list.resize(at + 1, Node::Leaf(Value::Null));
        }
        if let Some(place) = list.get_mut(at) {
            *place = new;
        }
        Ok(list)
    }

    /// What stands behind `=`: a list in braces, or letters up to a comma.
    fn value(&mut self) -> Result<Node, Why> {
        if self.left.next_if_eq(&'{').is_none() {
            let (text, _) = self.until(&[',']);
            return Ok(self.typed(text));
        }
        let mut list = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            let Some(stop) = stop else { return bad("a list is not closed by a brace") };
            list.push(self.typed(text));
            if stop == '}' {
                self.left.next_if_eq(&',');
                return Ok(Node::List(list));
            }
        }
    }

    /// A word as what Helm takes it for. It knows no numbers but whole ones, and none that begin with a nought.
    fn typed(&self, text: String) -> Node {
        if self.forced {
            return Node::Leaf(Value::String(text));
        }
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
            if text.eq_ignore_ascii_case(word) {
                return Node::Leaf(value);
            }
        }
        match text.parse::<i64>() {
            Ok(number) if text == "0" || !text.starts_with('0') => Node::Whole(number),
            _ => Node::Leaf(Value::String(text)),
        }
    }
}

fn put(map: &mut BTreeMap<String, Node>, key: String, value: Node) {
    // As Helm: a name that begins with nothing sets nothing.
    if !key.is_empty() {
        map.insert(key, value);
    }
}

/// The list that stands there. One of the files is taken into a parameter whole, and so has to be read exactly.
fn as_list(there: &Node, exact: bool, name: &str) -> Result<Vec<Node>, Why> {
    match there {
        Node::List(list) => Ok(list.clone()),
        Node::Base(Value::Array(_)) if !exact => Err(Why::Unsure),
        Node::Base(Value::Array(list)) => Ok(list.iter().cloned().map(Node::Base).collect()),
        _ => bad(format!("{:?} is no list in the values", printable(name, 80))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passed(parameters: &[(&str, &str, bool)], file: &str) -> Result<Passed, Failed> {
        let one = |(name, value, force_string): &(&str, &str, bool)| HelmParameter {
            name: (*name).into(),
            value: (*value).into(),
            force_string: *force_string,
        };
        let files = [ValuesText { name: "v".into(), text: file.into() }];
        pass(&parameters.iter().map(one).collect::<Vec<_>>(), &files, None)
    }

    fn file(parameters: &[(&str, &str, bool)], values: &str) -> Value {
        serde_json::from_str(&passed(parameters, values).unwrap().file.unwrap()).unwrap()
    }

    #[test]
    fn parameters_become_a_file() {
        assert_eq!(passed(&[], "a: [").unwrap(), Passed::default());
        let all = [
            ("image.tag", "1.0", false),
            ("port", "5432", false),
            ("on", "TRUE", false),
            ("gone", "null", false),
            ("zip", "007", false),
            ("empty", "", false),
            ("list", "{a,1,b\\,c}", false),
            ("text", "x,y", false),
            ("forced", "5", true),
            (r"a\.b", "=x{", false),
        ];
        assert_eq!(
            file(&all, "image: {pullPolicy: Always}\n"),
            json!({"image": {"tag": "1.0"}, "port": 5432, "on": true, "gone": null, "zip": "007", "empty": "",
                "list": ["a", 1, "b,c"], "text": "x,y", "forced": "5", "a.b": "=x{"})
        );
        // What is forced to be text comes last, wherever it stands.
        assert_eq!(file(&[("a", "1", true), ("a", "2", false)], ""), json!({"a": "1"}));
        assert_eq!(file(&[("a.b", "x", false), ("a", "y", false)], ""), json!({"a": "y"}));
        assert_eq!(file(&[("l[1].n", "x", false), ("l[0]", "y", false)], ""), json!({"l": ["y", {"n": "x"}]}));
    }

    #[test]
    fn whole_numbers_are_put_in_once_more() {
        let template =
            passed(&[("db.port", "1000000", false), ("l", "{1,x}", false), ("n", "x", false)], "").unwrap().template;
        assert_eq!(
            template.unwrap(),
            "{{- $_ := set (index .Values \"db\") \"port\" (int64 1000000) -}}\n{{- $_ := set .Values \"l\" (list (int64 1) \"x\") -}}\n"
        );
        assert_eq!(passed(&[("a", "x", false)], "").unwrap().template, None);
    }

    #[test]
    fn what_helm_refuses_or_only_helm_knows_is_told() {
        let refused = |name: &str, values: &str| match passed(&[(name, "x", false)], values) {
            Err(Failed::Refused(_, why)) => why,
            other => panic!("{name}: {other:?}"),
        };
        assert!(refused("db.p", "db: text").contains("no mapping"));
        assert!(refused("db.p", "db:").contains("no mapping"));
        assert!(refused("a[x]", "").contains("no place"));
        assert!(refused("a[99999]", "").contains("no place"));
        assert!(refused("a[0", "").contains("not closed"));
        assert!(refused("a,b", "").contains("no value"));
        assert!(refused(&["a"; 40].join("."), "").contains("more than 30"));
        for (name, values) in [("a.b", "x: &x {a: 1}\n<<: *x"), ("a.b", "db: ["), ("a[0]", "a: [1]"), ("a.b", "- a")] {
            assert_eq!(passed(&[(name, "x", false)], values), Err(Failed::Unsure), "{name} {values}");
        }
        let base = json!({"a": [1.5, {"k": "v"}]});
        let one = HelmParameter { name: "a[1].n".into(), value: "7".into(), force_string: false };
        let done = pass(&[one], &[], Some(&base)).unwrap();
        assert_eq!(done.file.unwrap(), r#"{"a":[1.5,{"k":"v","n":7}]}"#);
        assert!(done.template.unwrap().contains(r#"(list (float64 1.5) (dict "k" "v" "n" (int64 7)))"#));
    }
}
