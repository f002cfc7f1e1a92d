//! Git credentials from the files of a mounted Kubernetes Secret, and the other way round.
//!
//! A file is read anew each time that its secret is asked for, so that a Secret that was rotated needs no restart. What
//! was read stays in memory for as long as it is used, and is written nowhere.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use pilothouse_git::{Credential, RemoteUrl, Scheme};
use secrecy::{ExposeSecret, SecretString};

use super::needs::ProjectNeed;
use crate::{
    Result,
    contract::{AppError, ErrorCode},
    keychain::{MemoryStore, SecretStore},
    remotes::{keychain_name, pack, without_secret},
};

/// The longest file that is read, in bytes; the largest private keys are a tenth of it.
const LIMIT: u64 = 64 * 1024;

/// The keys of a Secret for one credential, after its name.
const TOKEN: &str = "token";
const USERNAME: &str = "username";
const KEY: &str = "key";
const PASSPHRASE: &str = "passphrase";

/// A store whose Git credentials are files of a folder; whatever else is kept in it stays in memory.
pub struct MountedStore {
    folder: PathBuf,
    /// Addresses and the beginnings of their files' names, by the names under which the app asks.
    remotes: BTreeMap<String, (RemoteUrl, String)>,
    memory: MemoryStore,
}

impl MountedStore {
    /// A store over a folder, for the repositories of these projects.
    pub fn new(folder: PathBuf, projects: &[ProjectNeed]) -> Self {
        let remotes = projects.iter().filter_map(|project| {
            let url = without_secret(&project.url).ok()?;
            Some((keychain_name(&url), (url, project.credential.clone())))
        });
        Self { folder, remotes: remotes.collect(), memory: MemoryStore::default() }
    }

    fn file(&self, name: &str, part: &str) -> Result<Option<String>> {
        read(&self.folder.join(format!("{name}.{part}")))
    }

    fn credential(&self, url: &RemoteUrl, name: &str) -> Result<Option<Credential>> {
        let user = self.file(name, USERNAME)?.map(|text| text.trim().to_owned());
        let user = user.filter(|text| !text.is_empty()).or_else(|| url.username().map(str::to_owned));
        if url.scheme() == Scheme::Ssh {
            let Some(key) = self.file(name, KEY)? else { return Ok(None) };
            let passphrase = self.file(name, PASSPHRASE)?.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
            return Ok(Some(Credential::SshKey {
                username: user.unwrap_or_else(|| "git".to_owned()),
                private_key: SecretString::from(key),
                passphrase: passphrase.filter(|text| !text.is_empty()).map(SecretString::from),
            }));
        }
        let Some(token) = self.file(name, TOKEN)? else { return Ok(None) };
        Ok(Some(Credential::Token {
            username: user.unwrap_or_default(),
            token: SecretString::from(token.trim().to_owned()),
        }))
    }
}

/// A file's text; none when it is not there.
fn read(path: &Path) -> Result<Option<String>> {
    let failed = |why: String| {
        AppError::new(ErrorCode::Keychain, format!("{} cannot be read: {why}", path.display()))
            .with_hint("look at the Secret with the Git credentials, and at how it is mounted")
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut text = String::new();
    file.take(LIMIT + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LIMIT {
        return Err(failed("it is larger than 64 KiB".to_owned()));
    }
    Ok(Some(text))
}

impl SecretStore for MountedStore {
    fn kind(&self) -> String {
        "Kubernetes Secret".to_owned()
    }

    fn set(&self, name: &str, secret: &SecretString) -> Result<()> {
        self.memory.set(name, secret)
    }

    fn get(&self, name: &str) -> Result<Option<SecretString>> {
        match self.remotes.get(name) {
            Some((url, credential)) => Ok(self.credential(url, credential)?.and_then(|found| pack(&found, url))),
            None => self.memory.get(name),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.memory.delete(name)
    }
}

/// What the Secret holds for one credential, by key: what [`MountedStore`] reads back. Empty for a credential that no
/// file can hold: none at all, or a key that only an SSH agent has.
pub fn secret_entries(name: &str, credential: &Credential) -> Vec<(String, SecretString)> {
    let key = |part: &str| format!("{name}.{part}");
    let plain = |text: &str| SecretString::from(text.to_owned());
    match credential {
        Credential::Token { username, token } => {
            let mut found = vec![(key(TOKEN), plain(token.expose_secret()))];
            if !username.is_empty() {
                found.push((key(USERNAME), plain(username)));
            }
            found
        }
        Credential::SshKey { username, private_key, passphrase } => {
            let mut found = vec![(key(KEY), plain(private_key.expose_secret())), (key(USERNAME), plain(username))];
            found.extend(passphrase.iter().map(|text| (key(PASSPHRASE), plain(text.expose_secret()))));
            found
        }
        Credential::None | Credential::SshAgent { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(url: &str, credential: &str) -> ProjectNeed {
        ProjectNeed {
            namespace: "litmus".into(),
            id: "shop".into(),
            url: url.into(),
            branch: "main".into(),
            credential: credential.into(),
        }
    }

    const WEB: &str = "https://git.example/acme/chaos.git";
    const SSH: &str = "ssh://git@git.example/acme/chaos.git";

    #[test]
    fn what_was_put_into_the_secret_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let secret = |text: &str| SecretString::from(text.to_owned());
        let given = [
            (WEB, "web", Credential::Token { username: "robin".into(), token: secret("t-1") }),
            (
                SSH,
                "ssh",
                Credential::SshKey {
                    username: "git".into(),
                    private_key: secret("-----BEGIN\nkey\n-----END\n"),
                    passphrase: Some(secret(" p w ")),
                },
            ),
        ];
        let store = MountedStore::new(dir.path().to_owned(), &[project(WEB, "web"), project(SSH, "ssh")]);
        let kept = |url: &str| store.get(&keychain_name(&RemoteUrl::parse(url).unwrap())).unwrap();
        for (url, name, credential) in &given {
            assert!(kept(url).is_none(), "nothing is mounted yet");
            for (key, value) in secret_entries(name, credential) {
                std::fs::write(dir.path().join(key), value.expose_secret()).unwrap();
            }
            let expected = pack(credential, &RemoteUrl::parse(url).unwrap()).unwrap();
            assert_eq!(kept(url).unwrap().expose_secret(), expected.expose_secret());
        }
        // Rotated: seen at the next look. Editors leave a line's end behind.
        std::fs::write(dir.path().join("web.token"), "t-2\n").unwrap();
        assert!(kept(WEB).unwrap().expose_secret().contains("\"t-2\""));
        assert!(kept("https://git.example/acme/other.git").is_none());
        std::fs::write(dir.path().join("web.token"), vec![b'x'; 70_000]).unwrap();
        let error = store.get(&keychain_name(&RemoteUrl::parse(WEB).unwrap())).unwrap_err();
        assert!(error.message.contains("64 KiB"), "{error:?}");
        store.set("probe", &secret("value")).unwrap();
        assert_eq!(store.get("probe").unwrap().unwrap().expose_secret(), "value");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 5, "nothing is written beside what is mounted");
    }
}
