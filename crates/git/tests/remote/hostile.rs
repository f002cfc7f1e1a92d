//! Repositories made to hurt.

use pilothouse_git::{EntryKind, Error, Kind, RemoteUrl};
use pilothouse_rig::git_host::RepoHandle;

use crate::stage::*;

/// Writes a tree object byte by byte, as no honest program would, and commits it to `main`.
fn commit_tree(repo: &RepoHandle, entries: &[(&str, &[u8], &str)]) {
    let mut bytes = Vec::new();
    let mut entries = entries.to_vec();
    entries.sort_by(|a, b| a.1.cmp(b.1));
    for (mode, name, id) in entries {
        bytes.extend(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend(name);
        bytes.push(0);
        bytes.extend((0..20).map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).unwrap()));
    }
    let tree = repo.git_with_input(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], &bytes).unwrap();
    let commit = repo.git(&["commit-tree", "-m", "Hostile", &tree]).unwrap();
    repo.git(&["update-ref", "refs/heads/main", &commit]).unwrap();
}

fn blob(repo: &RepoHandle, text: &str) -> String {
    repo.git_with_input(&["hash-object", "-w", "--stdin"], text.as_bytes()).unwrap()
}

#[test]
fn links_and_submodules_are_seen_and_never_followed() {
    let repo = https().create_repo("links").unwrap();
    repo.push_file("dev/real.yaml", "x: 1\n", "Real").unwrap();
    repo.edit("main", "Links", |dir| {
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, dir.join(at)).unwrap();
        link("/etc/passwd", "dev/cart-values.yaml");
        link("../../../x", "dev/up.yaml");
        link("dev", "qa");
        Ok(())
    })
    .unwrap();
    let id = repo.tip("main").unwrap();
    repo.edit("main", "Submodule", |dir| {
        let done = std::process::Command::new("git")
            .current_dir(dir)
            .args(["update-index", "--add", "--cacheinfo", &format!("160000,{id},sub")])
            .status()
            .unwrap();
        assert!(done.success());
        std::fs::create_dir(dir.join("sub")).unwrap();
        Ok(())
    })
    .unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let kind = |file: &str| match desk.clone.read(&tip, &path(file), 1 << 20) {
        Err(Error::NotAFile { kind, .. }) => kind,
        other => panic!("{file}: {other:?}"),
    };
    assert_eq!(kind("dev/cart-values.yaml"), Kind::Symlink);
    assert_eq!(kind("dev/up.yaml"), Kind::Symlink);
    assert_eq!(kind("qa/real.yaml"), Kind::Symlink);
    assert_eq!(kind("dev/cart-values.yaml/x"), Kind::Symlink);
    assert_eq!(kind("sub"), Kind::Submodule);
    assert_eq!(kind("sub/x"), Kind::Submodule);
    assert_eq!(kind("dev"), Kind::Folder);
    assert_eq!(kind("dev/real.yaml/x"), Kind::FileAsFolder);
    let listed = desk.clone.list(&tip, None, 100).unwrap();
    let found = |file: &str| listed.iter().find(|entry| entry.path == file).unwrap();
    assert_eq!((found("qa").kind, found("sub").kind), (EntryKind::Symlink, EntryKind::Submodule));
    assert_eq!((found("dev/real.yaml").kind, found("dev/real.yaml").size), (EntryKind::File, Some(5)));
    assert_eq!(desk.clone.list(&tip, Some(&path("dev")), 100).unwrap().len(), 3);
    assert!(matches!(desk.clone.list(&tip, None, 3), Err(Error::TooMany { limit: 3, .. })));
    assert!(matches!(desk.clone.list(&tip, Some(&path("qa")), 100), Err(Error::NotAFile { .. })));

    // Nor are they written through.
    for file in ["dev/cart-values.yaml", "qa/new.yaml", "sub/x"] {
        let mut change = desk.change("main", "absent", Some("x"));
        change.path = path(file);
        let error = desk.publish("main", change).unwrap_err();
        assert!(matches!(error, Error::NotAFile { .. }), "{file}: {error:?}");
    }
}

#[test]
fn names_made_to_escape_are_shown_and_never_opened() {
    let repo = https().create_repo("names").unwrap();
    let x = blob(&repo, "x");
    let inner = repo.git(&["rev-parse", "main^{tree}"]).unwrap();
    let long = vec![b'n'; 4096];
    let names: &[&[u8]] = &[
        b"..",
        b".",
        b".git",
        b".GIT",
        b"git~1",
        b".git::$INDEX_ALLOCATION",
        ".gi\u{200c}t".as_bytes(),
        b"a\\b",
        b"CON",
        b"NUL.yaml",
        b"COM1",
        b"dot.",
        b"space ",
        b"\xff\xfe",
        b"esc\x1b[31m",
        "rtl\u{202e}lmay".as_bytes(),
        &long,
    ];
    let mut entries: Vec<(&str, &[u8], &str)> = names.iter().map(|name| ("100644", *name, x.as_str())).collect();
    entries.push(("100644", b"good.yaml", &x));
    entries.push(("40000", b".git ", &inner));
    commit_tree(&repo, &entries);
    let desk = Desk::of(&repo);
    // Either the whole branch is refused on its way in, or every such name is marked.
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let listed = desk.clone.list(&tip, None, 100).unwrap();
    let good: Vec<_> = listed.iter().filter(|entry| entry.kind != EntryKind::BadName).collect();
    assert_eq!(good.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["good.yaml"]);
    assert_eq!(listed.len(), names.len() + 2);
    assert!(listed.iter().all(|entry| !entry.path.contains(['\u{1b}', '\u{202e}']) && entry.path.len() < 1000));
    assert_eq!(desk.clone.read(&tip, &path("good.yaml"), 10).unwrap().unwrap().bytes, b"x");
    // A commit beside them works and leaves them as they are, or is refused; it never goes wrong.
    let outcome = desk.publish("main", desk.change("main", "good.yaml", Some("y")));
    assert!(outcome.is_ok() || matches!(outcome, Err(Error::Internal(_))), "{outcome:?}");
}

