//! A plugin as a source of credentials.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::exec::credential::Credential;
use crate::exec::process::{Limits, Stopped, run};
use crate::search_path::SearchPath;

/// How long a failure answers for those who waited on the same attempt, so that fifty callers do not try in turn.
const FAILURE_LASTS: Duration = Duration::from_secs(3);

/// Variables that plugins commonly need. All others of ours (tokens of other tools, say) are kept from them.
const ALLOWED: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TERM",
    "KUBECONFIG",
    "SSH_AUTH_SOCK",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "BROWSER",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "HOMEDRIVE",
    "HOMEPATH",
    "USERNAME",
    "WINDIR",
];

/// Families of such variables.
const ALLOWED_PREFIXES: &[&str] =
    &["LC_", "XDG_", "AWS_", "AZURE_", "AAD_", "CLOUDSDK_", "GOOGLE_", "OCI_", "TELEPORT_", "TSH_"];

/// What a plugin's words mean, in words of ours: its own may hold secrets.
const REMEDIES: &[(&str, &str)] = &[
    ("aws sso login", "The AWS session has ended: run `aws sso login` in a terminal, then try again."),
    ("ExpiredToken", "The AWS session has ended: sign in to AWS again, then try again."),
    ("gcloud auth login", "The Google Cloud session has ended: run `gcloud auth login` in a terminal, then try again."),
    ("az login", "The Azure session has ended: run `az login` in a terminal, then try again."),
    ("tsh login", "The Teleport session has ended: run `tsh login` in a terminal, then try again."),
];

/// A credential plugin, with its last credential.
pub struct Plugin {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    install_hint: Option<String>,
    limits: Limits,
    // Held while the plugin runs, so that it runs once for all who wait.
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    credential: Option<Credential>,
    failed: Option<(Instant, Error)>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("program", &self.program).finish_non_exhaustive()
    }
}

impl Plugin {
    /// The plugin of a kubeconfig user. Users with the same plugin, arguments and environment share one, so that
    /// connecting twice does not open the browser twice.
    pub fn of(config: &ExecConfig, search: &SearchPath) -> Result<Arc<Self>> {
        Self::with_limits(config, search, Limits::default())
    }

