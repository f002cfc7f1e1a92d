//! A test of the connection to a chaos project's repository, part by part.

use pilothouse_chaos::document::{folder_of, is_candidate};
use pilothouse_git::{Credential, EntryKind, RepoPath};

use crate::{
    App, Result,
    chaos::Place,
    chaos_git::ProjectGit,
    contract::{AppError, ChaosProjectForm, ConnectionFinding, ConnectionPart, ConnectionTest, ErrorCode, PartOutcome},
};

/// The most files of a folder that are counted.
const COUNTED: usize = 20_000;

const PARTS: [ConnectionPart; 6] = [
    ConnectionPart::Server,
    ConnectionPart::Identity,
    ConnectionPart::Reading,
    ConnectionPart::Branch,
    ConnectionPart::Folder,
    ConnectionPart::Writing,
];

/// Which part of a connection an error is about; what comes before it was in order.
fn part_of(code: ErrorCode) -> ConnectionPart {
    use ErrorCode as C;
    match code {
        C::GitNetwork | C::GitTimeout | C::GitProxy | C::GitRedirected | C::GitBusy | C::GitRateLimited => {
            ConnectionPart::Server
        }
        C::GitTls
        | C::GitBadAuthority
        | C::GitHostKeyUnknown
        | C::GitHostKeyChanged
        | C::GitHostKeyRevoked
        | C::GitKnownHosts => ConnectionPart::Identity,
        C::GitNoBranch | C::GitBadBranch => ConnectionPart::Branch,
        _ => ConnectionPart::Reading,
    }
}

/// The findings of a test as far as it has come.
struct Findings {
    parts: Vec<ConnectionFinding>,
    error: Option<AppError>,
}

impl Findings {
    fn new() -> Self {
        let not_reached = |part| ConnectionFinding { part, outcome: PartOutcome::NotReached, words: None };
        Self { parts: PARTS.map(not_reached).to_vec(), error: None }
    }

    fn set(&mut self, part: ConnectionPart, outcome: PartOutcome, words: Option<String>) {
        if let Some(found) = self.parts.iter_mut().find(|one| one.part == part) {
            (found.outcome, found.words) = (outcome, words);
        }
    }

    fn passed(&mut self, part: ConnectionPart, words: impl Into<Option<String>>) {
        self.set(part, PartOutcome::Passed, words.into());
    }

    fn failed(&mut self, part: ConnectionPart, error: AppError) {
        self.set(part, PartOutcome::Failed, Some(error.message.clone()));
        // What failed first is what is to be mended first.
        self.error.get_or_insert(error);
    }

    /// Everything before a part is in order.
    fn passed_before(&mut self, part: ConnectionPart) {
        for one in PARTS.into_iter().take_while(|one| *one != part) {
            self.passed(one, None);
        }
    }
}

impl App {
    /// Tests the connection to a project's repository and says of each part how it stands. Nothing is written anywhere
    /// but into this machine's clone.
    ///
    /// # Errors
    /// `git.hostKeyUnknown` when a person has to look at the server's key first; what is wrong with the form.
    pub async fn test_project(&self, form: ChaosProjectForm) -> Result<ConnectionTest> {
        let place = self.place(&form).await?;
        let mut found = Findings::new();
        let (mut branches, mut branch) = (Vec::new(), None);
        let credential = match self.form_credential(&form, &place).await {
            Ok(credential) => credential.unwrap_or_default(),
            // A key that cannot be read, or a keychain that does not answer.
            Err(error) => {
                found.failed(ConnectionPart::Reading, error);
                return Ok(ended(&place, found, branch, branches));
            }
        };
        let check = match self.check_remote(&place.shown, place.url.clone(), credential.clone()).await {
            Ok(check) => check,
            Err(error) if error.code == ErrorCode::GitHostKeyUnknown => return Err(error),
            Err(error) => {
                let part = part_of(error.code);
                found.passed_before(part);
                found.failed(part, error);
                return Ok(ended(&place, found, branch, branches));
            }
        };
        found.passed_before(ConnectionPart::Branch);
        branches.clone_from(&check.branches);
        let wanted = match form.branch.trim() {
            "" => check.default_branch.clone().unwrap_or_else(|| "main".into()),
            wanted => wanted.to_owned(),
        };
        if check.empty {
            let words = "The repository is empty; the first commit makes the branch.".to_owned();
            found.passed(ConnectionPart::Branch, words);
            found.passed(ConnectionPart::Folder, "The first workflow makes it.".to_owned());
        } else if branches.contains(&wanted) {
            found.passed(ConnectionPart::Branch, None);
            match self.look_into_folder(&place, &wanted, &form.id, &credential).await {
                Ok(words) => found.passed(ConnectionPart::Folder, words),
                Err(error) => found.failed(ConnectionPart::Folder, error),
            }
        } else {
            let error = AppError::new(ErrorCode::GitNoBranch, format!("The repository has no branch {wanted}."));
            let error = match &branches[..] {
                [] => error,
                some => {
                    error.with_hint(format!("it has {}", some.iter().take(10).cloned().collect::<Vec<_>>().join(", ")))
                }
            };
            found.failed(ConnectionPart::Branch, error);
        }
        branch.replace(wanted);
        // Whether one may push does not hang on the branch, so it is told all the same.
        match self.cannot_write(&place.url, credential).await {
            Ok(None) => found.passed(ConnectionPart::Writing, None),
            Ok(Some(why)) => found.failed(ConnectionPart::Writing, AppError::new(ErrorCode::GitForbidden, why)),
            Err(error) => found.failed(ConnectionPart::Writing, error),
        }
        Ok(ended(&place, found, branch, branches))
    }

    /// What the folder of a project holds, in words.
    async fn look_into_folder(&self, place: &Place, branch: &str, id: &str, credential: &Credential) -> Result<String> {
        let git = ProjectGit {
            app: self.arc()?,
            url: place.url.clone(),
            branch: branch.to_owned(),
            operation: None,
            credential: Some(credential.clone()),
        };
        let fetched = git.fetched().await?;
        let Some(tip) = fetched.tip else { return Ok("The first workflow makes it.".to_owned()) };
        let folder = RepoPath::parse(&folder_of(id))?;
        let (clone, at) = (fetched.clone, folder.clone());
        let files = self.git(move || clone.list(&tip, Some(&at), COUNTED)).await?;
        if let Some(one) = files.iter().find(|one| one.path == folder.as_str()) {
            let what = if one.kind == EntryKind::Symlink { "a link" } else { "a file" };
            return Err(AppError::new(ErrorCode::GitNoFolder, format!("{folder} is {what} there, not a folder")));
        }
        let workflows = files.iter().filter(|one| is_candidate(&one.path)).count();
        Ok(match workflows {
            0 => format!("{folder}/ holds no workflow yet."),
            1 => format!("{folder}/ holds 1 file that may be a workflow."),
            many => format!("{folder}/ holds {many} files that may be workflows."),
        })
    }
}

fn ended(place: &Place, found: Findings, branch: Option<String>, branches: Vec<String>) -> ConnectionTest {
    ConnectionTest { url: place.shown.clone(), parts: found.parts, branch, branches, error: found.error }
}
