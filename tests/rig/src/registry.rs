//! A real container registry on loopback, behind TLS with a private authority, for one user with a password.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::assets::cache;
use crate::error::{At, Error, Result};
use crate::git_host::Certificate;
use crate::git_host::tls::Tls;
use crate::leash::Leash;

/// The only user.
pub const USER: &str = "rig-user";
/// The user's password.
pub const PASSWORD: &str = "rig-registry-password";
/// The same as the registry keeps it: bcrypt, with few rounds.
const KEPT: &str = "$2b$04$5u1PuzvnqZB8Ap6AGWnOR.gZNKZdf7rMUTnZYbz4HwH7iGAbamfo2";

/// Why there is no registry to test with, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

/// The registry's command: the system's own, else the cached one, else brought into the cache now.
///
/// # Errors
/// Why there is none: tests that need it are then skipped with it.
pub fn program() -> std::result::Result<PathBuf, Unavailable> {
    static FOUND: OnceLock<std::result::Result<PathBuf, Unavailable>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> std::result::Result<PathBuf, Unavailable> {
    let installed = Path::new("/usr/bin/docker-registry");
    if installed.is_file() {
        return Ok(installed.to_owned());
    }
    let folder = cache().map_err(|error| Unavailable(error.to_string()))?.join("registry");
    let cached = folder.join("bin/docker-registry");
    if cached.is_file() {
        return Ok(cached);
    }
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry-asset.sh");
    match Command::new("bash").arg(&recipe).arg(&folder).stdin(Stdio::null()).output() {
        Ok(ended) if ended.status.success() && cached.is_file() => Ok(cached),
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr);
            Err(Unavailable(format!("a registry could not be had: {}", said.trim().replace('\n', "; "))))
        }
        Err(error) => Err(Unavailable(format!("{} could not be run: {error}", recipe.display()))),
    }
}

/// A running registry. It ends with this value.
#[derive(Debug)]
pub struct Registry {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The private authority's certificate in PEM.
    pub ca_pem: String,
    dir: TempDir,
    _leash: Leash,
}

impl Registry {
    /// Starts an empty registry; with `guarded` it wants [`USER`] and [`PASSWORD`].
    pub fn start(program: &Path, guarded: bool) -> Result<Self> {
        let dir = TempDir::new().at("make a folder", std::env::temp_dir())?;
        let tls = Tls::new(Certificate::For(&["127.0.0.1", "localhost"]))?;
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let path = dir.path().join(name);
            fs::write(&path, text).at("write a file of the registry", &path)?;
            Ok(path)
        };
        write("ca.crt", &tls.trust)?;
        let (certificate, key) = (write("own.crt", &tls.own)?, write("own.key", &tls.key)?);
        let users = write("users", &format!("{USER}:{KEPT}\n"))?;
        let guard = match guarded {
            true => format!("auth:\n  htpasswd:\n    realm: rig\n    path: {}\n", users.display()),
            false => String::new(),
        };
        // A free port can be taken by somebody else before the registry binds it.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = free.at("find a free port", "127.0.0.1")?.port();
            let config = write(
                "config.yml",
                &format!(
                    "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
                     rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n  tls:\n    certificate: {}\n    key: {}\n{guard}",
                    dir.path().join("store").display(),
                    certificate.display(),
                    key.display(),
                ),
            )?;
            let mut command = Command::new(program);
            command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
            let mut leash = Leash::start(&command, &dir.path().join("registry.log"))?;
            for _ in 0..400 {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() && leash.running() {
                    return Ok(Self { port, ca_pem: tls.trust, dir, _leash: leash });
                }
                if !leash.running() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(25));
            }
            if leash.running() {
                return Err(leash.not_ready("it does not listen"));
            }
        }
        Err(Error::NotReady { what: "docker-registry does not start".into(), log: String::new() })
    }

    /// Puts a packed chart below `charts/`, as `helm push` does.
    pub fn push(&self, helm: &Path, archive: &Path) -> Result<()> {
        let home = self.dir.path().join("helm");
        let authority = self.dir.path().join("ca.crt");
        let run = |arguments: &[&str]| -> Result<()> {
            let mut command = Command::new(helm);
            command.args(arguments).arg("--ca-file").arg(&authority).stdin(Stdio::null());
            for name in ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
                command.env(name, &home);
            }
            let ended =
                command.output().map_err(|source| Error::Start { program: helm.display().to_string(), source })?;
            if ended.status.success() {
                return Ok(());
            }
            let log = String::from_utf8_lossy(&ended.stderr).into_owned();
            Err(Error::NotReady { what: format!("helm {}", arguments.first().unwrap_or(&"")), log })
        };
        let host = format!("127.0.0.1:{}", self.port);
        // The password is of this test alone.
        run(&["registry", "login", &host, "--username", USER, "--password", PASSWORD])?;
        run(&["push", &archive.to_string_lossy(), &format!("oci://{host}/charts")])
    }

    /// Changes a byte in each stored blob of this digest, as a bad disk or a bad guest would.
    pub fn spoil(&self, digest: &str) -> Result<()> {
        let hex = digest.trim_start_matches("sha256:");
        let place = format!("store/docker/registry/v2/blobs/sha256/{}/{hex}/data", hex.get(..2).unwrap_or_default());
        let path = self.dir.path().join(place);
        let mut bytes = fs::read(&path).at("read the blob", &path)?;
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
        }
        fs::write(&path, bytes).at("write the blob", &path)
    }
}

/// Packs a folder as `helm package` does, and answers the archive's path in `into`.
pub fn package(helm: &Path, chart: &Path, version: &str, into: &Path) -> Result<PathBuf> {
    let mut command = Command::new(helm);
    command.arg("package").arg(chart).args(["--version", version, "--destination"]).arg(into).stdin(Stdio::null());
    for name in ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, into);
    }
    let ended = command.output().map_err(|source| Error::Start { program: helm.display().to_string(), source })?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let path = said.rsplit(": ").next().map(|path| PathBuf::from(path.trim()));
    match path.filter(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => Err(Error::NotReady {
            what: "helm package".into(),
            log: String::from_utf8_lossy(&ended.stderr).into_owned(),
        }),
    }
}