#[test]
fn nothing_in_a_repository_runs() {
    let repo = https().create_repo("canary").unwrap();
    let canary = tempfile::tempdir().unwrap();
    let touched = canary.path().join("touched");
    let touch = format!("touch {}", touched.display());
    repo.edit("main", "Traps", |dir| {
        std::fs::write(dir.join(".gitattributes"), "* filter=trap\n*.yaml merge=trap\n").unwrap();
        std::fs::write(dir.join(".lfsconfig"), "[lfs]\n\turl = https://evil.example\n").unwrap();
        std::fs::write(dir.join(".gitmodules"), "[submodule \"x\"]\n\tpath = \"x\\r\"\n\turl = ext::sh\n").unwrap();
        std::fs::write(dir.join("v.yaml"), "a: 1\n").unwrap();
        Ok(())
    })
    .unwrap();
    let desk = Desk::of(&repo);
    // Even somebody who can write into the clone's hooks gets nothing: nothing here runs hooks.
    let hooks = desk.folder().join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for name in ["pre-push", "reference-transaction", "post-checkout", "pre-commit"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(hooks.join(name), format!("#!/bin/sh\n{touch}\n")).unwrap();
        std::fs::set_permissions(hooks.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    desk.clone.fetch(&desk.access, "main").unwrap();
    desk.publish("main", desk.change("main", "v.yaml", Some("a: 2\n"))).unwrap();
    assert!(!touched.exists());
    let beside: Vec<_> = std::fs::read_dir(desk.dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(beside.iter().all(|name| name == "clones" || name == "known_hosts"), "{beside:?}");
}

#[test]
fn sizes_are_known_before_anything_is_loaded() {
    let repo = https().create_repo("sizes").unwrap();
    repo.push_file("big.yaml", &"x".repeat(3_000_000), "Big").unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let error = desk.clone.read(&tip, &path("big.yaml"), 1 << 20).unwrap_err();
    assert!(matches!(error, Error::TooLarge { size: 3_000_000, limit: 1_048_576, .. }), "{error:?}");
    assert!(desk.clone.read(&tip, &path("big.yaml"), 3_000_000).unwrap().is_some());

    let noise: String = (0..400_000).map(|_| fastrand::alphanumeric()).collect();
    repo.push_file("noise", &noise, "Noise").unwrap();
    let mut access = desk.access.clone();
    access.limits.download = 10_000;
    let error = Desk::of(&repo).clone.fetch(&access, "main").unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 10_000, .. }), "{error:?}");
}

#[test]
fn commit_messages_and_authors_are_made_inert() {
    let repo = https().create_repo("inert").unwrap();
    repo.push_file("x", "1", "\u{1b}]0;title\u{7}<b>hi</b> \u{202e}evil\n\nbody \u{1b}[2J").unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let info = desk.clone.commit_info(&tip).unwrap();
    let all = format!("{}{}{}{}", info.summary, info.body, info.author_name, info.author_email);
    assert!(!all.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{all:?}");
    assert!(info.summary.contains("<b>hi</b>"), "markup is text");
}

#[test]
fn configuration_of_the_user_does_not_bend_addresses() {
    const CHILD: &str = "PILOTHOUSE_TEST_BENT";
    if std::env::var_os(CHILD).is_none() {
        // Git's library reads the home folder once per process, so the proof runs in one of its own.
        let home = tempfile::tempdir().unwrap();
        let rules =
            "[url \"https://bent.invalid/\"]\n\tinsteadOf = https://127.0.0.1\n[http]\n\tfollowRedirects = true\n";
        std::fs::write(home.path().join(".gitconfig"), rules).unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hostile::configuration_of_the_user_does_not_bend_addresses"])
            .env("HOME", home.path())
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let rules = git2::Config::open_default().unwrap();
    assert!(rules.get_bool("http.followRedirects").unwrap(), "the rules are there");
    let repo = https().create_repo("bent").unwrap();
    let desk = Desk::of(&repo);
    assert!(desk.clone.fetch(&desk.access, "main").unwrap().tip.is_some());
    desk.publish("main", desk.change("main", "x", Some("y"))).unwrap();
    assert_eq!(pilothouse_git::probe(desk.clone.url(), &desk.access).unwrap().branches.len(), 1);
}

#[test]
fn a_local_repository_works_for_practice() {
    let repo = https().create_repo("local").unwrap();
    let address = RemoteUrl::local(&repo.path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let clone = pilothouse_git::BareClone::open_or_create(&dir.path().join("c"), &address).unwrap();
    let access = pilothouse_git::Access::default();
    assert_eq!(pilothouse_git::probe(&address, &access).unwrap().default_branch.as_deref(), Some("main"));
    clone.fetch(&access, "main").unwrap();
    let desk = Desk { dir, clone, access };
    desk.publish("main", desk.change("main", "x", Some("y"))).unwrap();
    assert_eq!(repo.show("main", "x").as_deref(), Some("y"));
    let absent = RemoteUrl::local(&repo.path.join("absent")).unwrap();
    assert!(matches!(pilothouse_git::probe(&absent, &desk.access), Err(Error::NotFound { .. })));
    assert!(RemoteUrl::local(std::path::Path::new("relative")).is_err());
}
