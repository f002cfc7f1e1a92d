//! Pages of history, blame and taking back, on what a real server holds.

use pilothouse_git::{CommitId, Error, HistoryLimits, PublishOutcome, WalkEnd};

use crate::stage::*;

const NEVER: &dyn Fn() -> bool = &|| false;

#[test]
fn history_comes_in_pages_and_says_where_it_ends() {
    let repo = https().create_repo("pages").unwrap();
    for n in 0..7 {
        let file = if n % 2 == 0 { "dev/a.yaml" } else { "dev/b.yaml" };
        repo.push_file(file, &format!("n: {n}\n"), &format!("Commit {n}")).unwrap();
    }
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let two = HistoryLimits { page: 2, ..HistoryLimits::default() };
    let file = path("dev/a.yaml");
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = desk.clone.history_page(&tip, Some(&file), cursor.as_deref(), two, NEVER).unwrap();
        seen.extend(page.commits.into_iter().map(|commit| commit.summary));
        cursor = page.next;
        if cursor.is_none() {
            assert_eq!(page.end, WalkEnd::Start);
            break;
        }
        // A new commit in between moves nothing.
        repo.push_file("dev/a.yaml", &format!("x: {}\n", seen.len()), "Later").unwrap();
        desk.clone.fetch(&desk.access, "main").unwrap();
    }
    assert_eq!(seen, ["Commit 6", "Commit 4", "Commit 2", "Commit 0"]);
    let short = HistoryLimits { page: 10, walk: 3 };
    let page = desk.clone.history_page(&tip, Some(&file), None, short, NEVER).unwrap();
    assert_eq!((page.commits.len(), page.looked_at, page.end), (2, 3, WalkEnd::Bound));
    let rest = desk.clone.history_page(&tip, Some(&file), page.next.as_deref(), two, NEVER).unwrap();
    assert_eq!(rest.commits[0].summary, "Commit 2");
    for bad in ["", "x", "0.0", &format!("{tip}.x"), &format!("{tip}")] {
        let error = desk.clone.history_page(&tip, None, Some(bad), two, NEVER).unwrap_err();
        assert!(matches!(error, Error::BadCursor { .. }), "{bad}");
    }
    assert!(matches!(desk.clone.history_page(&tip, None, None, two, &|| true), Err(Error::Cancelled)));
}

#[test]
fn blame_agrees_with_git_also_across_merges() {
    let repo = https().create_repo("blame").unwrap();
    let text = |lines: &[&str]| lines.join("\n") + "\n";
    repo.push_file("v.yaml", &text(&["a: 1", "b: 1", "c: 1", "d: 1", "e: 1"]), "All").unwrap();
    repo.git(&["branch", "side"]).unwrap();
    repo.push_file("v.yaml", &text(&["a: 2", "b: 1", "c: 1", "d: 1", "e: 1", "f: 1"]), "Change a, add f").unwrap();
    repo.push_file_to("side", "v.yaml", &text(&["a: 1", "b: 1", "c: 1", "x: 1", "e: 1"]), "Change d").unwrap();
    repo.push_file_to("side", "other", "o", "Elsewhere").unwrap();
    repo.edit("main", "x", |dir| {
        let git = |arguments: &[&str]| {
            let done = std::process::Command::new("git")
                .current_dir(dir)
                .args(["-c", "user.name=M", "-c", "user.email=m@example.test"])
                .args(arguments)
                .status();
            assert!(done.unwrap().success(), "{arguments:?}");
        };
        git(&["fetch", "-q", &repo.path.to_string_lossy(), "side"]);
        git(&["merge", "-q", "-m", "Merge side", "FETCH_HEAD"]);
        Ok(())
    })
    .unwrap();
    repo.push_file("v.yaml", "top: 1\na: 2\nb: 1\nx: 1\ne: 1\nf: 1", "Add top, drop c and the last line end").unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let blame = desk.clone.blame(&tip, &path("v.yaml"), 1000, NEVER).unwrap().unwrap();
    assert_eq!(blame.end, WalkEnd::Full);
    let mut ours = Vec::new();
    for range in &blame.ranges {
        assert_eq!(range.first_line as usize, ours.len() + 1);
        let commit = &blame.commits[range.commit.unwrap()];
        ours.extend((0..range.lines).map(|_| commit.id.to_string()));
    }
    let told = repo.git(&["blame", "-l", "-s", "--root", "main", "--", "v.yaml"]).unwrap();
    let git: Vec<_> = told.lines().map(|line| line[..40].to_owned()).collect();
    assert_eq!(ours, git);
    assert_eq!(ours.len(), 6);

    let bounded = desk.clone.blame(&tip, &path("v.yaml"), 1, NEVER).unwrap().unwrap();
    assert!(bounded.end == WalkEnd::Bound && bounded.ranges.iter().any(|range| range.commit.is_none()));
    assert!(desk.clone.blame(&tip, &path("absent"), 10, NEVER).unwrap().is_none());
    assert!(matches!(desk.clone.blame(&tip, &path("v.yaml"), 10, &|| true), Err(Error::Cancelled)));
}

