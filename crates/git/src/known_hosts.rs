//! known_hosts files: which server keys have been accepted.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};

use crate::error::{Error, Result};
use crate::host_certificate::HostCertificate;
use crate::host_key::{HostKey, algorithm, fingerprint, known_name};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What the files say about a server's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The key is on file for this server.
    Trusted,
    /// The server is on no file.
    Unknown,
    /// The server is on file only through an authority (`@cert-authority`), which does not vouch for this key; to be
    /// treated as unknown.
    NotVouched {
        /// Why not, as a sentence.
        why: String,
    },
    /// The server is on file with other keys only; their fingerprints are given.
    Changed {
        /// Fingerprints of the keys on file.
        known: Vec<String>,
    },
    /// The key is marked as revoked.
    Revoked,
}

/// A file of our own, which grows as keys are accepted, and files of the user's, which are only read.
///
/// A server that is on file with a key of another algorithm counts as changed: whoever sits between could otherwise
/// get around the known key by offering another kind. `@cert-authority` lines count for servers that show a certificate
/// which that authority signed for their name and which is good today; the key in a certificate counts as the server's.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    own: PathBuf,
    user: Vec<PathBuf>,
}

impl KnownHosts {
    /// Uses `own_file` (made when a key is first accepted) and `user_files` (those that exist).
    pub fn new(own_file: PathBuf, user_files: Vec<PathBuf>) -> Self {
        Self { own: own_file, user: user_files }
    }

    /// Looks the key up. `key_blob` is the public key in SSH's wire form; `algorithm` is only compared for sanity.
    ///
    /// A file that is not there counts as empty. One that cannot be read whole is [`Error::KnownHosts`]: it may be
    /// the very file that revokes this key or holds another one.
    pub fn check(&self, host: &str, port: u16, algorithm_name: &str, key_blob: &[u8]) -> Result<Trust> {
        let name = known_name(host, port);
        if algorithm(key_blob) != algorithm_name {
            return Ok(Trust::Unknown);
        }
        let certificate = HostCertificate::parse(key_blob);
        let shown = certificate.as_ref().map_or(key_blob, |certificate| &certificate.key);
        let signer = certificate.as_ref().map(|certificate| certificate.authority.as_slice());
        let (mut known, mut trusted, mut authority, mut signed) = (Vec::new(), false, false, false);
        for path in std::iter::once(&self.own).chain(&self.user) {
            let text = read_bounded(path)?;
            for line in text.lines().filter_map(Line::parse) {
                if !line.matches(&name) {
                    continue;
                }
                match line.marker {
                    Marker::Revoked if line.blob == shown || Some(line.blob.as_slice()) == signer => {
                        return Ok(Trust::Revoked);
                    }
                    Marker::None if line.blob == shown => trusted = true,
                    Marker::None => known.push(fingerprint(&line.blob)),
                    Marker::Authority => {
                        authority = true;
                        signed |= Some(line.blob.as_slice()) == signer;
                    }
                    Marker::Revoked => {}
                }
            }
        }
        if trusted {
            return Ok(Trust::Trusted);
        }
        let why = match certificate {
            Some(certificate) if signed => match certificate.refusal(host) {
                None => return Ok(Trust::Trusted),
                Some(why) => why,
            },
            Some(_) => "it shows a certificate of another authority".to_owned(),
            None => "it shows a key without a certificate".to_owned(),
        };
        known.dedup();
        Ok(if !known.is_empty() {
            Trust::Changed { known }
        } else if authority {
            Trust::NotVouched {
                why: format!("known_hosts vouches for this server only through an authority, but {why}"),
            }
        } else {
            Trust::Unknown
        })
    }

