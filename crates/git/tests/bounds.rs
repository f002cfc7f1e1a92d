//! A repository of a size that nobody should have, behind a real SSH server.
//!
//! A binary of its own: memory is measured for the whole process, so nothing else may run in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use pilothouse_git::{
    Access, BareClone, Credential, Depth, Error, FILE_LIMIT, HistoryLimits, KnownHosts, RemoteState, RemoteUrl,
    RepoPath, WalkEnd, probe,
};
use pilothouse_rig::git_host::{GitHost, RepoHandle};
use secrecy::SecretString;
use tempfile::TempDir;

const FILES: usize = 100_000;
const COMMITS: usize = 50_000;
const BRANCHES: usize = 10_000;
const BLOB: usize = 100 * 1024 * 1024;
/// Every so many commits change the values file.
const STEP: usize = 5_000;

struct Stage {
    _host: GitHost,
    repo: RepoHandle,
    access: Access,
    clone: BareClone,
    _dir: TempDir,
}

/// The one stage; whoever has it is alone.
fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    STAGE.get_or_init(|| Mutex::new(build())).lock().unwrap_or_else(PoisonError::into_inner)
}

fn build() -> Stage {
    let host = GitHost::ssh().unwrap();
    let repo = host.create_empty_repo("huge").unwrap();
    let blob = repo.git_with_input(&["hash-object", "-w", "--stdin"], b"x: 1\n").unwrap();
    let many: String = (0..FILES).map(|file| format!("100644 blob {blob}\tf{file:06}.yaml\n")).collect();
    let many = repo.git_with_input(&["mktree"], many.as_bytes()).unwrap();
    repo.git_with_input(&["fast-import", "--quiet"], &import(&many)).unwrap();
    let tip = repo.tip("main").unwrap();
    let mut packed = String::from("# pack-refs with: peeled fully-peeled sorted \n");
    for n in 0..BRANCHES {
        writeln!(packed, "{tip} refs/heads/b/{n:05}").unwrap();
    }
    std::fs::write(repo.path.join("packed-refs"), packed).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = RemoteUrl::parse(&repo.url).unwrap();
    let known = dir.path().join("known_hosts");
    std::fs::write(&known, format!("{}\n", host.host_key_line)).unwrap();
    let key = Credential::SshKey {
        username: String::new(),
        private_key: SecretString::from(host.client_private_key.clone()),
        passphrase: None,
    };
    let access = Access::new(&url, key, KnownHosts::new(known, Vec::new()));
    let clone = BareClone::open_or_create(&dir.path().join("clone"), &url).unwrap();
    Stage { _host: host, repo, access, clone, _dir: dir }
}

/// What `git fast-import` makes the repository from, around the folder `many`.
fn import(many: &str) -> Vec<u8> {
    let mut text = String::with_capacity(16 << 20);
    for n in 0..COMMITS {
        write!(text, "commit refs/heads/main\ncommitter A <a@example.test> {} +0000\n", 1_600_000_000 + n).unwrap();
        let message = format!("Commit {n}");
        writeln!(text, "data {}\n{message}", message.len()).unwrap();
        let log = format!("entry {n}\n");
        writeln!(text, "M 100644 inline log.txt\ndata {}\n{log}", log.len()).unwrap();
        if n % STEP == 0 {
            let values = format!("replicas: {}\n", n / STEP);
            writeln!(text, "M 100644 inline values.yaml\ndata {}\n{values}", values.len()).unwrap();
        }
        if n == 0 {
            writeln!(text, "M 040000 {many} many").unwrap();
        }
    }
    let mut bytes = text.into_bytes();
    let head = format!(
        "commit refs/heads/main\ncommitter A <a@example.test> 1700000000 +0000\ndata 4\nBig\n\n\
         M 100644 inline big-values.yaml\ndata {BLOB}\n"
    );
    bytes.extend(head.as_bytes());
    bytes.resize(bytes.len() + BLOB, b'z');
    bytes.extend(b"\n");
    bytes
}

fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

/// Runs `work` and gives by how many MiB the process grew at its peak.
#[cfg(target_os = "linux")]
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let figure = |name: &str| -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse().unwrap()
    };
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = figure("VmRSS");
    let done = work();
    (done, figure("VmHWM").saturating_sub(before) / 1024)
}

#[cfg(not(target_os = "linux"))]
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    (work(), 0)
}

