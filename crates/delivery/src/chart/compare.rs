//! What a rendering changes, object by object.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::align::align;
use super::manifests::text_of;
use super::mask::is_secret;
use super::{Manifest, Mask};

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It is there and becomes another.
    Changed,
    /// It stays as it is.
    Same,
    /// The other side of it may not be read.
    Unreadable,
}

/// One object of a comparison. Its texts hold nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// `group/version`, or the version alone for the core.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace; none for what lies outside of them.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// When it is run, for hooks.
    pub hook: Option<String>,
    /// The template it comes from.
    pub source: Option<String>,
    /// What happens to it.
    pub change: Change,
    /// The other side's text; empty when there is none.
    pub old: String,
    /// The rendered text; empty when it goes.
    pub new: String,
    /// More about the change, in a sentence.
    pub words: Option<String>,
}

/// What the cluster has where a manifest goes.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveObject {
    /// The object.
    Found(Value),
    /// Nothing.
    Absent,
    /// Something that could not be read, and why, in a sentence.
    Unreadable(String),
}

/// A manifest's place in the cluster, and what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSide {
    /// The namespace it goes to; none for what lies outside of them.
    pub namespace: Option<String>,
    /// What is there.
    pub object: LiveObject,
}

type Key = (String, String, Option<String>, String, usize);

/// Tells manifests apart; `version` is left out, for an object is the same one at all of them.
fn keys(manifests: &[Manifest], namespace: &dyn Fn(&Manifest) -> Option<String>) -> Vec<Key> {
    let mut seen: HashMap<Key, usize> = HashMap::new();
    let key = |one: &Manifest| {
        let mut key = (one.group().to_owned(), one.kind.clone(), namespace(one), one.name.clone(), 0);
        let count = seen.entry(key.clone()).or_default();
        key.4 = *count;
        *count += 1;
        key
    };
    manifests.iter().map(key).collect()
}

fn compared(one: &Manifest, namespace: Option<String>, change: Change, old: String, new: String) -> Compared {
    Compared {
        api_version: one.api_version.clone(),
        kind: one.kind.clone(),
        namespace,
        name: one.name.clone(),
        hook: one.hook.clone(),
        source: one.source.clone(),
        change,
        old,
        new,
        words: None,
    }
}

/// Compares a rendering with another. `namespace` says where a manifest goes.
pub fn with_rendering(
    new: &[Manifest],
    old: &[Manifest],
    namespace: &dyn Fn(&Manifest) -> Option<String>,
) -> Vec<Compared> {
    let mut mask = Mask::default();
    let mut before: HashMap<Key, &Manifest> = keys(old, namespace).into_iter().zip(old).collect();
    let mut all = Vec::new();
    for (key, one) in keys(new, namespace).into_iter().zip(new) {
        let other = before.remove(&key);
        // The old text first, so that what stays has the lower numbers.
        let was = other.map(|other| other.text(&mut mask));
        let text = one.text(&mut mask);
        let change = match &was {
            None => Change::Added,
            Some(was) if *was == text => Change::Same,
            Some(_) => Change::Changed,
        };
        all.push(compared(one, key.2, change, was.unwrap_or_default(), text));
    }
    for (key, one) in keys(old, namespace).into_iter().zip(old) {
        if before.contains_key(&key) {
            all.push(compared(one, key.2, Change::Removed, one.text(&mut mask), String::new()));
        }
    }
    all
}

/// Compares a rendering with what is live. `rendered` pairs each manifest with what is in its place; `others` are the
/// objects that Argo CD counts to `application` and that the rendering does not have.
pub fn with_live(
    rendered: Vec<(Manifest, LiveSide)>,
    others: Vec<(Manifest, LiveSide)>,
    application: &str,
) -> Vec<Compared> {
    let mut mask = Mask::default();
    let mut all = Vec::new();
    for (one, side) in rendered {
        let value = as_stored(&one.value);
        let (change, old, words) = match side.object {
            LiveObject::Found(live) => {
                let old = text_of(&align(&value, &live, application), &mut mask);
                (Change::Same, old, None)
            }
            LiveObject::Absent => {
                let words =
                    one.hook.as_ref().map(|_| "A hook: it is made for a sync and usually removed after it.".to_owned());
                (Change::Added, String::new(), words)
            }
            LiveObject::Unreadable(why) => (Change::Unreadable, String::new(), Some(why)),
        };
        let new = text_of(&value, &mut mask);
        let change = if change == Change::Same && old != new { Change::Changed } else { change };
        all.push(Compared { words, ..compared(&one, side.namespace, change, old, new) });
    }
    for (one, side) in others {
        let (change, old, words) = match side.object {
            LiveObject::Absent => continue,
            LiveObject::Found(live) if !is_tracked(&live, application) => continue,
            LiveObject::Found(live) => {
                let kept = is_kept(&live).then(|| {
                    "It is marked to be kept (Prune=false), so that a sync leaves it although the chart no longer has it."
                        .to_owned()
                });
                let change = if kept.is_some() { Change::Same } else { Change::Removed };
                (change, text_of(&without_servers_own(live), &mut mask), kept)
            }
            LiveObject::Unreadable(why) => (Change::Unreadable, String::new(), Some(why)),
        };
        let new = if change == Change::Same { old.clone() } else { String::new() };
        all.push(Compared { words, ..compared(&one, side.namespace, change, old, new) });
    }
    all
}

