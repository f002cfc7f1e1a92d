use proptest::prelude::*;

use super::*;

const PROJECT: &str = "shop";

/// A small acceptable workflow; `body` becomes comment lines, which is where the edits of these tests go.
fn workflow(name: &str, body: &str) -> String {
    let comments: String = body.chars().map(|c| format!("# {c}\n")).collect();
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  name: {name}\n{comments}spec:\n  entrypoint: a\n  templates:\n    - name: a\n"
    )
}

/// A world: what Git, the cluster and the bases hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct World {
    git: BTreeMap<String, String>,
    cluster: BTreeMap<String, String>,
    base: BTreeMap<String, String>,
    states: BTreeMap<String, (SyncState, String)>,
}

impl World {
    fn sides(&self) -> Sides {
        Sides {
            project: PROJECT.into(),
            base: self
                .base
                .iter()
                .map(|(key, text)| {
                    (key.clone(), Base { blob: digest(text), digest: digest(text), text: Some(text.clone()) })
                })
                .collect(),
            git: self
                .git
                .iter()
                .map(|(key, text)| GitFile {
                    path: document::path_of(PROJECT, key),
                    blob: digest(text),
                    content: Content::Text(text.clone()),
                })
                .collect(),
            cluster: self
                .cluster
                .iter()
                .map(|(key, text)| (key.clone(), ClusterItem { manifest: text.clone() }))
                .collect(),
            complete: true,
        }
    }

    fn plan(&self) -> BTreeMap<String, Planned> {
        plan(&self.sides()).into_iter().map(|one| (one.workflow.clone(), one)).collect()
    }

    /// Does what the plan says, counting writes of content.
    fn apply(&mut self) -> usize {
        let mut writes = 0;
        for (key, one) in self.plan() {
            let (git, cluster) = match one.action {
                Action::Nothing | Action::MarkDeleted { .. } | Action::Conflict => (None, None),
                Action::Invalid(_) => {
                    if !self.cluster.contains_key(&key) {
                        self.cluster.insert(key.clone(), String::new());
                        writes += 1;
                    }
                    (None, None)
                }
                Action::Create { text, .. } | Action::Update { text, .. } => (None, Some(text)),
                Action::Adopt { text, .. } => (Some(text), None),
                Action::Merge { text, .. } => (Some(text.clone()), Some(text)),
                Action::Record { text, .. } => {
                    self.base.insert(key.clone(), text);
                    writes += 1;
                    (None, None)
                }
                Action::Drop => {
                    self.cluster.remove(&key);
                    self.states.remove(&key);
                    writes += 1;
                    continue;
                }
            };
            if let Some(text) = &git {
                assert_ne!(self.git.get(&key), Some(text), "writes to Git what is there");
                self.git.insert(key.clone(), text.clone());
                writes += 1;
            }
            if let Some(text) = &cluster {
                assert_ne!(self.cluster.get(&key), Some(text), "writes to the cluster what is there");
                self.cluster.insert(key.clone(), text.clone());
                writes += 1;
            }
            if let Some(text) = git.or(cluster) {
                self.base.insert(key.clone(), text);
            }
            let state = (one.state, one.message);
            if self.states.get(&key) != Some(&state) {
                self.states.insert(key, state);
                writes += 1;
            }
        }
        writes
    }
}

fn world(base: Option<&str>, git: Option<&str>, cluster: Option<&str>) -> World {
    let map = |side: Option<&str>| side.map(|body| ("w".to_owned(), workflow("w", body))).into_iter().collect();
    World { base: map(base), git: map(git), cluster: map(cluster), states: BTreeMap::new() }
}

fn word(action: &Action) -> &'static str {
    match action {
        Action::Nothing => "nothing",
        Action::Create { .. } => "create",
        Action::Update { .. } => "update",
        Action::Adopt { over: None, .. } => "adopt-new",
        Action::Adopt { .. } => "adopt",
        Action::Merge { .. } => "merge",
        Action::Record { .. } => "record",
        Action::MarkDeleted { .. } => "deleted",
        Action::Conflict => "conflict",
        Action::Invalid(_) => "invalid",
        Action::Drop => "drop",
    }
}

#[test]
fn every_combination() {
    let table = [
        (None, Some("abc"), None, "create"),
        (None, None, Some("abc"), "adopt-new"),
        (None, Some("abc"), Some("abc"), "record"),
        (None, Some("abc"), Some("abd"), "conflict"),
        (Some("abc"), Some("abc"), Some("abc"), "nothing"),
        (Some("abc"), Some("abX"), Some("abc"), "update"),
        (Some("abc"), Some("abc"), Some("abX"), "adopt"),
        (Some("abc"), Some("Xbc"), Some("abY"), "merge"),
        (Some("abc"), Some("aXc"), Some("aYc"), "conflict"),
        (Some("abc"), Some("abX"), Some("abX"), "record"),
        (Some("abc"), None, Some("abc"), "deleted"),
        (Some("abc"), None, Some("abX"), "conflict"),
        (Some("abc"), Some("abc"), None, "create"),
        (Some("abc"), Some("abX"), None, "create"),
    ];
    for (base, git, cluster, wanted) in table {
        let planned = world(base, git, cluster).plan();
        assert_eq!(word(&planned["w"].action), wanted, "{base:?} {git:?} {cluster:?}");
    }
}

