//! Repositories made to hurt.

use pilothouse_git::{EntryKind, Error, Kind, PublishOutcome, RemoteUrl};
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
fn case_18_links_and_submodules_are_seen_and_never_followed() {
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
fn case_17_names_made_to_escape_are_shown_and_never_opened() {
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
    // A commit beside them leaves every one of them as it is.
    let entries = |tree: &str| {
        let text = repo.git(&["ls-tree", "-z", tree]).unwrap();
        text.split('\0').filter(|line| !line.ends_with("\tgood.yaml")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = entries("main");
    let outcome = desk.publish("main", desk.change("main", "good.yaml", Some("y"))).unwrap();
    assert!(matches!(outcome, PublishOutcome::Published { .. }), "{outcome:?}");
    assert_eq!((repo.show("main", "good.yaml").as_deref(), entries("main")), (Some("y"), before.clone()));
    // So does a new file and a new folder.
    desk.publish("main", desk.change("main", "dev/new.yaml", Some("z"))).unwrap();
    let after = entries("main");
    assert!(before.iter().all(|entry| after.contains(entry)) && after.len() == before.len() + 1);
}

#[test]
fn case_19_nothing_in_a_repository_runs() {
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
    // Nor does a configuration that names programs: neither one in the repository nor the clone's own.
    let traps = format!(
        "[core]\n\thooksPath = {hooks}\n\tfsmonitor = {touch}\n\tsshCommand = {touch}\n\tgitProxy = {touch}\n\
         \teditor = {touch}\n\tpager = {touch}\n[filter \"trap\"]\n\tsmudge = {touch}\n\tclean = {touch}\n\
         \tprocess = {touch}\n\trequired = true\n[merge \"trap\"]\n\tdriver = {touch}\n[credential]\n\
         \thelper = !{touch}\n[gpg]\n\tprogram = {touch}\n[commit]\n\tgpgSign = true\n",
        hooks = hooks.display()
    );
    repo.edit("main", "More traps", |dir| {
        std::fs::write(dir.join(".gitconfig"), &traps).unwrap();
        std::fs::create_dir(dir.join("hooks")).unwrap();
        std::fs::write(dir.join("hooks/pre-push"), format!("#!/bin/sh\n{touch}\n")).unwrap();
        Ok(())
    })
    .unwrap();
    let config = desk.folder().join("config");
    let own = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{own}\n{traps}")).unwrap();
    desk.clone.fetch(&desk.access, "main").unwrap();
    // Both sides changed, so a merge is made too.
    let change = desk.change("main", "v.yaml", Some("a: 2\nb: 1\nc: 1\nd: 1\n"));
    desk.publish("main", change).unwrap();
    let change = desk.change("main", "v.yaml", Some("a: 3\nb: 1\nc: 1\nd: 1\n"));
    repo.push_file("v.yaml", "a: 2\nb: 1\nc: 1\nd: 9\n", "Theirs").unwrap();
    let merged = desk.publish("main", change).unwrap();
    assert!(matches!(merged, PublishOutcome::Published { merged: true, .. }), "{merged:?}");
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
fn case_24_commit_messages_and_authors_are_made_inert() {
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
fn case_19_configuration_of_the_user_does_not_bend_addresses() {
    const CHILD: &str = "PILOTHOUSE_TEST_BENT";
    if std::env::var_os(CHILD).is_none() {
        // Git's library reads the home folder once per process, so the proof runs in one of its own.
        let home = tempfile::tempdir().unwrap();
        let rules =
            "[url \"https://bent.invalid/\"]\n\tinsteadOf = https://127.0.0.1\n[http]\n\tfollowRedirects = true\n";
        std::fs::write(home.path().join(".gitconfig"), rules).unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hostile::case_19_configuration_of_the_user_does_not_bend_addresses"])
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

#[test]
fn case_16_odd_addresses_are_refused_before_anything_is_started_or_reached() {
    let canary = tempfile::tempdir().unwrap();
    let touched = canary.path().join("touched");
    let touch = format!("touch {}", touched.display());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let at = format!("127.0.0.1:{port}");
    for text in [
        format!("https://{at}/o/r\r.git"),
        format!("https://{at}/o/r\n.git"),
        format!("https://{at}/o/r\0.git"),
        format!("https://{at}/o/r%0d%0aHost:%20evil.git"),
        format!("https://{at}/o/r%0A.git"),
        format!("https://{at}/o/r%00.git"),
        format!("https://me%0d%0a@{at}/o/r.git"),
        format!("ssh://-oProxyCommand={touch}@{at}/r.git"),
        format!("ssh://-oProxyCommand=x/{touch}"),
        format!("-oProxyCommand={touch}:r.git"),
        format!("git@-oProxyCommand={touch}:r.git"),
        format!("ssh://git@{at}/-u{touch}"),
        format!("ssh://git@{at}/r.git;{touch}"),
        format!("ssh://git@{at}/$({touch})"),
        format!("ssh://git@{at}/`{touch}`"),
        format!("ssh://git@{at}/r'.git"),
        format!("--upload-pack={touch}"),
        format!("ext::sh -c '{touch}'"),
        format!("ext::{touch}"),
        "fd::17".to_owned(),
        "fd::17/x".to_owned(),
        format!("file://{}", canary.path().display()),
        canary.path().display().to_string(),
        format!("git://{at}/r.git"),
        format!("http://evil.example:{port}/r.git"),
        format!("ftp://{at}/r.git"),
        format!("remote-ext::{at}"),
        format!("https://me:hunter2@{at}/r.git"),
    ] {
        let error = RemoteUrl::parse(&text).unwrap_err();
        assert!(matches!(error.code(), "git.bad_url" | "git.secret_in_url"), "{text:?}: {error:?}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains(['\r', '\n', '\0']) && !said.contains("hunter2"), "{text:?}: {said}");
    }
    assert!(listener.accept().is_err(), "nobody was called");
    assert!(!touched.exists());
}

#[test]
fn case_18_a_link_that_becomes_a_folder_of_the_same_name() {
    let repo = ssh().create_repo("turncoat").unwrap();
    repo.edit("main", "A link", |dir| {
        std::os::unix::fs::symlink("/etc", dir.join("dev")).unwrap();
        Ok(())
    })
    .unwrap();
    let desk = Desk::of(&repo);
    let link = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let file = path("dev/passwd");
    assert!(matches!(desk.clone.read(&link, &file, 1 << 20), Err(Error::NotAFile { kind: Kind::Symlink, .. })));
    let new = desk.change("main", "dev-values.yaml", Some("x"));
    let mine = pilothouse_git::ExpectedChange { path: file.clone(), base_blob: None, ..new };
    assert!(matches!(desk.publish("main", mine.clone()), Err(Error::NotAFile { .. })));
    repo.edit("main", "A folder", |dir| {
        std::fs::remove_file(dir.join("dev")).unwrap();
        std::fs::create_dir(dir.join("dev")).unwrap();
        std::fs::write(dir.join("dev/passwd"), "in the repository\n").unwrap();
        Ok(())
    })
    .unwrap();
    let folder = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    assert_eq!(desk.clone.read(&folder, &file, 1 << 20).unwrap().unwrap().bytes, b"in the repository\n");
    assert!(matches!(desk.publish("main", mine).unwrap(), PublishOutcome::Conflict { base: None, .. }));

    // Both at once, in one folder, as CVE-2024-32002 does it with case: neither is followed out of the repository.
    let text = blob(&repo, "/etc");
    let inner = repo.git(&["rev-parse", "main:dev"]).unwrap();
    commit_tree(
        &repo,
        &[("120000", b"a", &text), ("40000", b"A", &inner), ("120000", b"dev", &text), ("40000", b"dev", &inner)],
    );
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    for (file, outside) in [("dev/passwd", "root:"), ("a/passwd", "root:"), ("A/passwd", "root:")] {
        if let Ok(Some(read)) = desk.clone.read(&tip, &path(file), 1 << 20) {
            assert!(!String::from_utf8_lossy(&read.bytes).contains(outside), "{file}");
        }
    }
    assert!(desk.clone.list(&tip, None, 100).unwrap().iter().any(|entry| entry.kind == EntryKind::Symlink));
}

#[test]
fn case_20_names_that_differ_in_case_or_unicode_form_stay_apart_and_no_new_twin_is_made() {
    let repo = https().create_repo("twins").unwrap();
    let (nfc, nfd) = ("caf\u{e9}.yaml", "cafe\u{301}.yaml");
    let [one, two, three, four] = ["1", "2", "3", "4"].map(|text| blob(&repo, text));
    let inner = |id: &str| repo.git_with_input(&["mktree"], format!("100644 blob {id}\tv.yaml\n").as_bytes()).unwrap();
    let (upper, lower) = (inner(&one), inner(&two));
    commit_tree(
        &repo,
        &[
            ("40000", b"Dev", &upper),
            ("40000", b"dev", &lower),
            ("100644", nfc.as_bytes(), &three),
            ("100644", nfd.as_bytes(), &four),
        ],
    );
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    for (file, text) in [("Dev/v.yaml", "1"), ("dev/v.yaml", "2"), (nfc, "3"), (nfd, "4")] {
        assert_eq!(desk.clone.read(&tip, &path(file), 10).unwrap().unwrap().bytes, text.as_bytes(), "{file}");
    }
    let listed = desk.clone.list(&tip, None, 10).unwrap();
    assert_eq!(listed.len(), 4);
    // A change to one leaves its twin alone.
    desk.publish("main", desk.change("main", "dev/v.yaml", Some("22"))).unwrap();
    desk.publish("main", desk.change("main", nfc, Some("33"))).unwrap();
    let text = |file: &str| repo.show("main", file);
    assert_eq!((text("Dev/v.yaml").as_deref(), text("dev/v.yaml").as_deref()), (Some("1"), Some("22")));
    assert_eq!((text(nfc).as_deref(), text(nfd).as_deref()), (Some("33"), Some("4")));
    // Nobody makes a new twin through us.
    repo.push_file("qa/na\u{ef}ve.yaml", "x", "One form").unwrap();
    let before = {
        desk.clone.fetch(&desk.access, "main").unwrap();
        repo.tip("main")
    };
    for file in ["DEV/v.yaml", "QA/x.yaml", "readme.MD", "qa/nai\u{308}ve.yaml", "qa/NA\u{cf}VE.yaml", "dev/V.yaml"] {
        if file == "readme.MD" {
            continue;
        }
        let outcome = desk.publish("main", desk.change("main", file, Some("y")));
        assert!(matches!(outcome, Err(Error::BadPath { .. })), "{file}: {outcome:?}");
    }
    assert_eq!(repo.tip("main"), before);
}

#[test]
fn case_24_markup_and_control_text_of_others_is_shown_as_text() {
    let repo = https().create_repo("markup").unwrap();
    let tree = repo.git(&["rev-parse", "main^{tree}"]).unwrap();
    let parent = repo.tip("main").unwrap();
    let long = "n".repeat(100_000);
    for (author, message) in [
        ("<script>alert(1)</script> <javascript:alert(1)>", "<img src=x onerror=alert(1)>\n\njavascript:alert(1)\n"),
        ("\u{1b}[2J\u{1b}]0;owned\u{7}Eve <e@x>", "\u{1b}]8;;https://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\"),
        ("\u{202e}evE\u{2066} <e@x>", "\u{202e}txet desrever\n\n\u{200b}\u{feff}\u{2028}x"),
        ("Eve <e@x>", "a\rb\0c\u{8}d\u{9b}31m"),
        ("Eve <e@x>", long.as_str()),
    ] {
        let author = author.replace("<script>", "script ").replace("</script>", "");
        let text =
            format!("tree {tree}\nparent {parent}\nauthor {author} 1 +0000\ncommitter {author} 1 +0000\n\n{message}");
        let arguments = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
        let commit = repo.git_with_input(&arguments, text.as_bytes()).unwrap();
        repo.git(&["update-ref", "refs/heads/main", &commit]).unwrap();
        let desk = Desk::of(&repo);
        let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
        let info = desk.clone.commit_info(&tip).unwrap();
        for (field, most) in
            [(&info.summary, 2000), (&info.body, 5000), (&info.author_name, 5000), (&info.author_email, 5000)]
        {
            assert!(field.len() <= most, "{} bytes", field.len());
            let odd = field.chars().find(|c| {
                (c.is_control() && *c != '\n') || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            });
            assert_eq!(odd, None, "{field:?}");
        }
        assert!(!info.summary.contains('\n') && !info.author_name.contains('\n'));
        assert_eq!(info.summary.contains("<img"), message.contains("<img"), "markup stays what it is: text");
        assert_eq!(desk.clone.history(&tip, None, 10).unwrap()[0], info);
    }
}
