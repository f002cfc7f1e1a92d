use serde_json::json;

use super::*;

#[test]
fn only_a_look_at_an_old_version_is_repeated_at_once() {
    let conflict = ClusterError::Conflict { message: "modified".into(), exists: false };
    assert_eq!(rest_after(&ChaosError::Cluster(conflict).into()), None);
    let busy = ClusterError::Busy { code: 503, message: "overloaded".into() };
    for error in [ClusterError::NotFound { message: "gone".into() }, forbidden("patch"), busy] {
        assert_eq!(rest_after(&ChaosError::Cluster(error).into()), Some(ROUND));
    }
}

#[test]
fn a_run_is_left_to_others_only_where_others_may_start_it() {
    assert!(refused_here(&ChaosError::Cluster(forbidden("create"))));
    assert!(!refused_here(&ChaosError::Cluster(forbidden(""))));
    let invalid = ClusterError::Invalid { message: "no entrypoint".into(), causes: Vec::new() };
    assert!(!refused_here(&ChaosError::Cluster(invalid)));
    let why = "its run goes on".to_owned();
    assert!(!refused_here(&ChaosError::WrongState { name: "kill".into(), why }));
}

#[test]
fn whoever_gave_the_lease_up_for_others_does_not_stand_for_it_at_once() {
    assert_eq!(Stand::of(true, true, false), Stand::Holds);
    // Held by somebody who cannot start what is due, it would keep everybody else from it.
    assert_eq!(Stand::of(true, true, true), Stand::Free);
    assert_eq!(Stand::of(true, false, false), Stand::Free);
    for (leases, stepped_down) in [(true, false), (false, true), (false, false), (true, true)] {
        assert_eq!(Stand::of(false, leases, stepped_down), Stand::Syncs);
    }
}

#[test]
fn a_start_that_fails_for_the_moment_is_tried_again_ever_more_seldom() {
    let waits: Vec<u64> = (0..8).map(|failures| patience(failures).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(patience(u32::MAX), ROUND);
}

#[test]
fn a_sync_goes_by_what_is_asked_for_and_not_by_what_it_notes_itself() {
    let project = |branch: &str| {
        Project::read(&object(json!({"metadata": {"name": "shop", "namespace": "litmus"},
            "spec": {"gitOps": {"enabled": true, "url": "https://git.example/a", "branch": branch}}})))
        .unwrap()
    };
    let workflow = |generation: i64, status: &str, of: &str| {
        object(json!({"metadata": {"name": "w", "namespace": "litmus", "uid": "u", "generation": generation,
            "resourceVersion": status, "annotations": {"pilothouse.dev/synced-blob": status}},
            "spec": {"project": of, "manifest": "x"}, "status": {"state": status}}))
    };
    let of = |objects: &[Arc<DynamicObject>]| fingerprint(objects, &project("main"));
    let now = of(&[workflow(1, "a", "shop")]);
    assert_eq!(of(&[workflow(1, "b", "shop"), workflow(7, "a", "other")]), now);
    assert_ne!(of(&[workflow(2, "a", "shop")]), now);
    assert_ne!(of(&[]), now);
    assert_ne!(fingerprint(&[workflow(1, "a", "shop")], &project("next")), now);
}

fn object(mut value: Value) -> Arc<DynamicObject> {
    value["apiVersion"] = json!("pilothouse.dev/v1alpha1");
    value["kind"] = json!("ChaosWorkflow");
    Arc::new(serde_json::from_value(value).unwrap())
}

fn forbidden(verb: &str) -> ClusterError {
    let (resource, message) = ("workflows.argoproj.io".into(), "not allowed".into());
    ClusterError::Forbidden { verb: verb.into(), resource, namespace: None, message }
}
