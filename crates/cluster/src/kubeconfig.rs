//! The contexts of the user's kubeconfig files, each with what is wrong with it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Cluster as ClusterEntry, KubeConfigOptions, Kubeconfig};

use crate::error::{Error, Result};

/// The biggest file read: a kubeconfig of a thousand clusters is smaller.
const FILE_LIMIT: u64 = 8 << 20;

/// The biggest broken file in which the fault is looked for.
const LOCATE_LIMIT: u64 = 64 << 10;

/// What the kubeconfig files hold.
#[derive(Clone, Default)]
pub struct Found {
    /// The files, in order of precedence.
    pub files: Vec<FileState>,
    /// The contexts, in the files' order. Of two with one name the first counts, as for kubectl.
    pub contexts: Vec<ContextInfo>,
    merged: Kubeconfig,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("files", &self.files).field("contexts", &self.contexts).finish_non_exhaustive()
    }
}

/// One kubeconfig file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Where it is.
    pub path: PathBuf,
    /// Why it could not be used; the other files are used all the same.
    pub error: Option<String>,
}

/// One context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextInfo {
    /// The context's name.
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// The API server's URL without user and password; empty if the cluster is missing.
    pub server: String,
    /// Its user's name.
    pub user: Option<String>,
    /// Its default namespace.
    pub namespace: Option<String>,
    /// Whether it is the current context.
    pub current: bool,
    /// Whether the server's certificate is not checked (`insecure-skip-tls-verify`).
    pub insecure: bool,
    /// The credential plugin that connecting runs: its file's name and subcommands. Its options may hold secrets.
    pub exec: Option<String>,
    /// Whether its name or its cluster's says that it is in production.
    pub production: bool,
    /// Why it cannot be connected to.
    pub problem: Option<String>,
}

/// The files that kubectl would read: those of `KUBECONFIG`, else `~/.kube/config`.
pub fn default_paths() -> Vec<PathBuf> {
    let set = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let paths: Vec<_> = std::env::split_paths(&set).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.is_empty() {
        std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
    } else {
        paths
    }
}

/// Reads the user's own files.
pub fn load_default() -> Found {
    load(&default_paths())
}

/// Reads these files. A file that cannot be read hides only itself.
pub fn load(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        let error = match read(path) {
            Ok(file) => match found.merged.clone().merge(file) {
                Ok(merged) => {
                    found.merged = merged;
                    None
                }
                Err(_) => Some("is not of kind Config, version v1, as the files before it".to_owned()),
            },
            Err(problem) => Some(problem.0),
        };
        found.files.push(FileState { path: path.clone(), error });
    }
    found.contexts = describe(&found.merged);
    found
}

/// What is wrong with a file. Never the parser's own words, which may quote a token.
struct FileProblem(String);

fn read(path: &Path) -> std::result::Result<Kubeconfig, FileProblem> {
    let problem = |text: &str| FileProblem(text.to_owned());
    let meta = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => problem("does not exist"),
        _ => FileProblem(format!("cannot be read: {error}")),
    })?;
    if meta.is_dir() {
        return Err(problem("is a folder"));
    }
    if meta.len() > FILE_LIMIT {
        return Err(problem("is larger than 8 MiB"));
    }
    Kubeconfig::read_from(path).map_err(|error| match error {
        kube::config::KubeconfigError::ReadConfig(error, _) => FileProblem(format!("cannot be read: {error}")),
        _ => {
            // Parsed once more by a parser that says where, unless that could take long.
            let bytes =
                Some(meta.len()).filter(|length| *length <= LOCATE_LIMIT).and_then(|_| std::fs::read(path).ok());
            let at = bytes.and_then(|bytes| serde_yaml::from_slice::<Kubeconfig>(&bytes).err()?.location());
            match at {
                Some(at) => FileProblem(format!("is not a kubeconfig: see line {}, column {}", at.line(), at.column())),
                None => problem("is not a kubeconfig"),
            }
        }
    })
}

