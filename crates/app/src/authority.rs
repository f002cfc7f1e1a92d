//! The certificates of private authorities that Git servers are trusted by, besides the system's: one PEM file, named
//! by the environment or by the user.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use x509_parser::pem::Pem;

use crate::{
    App, Result,
    contract::{AppError, AuthorityCertificate, AuthoritySource, AuthorityView, ErrorCode},
    storage::Storage,
};

const AUTHORITY: &str = "authority";

/// The greatest file that is read, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// How many certificates of a file are described; a system's bundle holds hundreds.
const SHOWN: usize = 20;

/// The file that the user chose.
#[derive(Default)]
pub(crate) struct ChosenAuthority {
    path: RwLock<Option<PathBuf>>,
}

impl ChosenAuthority {
    /// What was chosen before.
    pub(crate) async fn load(storage: &Storage) -> Result<Self> {
        let path = storage.setting(AUTHORITY).await?.map(PathBuf::from);
        Ok(Self { path: RwLock::new(path) })
    }

    fn get(&self) -> Option<PathBuf> {
        self.path.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, path: Option<PathBuf>) {
        *self.path.write().unwrap_or_else(PoisonError::into_inner) = path;
    }
}

fn bad(why: impl Into<String>) -> AppError {
    AppError::new(ErrorCode::GitBadAuthority, why)
        .with_hint("choose a file of certificates in PEM; it begins with -----BEGIN CERTIFICATE-----")
}

/// A file whole, whatever is in it.
fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let failed = |e: std::io::Error| bad(format!("{shown} cannot be read: {e}"));
    // Opening a pipe would wait for somebody who writes into it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(bad(format!("{shown} is not a file")));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(bad(format!("{shown} is larger than 1 MiB")));
    }
    Ok(bytes)
}

/// The certificates in a file.
fn certificates(path: &Path) -> Result<Vec<AuthorityCertificate>> {
    describe(&read(path)?).map_err(|why| bad(format!("{}: {why}", path.display())))
}

/// What is wrong with a text that should be certificates.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    /// A private key has no business here, and would be read with every fetch.
    #[error("it holds a private key, not only certificates")]
    PrivateKey,
    /// A block of PEM that cannot be read.
    #[error("its certificate number {0} cannot be read")]
    Broken(usize),
    /// Nothing of use.
    #[error("there is no certificate in it")]
    Nothing,
}

fn describe(pem: &[u8]) -> std::result::Result<Vec<AuthorityCertificate>, Unfit> {
    let mut certificates = Vec::new();
    for block in Pem::iter_from_buffer(pem) {
        let number = certificates.len() + 1;
        let block = block.map_err(|_| Unfit::Broken(number))?;
        if block.label.ends_with("PRIVATE KEY") {
            return Err(Unfit::PrivateKey);
        }
        if block.label != "CERTIFICATE" {
            continue;
        }
        let certificate = block.parse_x509().map_err(|_| Unfit::Broken(number))?;
        let validity = certificate.validity();
        let time = |seconds| jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
        certificates.push(AuthorityCertificate {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            expires: time(validity.not_after.timestamp()),
            valid: validity.is_valid(),
        });
    }
    if certificates.is_empty() { Err(Unfit::Nothing) } else { Ok(certificates) }
}

impl App {
    /// The file of certificates that Git servers are trusted by besides the system's. The environment's goes first, as
    /// it does for git itself.
    pub(crate) fn authority_file(&self) -> Option<PathBuf> {
        self.options.authority.clone().or_else(|| self.authority.get())
    }

    /// What is in that file, for a connection; none without a file.
    ///
    /// # Errors
    /// `git.badAuthority` when it cannot be read, or is too large to be one.
    pub(crate) async fn authority_pem(&self) -> Result<Option<Vec<u8>>> {
        match self.authority_file() {
            Some(file) => crate::blocking(move || read(&file)).await.map(Some),
            None => Ok(None),
        }
    }

    /// The certificates trusted for Git servers besides the system's.
    pub async fn authority(&self) -> Result<AuthorityView> {
        let source = match (&self.options.authority, self.authority.get()) {
            (Some(_), _) => AuthoritySource::Environment,
            (None, Some(_)) => AuthoritySource::Settings,
            (None, None) => AuthoritySource::None,
        };
        let path = self.authority_file();
        let mut view = AuthorityView {
            source,
            path: path.as_ref().map(|p| p.display().to_string()),
            certificates: Vec::new(),
            more: 0,
            problem: None,
        };
        let Some(path) = path else { return Ok(view) };
        match crate::blocking(move || certificates(&path)).await {
            Ok(mut found) => {
                view.more = u32::try_from(found.len().saturating_sub(SHOWN)).unwrap_or(u32::MAX);
                found.truncate(SHOWN);
                view.certificates = found;
            }
            Err(error) => view.problem = Some(error.message),
        }
        Ok(view)
    }

    /// Trusts the certificates of a file that the user picked; none trusts the system's alone again.
    ///
    /// # Errors
    /// `git.badAuthority` when the file holds no certificate, or a private key; nothing changes then.
    pub async fn set_authority(&self, path: Option<String>) -> Result<AuthorityView> {
        if let Some(path) = &path {
            if !self.picked.has(path) {
                return Err(AppError::blocked("this file was not picked").with_hint("choose the file with the button"));
            }
            let file = PathBuf::from(path);
            crate::blocking(move || certificates(&file)).await?;
        }
        self.storage.set_setting(AUTHORITY, path.clone()).await?;
        self.authority.set(path.map(PathBuf::from));
        self.authority().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "Acme Root");
        parameters.not_after = rcgen::date_time_ymd(2040, 1, 2);
        (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn certificates_are_described_and_nothing_else_is_taken() {
        let (certificate, key) = authority();
        let two = describe(format!("notes before\n{certificate}{certificate}").as_bytes()).unwrap();
        assert_eq!(two.len(), 2);
        assert!(two[0].subject.contains("CN=Acme Root"), "{}", two[0].subject);
        assert_eq!(two[0].expires, "2040-01-02T00:00:00Z");
        assert!(two[0].valid);

        assert_eq!(describe(format!("{certificate}{key}").as_bytes()), Err(Unfit::PrivateKey));
        assert_eq!(describe(key.as_bytes()), Err(Unfit::PrivateKey));
        assert_eq!(describe(b""), Err(Unfit::Nothing));
        assert!(describe(b"\0\xff not PEM").is_err());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(describe(format!("{certificate}{broken}").as_bytes()), Err(Unfit::Broken(2)));
    }
}
