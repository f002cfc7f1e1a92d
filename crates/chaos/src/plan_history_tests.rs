//! Random histories of both sides, with syncs in between.
//!
//! Every edit puts in a mark of its own or takes one out, so that it can be told for each mark whether a side ever
//! removed it. What no side removed must still be somewhere after any sync.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const PROJECT: &str = "shop";
const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
const KINDS: [&str; 4] = ["Workflow", "CronWorkflow", "ChaosEngine", "ChaosSchedule"];

/// What happens between two looks.
#[derive(Clone, Debug)]
enum Event {
    /// A mark is put in after the `at`th line of the head; new files are of the `kind`th kind.
    Edit {
        git: bool,
        name: usize,
        at: usize,
        kind: usize,
    },
    /// The `at`th mark is taken out.
    TakeOut {
        git: bool,
        name: usize,
        at: usize,
    },
    Delete {
        git: bool,
        name: usize,
    },
    /// `git mv`, with or without the name inside.
    Rename {
        name: usize,
        to: usize,
        whole: bool,
    },
    /// The cluster's object comes back as it was created, without what the sync knew of it.
    Recreate {
        name: usize,
    },
    /// The branch is set back to an older commit; what is not in it may be gone from the repository.
    ForcePush {
        back: usize,
        collected: bool,
    },
    /// The project follows another branch from now on.
    Switch,
    /// The file is spoilt: no YAML, several documents, another stem, another suffix, no text at all.
    Spoil {
        name: usize,
        how: usize,
    },
    /// The listing of the folder was cut.
    CutSync,
    Sync,
}

fn event() -> impl Strategy<Value = Event> {
    let name = || 0..NAMES.len();
    prop_oneof![
        6 => (any::<bool>(), name(), 0usize..4, 0usize..4).prop_map(|(git, name, at, kind)| Event::Edit { git, name, at, kind }),
        2 => (any::<bool>(), name(), 0usize..4).prop_map(|(git, name, at)| Event::TakeOut { git, name, at }),
        2 => (any::<bool>(), name()).prop_map(|(git, name)| Event::Delete { git, name }),
        2 => (name(), name(), any::<bool>()).prop_map(|(name, to, whole)| Event::Rename { name, to, whole }),
        1 => name().prop_map(|name| Event::Recreate { name }),
        1 => (1usize..6, any::<bool>()).prop_map(|(back, collected)| Event::ForcePush { back, collected }),
        1 => Just(Event::Switch),
        2 => (name(), 0usize..5).prop_map(|(name, how)| Event::Spoil { name, how }),
        1 => Just(Event::CutSync),
        6 => Just(Event::Sync),
    ]
}

fn fresh(name: &str, kind: usize) -> String {
    let (version, spec) = match KINDS[kind] {
        "Workflow" => ("argoproj.io/v1alpha1", "  entrypoint: a\n  templates:\n    - name: a\n"),
        "CronWorkflow" => (
            "argoproj.io/v1alpha1",
            "  schedule: '0 3 * * *'\n  workflowSpec:\n    entrypoint: a\n    templates:\n      - name: a\n",
        ),
        "ChaosEngine" => ("litmuschaos.io/v1alpha1", "  experiments:\n    - name: pod-delete\n"),
        _ => (
            "litmuschaos.io/v1alpha1",
            "  schedule:\n    once: {executionTime: '2030-01-01T00:00:00Z'}\n  engineTemplateSpec:\n    experiments:\n      - name: pod-delete\n",
        ),
    };
    format!(
        "# first\n# second\n# third\n# fourth\napiVersion: {version}\nkind: {}\nmetadata:\n  name: {name}\nspec:\n{spec}",
        KINDS[kind]
    )
}

fn marks(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| line.starts_with("# mark ")).map(str::to_owned).collect()
}