    /// As [`Plugin::of`], with other limits.
    pub fn with_limits(config: &ExecConfig, search: &SearchPath, limits: Limits) -> Result<Arc<Self>> {
        let plugin = Self::prepare(config, search, limits)?;
        let key = plugin.identity();
        static KNOWN: OnceLock<Mutex<HashMap<[u8; 32], Weak<Plugin>>>> = OnceLock::new();
        let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, plugin| plugin.strong_count() > 0);
        if let Some(plugin) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(plugin);
        }
        let plugin = Arc::new(plugin);
        known.insert(key, Arc::downgrade(&plugin));
        Ok(plugin)
    }

    fn prepare(config: &ExecConfig, search: &SearchPath, limits: Limits) -> Result<Self> {
        let command = config.command.clone().unwrap_or_default();
        let problem = |problem: String, hint| Error::Exec { program: command.clone(), problem, hint };
        if command.is_empty() {
            return Err(problem("the kubeconfig names no command".to_owned(), None));
        }
        let version = config.api_version.as_deref().unwrap_or("client.authentication.k8s.io/v1beta1");
        if !["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"].contains(&version) {
            let hint = "Update the plugin, and write the kubeconfig anew with its own command.".to_owned();
            return Err(problem(format!("it speaks {version}, which Kubernetes has removed"), Some(hint)));
        }
        if config.interactive_mode == Some(ExecInteractiveMode::Always) {
            let hint =
                "Use a way of signing in that works without a terminal, or a kubeconfig with a token.".to_owned();
            return Err(problem("it always asks in a terminal, which a window does not have".to_owned(), Some(hint)));
        }
        let program = search.find(&command).ok_or_else(|| {
            let searched: Vec<_> = search.folders().iter().map(|folder| folder.display().to_string()).collect();
            problem(format!("not found; searched {}", searched.join(", ")), config.install_hint.clone())
        })?;
        let info = serde_json::json!({"apiVersion": version, "kind": "ExecCredential",
            "spec": {"interactive": false, "cluster": config.cluster}});
        let info = match info {
            serde_json::Value::Object(mut info) => {
                if config.cluster.is_none() {
                    info.insert("spec".to_owned(), serde_json::json!({"interactive": false}));
                }
                serde_json::Value::Object(info)
            }
            other => other,
        };
        let dropped = config.drop_env.clone().unwrap_or_default();
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| allowed(name) && !dropped.iter().any(|x| x == name)))
            .collect();
        env.push(("PATH".into(), search.to_text()));
        for pair in config.env.iter().flatten() {
            if let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) {
                env.retain(|(other, _)| other.to_str() != Some(name));
                env.push((name.into(), value.into()));
            }
        }
        env.push(("KUBERNETES_EXEC_INFO".into(), info.to_string().into()));
        Ok(Self {
            program,
            args: config.args.iter().flatten().map(Into::into).collect(),
            env,
            install_hint: config.install_hint.clone(),
            limits,
            state: tokio::sync::Mutex::default(),
        })
    }

    /// A digest of all that decides what the plugin gives.
    fn identity(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut add = |part: &std::ffi::OsStr| {
            let bytes = part.as_encoded_bytes();
            digest.update(bytes.len().to_le_bytes());
            digest.update(bytes);
        };
        add(self.program.as_os_str());
        self.args.iter().for_each(|arg| add(arg));
        for (name, value) in &self.env {
            add(name);
            add(value);
        }
        digest.finalize().into()
    }

    /// The program's absolute path.
    pub fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// A fresh credential: the last one, or the plugin's next.
    pub async fn credential(&self) -> Result<Credential> {
        let mut state = self.state.lock().await;
        if let Some(credential) = state.credential.as_ref().filter(|credential| credential.is_fresh(Timestamp::now())) {
            return Ok(credential.clone());
        }
        if let Some((at, error)) = &state.failed
            && at.elapsed() < FAILURE_LASTS
        {
            return Err(error.clone());
        }
        match self.run().await {
            Ok(credential) => {
                *state = State { credential: Some(credential.clone()), failed: None };
                Ok(credential)
            }
            Err(error) => {
                *state = State { credential: None, failed: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    /// Forgets the credential with this token, which the server refused: it was revoked before its end.
    pub async fn refused(&self, token: &SecretString) {
        let mut state = self.state.lock().await;
        let current = state.credential.as_ref().and_then(|credential| credential.token.as_ref());
        if current.is_some_and(|current| current.expose_secret() == token.expose_secret()) {
            state.credential = None;
        }
    }

    async fn run(&self) -> Result<Credential> {
        tracing::debug!(program = %self.program.display(), "asking the credential plugin");
        let problem = |problem: String, hint: Option<String>| Error::Exec {
            program: self.program.display().to_string(),
            problem,
            hint,
        };
        match run(&self.program, &self.args, &self.env, self.limits).await {
            Err(Stopped::NotStarted(reason)) => {
                Err(problem(format!("could not be started: {reason}"), self.install_hint.clone()))
            }
            Err(Stopped::TooLong) => {
                let hint = "It may be waiting for somebody to sign in: run `kubectl get ns` with this context in a \
                            terminal, then try again.";
                let problem_text =
                    format!("did not end within {} s and was stopped", self.limits.patience.as_secs_f64());
                Err(problem(problem_text, Some(hint.to_owned())))
            }
            Err(Stopped::TooMuch) => {
                Err(problem(format!("wrote more than {} bytes and was stopped", self.limits.output), None))
            }
            Ok(ended) if !ended.status.success() => {
                let said = String::from_utf8_lossy(&ended.stderr);
                let remedy = REMEDIES.iter().find(|(words, _)| said.contains(words));
                let hint = remedy.map_or(
                    "Run `kubectl get ns` with this context in a terminal to see what the plugin says.",
                    |(_, remedy)| remedy,
                );
                Err(problem(format!("failed ({})", ended.status), Some(hint.to_owned())))
            }
            Ok(ended) => {
                Credential::parse(&ended.stdout, Timestamp::now()).map_err(|bad| problem(bad.to_string(), None))
            }
        }
    }
}

fn allowed(name: &str) -> bool {
    ALLOWED.iter().any(|known| if cfg!(windows) { known.eq_ignore_ascii_case(name) } else { *known == name })
        || ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::path::Path;

    fn config(script: &str) -> ExecConfig {
        let env = HashMap::from([
            ("name".to_owned(), "AWS_SECRET".to_owned()),
            ("value".to_owned(), "s3cr3t-env".to_owned()),
        ]);
        ExecConfig {
            api_version: Some("client.authentication.k8s.io/v1".to_owned()),
            command: Some("/bin/sh".to_owned()),
            args: Some(vec!["-c".to_owned(), script.to_owned()]),
            env: Some(vec![env]),
            ..ExecConfig::default()
        }
    }

    fn plugin(script: &str) -> Arc<Plugin> {
        Plugin::of(&config(script), &SearchPath::inherited()).unwrap()
    }

    fn count(file: &Path) -> usize {
        std::fs::read_to_string(file).unwrap_or_default().lines().count()
    }

    #[tokio::test]
    async fn fifty_callers_start_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("runs");
        let script = format!(
            "echo run >> {}; sleep 0.2; echo '{{\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"t\"}}}}'",
            file.display()
        );
        let plugin = plugin(&script);
        let calls = (0..50).map(|_| plugin.credential());
        assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
        assert_eq!(count(&file), 1);
        // The same user entry met again is the same plugin.
        let again = Plugin::of(&config(&script), &SearchPath::inherited()).unwrap();
        again.credential().await.unwrap();
        assert_eq!(count(&file), 1);
        // A token that the server refused is asked for anew, but only once.
        again.refused(&SecretString::from("t")).await;
        again.refused(&SecretString::from("t")).await;
        plugin.credential().await.unwrap();
        assert_eq!(count(&file), 2);
    }

    #[tokio::test]
    async fn fifty_callers_of_a_failing_plugin_start_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("runs");
        let plugin = plugin(&format!("echo run >> {}; exit 1", file.display()));
        let calls = (0..50).map(|_| plugin.credential());
        assert!(futures::future::join_all(calls).await.iter().all(Result::is_err));
        assert_eq!(count(&file), 1);
    }

    #[tokio::test]
    async fn secrets_of_a_failing_plugin_stay_out_of_the_error() {
        for script in [
            "echo s3cr3t-out; echo s3cr3t-err >&2; exit 1",
            "echo s3cr3t-out; echo s3cr3t-err >&2",
            "echo '{\"kind\":\"ExecCredential\",\"status\":{\"token\":7,\"x\":\"s3cr3t-out\"}}'",
        ] {
            let plugin = plugin(script);
            let error = plugin.credential().await.unwrap_err();
            for text in [format!("{error}"), format!("{error:?}"), format!("{:?}", error.hint()), format!("{plugin:?}")]
            {
                assert!(!text.contains("s3cr3t"), "{text}");
            }
            assert_eq!(error.code(), "cluster.exec");
        }
    }

    #[tokio::test]
    async fn the_remedy_is_told_in_our_words() {
        let error = plugin("echo 'session s3cr3t: run aws sso login' >&2; exit 255").credential().await.unwrap_err();
        assert!(error.hint().unwrap().contains("aws sso login"));
    }

    #[tokio::test]
    async fn a_hanging_plugin_is_given_up() {
        let limits = Limits { patience: Duration::from_millis(200), ..Limits::default() };
        let plugin = Plugin::with_limits(&config("sleep 600"), &SearchPath::inherited(), limits).unwrap();
        assert!(plugin.credential().await.unwrap_err().to_string().contains("did not end"));
    }

    #[tokio::test]
    async fn the_plugin_sees_its_own_environment_and_no_token_of_ours() {
        let script = "[ \"$AWS_SECRET\" = s3cr3t-env ] && [ -z \"$CARGO_PKG_NAME\" ] && [ -n \"$PATH\" ] && \
            case $KUBERNETES_EXEC_INFO in *'\"interactive\":false'*) \
            echo '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t\"}}';; esac";
        plugin(script).credential().await.unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_beforehand() {
        let with = |change: &dyn Fn(&mut ExecConfig)| {
            let mut config = config("true");
            change(&mut config);
            Plugin::of(&config, &SearchPath::from_text("/nowhere".as_ref())).unwrap_err().to_string()
        };
        assert!(with(&|c| c.command = Some("no-such-plugin".to_owned())).contains("searched /nowhere"));
        assert!(with(&|c| c.command = None).contains("no command"));
        assert!(
            with(&|c| c.api_version = Some("client.authentication.k8s.io/v1alpha1".to_owned())).contains("removed")
        );
        assert!(with(&|c| c.interactive_mode = Some(ExecInteractiveMode::Always)).contains("terminal"));
    }
}
