//! Addresses to clone from.

use crate::objects::GitServer;

/// The two addresses of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneUrls {
    /// `ssh://user@host:port/path`.
    pub ssh: String,
    /// `https://host[:port]/path.git`; the port is left out when it is 443.
    pub https: String,
    /// What the operator writes into ApplicationSets for Argo CD: always SSH with the port, the path as in the Codebase
    /// (cd-pipeline-operator, pkg/argocd/argoapplicationset_manager.go).
    pub argo_cd: String,
}

/// The addresses of a repository at `path` of a Git server. The texts come from the cluster: check them with
/// `pilothouse_git::RemoteUrl` before connecting.
pub fn clone_urls(server: &GitServer, path: &str) -> CloneUrls {
    let bare = path.trim_matches('/');
    let bare = bare.strip_suffix(".git").unwrap_or(bare);
    let (host, user, ssh_port) = (&server.host, &server.user, server.ssh_port);
    let https_port = if server.https_port == 443 { String::new() } else { format!(":{}", server.https_port) };
    // Gerrit serves authenticated HTTP below /a and knows no .git suffix.
    let https = match server.provider.as_str() {
        "gerrit" => format!("https://{host}{https_port}/a/{bare}"),
        _ => format!("https://{host}{https_port}/{bare}.git"),
    };
    CloneUrls {
        ssh: format!("ssh://{user}@{host}:{ssh_port}/{bare}"),
        https,
        argo_cd: format!("ssh://{user}@{host}:{ssh_port}/{bare}"),
    }
}

/// Host and path of an address, as far as they say which repository it is: Argo CD, too, looks at neither letter case
/// nor a trailing `.git`. The port and the account belong to the way there.
fn identity(address: &str) -> Option<(String, String)> {
    let address = address.trim();
    let (host, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => address.split_once(':')?,
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let path = path.trim_matches('/').to_lowercase();
    let path = path.strip_suffix(".git").unwrap_or(&path).trim_end_matches('/').to_owned();
    (!host.is_empty() && !path.is_empty()).then(|| (host.to_lowercase(), path))
}

/// Whether two addresses are ways to one repository.
pub fn same_repository(one: &str, other: &str) -> bool {
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_several_addresses() {
        let ours = "https://git.example.com/acme/gitops.git";
        for same in [
            "https://git.example.com/acme/gitops",
            "https://Git.Example.com:8443/Acme/GitOps.git/",
            "ssh://git@git.example.com:2222/acme/gitops",
            "git@git.example.com:acme/gitops.git",
            " https://robin@git.example.com/acme/gitops ",
        ] {
            assert!(same_repository(ours, same), "{same}");
        }
        for other in [
            "",
            "gitops",
            "https://git.example.com",
            "https://git.example.com/",
            "https://git.example.com/acme/gitops2",
            "https://git.example.com/x/acme/gitops",
            "https://example.com/acme/gitops",
            "https://git.example.com@evil.example/acme/gitops",
            "https://evil.example/git.example.com/acme/gitops",
        ] {
            assert!(!same_repository(ours, other) && !same_repository(other, ours), "{other}");
        }
        assert!(!same_repository("", ""), "no address is no repository");
    }

    #[test]
    fn addresses_follow_the_server() {
        let mut server = GitServer {
            host: "git.example.com".into(),
            provider: "gitlab".into(),
            user: "git".into(),
            https_port: 443,
            ssh_port: 22,
            ..GitServer::default()
        };
        let urls = clone_urls(&server, "/group/sub/repo");
        assert_eq!(urls.https, "https://git.example.com/group/sub/repo.git");
        assert_eq!(urls.ssh, "ssh://git@git.example.com:22/group/sub/repo");
        (server.https_port, server.ssh_port, server.user) = (8443, 30001, "edp-ci".into());
        let urls = clone_urls(&server, "group/repo.git");
        assert_eq!(urls.https, "https://git.example.com:8443/group/repo.git");
        assert_eq!(urls.ssh, "ssh://edp-ci@git.example.com:30001/group/repo");
    }
}