#[test]
fn case_22_a_hundred_thousand_files_come_in_pages_of_one_branch_of_ten_thousand() {
    let stage = stage();
    let (report, grown) = peak(|| stage.clone.look(&stage.access, "main", Depth::Tip).unwrap());
    assert!(matches!(report.state, RemoteState::New | RemoteState::UpToDate), "{:?}", report.state);
    assert!(grown < 400, "fetching grew by {grown} MiB");
    let tip = report.tip.unwrap();
    let (page, first) = peak(|| stage.clone.folder(&tip, Some(&path("many")), None, 1000).unwrap());
    assert_eq!((page.total, page.entries.len()), (FILES, 1000));
    assert_eq!(page.entries[999].name, "f000999.yaml");
    let ((), grown) = peak(|| {
        let (mut cursor, mut seen) = (page.next.clone(), page.entries.len());
        for _ in 0..4 {
            let page = stage.clone.folder(&tip, Some(&path("many")), cursor.as_deref(), 1000).unwrap();
            assert_eq!(page.entries[0].name, format!("f{seen:06}.yaml"));
            seen += page.entries.len();
            cursor = page.next;
        }
    });
    assert!(first < 200 && grown < 200, "a page grew by {first} MiB, four more by {grown} MiB");
    let (listed, grown) = peak(|| stage.clone.list(&tip, Some(&path("many")), FILES).unwrap().len());
    assert_eq!(listed, FILES);
    assert!(grown < 200, "the whole list grew by {grown} MiB");
    assert!(matches!(stage.clone.list(&tip, None, FILES), Err(Error::TooMany { .. })));
    println!("a page: {first} MiB, all names: {grown} MiB");
}

#[test]
fn case_22_a_blob_of_100_mb_is_refused_by_name_size_and_limit() {
    let stage = stage();
    let tip = stage.clone.fetch_tip(&stage.access, "main").unwrap().tip.unwrap();
    let big = path("big-values.yaml");
    let (error, grown) = peak(|| stage.clone.read(&tip, &big, FILE_LIMIT).unwrap_err());
    let text = error.to_string();
    for part in ["big-values.yaml", "104857600", "1048576"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(grown < 20, "refusing grew by {grown} MiB");
    assert!(matches!(stage.clone.blame(&tip, &big, 10, &|| false), Err(Error::TooLarge { .. })));
    let page = stage.clone.folder(&tip, None, None, 10).unwrap();
    let entry = page.entries.iter().find(|entry| entry.name == "big-values.yaml").unwrap();
    assert_eq!(entry.item, pilothouse_git::FolderItem::File { size: Some(BLOB as u64) });
    assert_eq!(stage.clone.read(&tip, &path("values.yaml"), FILE_LIMIT).unwrap().unwrap().bytes, b"replicas: 9\n");
}

#[test]
fn case_22_fifty_thousand_commits_are_walked_in_bounds() {
    let stage = stage();
    let (tip, fetched) = peak(|| stage.clone.fetch(&stage.access, "main").unwrap().tip.unwrap());
    assert!(fetched < 500, "fetching grew by {fetched} MiB");
    let values = path("values.yaml");
    let limits = HistoryLimits::default();
    let (page, walked) = peak(|| stage.clone.history_page(&tip, Some(&values), None, limits, &|| false).unwrap());
    // The first commit of all lies just beyond what one call looks at.
    assert_eq!((page.commits.len(), page.looked_at, page.end), (COMMITS / STEP - 1, 50_000, WalkEnd::Bound));
    assert_eq!(page.commits[0].summary, format!("Commit {}", COMMITS - STEP));
    let rest = stage.clone.history_page(&tip, Some(&values), page.next.as_deref(), limits, &|| false).unwrap();
    assert_eq!((rest.commits.len(), rest.end), (1, WalkEnd::Start));
    assert!(walked < 200, "walking grew by {walked} MiB");
    let ((), last) = peak(|| {
        let change = stage.clone.last_change(&tip, &path("log.txt")).unwrap().unwrap();
        assert_eq!(change.summary, format!("Commit {}", COMMITS - 1));
        let blame = stage.clone.blame(&tip, &values, 50_000, &|| false).unwrap().unwrap();
        assert_eq!(blame.commits[0].summary, format!("Commit {}", COMMITS - STEP));
        assert!(blame.looked_at > STEP - 10 && blame.looked_at < STEP + 10, "{}", blame.looked_at);
    });
    assert!(last < 200, "blaming grew by {last} MiB");
    println!("fetching: {fetched} MiB, walking: {walked} MiB, blaming: {last} MiB");
}

#[test]
fn case_22_ten_thousand_branches_are_looked_at_and_one_is_brought() {
    let stage = stage();
    let url = RemoteUrl::parse(&stage.repo.url).unwrap();
    let (refs, grown) = peak(|| probe(&url, &stage.access).unwrap());
    assert_eq!((refs.branches.len(), refs.default_branch.as_deref()), (BRANCHES, Some("main")));
    assert!(grown < 50, "looking grew by {grown} MiB");
    let fetched = stage.clone.fetch_tip(&stage.access, "b/09999").unwrap();
    assert_eq!(fetched.tip.unwrap().to_string(), stage.repo.tip("main").unwrap());
    assert_eq!(stage.clone.tip("b/09998").unwrap(), None);
}
