//! A project that is led to another repository by an app that is killed with SIGKILL at any step of it: it follows the
//! old place or the new one, nothing is there twice, and nothing runs because the places differ.

use std::collections::BTreeMap;

use pilothouse_app::contract::RunPolicy;
use pilothouse_chaos::plan::SyncState;
use pilothouse_chaos::project::{self, Project};
use pilothouse_rig::Rig;
use pilothouse_rig::git_host::RepoHandle;

use crate::killed::{Place, Relay, install_hooks, run, some_of, wanted};
use crate::relay::of_a_sync;
use crate::two_sides::{Door, Sides, workflow};

/// How many of the places to be killed at are usually gone through.
const USUAL: usize = 4;
/// Runs when its file changes, and has another text at each place.
const DIFFERS: &str = "differs";
/// Has no file at the place that is come to, and is taken along.
const ALONG: &str = "along";

/// The places that the project goes through, one after the other.
struct Places<'a> {
    sides: &'a Sides,
    here: RepoHandle,
    number: usize,
}

/// The project's texts, by their workflows.
type Texts = BTreeMap<String, String>;

impl Places<'_> {
    fn text(&self, number: usize) -> String {
        format!("# at place {number}.\n{}", workflow(DIFFERS))
    }

    /// The next place, with files of its own.
    fn next(&mut self, pid_file: &std::path::Path) -> (RepoHandle, Texts, Texts) {
        let old = Texts::from([(DIFFERS.into(), self.text(self.number)), (ALONG.into(), workflow(ALONG))]);
        self.number += 1;
        let next = self.sides.host.create_repo(&format!("acme/place-{}", self.number)).unwrap();
        next.push_file(&self.sides.path(DIFFERS), &self.text(self.number), "Begin").unwrap();
        install_hooks(&next, pid_file);
        let new = Texts::from([(DIFFERS.into(), self.text(self.number)), (ALONG.into(), workflow(ALONG))]);
        (next, old, new)
    }

    async fn project(&self) -> Project {
        project::get(&self.sides.cluster, &self.sides.namespace, &self.sides.project).await.unwrap()
    }

    async fn held(&self) -> Texts {
        self.sides.objects().await.into_iter().map(|(name, one)| (name, one.manifest)).collect()
    }

    fn files(&self, repo: &RepoHandle) -> Texts {
        let named = [DIFFERS, ALONG].into_iter();
        named.filter_map(|name| Some((name.to_owned(), repo.show("main", &self.sides.path(name))?))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_place_killed_at_any_step_is_not_done_or_finished() {
    let sides = Sides::new().await;
    let relay = Relay::start(Rig::get().client().await, of_a_sync).await;
    let door = Door { kubeconfig: relay.kubeconfig(sides.data.path()), ..sides.door() };
    let (data, pid_file) = (sides.data.path().join("ada"), sides.data.path().join("kill"));
    let here = sides.host.create_repo("acme/place-0").unwrap();
    let mut places = Places { sides: &sides, here, number: 0 };
    for (name, text) in [(DIFFERS, places.text(0)), (ALONG, workflow(ALONG))] {
        places.here.push_file(&sides.path(name), &text, "Begin").unwrap();
    }
    let from = door.at(&places.here.url);
    let app = from.open(&sides.data.path().join("ben"), "Ben").await;
    app.enable_project(from.form(), "enable".into()).await.unwrap();
    let reach = app.workflow_reach(sides.project.clone(), DIFFERS.into()).await.unwrap();
    let set = app.set_run_policy(sides.project.clone(), DIFFERS.into(), RunPolicy::OnCommit, Some(reach.digest));
    set.await.unwrap();
    app.close().await;

    // Once without being killed, to know how many steps there are.
    let mut all = Vec::new();
    let mut wanted_places = vec![None];
    let mut died = 0;
    while let Some(place) = wanted_places.pop() {
        let (next, old, new) = places.next(&pid_file);
        let from = door.at(&places.here.url);
        let before = places.here.commits("main").unwrap();
        if let Some(place) = place {
            let place: Place = place;
            let file = place.hook().map(|hook| pid_file.with_extension(hook));
            let killed = run(&relay, &from, &data, &next.url, Some((place, file.as_deref()))).await;
            died += usize::from(killed);
            // Old or new, each workflow whole, and nobody's run.
            let follows = places.project().await.url;
            assert!([&places.here.url, &next.url].contains(&&follows), "{place:?}: {follows}");
            for (name, text) in places.held().await {
                assert!([old.get(&name), new.get(&name)].contains(&Some(&text)), "{place:?}: {name} is\n{text}");
            }
            assert_eq!(sides.runs().await, BTreeMap::new(), "{place:?}");
        }
        run(&relay, &from, &data, &next.url, None).await;
        if place.is_none() {
            all = Place::all(relay.seen().len());
            wanted_places = some_of(&all, wanted(USUAL, &all)).map(Some).collect();
        }

        let project = places.project().await;
        assert_eq!((&project.url, project.arriving), (&next.url, None), "{place:?}");
        assert_eq!((places.held().await, places.files(&next)), (new.clone(), new), "{place:?}");
        for (name, one) in sides.objects().await {
            assert_eq!((one.state, one.due), (Some(SyncState::InSync), None), "{place:?}: {name}");
        }
        assert_eq!(next.git(&["log", "--format=%an", "main", "--", &sides.path(ALONG)]).unwrap().trim(), "Ada");
        assert_eq!(sides.runs().await, BTreeMap::new(), "{place:?}: what differs at a place is no commit");
        // What was left stays as it is.
        assert_eq!((places.here.commits("main").unwrap(), places.files(&places.here)), (before, old), "{place:?}");
        places.here = next;
    }
    println!("{died} of {} were killed", all.len());
    assert!(died > 0, "no place was reached");
}