fn describe(config: &Kubeconfig) -> Vec<ContextInfo> {
    let clusters: HashMap<_, _> =
        config.clusters.iter().rev().map(|entry| (entry.name.as_str(), &entry.cluster)).collect();
    let users: HashMap<_, _> =
        config.auth_infos.iter().rev().map(|entry| (entry.name.as_str(), &entry.auth_info)).collect();
    let mut contexts: Vec<ContextInfo> = Vec::new();
    for entry in &config.contexts {
        if contexts.iter().any(|known| known.name == entry.name) {
            continue;
        }
        let context = entry.context.clone().unwrap_or_default();
        let cluster = clusters.get(context.cluster.as_str()).copied().and_then(Option::as_ref);
        let user_name = context.user.clone().filter(|name| !name.is_empty());
        let user = user_name.as_deref().and_then(|name| users.get(name).copied()).and_then(Option::as_ref);
        let problem = if entry.context.is_none() {
            Some("the context is empty".to_owned())
        } else {
            match (cluster, &user_name, user) {
                (None, _, _) => Some(format!("the cluster {:?} is in none of the files", context.cluster)),
                (Some(_), Some(name), None) => Some(format!("the user {name:?} is in none of the files")),
                (Some(cluster), _, user) => cluster_problem(cluster).or_else(|| user.and_then(user_problem)),
            }
        };
        contexts.push(ContextInfo {
            production: is_production(&entry.name) || is_production(&context.cluster),
            current: config.current_context.as_deref() == Some(entry.name.as_str()),
            server: cluster.and_then(|cluster| cluster.server.as_deref()).map(without_userinfo).unwrap_or_default(),
            insecure: cluster.and_then(|cluster| cluster.insecure_skip_tls_verify).unwrap_or_default(),
            exec: user.and_then(exec_words),
            namespace: context.namespace.filter(|namespace| !namespace.is_empty()),
            name: entry.name.clone(),
            cluster: context.cluster,
            user: user_name,
            problem,
        });
    }
    contexts
}

fn cluster_problem(cluster: &ClusterEntry) -> Option<String> {
    let server = cluster.server.as_deref().unwrap_or_default();
    if server.is_empty() {
        return Some("its cluster names no server".to_owned());
    }
    let uri = match server.parse::<http::Uri>() {
        Ok(uri) if uri.host().is_some() => uri,
        _ => return Some(format!("its server {:?} is not a URL", without_userinfo(server))),
    };
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if uri.host().is_some_and(is_loopback) => {}
        Some("http") => {
            return Some("its server has no TLS (http://): credentials would be sent in the open".to_owned());
        }
        _ => return Some(format!("its server {:?} is neither https:// nor http://", without_userinfo(server))),
    }
    // The data, if given, wins over the file.
    let file = cluster.certificate_authority.as_ref().filter(|_| cluster.certificate_authority_data.is_none())?;
    missing("certificate-authority", file)
}

fn user_problem(user: &AuthInfo) -> Option<String> {
    if let Some(provider) = &user.auth_provider {
        return Some(format!(
            "its user signs in by the built-in provider {:?}, which Kubernetes has removed; use its exec plugin",
            provider.name
        ));
    }
    let file = |file: &Option<String>, data: bool| file.clone().filter(|file| !file.is_empty() && !data);
    let certificate = file(&user.client_certificate, user.client_certificate_data.is_some());
    let key = file(&user.client_key, user.client_key_data.is_some());
    certificate
        .and_then(|file| missing("client-certificate", &file))
        .or_else(|| key.and_then(|file| missing("client-key", &file)))
        .or_else(|| file(&user.token_file, user.token.is_some()).and_then(|file| missing("tokenFile", &file)))
}

fn missing(what: &str, file: &str) -> Option<String> {
    std::fs::File::open(file).err().map(|error| format!("its {what} {file:?} cannot be read: {error}"))
}

/// The plugin's file name and its subcommands (`aws eks get-token`), up to the first word that may be anything else:
/// what follows an option can be a secret.
fn exec_words(user: &AuthInfo) -> Option<String> {
    let exec = user.exec.as_ref()?;
    let command = exec.command.as_deref().unwrap_or_default();
    let plain = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let subcommands = exec.args.iter().flatten().map(String::as_str).take_while(plain);
    let words: Vec<&str> = command.rsplit(['/', '\\']).take(1).chain(subcommands).collect();
    Some(words.join(" "))
}

