//! What goes on while connected, without anybody clicking: runs are followed, the GitOps repository is fetched, and
//! what a killed app left open is looked into.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use kube::api::ListParams;
use pilothouse_chaos::{
    names::label_value,
    run::{Run, Verdict},
    workflow_object::{LastRun, WorkflowObject, note_last_run},
};
use pilothouse_cluster::{Error as ClusterError, Kind, LiveIndex, WatchState, kinds};
use pilothouse_git::{RemoteUrl, RepoPath, Scheme};
use serde_json::Value;

use crate::{
    App, Result,
    commits::{FILE_LIMIT, content_digest},
    contract::{Notice, NoticeLevel, Topic},
    journal::{Intent, Interrupted},
    session::Live,
};

/// How often the GitOps repository is fetched.
const ROUND: Duration = Duration::from_secs(30);
/// How long changes of runs are gathered.
const GATHER: Duration = Duration::from_millis(300);

impl App {
    /// Starts what belongs to a connection; it ends when the connection does.
    pub(crate) fn start_background(&self, live: Arc<Live>) {
        let spawn = |live: Arc<Live>, work: BoxFuture| {
            tokio::spawn(async move {
                let stop = live.stop.clone();
                drop(live);
                tokio::select! {
                    () = work => {}
                    () = stop.cancelled() => {}
                }
            });
        };
        spawn(live.clone(), Box::pin(Self::look_into_interrupted(self.me.clone(), live.clone())));
        spawn(live.clone(), Box::pin(Self::follow_runs(self.me.clone(), live.clone())));
        spawn(live.clone(), Box::pin(Self::keep_in_step(self.me.clone())));
        // These end by themselves, so that they can give up their Leases.
        self.tasks.spawn(Self::keep_projects(self.me.clone(), live.clone()));
        self.tasks.spawn(Self::serve_triggers(self.me.clone(), live));
    }

    /// Sends a notice to the window.
    pub(crate) fn tell_notice(&self, notice: Notice) {
        let (events, me) = (self.events.clone(), self.me.clone());
        tokio::spawn(async move {
            let hidden = match me.upgrade() {
                Some(app) => app.preferences().await.is_ok_and(|p| p.notify_when_hidden),
                None => return,
            };
            events.notice(notice, hidden);
        });
    }

