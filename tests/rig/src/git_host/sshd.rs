//! OpenSSH's server as the current user, with nothing of the machine's own configuration.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{keygen, run};
use crate::error::{At, Error, Result};
use crate::leash::Leash;

/// What a login may do: git's three services in the folder of repositories, and nothing else.
const LOGIN: &str = r#"#!/bin/sh
PATH='@PATH@'; export PATH
GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null; export GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL
cd '@ROOT@' || exit 1
service=${SSH_ORIGINAL_COMMAND%% *}
path=${SSH_ORIGINAL_COMMAND#* }; path=${path#\'}; path=${path%\'}
# Providers serve /owner/name from a root of their own; a path inside the folder is taken as it is.
case "$path" in '@ROOT@'/*) ;; *) path='@ROOT@'/${path#/} ;; esac
if [ "$service" = git-receive-pack ] && [ -f "$path/refused-by-server" ]; then
  cat "$path/refused-by-server" >&2; exit 1
fi
case "$service" in
git-upload-pack|git-receive-pack) exec git "${service#git-}" "$path" ;;
*) echo 'only git is served here' >&2; exit 1 ;;
esac
"#;

/// How an SSH server is set up.
#[derive(Debug, Clone, Copy)]
pub struct SshSetup<'a> {
    /// The host key, in `ssh-keygen`'s own options.
    pub host_key: &'a [&'a str],
    /// More lines for `sshd_config`; they go before the usual ones and so win.
    pub settings: &'a str,
    /// A certificate for the host key, if any.
    pub certificate: Option<HostCertificate<'a>>,
}

impl Default for SshSetup<'_> {
    fn default() -> Self {
        Self { host_key: &["-t", "ed25519", "-N", ""], settings: "", certificate: None }
    }
}

/// A certificate for a host key.
#[derive(Debug, Clone, Copy)]
pub struct HostCertificate<'a> {
    /// The hosts it is for, split by commas.
    pub principals: &'a str,
    /// When it is good, as `ssh-keygen -V` takes it.
    pub validity: &'a str,
}

/// A running SSH server.
#[derive(Debug)]
pub(super) struct Sshd {
    pub(super) port: u16,
    pub(super) account: String,
    pub(super) host_key_line: String,
    pub(super) host_authority_line: String,
    _leash: Leash,
}

impl Sshd {
    pub(super) fn start(dir: &Path, setup: &SshSetup<'_>) -> Result<Self> {
        let program = program()?;
        let account = String::from_utf8_lossy(&run(Command::new("id").arg("-un"))?).trim().to_owned();
        if account == "root" {
            // Privilege separation needs its folder, which only a running system service makes.
            let _ = fs::create_dir_all("/run/sshd");
        }
        let host_key = dir.join("host_key");
        keygen(&host_key, setup.host_key)?;
        let mut authority = String::new();
        let mut settings = setup.settings.to_owned();
        if let Some(certificate) = &setup.certificate {
            let signer = dir.join("host_authority");
            keygen(&signer, &["-t", "ed25519", "-N", ""])?;
            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-h", "-I", "rig", "-n", certificate.principals, "-V", certificate.validity, "-s"])
                .arg(&signer);
            run(sign.arg(host_key.with_extension("pub")))?;
            authority = fs::read_to_string(signer.with_extension("pub")).at("read the key", &signer)?;
            settings.push_str(&format!("\nHostCertificate {}", dir.join("host_key-cert.pub").display()));
        }
        let public = fs::read_to_string(host_key.with_extension("pub")).at("read the key", &host_key)?;
        let login = dir.join("login");
        let path = std::env::var("PATH").unwrap_or_default();
        let script = LOGIN.replace("@PATH@", &path).replace("@ROOT@", &dir.join("repos").to_string_lossy());
        fs::write(&login, script).at("write the login script", &login)?;
        fs::set_permissions(&login, fs::Permissions::from_mode(0o755)).at("make it runnable", &login)?;
        let keys = dir.join("authorized_keys");
        fs::write(&keys, "").at("write the accepted keys", &keys)?;
        // A free port can be taken by somebody else before sshd binds it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .at("find a free port", "127.0.0.1")?
                .port();
            let config = dir.join("sshd_config");
            let mut text = format!(
                "{settings}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {keys}\nForceCommand {login}\n\
                 UsePAM no\nStrictModes no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 PubkeyAuthentication yes\nPermitRootLogin yes\nPermitUserRC no\nPrintMotd no\nUseDNS no\n\
                 MaxStartups 100\nMaxAuthTries 20\nX11Forwarding no\nAllowTcpForwarding no\nAllowAgentForwarding no\n",
                host = host_key.display(),
                keys = keys.display(),
                login = login.display(),
            );
            // Newer servers shut out an address after a few failed logins, which the tests make on purpose.
            let known = Command::new(&program)
                .args(["-t", "-o", "PerSourcePenalties=no", "-h"])
                .arg(&host_key)
                .args(["-f", "/dev/null"])
                .output()
                .is_ok_and(|output| output.status.success());
            if known {
                text.push_str("PerSourcePenalties no\n");
            }
            fs::write(&config, text).at("write the configuration", &config)?;
            let mut command = Command::new(&program);
            command.args(["-D", "-e", "-f"]).arg(&config);
            let mut leash = Leash::start(&command, &dir.join("sshd.log"))?;
            for _ in 0..200 {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() && leash.running() {
                    let host_key_line = format!("[127.0.0.1]:{port} {}", short(&public));
                    let host_authority_line = match authority.is_empty() {
                        true => String::new(),
                        false => format!("@cert-authority [127.0.0.1]:{port} {}", short(&authority)),
                    };
                    return Ok(Self { port, account, host_key_line, host_authority_line, _leash: leash });
                }
                if !leash.running() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(25));
            }
            if !leash.log_tail().contains("Address already in use") {
                return Err(leash.not_ready("does not listen"));
            }
        }
        Err(Error::NotReady { what: "sshd found no free port".to_owned(), log: String::new() })
    }
}

/// A public key's line without its comment.
fn short(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// sshd insists on being started by its absolute path.
fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join("sshd")).find(|file| file.is_file()).ok_or_else(|| Error::Start {
        program: "sshd".to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::NotFound, "install OpenSSH's server"),
    })
}