/// A URL without user and password. Of what is no URL everything up to the last `@` goes, as a password may hold
/// anything.
pub(crate) fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(at) => url.split_at(at + 3),
        None => ("", url),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let number = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    // `https://me:p/w@host` parses, with the password's beginning for a port.
    let port_fits = host.ends_with(']') || host.rsplit_once(':').is_none_or(|(_, port)| number(port));
    let cut = if port_fits && url.parse::<http::Uri>().is_ok() { rest[..end].rfind('@') } else { rest.rfind('@') };
    format!("{scheme}{}", cut.map_or(rest, |at| &rest[at + 1..]))
}

/// Whether one of the name's words is prod, prd, production or live (digits after it aside): `eu-prod2`, `Live_EU`.
pub fn is_production(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
        matches!(word.as_str(), "prod" | "prd" | "production" | "live")
    })
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Found {
    /// The context of this name.
    pub fn context(&self, name: &str) -> Result<&ContextInfo> {
        self.contexts.iter().find(|context| context.name == name).ok_or_else(|| Error::Kubeconfig {
            context: Some(name.to_owned()),
            problem: format!("there is no context {name:?} in the files read"),
        })
    }

    /// kube's configuration for a context without problem. Its user may still name an exec plugin.
    pub(crate) async fn config(&self, name: &str) -> Result<kube::Config> {
        let context = self.context(name)?;
        let problem = |problem: String| Error::Kubeconfig { context: Some(name.to_owned()), problem };
        if let Some(text) = &context.problem {
            return Err(problem(format!("the context {name:?} cannot be used: {text}")));
        }
        let options = KubeConfigOptions { context: Some(name.to_owned()), ..KubeConfigOptions::default() };
        let mut config = kube::Config::from_custom_kubeconfig(self.merged.clone(), &options)
            .await
            .map_err(|error| problem(format!("the context {name:?} cannot be used: {error}")))?;
        if config.default_namespace.is_empty() {
            config.default_namespace = "default".to_owned();
        }
        let own = self.merged.clusters.iter().find(|entry| entry.name == context.cluster);
        let own = own.and_then(|entry| entry.cluster.as_ref()).and_then(|cluster| cluster.proxy_url.clone());
        config.proxy_url = match own.filter(|url| !url.is_empty()) {
            Some(url) => Some(url.parse().map_err(|_| problem(format!("the proxy-url of {name:?} is not a URL")))?),
            None => environment_proxy(config.cluster_url.host().unwrap_or_default()),
        };
        Ok(config)
    }
}

/// The proxy of the environment for a host, as other programs understand HTTPS_PROXY and NO_PROXY. (kube compares
/// NO_PROXY with the proxy's own address.)
fn environment_proxy(host: &str) -> Option<http::Uri> {
    let variable = |names: [&str; 2]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty())).unwrap_or_default()
    };
    proxy_for(host, &variable(["HTTPS_PROXY", "https_proxy"]), &variable(["NO_PROXY", "no_proxy"]))
}

fn proxy_for(host: &str, proxy: &str, without: &str) -> Option<http::Uri> {
    if proxy.is_empty() || is_loopback(host) || without.split(',').any(|entry| covers(entry.trim(), host)) {
        return None;
    }
    let url = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
    url.parse().ok()
}

/// Whether an entry of NO_PROXY (`*`, `example.com`, `.example.com`, `10.1.2.3`, `10.0.0.0/8`) covers a host.
fn covers(entry: &str, host: &str) -> bool {
    use std::net::IpAddr;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if entry.is_empty() {
        return false;
    }
    if let (Some((network, bits)), Ok(address)) = (entry.split_once('/'), host.parse::<IpAddr>()) {
        let wide = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
        let ((network, width), (address, width_too)) = (wide(network), wide(address));
        let differ = (network ^ address).checked_shr(128 - bits.min(128)).unwrap_or(0);
        return width == width_too && bits <= width && differ == 0;
    }
    let name = entry.trim_start_matches('*').trim_start_matches('.');
    entry == "*"
        || host.eq_ignore_ascii_case(name)
        || host.to_ascii_lowercase().ends_with(&format!(".{}", name.to_ascii_lowercase()))
}

#[cfg(test)]
#[path = "kubeconfig_tests.rs"]
mod tests;
