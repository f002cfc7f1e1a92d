//! The agent installed, brought up to date and removed by an app that is killed with SIGKILL again and again: what is
//! half done is seen as such, on that computer and on others, and going on from there completes it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use kube::api::PostParams;
use pilothouse_app::contract::{
    ActivityOutcome, AgentChange, AgentForm, AgentPlan, AgentState, AgentWork, ConnectTarget, CredentialInput,
    ErrorCode, InstallAgent, Transport, UninstallAgent,
};
use pilothouse_app::keychain::MemoryStore;
use pilothouse_app::{App, AppOptions, Silent};
use pilothouse_cluster::{Cluster, kinds};
use pilothouse_rig::Rig;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::agent::{IMAGE, NEXT, PLACE, left};
use crate::relay::{Place, Relay};
use crate::stage::{Stage, until};

const CHILD: &str = "PILOTHOUSE_TEST_AGENT_KILLED";
/// How many writes further each start comes before it is killed.
const FURTHER: usize = 4;

/// The installer's writes, and what a removal deletes.
fn is_step(method: &str, path: &str) -> bool {
    method == "DELETE" || method != "GET" && path.contains("fieldManager=pilothouse-agent-installer")
}

/// What somebody needs to open an app that has the repository's credential.
struct Door<'a> {
    data: &'a str,
    kubeconfig: &'a str,
    authority: &'a str,
    platform: &'a str,
    username: &'a str,
    token: &'a str,
}

impl Door<'_> {
    async fn open(&self) -> Arc<App> {
        let options = AppOptions {
            secrets: Arc::new(MemoryStore::default()),
            kubeconfig: Some(vec![self.kubeconfig.into()]),
            known_hosts: Vec::new(),
            authority: Some(self.authority.into()),
            ..AppOptions::new(self.data.into())
        };
        let app = App::open(options, Arc::new(Silent)).await.unwrap();
        app.connect(ConnectTarget::Context { name: "rig".into() }, "connect".into()).await.unwrap();
        app.select_platform(self.platform.to_owned()).await.unwrap();
        let credential = || CredentialInput::Token {
            username: Some(self.username.to_owned()),
            token: SecretString::from(self.token.to_owned()),
        };
        // The repository comes with the first lists.
        until("the repository", async || app.save_repository_credential(Transport::Https, credential()).await.ok())
            .await;
        app
    }
}

async fn install(app: &App, plan: AgentPlan) {
    assert_eq!((&plan.problems, &plan.missing), (&Vec::new(), &Vec::new()));
    let lacking = plan.projects.iter().filter(|one| plan.form.projects.contains(&one.key) && !one.in_cluster);
    let hand_over = lacking.map(|one| one.key.clone()).collect();
    let request = InstallAgent { form: plan.form, shown: plan.shown, hand_over, confirm: None };
    app.install_agent(request, "agent".into()).await.unwrap();
}

/// The plan of a form once projects and triggers are known.
async fn planned(app: &App, form: Option<&AgentForm>, is: impl Fn(&AgentPlan) -> bool) -> AgentPlan {
    until("the plan", async || {
        let plan = app.plan_agent(form.cloned()).await.unwrap();
        (plan.problems.is_empty() && is(&plan)).then_some(plan)
    })
    .await
}

/// The words of an entry about an installation, whichever of its kinds.
const INSTALLATION: &str = "in pilothouse with";

/// Whether the timeline says of something that it was cut off.
async fn is_interrupted(app: &App, words: &str) -> bool {
    let all = app.activity(None, 100).await.unwrap().entries;
    all.iter().any(|one| one.outcome == ActivityOutcome::Interrupted && one.words.contains(words))
}

/// What was killed is in the timeline, as what it is.
async fn was_interrupted(app: &App, words: &str) {
    assert!(is_interrupted(app, words).await, "{words}: {:?}", app.activity(None, 100).await.unwrap().entries);
}

async fn remove(app: &App) {
    let plan = app.plan_agent_removal().await.unwrap();
    let request = UninstallAgent { shown: plan.shown, kinds: false, confirm: None };
    assert_eq!(app.uninstall_agent(request, "agent".into()).await.unwrap().state, AgentState::Absent);
}

