//! What must hold whatever the content: nothing is lost, nothing gets out, nothing panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::{Component, Path};

use pilothouse_git::{
    Access, BareClone, CommitId, Depth, EntryKind, ExpectedChange, FileChange, Harm, Identity, Merge, PublishOutcome,
    PublishRequest, RemoteState, RemoteUrl, RepoPath, merge_text,
};
use proptest::prelude::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What one side does to each line, and what it adds after it.
type Edit = Vec<(u8, bool)>;

fn edits() -> impl Strategy<Value = (usize, Edit, Edit)> {
    (0usize..30).prop_flat_map(|lines| {
        let side = || proptest::collection::vec((0u8..12, proptest::bool::weighted(0.1)), lines);
        (Just(lines), side(), side())
    })
}

fn base(lines: usize) -> Vec<String> {
    (0..lines).map(|n| format!("base {n}")).collect()
}

/// One side's version; every line it writes is like no other.
fn side(name: &str, base: &[String], edit: &Edit) -> Vec<String> {
    let mut out = Vec::new();
    for (n, (line, (what, add))) in base.iter().zip(edit).enumerate() {
        match what {
            0 => {}
            1 => out.push(format!("{name} changes {n}")),
            _ => out.push(line.clone()),
        }
        if *add {
            out.push(format!("{name} adds after {n}"));
        }
    }
    out
}