    /// What the files say about a server, as lines that name it alone and in the open: fit for a file of its own that
    /// is to know this server and no other.
    pub fn lines_for(&self, host: &str, port: u16) -> Result<Vec<String>> {
        let name = known_name(host, port);
        let mut found = Vec::new();
        for path in std::iter::once(&self.own).chain(&self.user) {
            let text = read_bounded(path)?;
            for line in text.lines().filter_map(Line::parse).filter(|line| line.matches(&name)) {
                let marker = match line.marker {
                    Marker::None => "",
                    Marker::Revoked => "@revoked ",
                    Marker::Authority => "@cert-authority ",
                };
                let one = format!("{marker}{name} {} {}", algorithm(&line.blob), STANDARD.encode(&line.blob));
                if !found.contains(&one) {
                    found.push(one);
                }
            }
        }
        Ok(found)
    }

    /// The files in which OpenSSH keeps the hosts a user knows: `known_hosts` and `known_hosts2` below `home`, and
    /// the system's.
    pub fn usual_files(home: Option<&Path>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Some(home) = home {
            files.extend(["known_hosts", "known_hosts2"].map(|name| home.join(".ssh").join(name)));
        }
        if cfg!(unix) {
            files.extend(["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from));
        }
        files
    }

    /// Writes the key into our own file, replacing the file in one step. A key that is already there, or that
    /// contradicts one on file, is not written: [`Error::HostKeyChanged`].
    pub fn accept(&self, key: &HostKey) -> Result<()> {
        let failed = |why: &str| Error::KnownHosts { path: self.own.display().to_string(), why: why.to_owned() };
        let name = known_name(&key.host, key.port);
        // The line is taken apart and built anew, so that nothing else can ride along.
        let parsed = Line::parse(&key.line).filter(|line| matches!(line.marker, Marker::None) && line.matches(&name));
        let Some(line) = parsed.filter(|line| fingerprint(&line.blob) == key.fingerprint) else {
            return Err(failed("the key's line does not fit its fingerprint"));
        };
        let fresh = HostKey::new(&key.host, key.port, &line.blob);
        match self.check(&key.host, key.port, &fresh.algorithm, &line.blob)? {
            Trust::Trusted => return Ok(()),
            Trust::Unknown | Trust::NotVouched { .. } => {}
            Trust::Changed { known } => {
                return Err(Error::HostKeyChanged { host: name, known, seen: fresh.fingerprint });
            }
            Trust::Revoked => return Err(Error::HostKeyRevoked { host: name, seen: fresh.fingerprint }),
        }
        let mut text = read_bounded(&self.own)?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&fresh.line);
        text.push('\n');
        let folder = self.own.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.own)?;
            Ok(())
        };
        write().map_err(|error| failed(&error.to_string()))
    }
}

/// The file's text; empty when it is not there.
fn read_bounded(path: &Path) -> Result<String> {
    let refused = |why: String| Error::KnownHosts { path: path.display().to_string(), why };
    let unreadable =
        |error: std::io::Error| refused(format!("it cannot be read ({error}); make it a file that you may read"));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused(format!("it is larger than {} MiB; remove lines that are not needed", MAX_FILE >> 20)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Debug, Clone, Copy)]
enum Marker {
    None,
    Revoked,
    Authority,
}

/// One line; the form is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
struct Line<'a> {
    marker: Marker,
    hosts: &'a str,
    blob: Vec<u8>,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        let mut hosts = words.next()?;
        let marker = match hosts {
            "@revoked" => Marker::Revoked,
            "@cert-authority" => Marker::Authority,
            other if other.starts_with('@') => return None,
            _ => Marker::None,
        };
        if !matches!(marker, Marker::None) {
            hosts = words.next()?;
        }
        let name = words.next()?;
        let blob = STANDARD.decode(words.next()?).ok()?;
        // A blob that names another algorithm than its line is not a key.
        (algorithm(&blob) == name).then_some(Self { marker, hosts, blob })
    }

    fn matches(&self, name: &str) -> bool {
        if let Some(hashed) = self.hosts.strip_prefix("|1|") {
            return hash_matches(hashed, name).unwrap_or(false);
        }
        let mut found = false;
        for pattern in self.hosts.split(',') {
            match pattern.strip_prefix('!') {
                Some(negated) if glob(&negated.to_ascii_lowercase(), name) => return false,
                Some(_) => {}
                None => found |= glob(&pattern.to_ascii_lowercase(), name),
            }
        }
        found
    }
}