/// The child: opens the app as after any start, and does one thing to the agent.
#[tokio::test(flavor = "multi_thread")]
async fn child_handles_the_agent() {
    let Some(text) = std::env::var_os(CHILD) else { return };
    let text = text.into_string().unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    let [work, data, kubeconfig, authority, platform, chaos, project, username, token] = lines[..] else {
        panic!("{text}")
    };
    let door = Door { data, kubeconfig, authority, platform, username, token };
    let app = door.open().await;
    let mut form = AgentForm {
        namespace: PLACE.into(),
        image: IMAGE.into(),
        replicas: 1,
        author_name: "Nobody else".into(),
        author_email: "agent@example.com".into(),
        projects: vec![format!("{chaos}/{project}")],
        triggers: vec![chaos.to_owned()],
    };
    match work {
        "install" => install(&app, planned(&app, Some(&form), |_| true).await).await,
        "update" => {
            form.triggers.clear();
            form.image = NEXT.into();
            install(&app, planned(&app, Some(&form), |_| true).await).await;
        }
        "go on" => {
            // Nothing is asked for anew: what is proposed is what was begun.
            let plan = planned(&app, None, |plan| !plan.form.projects.is_empty()).await;
            was_interrupted(&app, INSTALLATION).await;
            if plan.changes > 0 {
                assert_eq!(plan.cut_off.as_ref().map(|one| one.work), Some(AgentWork::Install), "{plan:?}");
                assert_eq!((plan.form.replicas, plan.form.author_name.as_str()), (1, "Nobody else"));
                install(&app, plan).await;
                assert!(!is_interrupted(&app, INSTALLATION).await, "it was gone on with and finished");
            }
            let whole = app.plan_agent(None).await.unwrap();
            assert_eq!((whole.changes, &whole.cut_off), (0, &None), "{:?}", whole.objects);
        }
        "remove" => remove(&app).await,
        "remove the rest" => {
            was_interrupted(&app, "Remove the agent").await;
            let status = app.agent_status().await.unwrap();
            assert_eq!(status.state, AgentState::Halfway, "{status:?}");
            assert_eq!(status.cut_off.map(|one| one.work), Some(AgentWork::Remove));
            remove(&app).await;
            assert_eq!(app.agent_status().await.unwrap().cut_off, None);
        }
        other => panic!("{other}"),
    }
    app.close().await;
    println!("\ndone");
}

/// Somebody's computer, whose app is killed.
struct Computer<'a> {
    stage: &'a Stage,
    relay: Relay,
    data: tempfile::TempDir,
}

impl Computer<'_> {
    /// The lines by which a child knows what to do, and for whom.
    fn lines(&self, work: &str) -> [String; 9] {
        let (stage, folder) = (self.stage, self.data.path());
        let path = |path: &Path| path.display().to_string();
        let Some(CredentialInput::Token { username: Some(username), token }) = stage.credential() else {
            panic!("the stage has no token")
        };
        let (data, kubeconfig) = (path(&folder.join("app")), path(&self.relay.kubeconfig(folder)));
        let own = [data, kubeconfig, path(&stage.authority()), stage.platform.clone()];
        let [data, kubeconfig, authority, platform] = own;
        let token = token.expose_secret().to_owned();
        let (chaos, project) = (stage.chaos.clone(), stage.project.clone());
        [work.to_owned(), data, kubeconfig, authority, platform, chaos, project, username, token]
    }

    /// Goes on, gives the credential once more, and cancels while the cluster takes it.
    async fn cancels_while_the_credential_goes(&self) {
        let lines = self.lines("");
        let [_, data, kubeconfig, authority, platform, _, _, username, token] = lines.each_ref().map(String::as_str);
        let app = Door { data, kubeconfig, authority, platform, username, token }.open().await;
        let plan = planned(&app, None, |plan| plan.changes > 0 && !plan.form.projects.is_empty()).await;
        let given = plan.form.projects.clone();
        let request = InstallAgent { form: plan.form, shown: plan.shown, hand_over: given, confirm: None };
        // The configuration goes through, and the credential waits.
        self.relay.wait_for(None, 0);
        self.relay.gate.send_replace(1);
        let installs = tokio::spawn({
            let app = app.clone();
            async move { app.install_agent(request, "agent".into()).await }
        });
        until("the credential on its way", async || {
            let at = self.relay.seen().last().is_some_and(|one| one.contains("/secrets/pilothouse-agent-git"));
            (at && self.relay.waiting() == 1).then_some(())
        })
        .await;
        assert!(app.cancel_operation("agent".into()).await.unwrap());
        assert_eq!(installs.await.unwrap().unwrap_err().code, ErrorCode::Cancelled);
        self.relay.gate.send_replace(usize::MAX);
        // The credential is in the cluster, and nothing says that it is not.
        let outcome = async |words: &str| {
            let all = app.activity(None, 100).await.unwrap().entries;
            all.into_iter().find(|one| one.words.contains(words)).map(|one| one.outcome)
        };
        until("the cancelled installation", async || {
            (outcome("Complete the installation").await == Some(ActivityOutcome::Cancelled)).then_some(())
        })
        .await;
        assert_eq!(outcome("Give a token").await, Some(ActivityOutcome::Done));
        app.close().await;
    }

    /// Runs the child to its end; says whether it was killed.
    async fn does(&self, work: &str, place: Option<Place>) -> bool {
        let lines = self.lines(work);
        let token = &lines[8];
        let started = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "agent_killed::child_handles_the_agent", "--nocapture"])
            .env(CHILD, lines.join("\n"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.relay.wait_for(place, started.id());
        let output = tokio::task::spawn_blocking(move || started.wait_with_output().unwrap()).await.unwrap();
        let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!words.contains(token), "the credential was said");
        let killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
        assert!(killed || output.status.success() && words.contains("done"), "{work}: {words}");
        killed
    }

    /// Does it, killed a few writes further each time, until nothing is left; with a look at each place.
    async fn does_in_the_end(&self, first: &str, then: &str, look: impl AsyncFn()) -> usize {
        let (mut work, mut killed) = (first, 0);
        while self.does(work, Some(Place::After(FURTHER))).await {
            killed += 1;
            println!("killed while it was to {work}, after {:?}", self.relay.seen().last());
            look().await;
            work = then;
        }
        killed
    }
}

