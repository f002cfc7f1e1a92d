//! Times and weighs the Git engine against the `git` program, on one repository behind one SSH server: a clone, a clone
//! of the newest commit alone, a fetch of one new commit, and a commit of one file with its push. Each runs in a
//! process of its own. Prints a line for each figure: its name, ours, and git's.
//!
//! `git-pass --files 10000 --commits 5000 --rounds 5`

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pilothouse_git::{
    Access, BareClone, Credential, ExpectedChange, Identity, KnownHosts, PublishOutcome, PublishRequest, RemoteUrl,
    RepoPath,
};
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use secrecy::SecretString;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The file that is changed.
const FILE: &str = "d00/f000.yaml";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, what, url, key, known, dir] = arguments.as_slice()
        && mode == "ours"
    {
        return ours(what, url, Path::new(key), Path::new(known), Path::new(dir));
    }
    let number = |name: &str, usual: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)).and_then(|n| n.parse().ok()).unwrap_or(usual)
    };
    let (files, commits, rounds) = (number("--files", 10_000), number("--commits", 5_000), number("--rounds", 5));
    let host = GitHost::ssh()?;
    let repo = host.create_empty_repo("bench")?;
    repo.git_with_input(&["fast-import", "--quiet"], import(files, commits).as_bytes())?;
    repo.git(&["repack", "-a", "-d", "-q"])?;
    let dir = tempfile::tempdir()?;
    let bench = Bench::new(&host, repo, dir.path())?;

    let mut figures: BTreeMap<&str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for round in 0..rounds.max(1) {
        for (name, (ours, floor)) in bench.round(round)? {
            for (suffix, pick) in [("ms", Cost::ms as fn(&Cost) -> f64), ("MiB", Cost::mib)] {
                let name = figure(name, suffix);
                let (all_ours, all_floor) = figures.entry(name).or_default();
                all_ours.push(pick(&ours));
                all_floor.push(pick(&floor));
            }
        }
    }
    for (name, (mut ours, mut floor)) in figures {
        println!("{name} {:.1} {:.1}", median(&mut ours), median(&mut floor));
    }
    Ok(())
}

/// The figure's name in the output.
fn figure(what: &str, unit: &str) -> &'static str {
    match (what, unit) {
        ("clone", "ms") => "clone-ms",
        ("clone", _) => "clone-MiB",
        ("tip", "ms") => "tip-ms",
        ("tip", _) => "tip-MiB",
        ("fetch", "ms") => "fetch-ms",
        ("fetch", _) => "fetch-MiB",
        (_, "ms") => "publish-ms",
        _ => "publish-MiB",
    }
}

/// What a run took: its time, and the memory of its largest process.
struct Cost {
    time: Duration,
    memory_kib: u64,
}

impl Cost {
    fn ms(&self) -> f64 {
        self.time.as_secs_f64() * 1000.0
    }

    fn mib(&self) -> f64 {
        self.memory_kib as f64 / 1024.0
    }
}

struct Bench<'d> {
    repo: RepoHandle,
    dir: &'d Path,
    key: PathBuf,
    known: PathBuf,
}

impl<'d> Bench<'d> {
    fn new(host: &GitHost, repo: RepoHandle, dir: &'d Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let (key, known) = (dir.join("key"), dir.join("known_hosts"));
        std::fs::write(&key, &host.client_private_key)?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        std::fs::write(&known, format!("{}\n", host.host_key_line))?;
        Ok(Self { repo, dir, key, known })
    }

    /// Each operation once on either side, in turn, so that a noisy moment hits both.
    fn round(&self, round: usize) -> Result<Vec<(&'static str, (Cost, Cost))>> {
        let place = |name: &str| self.dir.join(format!("{name}-{round}"));
        let (mine, bare, work) = (place("ours"), place("bare"), place("work"));
        let (tip_mine, tip_bare) = (place("tip-ours"), place("tip-bare"));
        let url = self.repo.url.as_str();
        let clone = ["clone", "-q", "--bare", "--single-branch", "--branch", "main"];
        let mut out = Vec::new();
        let floor = self.git(None, &[&clone[..], &[url, text(&bare)?]].concat())?;
        out.push(("clone", (self.ours("clone", &mine)?, floor)));
        let floor = self.git(None, &[&clone[..], &["--depth", "1", url, text(&tip_bare)?]].concat())?;
        out.push(("tip", (self.ours("tip", &tip_mine)?, floor)));

        self.repo.push_file("other.yaml", &format!("round: {round}\n"), "Somebody else's")?;
        let floor = self.git(Some(&bare), &["fetch", "-q", "origin", "main:main"])?;
        out.push(("fetch", (self.ours("clone", &mine)?, floor)));

        let ours = self.ours("publish", &mine)?;
        self.git(None, &["clone", "-q", "--single-branch", "--branch", "main", url, text(&work)?])?;
        std::fs::write(work.join(FILE), format!("git: {round}\n"))?;
        let both = "git -c user.name=A -c user.email=a@example.test commit -qam Change && git push -q origin HEAD:main";
        let mut command = Command::new("sh");
        command.args(["-c", both]).current_dir(&work);
        let floor = cost(self.dress(&mut command))?;
        out.push(("publish", (ours, floor)));
        for folder in [mine, bare, work, tip_mine, tip_bare] {
            std::fs::remove_dir_all(folder)?;
        }
        Ok(out)
    }