/// A Secret as the server keeps it: what is written in clear goes, encoded, over `data`.
fn as_stored(object: &Value) -> Value {
    let mut object = object.clone();
    if !is_secret(&object) {
        return object;
    }
    let clear = object.as_object_mut().and_then(|fields| fields.remove("stringData"));
    if let Some(Value::Object(clear)) = clear {
        let mut data = object["data"].as_object().cloned().unwrap_or_else(Map::new);
        for (key, value) in clear {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            data.insert(key, Value::String(STANDARD.encode(text)));
        }
        object["data"] = Value::Object(data);
    }
    object
}

/// Whether Argo CD counts an object to an Application, by its annotation or by its older label.
fn is_tracked(object: &Value, application: &str) -> bool {
    let metadata = &object["metadata"];
    let by_annotation = metadata["annotations"]["argocd.argoproj.io/tracking-id"].as_str();
    let by_label = metadata["labels"]["app.kubernetes.io/instance"].as_str();
    match by_annotation {
        Some(id) => id.split(':').next() == Some(application),
        None => by_label == Some(application),
    }
}

fn is_kept(object: &Value) -> bool {
    let notes = &object["metadata"]["annotations"];
    let options = notes["argocd.argoproj.io/sync-options"].as_str().unwrap_or_default();
    options.split(',').any(|option| option.trim() == "Prune=false")
}

/// An object without what only the server writes.
fn without_servers_own(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for name in ["managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"] {
            metadata.remove(name);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(value: Value) -> Manifest {
        Manifest::of(value, None).unwrap()
    }

    fn secret(password: &str) -> Manifest {
        manifest(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": password}}),
        )
    }

    fn map(name: &str, value: &str) -> Manifest {
        manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}}))
    }

    fn changes(all: &[Compared]) -> Vec<(&str, Change)> {
        all.iter().map(|one| (one.name.as_str(), one.change)).collect()
    }

    #[test]
    fn two_renderings() {
        let place = |_: &Manifest| Some("n".to_owned());
        let new = [map("same", "1"), map("other", "2"), map("new", "3"), secret("hunter3")];
        let old = [map("same", "1"), map("other", "1"), secret("hunter2"), map("gone", "1")];
        let all = with_rendering(&new, &old, &place);
        assert_eq!(
            changes(&all),
            [
                ("same", Change::Same),
                ("other", Change::Changed),
                ("new", Change::Added),
                ("s", Change::Changed),
                ("gone", Change::Removed)
            ]
        );
        assert!(!format!("{all:?}").contains("hunter"));
        assert!(all[3].old.contains("<hidden 1>") && all[3].new.contains("<hidden 2>"));
        let all = with_rendering(&[secret("x"), map("a", "1"), map("a", "2")], &[map("a", "1"), secret("x")], &place);
        assert_eq!(changes(&all), [("s", Change::Same), ("a", Change::Same), ("a", Change::Added)]);
    }

    fn live(value: Value) -> LiveSide {
        LiveSide { namespace: Some("n".into()), object: LiveObject::Found(value) }
    }

    #[test]
    fn a_rendering_and_the_cluster() {
        let absent = || LiveSide { namespace: None, object: LiveObject::Absent };
        let hidden = LiveSide { namespace: None, object: LiveObject::Unreadable("may not be read".into()) };
        let stored = |text: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "uid": "7"},
            "type": "Opaque", "data": {"p": STANDARD.encode(text)}})
        };
        let tracked = |options: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old", "uid": "u", "annotations":
            {"argocd.argoproj.io/tracking-id": "app:/ConfigMap:n/old", "argocd.argoproj.io/sync-options": options}}})
        };
        let all = with_live(
            vec![
                (secret("hunter2"), live(stored("hunter2"))),
                (secret("hunter3"), live(stored("hunter2"))),
                (secret("hunter4"), hidden),
                (map("m", "1"), absent()),
            ],
            vec![
                (map("old", ""), live(tracked(""))),
                (map("old", ""), live(tracked("Replace=true,Prune=false"))),
                (map("gone", ""), absent()),
                (map("foreign", ""), live(json!({"metadata": {"labels": {"app.kubernetes.io/instance": "another"}}}))),
            ],
            "app",
        );
        assert_eq!(
            changes(&all),
            [
                ("s", Change::Same),
                ("s", Change::Changed),
                ("s", Change::Unreadable),
                ("m", Change::Added),
                ("old", Change::Removed),
                ("old", Change::Same)
            ]
        );
        let text = format!("{all:?}");
        assert!(!text.contains("hunter") && !text.contains(&STANDARD.encode("hunter2")), "{text}");
        assert!(!all[4].old.contains("uid"));
    }
}