/// What is not as it should be; but for the port of the API server, which is another behind the relay.
fn changed(plan: &AgentPlan) -> Vec<&str> {
    let changes = [AgentChange::Create, AgentChange::Update, AgentChange::Remove];
    let changed = plan.objects.iter().filter(|one| changes.contains(&one.change)).map(|one| one.kind.as_str());
    changed.filter(|kind| *kind != "NetworkPolicy").collect()
}

/// Walks through all of it, seen by the stage's own app as by a colleague's. Before it and after it there is no agent.
pub async fn walk(stage: &Stage, rig: &Rig, cluster: &Cluster) {
    let relay = Relay::start(rig.client().await, is_step).await;
    let computer = Computer { stage, relay, data: tempfile::tempdir().unwrap() };
    let state = async || stage.app.agent_status().await.unwrap().state;
    let deployed = async || cluster.api(&kinds::DEPLOYMENT, PLACE).get_opt("pilothouse-agent").await.unwrap().is_some();
    let look = async || {
        if !deployed().await {
            assert_eq!(state().await, AgentState::Halfway, "half an agent is seen as such");
        }
    };
    let killed = computer.does_in_the_end("install", "go on", look).await;
    assert!(killed >= 2, "killed {killed} times only");
    let whole = planned(&stage.app, None, |plan| !plan.form.projects.is_empty()).await;
    assert_eq!(changed(&whole), Vec::<&str>::new(), "{:?}", whole.objects);
    assert_eq!(whole.form.author_name, "Nobody else");
    assert!(whole.projects[0].in_cluster && whole.projects[0].served == Some(true));

    let killed = computer.does("update", Some(Place::Before(2))).await;
    assert!(killed, "an update has more than one write");
    let half = stage.app.plan_agent(None).await.unwrap();
    assert!(!changed(&half).is_empty(), "others see that something is not as it should be");
    computer.cancels_while_the_credential_goes().await;
    computer.does("go on", None).await;
    let whole = planned(&stage.app, None, |plan| plan.form.image == NEXT).await;
    assert_eq!(changed(&whole), Vec::<&str>::new(), "{:?}", whole.objects);
    assert_eq!(whole.form.triggers, Vec::<String>::new());
    assert_eq!(whole.triggers[0].served, Some(false), "what was taken from it is not proposed again, and is named");

    // A project that is gone leaves its Lease.
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "pilothouse-sync-gone"}});
    let leases = cluster.api(&kinds::LEASE, "default");
    leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
    let look = async || assert_eq!(state().await, AgentState::Halfway, "half an agent is seen as such");
    let killed = computer.does_in_the_end("remove", "remove the rest", look).await;
    assert!(killed >= 2, "killed {killed} times only");
    assert_eq!(state().await, AgentState::Absent);
    assert_eq!(left(cluster).await, Vec::<String>::new());
    assert!(leases.get_opt("pilothouse-sync-gone").await.unwrap().is_none());
}