    fn ours(&self, what: &str, dir: &Path) -> Result<Cost> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["ours", what, &self.repo.url]).arg(&self.key).arg(&self.known).arg(dir);
        cost(&mut command)
    }

    fn git(&self, dir: Option<&Path>, arguments: &[&str]) -> Result<Cost> {
        let mut command = Command::new("git");
        if let Some(dir) = dir {
            command.arg("-C").arg(dir);
        }
        cost(self.dress(command.args(arguments)))
    }

    fn dress<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let (key, known) = (self.key.display(), self.known.display());
        let ssh =
            format!("ssh -F none -i '{key}' -o IdentitiesOnly=yes -o UserKnownHostsFile='{known}' -o BatchMode=yes");
        command
            .env("GIT_SSH_COMMAND", ssh)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
    }
}

/// What one of our processes does.
fn ours(what: &str, url: &str, key: &Path, known: &Path, dir: &Path) -> Result<()> {
    let url = RemoteUrl::parse(url)?;
    let key = Credential::SshKey {
        username: String::new(),
        private_key: SecretString::from(std::fs::read_to_string(key)?),
        passphrase: None,
    };
    let access = Access::new(&url, key, KnownHosts::new(known.to_owned(), Vec::new()));
    let clone = BareClone::open_or_create(dir, &url)?;
    if what != "publish" {
        let fetched = if what == "tip" { clone.fetch_tip(&access, "main") } else { clone.fetch(&access, "main") };
        return fetched?.tip.map(drop).ok_or_else(|| "there is no branch".into());
    }
    let path = RepoPath::parse(FILE)?;
    let tip = clone.tip("main")?.ok_or("there is no branch")?;
    let seen = clone.read(&tip, &path, 1 << 20)?.ok_or("there is no file")?;
    let new = format!("ours: {}\n", tip.short());
    let request = PublishRequest {
        changes: vec![ExpectedChange { path, base_blob: Some(seen.blob), base_text: None, new: Some(new.into()) }],
        identity: Identity { name: "A".into(), email: "a@example.test".into() },
        message: "Change".into(),
    };
    match clone.publish(&access, "main", &request)? {
        PublishOutcome::Published { .. } => Ok(()),
        other => Err(format!("not published: {other:?}").into()),
    }
}

/// Runs a program to its end while watching its memory.
fn cost(command: &mut Command) -> Result<Cost> {
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut peaks = HashMap::new();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        weigh(&child, &mut peaks);
        std::thread::sleep(Duration::from_millis(2));
    };
    let time = begin.elapsed();
    if !status.success() {
        return Err(format!("{command:?} ended with {status}").into());
    }
    Ok(Cost { time, memory_kib: peaks.into_values().max().unwrap_or(0) })
}

/// Notes the peak of each process in the child's tree.
fn weigh(child: &Child, peaks: &mut HashMap<u32, u64>) {
    let mut waiting = vec![child.id()];
    while let Some(pid) = waiting.pop() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(peak) = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()) {
            peaks.insert(pid, peak);
        }
        // A child belongs to the thread that started it.
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
}

/// What `git fast-import` makes the repository from.
fn import(files: usize, commits: usize) -> String {
    let mut text = String::new();
    for n in 0..commits.max(1) {
        let message = format!("Commit {n}");
        let _ = write!(
            text,
            "commit refs/heads/main\ncommitter A <a@example.test> {} +0000\ndata {}\n{message}\n",
            1_600_000_000 + n,
            message.len()
        );
        let changed = if n == 0 { 0..files } else { (n * 37) % files..(n * 37) % files + 1 };
        for file in changed {
            let content = format!(
                "# Values of service {file}\nreplicaCount: {n}\nimage:\n  repository: registry.example/{file}\n  tag: \
                 1.{n}.0\nresources:\n  requests:\n    cpu: 100m\n    memory: {file}Mi\n"
            );
            let (folder, name) = (file / 100, file % 100);
            let _ = write!(text, "M 100644 inline d{folder:02}/f{name:03}.yaml\ndata {}\n{content}\n", content.len());
        }
    }
    text
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| "an odd folder name".into())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