#[test]
fn a_cut_listing_deletes_nothing() {
    let mut sides = world(Some("a"), None, Some("a")).sides();
    sides.complete = false;
    assert_eq!(plan(&sides)[0].action, Action::Nothing);
}

#[test]
fn a_lost_common_version_is_a_conflict() {
    let mut sides = world(Some("abc"), Some("Xbc"), Some("abY")).sides();
    sides.base.values_mut().for_each(|base| base.text = None);
    assert_eq!(plan(&sides)[0].state, SyncState::Conflict);
}

#[test]
fn a_rename_is_told() {
    let mut before = world(Some("abc"), None, Some("abc"));
    before.git.insert("new".into(), workflow("new", "abc"));
    let planned = before.plan();
    assert_eq!(planned["w"].action, Action::MarkDeleted { renamed_to: Some("new".into()) });
    assert_eq!(word(&planned["new"].action), "create");
}

#[test]
fn invalid_files_keep_the_last_good_manifest() {
    let mut before = world(Some("abc"), Some("abc"), Some("abc"));
    before.git.insert("w".into(), "kind: [".into());
    let planned = before.plan();
    assert_eq!(planned["w"].state, SyncState::Invalid);
    before.apply();
    assert_eq!(before.cluster["w"], workflow("w", "abc"));
    before.git.insert("w".into(), workflow("w", "abX"));
    before.apply();
    assert_eq!(before.cluster["w"], workflow("w", "abX"));
    assert_eq!(before.states["w"].0, SyncState::InSync);
}

#[test]
fn placeholders_come_and_go_with_their_file() {
    let mut sides = Sides { project: PROJECT.into(), complete: true, ..Sides::default() };
    for (path, code) in [
        ("litmus/shop/a.yml", "path.yml"),
        ("litmus/shop/sub/a.yaml", "path.nested"),
        ("litmus/shop/A_b.yaml", "path.name"),
        ("litmus/shop/other.yaml", "document.stem"),
    ] {
        sides.git = vec![GitFile { path: path.into(), blob: "1".into(), content: Content::Text(workflow("a", "")) }];
        let planned = plan(&sides);
        let Action::Invalid(problem) = &planned[0].action else { panic!("{path} was taken") };
        assert_eq!(problem.code, code, "{path}");
    }
    sides.git =
        vec![GitFile { path: "litmus/shop/README.md".into(), blob: "1".into(), content: Content::Text("x".into()) }];
    assert_eq!(plan(&sides), []);
    sides.cluster.insert("a.yml".into(), ClusterItem { manifest: String::new() });
    assert_eq!(plan(&sides)[0].action, Action::Drop);
}

fn body() -> impl Strategy<Value = Option<String>> {
    proptest::option::weighted(0.8, "[a-d]{0,6}")
}

fn some_world() -> impl Strategy<Value = World> {
    proptest::collection::vec((body(), body(), body(), 0usize..3), 1..4).prop_map(|many| {
        let mut made = World::default();
        for (index, (base, git, cluster, noise)) in many.into_iter().enumerate() {
            let key = format!("w{index}");
            let text = |body: String| workflow(&key, &body);
            if let Some(base) = base {
                made.base.insert(key.clone(), text(base));
            }
            if let Some(git) = git {
                made.git.insert(key.clone(), if noise == 1 { format!("{}  broken: [", text(git)) } else { text(git) });
            }
            if let Some(cluster) = cluster {
                made.cluster.insert(key.clone(), if noise == 2 { String::new() } else { text(cluster) });
            }
        }
        made
    })
}

proptest! {
    #[test]
    fn converges_and_is_idempotent(before in some_world()) {
        let mut after = before.clone();
        after.apply();
        let settled = after.clone();
        let writes = after.apply();
        prop_assert_eq!(writes, 0, "a second pass wrote something");
        prop_assert_eq!(&after, &settled);
        for (key, one) in after.plan() {
            if one.state == SyncState::InSync {
                prop_assert_eq!(after.git.get(&key), after.cluster.get(&key));
            }
        }
    }

    #[test]
    fn drops_no_change_that_no_side_removed(before in some_world()) {
        let mut after = before.clone();
        after.apply();
        for (key, text) in &before.git {
            // What stands in Git stays there, or is replaced by something that contains the cluster's own change.
            let now = after.git.get(key);
            prop_assert!(now.is_some(), "{} was deleted from Git", key);
            if now != Some(text) {
                let base = before.base.get(key);
                prop_assert!(base.is_some(), "{} was overwritten in Git without a common version", key);
                prop_assert_ne!(before.cluster.get(key), base, "{} was overwritten in Git by an unchanged object", key);
                if Some(text) != base {
                    let merged = merge(base.unwrap(), text, &before.cluster[key]);
                    prop_assert_eq!(now, merged.as_ref(), "{} in Git is not the merge of both", key);
                }
            }
        }
        for (key, text) in before.cluster.iter().filter(|(_, text)| !text.is_empty()) {
            let now = after.cluster.get(key);
            prop_assert!(now.is_some(), "{} was deleted from the cluster", key);
            if now != Some(text) && before.base.get(key) != Some(text) {
                let merged = merge(&before.base[key], &before.git[key], text);
                prop_assert_eq!(now, merged.as_ref(), "{} in the cluster is not the merge of both", key);
            }
        }
    }
}
