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

#[cfg(test)]
mod tests {
    use super::*;

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