    /// Tells when runs end, and keeps each workflow's last run.
    async fn follow_runs(me: Weak<App>, live: Arc<Live>) {
        let index = live.index();
        let mut changes = index.changes();
        let mut ended: Option<HashMap<(String, String), bool>> = None;
        loop {
            changes.mark_unchanged();
            let Some(app) = me.upgrade() else { return };
            let runs = app.known_runs(&live, None);
            let mut now = HashMap::new();
            for run in &runs {
                let key = (run.namespace.clone(), run.name.clone());
                let known = Known::of(&index, &run.namespace);
                // What had ended before the app looked is no news.
                let before = ended.as_ref().map(|before| before.get(&key) == Some(&true));
                let (tell, told) = news(before, run.phase.ended(), known);
                if tell {
                    app.tell_ended(&live, run, known);
                }
                now.insert(key, told);
            }
            ended = Some(now);
            app.keep_last_runs(&live, &runs).await;
            drop(app);
            if changes.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    fn tell_ended(&self, live: &Live, run: &Run, known: Known) {
        let name = run.workflow.as_deref().unwrap_or(&run.name);
        let (level, words, score) = ending(run, known);
        // Whoever hears of a triggered run did not start it, and wants to know for which release it was.
        let tested = run.trigger.as_ref().map(|trigger| match self.image_of_run(live, &run.name) {
            Some(image) => format!(" It tested {image}, for the trigger {trigger}."),
            None => format!(" The trigger {trigger} had started it."),
        });
        let tested = tested.unwrap_or_default();
        self.tell_notice(Notice {
            level,
            title: format!("{name} {words}"),
            body: format!("The run {} {words}.{score}{tested}", run.name),
            path: Some(format!("/chaos/runs/{}/{}", run.namespace, run.name)),
        });
        self.changes.tell(Topic::Runs);
        self.changes.tell(Topic::Environments);
    }

    /// Writes each workflow's last run into its status, where it differs.
    async fn keep_last_runs(&self, live: &Live, runs: &[Run]) {
        if !all_is_known(&live.index()) {
            return;
        }
        let mut newest: BTreeMap<(&str, &str), &Run> = BTreeMap::new();
        for run in runs {
            if let (Some(project), Some(workflow)) = (&run.project, &run.workflow) {
                newest.entry((project, workflow)).or_insert(run);
            }
        }
        for object in live.list(&kinds::CHAOS_WORKFLOW) {
            let named = |field: &str| object.data.pointer(field).and_then(Value::as_str).map(label_value);
            // Read in full only where there is a run: there may be thousands of workflows, and this is asked often.
            let (Some(project), Some(name)) = (named("/spec/project"), named("/spec/workflow")) else { continue };
            let Some(run) = newest.get(&(project.as_str(), name.as_str())) else { continue };
            let Some(workflow) = WorkflowObject::read(&object) else { continue };
            let last = LastRun {
                name: run.name.clone(),
                phase: Some(format!("{:?}", run.phase)),
                verdict: run.verdict.map(|v| format!("{v:?}")),
                score: run.score,
                finished_at: run.finished_at.clone(),
            };
            if let Some(kept) = &workflow.last_run {
                let here = runs.iter().any(|run| run.name == kept.name);
                if *kept == last || stays(kept, here, &last) {
                    continue;
                }
            }
            let namespace = object.metadata.namespace.clone().unwrap_or_default();
            let noted = note_last_run(&live.cluster, &namespace, &workflow.project, &workflow.workflow, &last).await;
            if let Err(error) = noted {
                tracing::debug!(%error, workflow = %workflow.workflow, "the last run could not be noted");
            }
        }
    }

    /// Fetches the GitOps repository, again and again.
    async fn keep_in_step(me: Weak<App>) {
        loop {
            {
                let Some(app) = me.upgrade() else { return };
                app.one_round().await;
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn one_round(&self) {
        if let Ok(Some(repository)) = self.maybe_gitops().await
            && let Ok(Some(before)) = self.on_disk(&repository.url).await
        {
            // A failure is kept in the remote's note, where the card shows it.
            if let Ok(after) = self.fetch(&repository.url, &repository.usual_branch, None).await
                && after.tip != before.tip
            {
                self.changes.tell(Topic::Repository);
                self.changes.tell(Topic::Environments);
            }
        }
    }

    /// Looks what became of writes that a killed app had begun in this context.
    async fn look_into_interrupted(me: Weak<App>, live: Arc<Live>) {
        let Some(app) = me.upgrade() else { return };
        let Ok(entries) = app.journal.interrupted().await else { return };
        for entry in entries.into_iter().filter(|e| e.context.as_deref() == Some(live.name())) {
            match app.was_done(&live, &entry).await {
                Ok(Some(found)) => {
                    if let Err(error) = app.journal.settle(entry.id, found).await {
                        tracing::warn!(%error, "an interrupted entry could not be settled");
                    }
                }
                Ok(None) => {}
                // The place cannot be asked now; the next start asks again.
                Err(error) => tracing::debug!(%error, words = %entry.words, "an interrupted entry stays open"),
            }
        }
    }

    /// Whether an interrupted write was done; `None` when that cannot be told.
    async fn was_done(&self, live: &Live, entry: &Interrupted) -> Result<Option<bool>> {
        match &entry.intent {
            Intent::Agent { .. } | Intent::Other => Ok(None),
            Intent::Object { kind, namespace, name, .. } => {
                let Some(known) = kinds::ALL.iter().find(|k| k.kind == kind) else { return Ok(None) };
                let api = live.cluster.api(known, namespace);
                match live.cluster.in_time("an interrupted write", api.get_opt(name)).await {
                    Ok(found) => Ok(Some(found.is_some())),
                    Err(ClusterError::NotFound { .. }) => Ok(Some(false)),
                    Err(error) => Err(error.into()),
                }
            }
            Intent::Deploy { namespace, flow, environment, since } => {
                let Ok(since) = since.parse::<jiff::Timestamp>() else { return Ok(None) };
                let labels =
                    format!("app.edp.epam.com/cdpipeline={flow},app.edp.epam.com/cdstage={flow}-{environment}");
                let api = live.cluster.api(&kinds::PIPELINE_RUN, namespace);
                let parameters = ListParams::default().labels(&labels);
                let runs = live.cluster.in_time("an interrupted deploy", api.list(&parameters)).await?;
                // The cluster writes whole seconds.
                let after = since - jiff::SignedDuration::from_secs(1);
                let found = runs
                    .items
                    .iter()
                    .any(|run| run.metadata.creation_timestamp.as_ref().is_some_and(|time| time.0 >= after));
                Ok(Some(found))
            }
            Intent::Publish { url, branch, path, content } => {
                let parsed = match RemoteUrl::parse(url) {
                    Ok(url) => url,
                    Err(_) => RemoteUrl::local(std::path::Path::new(url))?,
                };
                if parsed.scheme() != Scheme::Local && self.kept_credential(&parsed).await?.is_none() {
                    return Ok(None);
                }
                let access = self.access(&parsed, self.credential(&parsed).await?, None).await?;
                let clone = self.bare_clone(&parsed).await?;
                let (branch, path) = (branch.clone(), RepoPath::parse(path)?);
                let found = self
                    .git(move || {
                        let Some(tip) = clone.fetch(&access, &branch)?.tip else { return Ok(None) };
                        clone.read(&tip, &path, FILE_LIMIT)
                    })
                    .await?;
                Ok(Some(found.map(|file| content_digest(&file.bytes)) == *content))
            }
        }
    }
}

/// How a run ended, in words.
fn ending(run: &Run, known: Known) -> (NoticeLevel, &'static str, String) {
    if known != Known::All {
        let why = " You may not read all of it, so that its verdict is not told.".to_owned();
        return (NoticeLevel::Info, "ended", why);
    }
    let (level, words) = match run.verdict {
        Some(Verdict::Pass) => (NoticeLevel::Good, "passed"),
        Some(Verdict::Fail) => (NoticeLevel::Bad, "failed"),
        Some(Verdict::Stopped) => (NoticeLevel::Warn, "was stopped"),
        Some(Verdict::Error | Verdict::Awaited) => (NoticeLevel::Warn, "ended without a verdict"),
        None => (NoticeLevel::Info, "ended"),
    };
    (level, words, run.score.map(|score| format!(" Resilience score {score} %.")).unwrap_or_default())
}

/// The kinds that runs are put together from.
const PARTS: [Kind; 3] = [kinds::WORKFLOW, kinds::CHAOS_ENGINE, kinds::CHAOS_RESULT];

/// How much is known of what the runs of a namespace are put together from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// All of it.
    All,
    /// Not all of it now, and presumably soon.
    Later,
    /// Not all of it, for this user may not see it.
    Part,
}

impl Known {
    fn of(index: &LiveIndex, namespace: &str) -> Self {
        Self::by(PARTS.iter().map(|kind| index.state_in(kind, namespace)))
    }

    fn by(states: impl Iterator<Item = WatchState>) -> Self {
        states.fold(Self::All, |known, state| match (known, state) {
            (Self::Later, _) | (_, WatchState::Starting | WatchState::Retrying(_)) => Self::Later,
            (Self::Part, _) | (_, WatchState::Forbidden(_)) => Self::Part,
            (Self::All, WatchState::Live | WatchState::Polling | WatchState::Absent) => Self::All,
        })
    }
}

/// Whether the end of a run is told now, and whether it counts as told from now on. `before` is whether it did at the
/// look before, none at the first.
fn news(before: Option<bool>, ended: bool, known: Known) -> (bool, bool) {
    match before {
        None => (false, ended),
        // A verdict from a part of what there is would be a wrong one, and is told once.
        Some(told) if known == Known::Later => (false, told),
        Some(told) => (ended && !told, ended),
    }
}

/// Whether what runs are put together from is all there: a verdict from a part of it would be a wrong one.
fn all_is_known(index: &LiveIndex) -> bool {
    Known::by(PARTS.iter().map(|kind| index.state(kind))) == Known::All
}

/// Whether the last run that is kept stays, because somebody who sees more noted one that ended later.
fn stays(kept: &LastRun, seen_here: bool, found: &LastRun) -> bool {
    !seen_here && kept.finished_at.is_some() && found.finished_at.is_some() && found.finished_at < kept.finished_at
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[cfg(test)]
mod tests {
    use pilothouse_chaos::project::{self, Auth, Enable, Project};
    use pilothouse_practice::{git_remote::GitRemote, seed};
    use serde_json::json;

    use super::*;
    use crate::{AppOptions, Silent, contract::ConnectTarget, keychain::MemoryStore};

    #[test]
    fn a_run_noted_by_somebody_who_sees_more_stays() {
        let run = |name: &str, finished: Option<&str>| LastRun {
            name: name.into(),
            finished_at: finished.map(str::to_owned),
            ..LastRun::default()
        };
        let (early, late) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-01T00:01:00Z"));
        assert!(stays(&run("b", late), false, &run("a", early)));
        assert!(!stays(&run("a", early), false, &run("b", late)));
        assert!(!stays(&run("b", late), true, &run("a", early)));
        assert!(!stays(&run("b", None), false, &run("a", early)));
        assert!(!stays(&run("b", late), false, &run("a", None)));
    }

    #[test]
    fn an_end_is_told_once_and_only_when_its_verdict_is_sure() {
        let by = |states: [WatchState; 3]| Known::by(states.into_iter());
        let (live, forbidden) = (WatchState::Live, WatchState::Forbidden("no".into()));
        assert_eq!(by([live.clone(), WatchState::Absent, WatchState::Polling]), Known::All);
        assert_eq!(by([live.clone(), forbidden.clone(), live.clone()]), Known::Part);
        assert_eq!(by([forbidden, live.clone(), WatchState::Retrying("x".into())]), Known::Later);
        assert_eq!(by([WatchState::Starting, live.clone(), live]), Known::Later);

        assert_eq!(news(None, true, Known::All), (false, true), "older than the app");
        assert_eq!(news(Some(false), true, Known::Later), (false, false), "it is told once all is known");
        for known in [Known::All, Known::Part] {
            assert_eq!(news(Some(false), true, known), (true, true));
            assert_eq!(news(Some(true), true, known), (false, true));
            assert_eq!(news(Some(false), false, known), (false, false));
        }
        assert_eq!(news(Some(true), true, Known::Later), (false, true));

        // What a ChaosResult alone says is no verdict.
        let run = json!({"kind": "Workflow", "metadata": {"name": "run-1"}, "status": {"phase": "Succeeded"}});
        let mut run = pilothouse_chaos::run::run_view(&run, &[], &[]);
        (run.verdict, run.score) = (Some(Verdict::Pass), Some(100.0));
        let (level, words, why) = ending(&run, Known::Part);
        assert_eq!((level, words, why.contains("verdict is not told")), (NoticeLevel::Info, "ended", true));
        assert_eq!(ending(&run, Known::All), (NoticeLevel::Good, "passed", " Resilience score 100 %.".into()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_project_is_synced_unasked_only_as_the_user_saw_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = AppOptions {
            secrets: Arc::new(MemoryStore::default()),
            kubeconfig: Some(Vec::new()),
            known_hosts: Vec::new(),
            ..AppOptions::new(dir.path().to_owned())
        };
        let app = App::open(options, Arc::new(Silent)).await.unwrap();
        app.connect(ConnectTarget::Practice, "connect".into()).await.unwrap();
        app.set_identity("Robin Doe".into(), "robin@example.com".into()).await.unwrap();
        let remote = GitRemote::create(&dir.path().join("practice/repositories")).unwrap();
        for name in ["acme/one", "acme/two"] {
            remote.create_repo(name, "main").unwrap();
            remote.commit_files(name, "main", &[("README.md", "x\n")], "Begin").unwrap();
        }
        let live = app.live().unwrap();
        let known = async |is: &dyn Fn(&Project) -> bool| loop {
            let all = live.list(&kinds::CHAOS_PROJECT);
            if let Some(found) = all.iter().filter_map(|o| Project::read(o)).find(|p| p.id == "shop" && is(p)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let form = |name: &str| Enable {
            id: "shop".into(),
            url: format!("ssh://git@{}:22/{name}", seed::GIT_HOST),
            branch: "main".into(),
            auth: Auth::Ssh,
            description: None,
        };
        let state = async || project::get(&live.cluster, "litmus", "shop").await.unwrap().state;
        let said = async || {
            let all = app.chaos_overview().await.unwrap().projects;
            all.into_iter().find(|p| p.id == "shop").unwrap().message
        };

        let until = async |is: &dyn Fn(Option<String>) -> bool| {
            while !is(state().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };

        // A colleague makes a project for a repository that this user has a credential for.
        project::enable(&live.cluster, "litmus", &form("acme/one")).await.unwrap();
        let seen = known(&|p| p.enabled).await;
        assert!(!app.keeps(&live, &seen).await);
        assert_eq!(state().await, None);
        assert_eq!(said().await.as_deref(), Some(crate::consent::ASK));

        app.sync_project("shop".into(), "sync".into()).await.unwrap();
        assert_eq!(state().await.as_deref(), Some("InSync"));
        let before = known(&|p| p.commit.is_some()).await;
        assert!(app.keeps(&live, &before).await);
        assert_eq!(said().await, None);
        // From now on it is synced without anybody's doing; coming to the window is enough.
        remote.commit_files("acme/one", "main", &[("README.md", "y\n")], "Go on").unwrap();
        app.look_again();
        known(&|p| p.commit.is_some() && p.commit != before.commit).await;

        // The colleague leads it elsewhere.
        project::disable(&live.cluster, "litmus", "shop").await.unwrap();
        until(&|state| state.as_deref() == Some("Disabled")).await;
        project::enable(&live.cluster, "litmus", &form("acme/two")).await.unwrap();
        let seen = known(&|p| p.enabled && p.url.ends_with("two")).await;
        app.look_again();
        assert!(!app.keeps(&live, &seen).await);
        assert_eq!(said().await.as_deref(), Some(crate::consent::ASK));
    }
}