#[derive(Clone, Debug, Default)]
struct Object {
    manifest: String,
    /// Blob and text that were equal last.
    base: Option<(String, String)>,
    state: Option<(SyncState, String, Option<usize>)>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    files: BTreeMap<String, String>,
    /// Every text that Git still has.
    blobs: BTreeMap<String, String>,
    history: Vec<BTreeMap<String, String>>,
    other: BTreeMap<String, String>,
    objects: BTreeMap<String, Object>,
    /// Marks put in and never removed by a side.
    alive: BTreeSet<String>,
    next: usize,
}

const UNREADABLE: &str = "\0";

impl Place {
    fn key(&self, name: usize) -> String {
        document::path_of(PROJECT, NAMES[name])
    }

    fn everywhere(&self) -> BTreeSet<String> {
        self.files.values().chain(self.objects.values().map(|one| &one.manifest)).flat_map(|text| marks(text)).collect()
    }

    /// What a side removes dies, unless it stands elsewhere on that side.
    fn removed(&mut self, before: BTreeSet<String>, after: &BTreeSet<String>) {
        for mark in before.difference(after) {
            self.alive.remove(mark);
        }
    }

    fn in_git(&self) -> BTreeSet<String> {
        self.files.values().flat_map(|text| marks(text)).collect()
    }

    fn in_cluster(&self) -> BTreeSet<String> {
        self.objects.values().flat_map(|one| marks(&one.manifest)).collect()
    }