/// `salt|hash`, both base64: the hash is HMAC-SHA1 of the name under the salt.
fn hash_matches(text: &str, name: &str) -> Option<bool> {
    let (salt, hash) = text.split_once('|')?;
    let decode = |text: &str| STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&decode(salt)?).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&decode(hash)?).is_ok())
}

/// Whether `pattern`, in which `*` stands for any run and `?` for one character, covers `name`.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(algorithm: &str, seed: u8) -> Vec<u8> {
        let mut out = (algorithm.len() as u32).to_be_bytes().to_vec();
        out.extend(algorithm.as_bytes());
        out.extend(32u32.to_be_bytes());
        out.extend([seed; 32]);
        out
    }

    fn key(seed: u8) -> Vec<u8> {
        blob("ssh-ed25519", seed)
    }

    fn b64(blob: &[u8]) -> String {
        STANDARD.encode(blob)
    }

    fn hosts(dir: &Path, text: &str) -> KnownHosts {
        let path = dir.join("known_hosts");
        std::fs::write(&path, text).unwrap();
        KnownHosts::new(dir.join("own"), vec![path])
    }

    #[test]
    fn lines_of_every_kind_are_read() {
        let dir = tempfile::tempdir().unwrap();
        // `ssh-keygen -H` wrote the hashed name below for "hashed.example".
        let salt = [7u8; 20];
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&salt).unwrap();
        mac.update(b"hashed.example");
        let hashed = format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(mac.finalize().into_bytes()));
        let (one, two, three) = (b64(&key(1)), b64(&key(2)), b64(&key(3)));
        let known = hosts(
            dir.path(),
            &format!(
                "# a comment\n\nplain.example,10.0.0.1 ssh-ed25519 {one} me@x\n[port.example]:2222 ssh-ed25519 {one}\n\
                 {hashed} ssh-ed25519 {one}\n*.wild.example,!bad.wild.example ssh-ed25519 {one}\n\
                 @revoked * ssh-ed25519 {two}\n@cert-authority *.ca.example ssh-ed25519 {three}\n\
                 @other x ssh-ed25519 {one}\nbroken.example ssh-ed25519 !!!\nlies.example ssh-rsa {one}\n"
            ),
        );
        let check = |host: &str, port, seed| known.check(host, port, "ssh-ed25519", &key(seed)).unwrap();
        assert_eq!(check("plain.example", 22, 1), Trust::Trusted);
        assert_eq!(check("PLAIN.example", 22, 1), Trust::Trusted);
        assert_eq!(check("10.0.0.1", 22, 1), Trust::Trusted);
        assert_eq!(check("plain.example", 2222, 1), Trust::Unknown);
        assert_eq!(check("port.example", 2222, 1), Trust::Trusted);
        assert_eq!(check("port.example", 22, 1), Trust::Unknown);
        assert_eq!(check("hashed.example", 22, 1), Trust::Trusted);
        assert_eq!(check("a.wild.example", 22, 1), Trust::Trusted);
        assert_eq!(check("bad.wild.example", 22, 1), Trust::Unknown);
        assert_eq!(check("plain.example", 22, 2), Trust::Revoked);
        assert_eq!(check("new.example", 22, 2), Trust::Revoked);
        assert!(matches!(check("a.ca.example", 22, 3), Trust::NotVouched { .. }));
        assert_eq!(check("broken.example", 22, 1), Trust::Unknown);
        assert_eq!(check("lies.example", 22, 1), Trust::Unknown);
        assert_eq!(check("plain.example", 22, 4), Trust::Changed { known: vec![fingerprint(&key(1))] });
        // A file made of what is said of one server says the same of it.
        let lines = known.lines_for("hashed.example", 22).unwrap();
        assert_eq!(
            lines,
            [format!("hashed.example ssh-ed25519 {one}"), format!("@revoked hashed.example ssh-ed25519 {two}")]
        );
        let ported = known.lines_for("port.example", 2222).unwrap();
        assert_eq!(ported[0], format!("[port.example]:2222 ssh-ed25519 {one}"));
        assert!(known.lines_for("a.ca.example", 22).unwrap()[1].starts_with("@cert-authority a.ca.example "));
        let other = known.check("plain.example", 22, "ssh-rsa", &blob("ssh-rsa", 9)).unwrap();
        assert!(matches!(other, Trust::Changed { .. }), "another algorithm is a change");
    }

    #[test]
    fn accepting_appends_once_and_never_over_a_contradiction() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownHosts::new(dir.path().join("sub/own"), vec![dir.path().join("absent")]);
        let shown = HostKey::new("h.example", 2222, &key(1));
        known.accept(&shown).unwrap();
        known.accept(&shown).unwrap();
        let text = std::fs::read_to_string(dir.path().join("sub/own")).unwrap();
        assert_eq!(text, format!("[h.example]:2222 ssh-ed25519 {}\n", b64(&key(1))));
        assert!(matches!(known.accept(&HostKey::new("h.example", 2222, &key(2))), Err(Error::HostKeyChanged { .. })));
        let mut forged = HostKey::new("new.example", 22, &key(3));
        forged.line = format!("* ssh-ed25519 {}\nother ssh-ed25519 {}", b64(&key(3)), b64(&key(4)));
        known.accept(&forged).unwrap();
        let text = std::fs::read_to_string(dir.path().join("sub/own")).unwrap();
        assert!(text.ends_with(&format!("new.example ssh-ed25519 {}\n", b64(&key(3)))) && text.lines().count() == 2);
        forged.fingerprint = "SHA256:x".to_owned();
        assert!(matches!(known.accept(&forged), Err(Error::KnownHosts { .. })));
    }

    #[test]
    fn an_oversize_or_unreadable_file_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |known: &KnownHosts, file: &Path| {
            let refusal = known.check("h.example", 22, "ssh-ed25519", &key(1));
            assert!(matches!(&refusal, Err(Error::KnownHosts { path, .. }) if Path::new(path) == file), "{refusal:?}");
            let accepted = known.accept(&HostKey::new("x.example", 22, &key(1)));
            assert!(matches!(accepted, Err(Error::KnownHosts { .. })), "{accepted:?}");
        };
        // Even a key that our own file trusts may be revoked in the one that cannot be read.
        let line = format!("h.example ssh-ed25519 {}\n", b64(&key(1)));
        std::fs::write(dir.path().join("own"), &line).unwrap();
        let full = line.clone() + &"#".repeat(MAX_FILE as usize - line.len());
        let known = hosts(dir.path(), &full);
        assert_eq!(known.check("h.example", 22, "ssh-ed25519", &key(1)).unwrap(), Trust::Trusted);
        refused(&hosts(dir.path(), &(full.clone() + "#")), &dir.path().join("known_hosts"));
        refused(&KnownHosts::new(dir.path().join("own"), vec![dir.path().to_owned()]), dir.path());
        // Our own file is not replaced when it cannot be read whole.
        std::fs::write(dir.path().join("own"), full + "#").unwrap();
        refused(&KnownHosts::new(dir.path().join("own"), Vec::new()), &dir.path().join("own"));
        assert_eq!(std::fs::metadata(dir.path().join("own")).unwrap().len(), MAX_FILE + 1);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[ -~\\n|@*]{0,200}", host in "[a-z.*?]{1,20}") {
            for line in text.lines().filter_map(Line::parse) {
                let _ = line.matches(&host);
            }
            let _ = glob(&text, &host);
        }
    }
}
