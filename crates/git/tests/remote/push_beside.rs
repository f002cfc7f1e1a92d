//! Where direct pushes are refused: a new branch, or a change for review.

use pilothouse_git::{Error, PublishOutcome};

use crate::stage::*;

#[test]
fn case_34_a_change_goes_beside_a_protected_branch_under_a_free_name() {
    for host in [https(), ssh()] {
        let repo = host.create_repo("beside").unwrap();
        let page = "https://127.0.0.1/o/beside/-/merge_requests/new?merge_request%5Bsource_branch%5D=pilothouse/x";
        repo.install_hook(
            "update",
            "#!/bin/sh\n[ \"$1\" = refs/heads/main ] || exit 0\n\
             echo 'GitLab: You are not allowed to push code to protected branches on this project.' >&2\nexit 1\n",
        )
        .unwrap();
        repo.install_hook("post-receive", &format!("#!/bin/sh\necho 'To create a merge request, visit:' >&2\necho '  https://evil.example/x' >&2\necho '  {page}' >&2\n")).unwrap();
        let desk = Desk::of(&repo);
        let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
        let change = || desk.change("main", "dev/a.yaml", Some("a: 1\n"));
        let error = desk.publish("main", change()).unwrap_err();
        assert!(matches!(error, Error::ProtectedBranch { .. }), "{error:?}");

        // The name is taken by a branch our commit would even be a descendant of; it is not moved all the same.
        repo.git(&["branch", "pilothouse/x", "main"]).unwrap();
        let propose = |text: &str| {
            let request = request(vec![desk.change("main", "dev/a.yaml", Some(text))]);
            desk.clone.publish_to_branch(&desk.access, "main", "pilothouse/x", &request).unwrap()
        };
        for (wanted, text) in [("pilothouse/x-2", "a: 1\n"), ("pilothouse/x-3", "a: 2\n")] {
            let done = propose(text);
            let PublishOutcome::Published { commit, .. } = &done.outcome else { panic!("{done:?}") };
            assert_eq!((done.branch.as_str(), done.page.as_deref()), (wanted, Some(page)));
            assert_eq!(repo.tip(wanted), Some(commit.id.to_string()));
            assert_eq!(repo.git(&["rev-parse", &format!("{wanted}~1")]).unwrap(), tip.to_string());
            // Asked once more, as after a lost answer, it is there already.
            let again = propose(text);
            assert_eq!((again.branch.as_str(), &again.outcome), (wanted, &done.outcome));
        }
        assert!(repo.tip("pilothouse/x-4").is_none());
        assert_eq!(repo.tip("pilothouse/x"), Some(tip.to_string()));
        assert_eq!(repo.tip("main"), Some(tip.to_string()));
        // What the target already holds needs no request.
        let same = desk.change("main", "README.md", Some("# A repository for tests\n"));
        let done = desk.clone.publish_to_branch(&desk.access, "main", "other", &request(vec![same])).unwrap();
        assert!(matches!(done.outcome, PublishOutcome::Unchanged { .. }) && repo.tip("other").is_none());
    }
}

#[test]
fn case_34_a_change_for_review_goes_to_the_queue_of_its_branch() {
    let repo = ssh().create_repo("review").unwrap();
    let desk = Desk::of(&repo);
    let tip = desk.clone.fetch(&desk.access, "main").unwrap().tip.unwrap();
    let change = desk.change("main", "dev/a.yaml", Some("a: 1\n"));
    let done = desk.clone.publish_for_review(&desk.access, "main", &request(vec![change])).unwrap();
    let PublishOutcome::Published { commit, .. } = &done.outcome else { panic!("{done:?}") };
    assert!(commit.body.starts_with("Change-Id: I"), "{commit:?}");
    assert_eq!(repo.git(&["rev-parse", "refs/for/main"]).unwrap(), commit.id.to_string());
    assert_eq!((repo.tip("main"), done.branch.as_str()), (Some(tip.to_string()), "main"));
}