    fn write(&mut self, files: BTreeMap<String, String>) {
        let before = self.in_git();
        self.history.push(std::mem::replace(&mut self.files, files));
        for text in self.files.values() {
            self.blobs.insert(digest(text), text.clone());
        }
        let after = self.in_git();
        self.removed(before, &after);
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Edit { git, name, at, kind } => {
                let mark = format!("# mark {}", self.next);
                self.next += 1;
                let put = |text: &str| {
                    let mut lines: Vec<&str> = text.lines().collect();
                    let at = (at * 2).min(lines.len());
                    lines.insert(at, &mark);
                    lines.join("\n") + "\n"
                };
                if git {
                    let path = self.key(name);
                    let mut files = self.files.clone();
                    let text = files.get(&path).cloned().unwrap_or_else(|| fresh(NAMES[name], kind));
                    files.insert(path, put(&text));
                    self.write(files);
                } else {
                    let object = self.objects.entry(NAMES[name].to_owned()).or_default();
                    let text =
                        if object.manifest.is_empty() { fresh(NAMES[name], kind) } else { object.manifest.clone() };
                    object.manifest = put(&text);
                }
                self.alive.insert(mark);
            }
            Event::TakeOut { git, name, at } => {
                let out = |text: &str| {
                    let mark = marks(text).into_iter().nth(at);
                    let kept = text.lines().filter(|line| Some(*line) != mark.as_deref());
                    kept.map(|line| format!("{line}\n")).collect::<String>()
                };
                if git {
                    let path = self.key(name);
                    let mut files = self.files.clone();
                    if let Some(text) = files.get_mut(&path).filter(|text| *text != UNREADABLE) {
                        *text = out(text);
                    }
                    self.write(files);
                } else {
                    let before = self.in_cluster();
                    if let Some(object) = self.objects.get_mut(NAMES[name]).filter(|one| !one.manifest.is_empty()) {
                        object.manifest = out(&object.manifest);
                    }
                    let after = self.in_cluster();
                    self.removed(before, &after);
                }
            }
            Event::Delete { git: true, name } => {
                let mut files = self.files.clone();
                files.remove(&self.key(name));
                self.write(files);
            }
            Event::Delete { git: false, name } => {
                let before = self.in_cluster();
                self.objects.remove(NAMES[name]);
                let after = self.in_cluster();
                self.removed(before, &after);
            }
            Event::Rename { name, to, whole } => {
                let mut files = self.files.clone();
                if let Some(text) = files.remove(&self.key(name)) {
                    let line = |name: usize| format!("  name: {}\n", NAMES[name]);
                    let text = if whole { text.replacen(&line(name), &line(to), 1) } else { text };
                    files.insert(self.key(to), text);
                }
                self.write(files);
            }
            Event::Recreate { name } => {
                if let Some(object) = self.objects.get_mut(NAMES[name]) {
                    *object = Object { manifest: object.manifest.clone(), ..Object::default() };
                }
            }
            Event::ForcePush { back, collected } => {
                let at = self.history.len().saturating_sub(back);
                if let Some(old) = self.history.get(at).cloned() {
                    self.write(old);
                    self.history.truncate(at);
                }
                if collected {
                    self.blobs = self.files.values().map(|text| (digest(text), text.clone())).collect();
                }
            }
            Event::Switch => {
                let other = std::mem::take(&mut self.other);
                let now = self.files.clone();
                self.write(other);
                self.other = now;
                self.history.clear();
            }
            Event::Spoil { name, how } => {
                let path = self.key(name);
                let mut files = self.files.clone();
                if let Some(text) = files.remove(&path) {
                    match how {
                        0 => drop(files.insert(path, format!("{text}  broken: [\n"))),
                        1 => drop(files.insert(path, format!("{text}---\n{text}"))),
                        2 => drop(files.insert(path, text.replacen("  name: ", "  name: other-", 1))),
                        3 => drop(files.insert(path.replace(".yaml", ".yml"), text)),
                        _ => drop(files.insert(path, UNREADABLE.to_owned())),
                    }
                }
                self.write(files);
            }
            Event::Sync | Event::CutSync => {}
        }
    }

    fn sides(&self, cut: bool) -> Sides {
        let git = self.files.iter().map(|(path, text)| GitFile {
            path: path.clone(),
            blob: digest(text),
            content: if text == UNREADABLE {
                Content::Unreadable("it is a symbolic link".to_owned())
            } else {
                Content::Text(text.clone())
            },
        });
        let base = self.objects.iter().filter_map(|(key, one)| {
            let (blob, held) = one.base.as_ref()?;
            // As the sync finds it: in the object as long as that is unchanged, else where Git still has it.
            let text =
                if *held == digest(&one.manifest) { Some(one.manifest.clone()) } else { self.blobs.get(blob).cloned() };
            Some((
                key.clone(),
                Base { blob: blob.clone(), digest: held.clone(), text: text.filter(|text| digest(text) == *held) },
            ))
        });
        Sides {
            project: PROJECT.to_owned(),
            base: base.collect(),
            git: if cut { git.take(1).collect() } else { git.collect() },
            cluster: self
                .objects
                .iter()
                .map(|(key, one)| (key.clone(), ClusterItem { manifest: one.manifest.clone() }))
                .collect(),
            complete: !cut,
        }
    }

    /// One sync, as it is carried out: first what goes to Git, then, planned anew, what goes to the cluster. Gives how
    /// much it wrote.
    fn pass(&mut self, cut: bool) -> usize {
        let mut writes = 0;
        for one in plan(&self.sides(cut)) {
            let (text, over) = match one.action {
                Action::Adopt { text, over } => (text, over),
                Action::Merge { text, over } => (text, Some(over)),
                _ => continue,
            };
            let there = self.files.get(&one.path);
            assert_eq!(over, there.map(|text| digest(text)), "over another blob");
            assert_ne!(there, Some(&text), "Git has it already");
            self.blobs.insert(digest(&text), text.clone());
            self.files.insert(one.path, text);
            writes += 1;
        }
        for one in plan(&self.sides(cut)) {
            let text = match &one.action {
                Action::Create { text, .. } | Action::Update { text, .. } | Action::Record { text, .. } => {
                    Some(text.clone())
                }
                Action::Adopt { .. } | Action::Merge { .. } => panic!("Git has it, and it is planned again: {one:?}"),
                Action::Drop => {
                    let gone = self.objects.remove(&one.workflow).unwrap();
                    assert!(marks(&gone.manifest).is_empty(), "a change goes with {}", one.workflow);
                    writes += 1;
                    continue;
                }
                _ => None,
            };
            let object = self.objects.entry(one.workflow.clone()).or_default();
            if let Some(text) = text {
                let base = Some((digest(&text), digest(&text)));
                if matches!(one.action, Action::Record { .. }) {
                    assert_ne!(object.base, base, "known already");
                } else {
                    assert_ne!(object.manifest, text, "the cluster has it already");
                }
                (object.manifest, object.base) = (text, base);
                writes += 1;
            }
            let state = Some((one.state, one.message.clone(), one.line));
            if object.state != state {
                object.state = state;
                writes += 1;
            }
        }
        writes
    }

    fn sync(&mut self, cut: bool) -> std::result::Result<(), TestCaseError> {
        let before = self.clone();
        self.pass(cut);
        let lost: Vec<_> = self.alive.difference(&self.everywhere()).cloned().collect();
        prop_assert!(lost.is_empty(), "{:?} got lost between {:#?} and {:#?}", lost, before, self);
        // A plan never takes a file away.
        for path in before.files.keys() {
            prop_assert!(self.files.contains_key(path), "{} was deleted from Git", path);
        }
        let settled = self.clone();
        let writes = self.pass(cut);
        prop_assert_eq!(writes, 0, "the second pass wrote: {:#?} then {:#?}", settled, self);
        if cut {
            return Ok(());
        }
        let shown: BTreeSet<&String> = self.objects.keys().collect();
        let files = keyed_paths(self);
        for key in files.keys() {
            prop_assert!(shown.contains(key), "{} is shown nowhere", key);
        }
        for (key, object) in &self.objects {
            let (state, message, _) = object.state.as_ref().unwrap();
            prop_assert_eq!(message.is_empty(), *state == SyncState::InSync, "{}: {:?} {}", key, state, message);
            if *state == SyncState::InSync {
                let path = files.get(key);
                prop_assert_eq!(path.and_then(|path| self.files.get(path)), Some(&object.manifest), "{}", key);
            }
        }
        Ok(())
    }
}