#[test]
fn a_commit_is_taken_back_as_a_change_and_a_conflict_stays_one() {
    let repo = https().create_repo("revert").unwrap();
    repo.push_file("v.yaml", "a: 1\nb: 1\nc: 1\nd: 1\n", "First").unwrap();
    repo.push_file("w.yaml", "w: 1\n", "Add w").unwrap();
    let bad = repo
        .edit("main", "Break things", |dir| {
            std::fs::write(dir.join("v.yaml"), "a: 666\nb: 1\nc: 1\nd: 1\n").unwrap();
            std::fs::write(dir.join("new.yaml"), "n: 1\n").unwrap();
            std::fs::remove_file(dir.join("w.yaml")).unwrap();
            Ok(())
        })
        .unwrap();
    repo.push_file("v.yaml", "a: 666\nb: 1\nc: 1\nd: 2\n", "Set d").unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let bad = CommitId::parse(&bad).unwrap();
    let revert = desk.clone.revert(&tip, &bad, &[]).unwrap();
    assert!(revert.conflicts.is_empty());
    let names: Vec<_> = revert.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(names, ["new.yaml", "v.yaml", "w.yaml"]);
    // One file alone.
    let one = desk.clone.revert(&tip, &bad, &[path("w.yaml"), path("README.md")]).unwrap();
    assert_eq!((one.changes.len(), one.untouched), (1, vec![path("README.md")]));

    // Somebody pushes in between; the change is laid onto that.
    repo.push_file("v.yaml", "a: 666\nb: 1\nc: 1\nd: 3\n", "Set d again").unwrap();
    let outcome = desk.clone.publish(&desk.access, "main", &request(revert.changes)).unwrap();
    assert!(matches!(outcome, PublishOutcome::Published { merged: true, .. }), "{outcome:?}");
    assert_eq!(repo.show("main", "v.yaml").unwrap(), "a: 1\nb: 1\nc: 1\nd: 3\n");
    assert_eq!(repo.show("main", "w.yaml").unwrap(), "w: 1\n");
    assert_eq!(repo.show("main", "new.yaml"), None);

    // Taken back already: nothing to do. Changed again: a conflict, and nothing is proposed.
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let again = desk.clone.revert(&tip, &bad, &[]).unwrap();
    assert!(again.changes.is_empty() && again.conflicts.is_empty() && again.untouched.len() == 3);
    repo.push_file("v.yaml", "a: 777\nb: 1\nc: 1\nd: 3\n", "Set a").unwrap();
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let clash = desk.clone.revert(&tip, &bad, &[path("v.yaml")]).unwrap();
    assert!(clash.changes.is_empty());
    assert_eq!(clash.conflicts[0].now.as_deref(), Some(b"a: 777\nb: 1\nc: 1\nd: 3\n".as_slice()));
    assert_eq!(clash.conflicts[0].before.as_deref(), Some(b"a: 1\nb: 1\nc: 1\nd: 1\n".as_slice()));
}