fn text(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

/// Every line that neither side took away is in the result, and no other.
fn check(base: &[String], ours: &[String], theirs: &[String], result: &[u8]) {
    let set = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
    let (base, ours, theirs) = (set(base), set(ours), set(theirs));
    let kept = base.iter().filter(|line| ours.contains(*line) && theirs.contains(*line));
    let added = ours.iter().chain(&theirs).filter(|line| !base.contains(*line));
    let expected: BTreeSet<_> = kept.chain(added).cloned().collect();
    let result = std::str::from_utf8(result).unwrap();
    let found: BTreeSet<_> = result.lines().map(str::to_owned).collect();
    assert_eq!(found, expected);
    assert_eq!(result.lines().count(), found.len(), "no line comes twice");
}

fn desk(dir: &Path) -> (git2::Repository, BareClone) {
    let server = git2::Repository::init_bare(dir.join("server.git")).unwrap();
    let url = RemoteUrl::local(server.path()).unwrap();
    (server, BareClone::open_or_create(&dir.join("clone"), &url).unwrap())
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn merging_loses_no_line_that_no_side_removed((lines, ours, theirs) in edits()) {
        let base = base(lines);
        let (ours, theirs) = (side("ours", &base, &ours), side("theirs", &base, &theirs));
        if let Merge::Clean(result) = merge_text(&text(&base), &text(&ours), &text(&theirs)).unwrap() {
            check(&base, &ours, &theirs, &result);
        }
    }

    #[test]
    fn a_path_stays_in_its_folder(parts in proptest::collection::vec(piece(), 1..6)) {
        let asked = parts.join("/");
        if let Ok(path) = RepoPath::parse(&asked) {
            prop_assert_eq!(path.as_str(), &asked);
            let whole = Path::new("/folder").join(path.as_str());
            prop_assert!(whole.starts_with("/folder"));
            prop_assert!(Path::new(path.as_str()).components().all(|part| matches!(part, Component::Normal(_))));
            prop_assert_eq!(path.components().count(), parts.iter().map(|part| part.split('/').count()).sum::<usize>());
            // What Windows would make of it.
            prop_assert!(!asked.contains(['\\', ':', '\0']) && !asked.starts_with('/'));
            prop_assert!(asked.split('/').all(|part| !part.eq_ignore_ascii_case(".git") && part.trim() == part.trim_start()));
        }
    }
}

/// Pieces of paths, hostile ones among them.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        any::<String>(),
        proptest::sample::select(vec![
            "..",
            ".",
            "",
            "/",
            "\\",
            "..\\..",
            ".git",
            ".GIT ",
            "git~1",
            "CON",
            "C:",
            "~",
            "a/../..",
            "%2e%2e",
            "..\0",
            "\u{2024}\u{2024}",
            "．．",
            ".git\u{200d}",
            "x.",
            "-",
            "nul.txt",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn publishing_loses_no_line_and_a_conflict_changes_nothing((lines, ours, theirs) in edits()) {
        let dir = tempfile::tempdir().unwrap();
        let (_server, clone) = desk(dir.path());
        let (access, path) = (Access::default(), RepoPath::parse("dev/v.yaml").unwrap());
        let base = base(lines);
        let (ours, theirs) = (side("ours", &base, &ours), side("theirs", &base, &theirs));
        let identity = Identity { name: "A".into(), email: "a@example.org".into() };
        let publish = |seen: Option<&CommitId>, new: &[String]| {
            let seen = seen.and_then(|tip| clone.read(tip, &path, 1 << 20).unwrap());
            let change = ExpectedChange {
                path: path.clone(),
                base_blob: seen.map(|file| file.blob),
                base_text: None,
                new: Some(text(new)),
            };
            let request =
                PublishRequest { changes: vec![change], identity: identity.clone(), message: "Change".into() };
            clone.publish(&access, "main", &request).unwrap()
        };
        publish(None, &base);
        let seen = clone.tip("main").unwrap().unwrap();
        publish(Some(&seen), &theirs);
        let before = clone.tip("main").unwrap().unwrap();
        let outcome = publish(Some(&seen), &ours);
        let after = clone.tip("main").unwrap().unwrap();
        let now = clone.read(&after, &path, 1 << 20).unwrap().unwrap().bytes;
        match outcome {
            PublishOutcome::Conflict { base: was, ours: mine, theirs: other, .. } => {
                prop_assert_eq!(&before, &after);
                prop_assert_eq!(was, Some(text(&base)));
                prop_assert_eq!(mine, Some(text(&ours)));
                prop_assert_eq!(other, Some(text(&theirs)));
            }
            _ => check(&base, &ours, &theirs, &now),
        }
        let moved = clone.look(&access, "main", Depth::Whole).unwrap().state;
        let rewritten = matches!(moved, RemoteState::Rewritten { .. });
        prop_assert!(!rewritten);
    }
}

/// A tree entry as no honest program would write it.
fn hostile_entry() -> impl Strategy<Value = (u32, Vec<u8>)> {
    let modes = proptest::sample::select(vec![0o100_644, 0o100_755, 0o120_000, 0o160_000, 0o040_000, 0o100_664, 0, 1]);
    let name = prop_oneof![
        proptest::collection::vec(1u8..=255, 1..12),
        proptest::collection::vec(1u8..=255, 0..300),
        piece().prop_map(String::into_bytes),
    ];
    (modes, name).prop_map(|(mode, name)| (mode, name.into_iter().filter(|&byte| byte != 0).collect()))
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn listing_survives_every_tree(
        entries in proptest::collection::vec(hostile_entry(), 0..12),
        page in 1usize..5,
        cursor in "\\PC{0,12}",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (_server, clone) = desk(dir.path());
        let repo = git2::Repository::open_bare(clone.dir()).unwrap();
        let blob = repo.blob(b"../../etc/passwd").unwrap();
        let inner = repo.treebuilder(None).unwrap().write().unwrap();
        let mut bytes = Vec::new();
        for (mode, name) in &entries {
            bytes.extend(format!("{mode:o} ").as_bytes());
            bytes.extend(name);
            bytes.push(0);
            bytes.extend(if *mode == 0o040_000 { inner.as_bytes() } else { blob.as_bytes() });
        }
        let tree = repo.odb().unwrap().write(git2::ObjectType::Tree, &bytes).unwrap();
        let commit = format!("tree {tree}\nauthor A <a@example.org> 1 +0000\ncommitter A <a@example.org> 1 +0000\n\nx\n");
        let commit = CommitId::from(repo.odb().unwrap().write(git2::ObjectType::Commit, commit.as_bytes()).unwrap());

        // Without panic; a tree that cannot be read at all is an error.
        let _ = clone.folder(&commit, None, Some(&cursor), page);
        if let Ok(listed) = clone.list(&commit, None, 1000) {
            for entry in listed {
                prop_assert!(!entry.path.chars().any(char::is_control));
                let usable = entry.path == ".gitmodules" || RepoPath::parse(&entry.path).is_ok();
                prop_assert!(usable || entry.kind == EntryKind::BadName, "{entry:?}");
            }
        }
        let (mut seen, mut next, mut total) = (0, None, 0);
        while let Ok(found) = clone.folder(&commit, None, next.as_deref(), page) {
            total = found.total;
            seen += found.entries.len();
            for entry in &found.entries {
                prop_assert!(!entry.name.chars().any(char::is_control));
                if entry.path.is_some() {
                    let barred = [Harm::Escapes, Harm::GitOwn, Harm::NotUtf8, Harm::Control, Harm::WindowsDevice];
                    prop_assert!(!entry.harms.iter().any(|harm| barred.contains(harm)), "{entry:?}");
                }
            }
            next = found.next;
            if next.is_none() {
                break;
            }
        }
        prop_assert_eq!(seen, total);
        // It can be written upon, or is refused; never worse.
        let path = RepoPath::parse("dev/v.yaml").unwrap();
        let identity = Identity { name: "A".into(), email: "a@example.org".into() };
        let change = FileChange { path: path.clone(), content: Some(b"x: 1\n".to_vec()) };
        if let Ok(made) = clone.commit(Some(&commit), &[change], &identity, "Add") {
            prop_assert_eq!(clone.read(&made, &path, 100).unwrap().unwrap().bytes, b"x: 1\n");
            prop_assert!(clone.history(&made, Some(&path), 5).unwrap().len() == 1);
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        prop_assert_eq!(names.len(), 2, "nothing appears on the disk: {:?}", names);
    }
}