fn keyed_paths(place: &Place) -> BTreeMap<String, String> {
    let sides = place.sides(false);
    keyed(PROJECT, &sides.git).into_iter().map(|(key, file)| (key, file.path.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_history_loses_a_change_or_keeps_it_from_settling(events in proptest::collection::vec(event(), 1..40)) {
        let mut place = Place::default();
        for event in &events {
            place.happen(event);
            match event {
                Event::Sync => place.sync(false)?,
                Event::CutSync => place.sync(true)?,
                _ => {}
            }
        }
        place.sync(false)?;
    }
}

#[test]
fn no_file_hides_another() {
    let text = |name: &str| Content::Text(fresh(name, 0));
    let file = |path: &str, name: &str| GitFile { path: path.into(), blob: path.into(), content: text(name) };
    let sides = Sides {
        project: PROJECT.into(),
        git: vec![
            file("litmus/shop/a.yml", "a"),
            file("litmus/shop/a.yml.yaml", "a.yml"),
            file("litmus/shop/b.yaml", "a.yml"),
        ],
        complete: true,
        ..Sides::default()
    };
    let found: Vec<_> = plan(&sides).into_iter().map(|one| (one.workflow, one.path, one.state)).collect();
    let wanted = [
        ("a.yml", "litmus/shop/a.yml.yaml", SyncState::InSync),
        ("b", "litmus/shop/b.yaml", SyncState::Invalid),
        ("litmus/shop/a.yml", "litmus/shop/a.yml", SyncState::Invalid),
    ];
    assert_eq!(found, wanted.map(|(name, path, state)| (name.to_owned(), path.to_owned(), state)));
}
