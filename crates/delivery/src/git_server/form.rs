//! The form that adds a Git server: the portal's fields, defaults and rules
//! (krci-portal, configuration/modules/gitservers).

use serde_json::{Value, json};

use super::credentials::{Credentials, SECRET_TYPE_LABEL, SECRET_TYPE_REPOSITORY, texts};
use crate::FieldProblem;
use crate::objects::GitServer;
use crate::provider::{ApiToken, ProviderKind};

/// What is asked about a Git server, besides its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerForm {
    /// The provider.
    pub provider: ProviderKind,
    /// The GitServer's name.
    pub name: String,
    /// The host name, without scheme and port.
    pub host: String,
    /// The SSH user.
    pub user: String,
    /// The SSH port.
    pub ssh_port: u32,
    /// The HTTPS port.
    pub https_port: u32,
    /// The Secret's name.
    pub secret_name: String,
    /// Where the provider sends its webhooks; empty leaves it to the platform.
    pub webhook_url: String,
    /// The provider is told not to check the certificate of the webhook's receiver.
    pub skip_webhook_ssl_verification: bool,
    /// The platform makes no Tekton listener for this server.
    pub tekton_disabled: bool,
}

impl ServerForm {
    /// The portal's defaults.
    pub fn defaults(provider: ProviderKind) -> Self {
        let (host, user, secret) = match provider {
            ProviderKind::GitHub => ("github.com", "git", "ci-github"),
            ProviderKind::GitLab => ("gitlab.com", "git", "ci-gitlab"),
            ProviderKind::Bitbucket => ("bitbucket.org", "git", "ci-bitbucket"),
            ProviderKind::Gerrit => ("", "edp-ci", "gerrit-ciuser-sshkey"),
        };
        Self {
            provider,
            name: provider.as_str().to_owned(),
            host: host.to_owned(),
            user: user.to_owned(),
            ssh_port: 22,
            https_port: 443,
            secret_name: secret.to_owned(),
            webhook_url: String::new(),
            skip_webhook_ssl_verification: false,
            tekton_disabled: false,
        }
    }
}

/// Checks a form against the Git servers that are there. Whether a Secret of that name exists is asked at the API
/// server when it is written: not everybody may list Secrets.
pub fn validate(
    form: &ServerForm,
    servers: &[GitServer],
    has_key: bool,
    token: Option<&ApiToken>,
) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut add = |field: &str, message: &str| problems.push(FieldProblem::new(field, message));
    if let Some(flaw) = name_flaw(&form.name) {
        add("name", flaw);
    } else if servers.iter().any(|server| server.meta.name == form.name) {
        add("name", "There is a Git server of this name already");
    }
    if let Some(flaw) = host_flaw(&form.host) {
        add("host", flaw);
    } else if form.provider == ProviderKind::Bitbucket && form.host != "bitbucket.org" {
        add("host", "The platform works with Bitbucket Cloud only: the host is bitbucket.org");
    }
    let user_fits = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '_' | '-');
    if form.user.is_empty() {
        add("user", "Enter the user name, usually git");
    } else if !form.user.chars().all(user_fits) || form.user.starts_with('-') || form.user.len() > 63 {
        add("user", "The user name may hold letters, digits, dots, dashes and underscores");
    }
    for (field, port) in [("sshPort", form.ssh_port), ("httpsPort", form.https_port)] {
        if !(1..=65_535).contains(&port) {
            add(field, "A port is a number from 1 to 65535");
        }
    }
    if let Err(error) = pilothouse_cluster::Name::parse("secretName", &form.secret_name) {
        add("secretName", &error.to_string());
    }
    if !form.webhook_url.is_empty() {
        let good = url::Url::parse(&form.webhook_url).is_ok_and(|url| {
            matches!(url.scheme(), "https" | "http") && url.host_str().is_some() && url.username().is_empty()
        });
        if !good {
            add("webhookUrl", "Write a whole address, such as https://el.example.com, or leave it empty");
        }
    }
    if !has_key {
        add("key", "Give the private SSH key, or make one here");
    }
    match (form.provider, token) {
        (ProviderKind::Gerrit, _) => {}
        (_, None) => add("token", "Enter the access token"),
        (ProviderKind::Bitbucket, Some(token)) if token.username.is_empty() => {
            add("username", "Bitbucket wants the user name beside the app password or API token");
        }
        (ProviderKind::Bitbucket, Some(token)) if token.username.contains(':') => {
            add("username", "A user name holds no colon");
        }
        _ => {}
    }
    problems
}

/// The portal's rule: `/^[a-z0-9]+(?:-[a-z0-9]+)*$/`, at least two characters; and Kubernetes' length.
fn name_flaw(name: &str) -> Option<&'static str> {
    let word = |part: &str| !part.is_empty() && part.chars().all(|ch| ch.is_ascii_lowercase() || ch.is_ascii_digit());
    if name.len() < 2 {
        return Some("The name must have at least 2 characters");
    }
    if !name.split('-').all(word) {
        return Some("Use lower-case letters, digits and single dashes; begin and end with a letter or digit");
    }
    // The operator makes `edp-<name>` and `event-listener-<name>` of it.
    (name.len() > 45).then_some("The name must have at most 45 characters")
}

fn host_flaw(host: &str) -> Option<&'static str> {
    if host.is_empty() {
        return Some("Enter the host name, such as git.example.com");
    }
    if host.contains("://") || host.contains('/') {
        return Some("Write the host name alone, without https:// and path");
    }
    if host.contains('@') {
        return Some("Write the host name alone; the user has a field of its own");
    }
    if host.contains(':') {
        return Some("Write the host name alone; ports have fields of their own");
    }
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    (host.len() > 253 || !host.split('.').all(label)).then_some("This is not a host name")
}

/// The Secret a form comes to; without credentials its secrets are masked.
pub fn render_secret(form: &ServerForm, credentials: Option<&Credentials>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": form.secret_name,
            "labels": { SECRET_TYPE_LABEL: SECRET_TYPE_REPOSITORY },
        },
        "stringData": texts(form.provider, &form.user, credentials),
    })
}

/// The GitServer a form comes to, with the portal's fields.
pub fn render_server(form: &ServerForm) -> Value {
    let mut server = json!({
        "apiVersion": "v2.edp.epam.com/v1",
        "kind": "GitServer",
        "metadata": { "name": form.name },
        "spec": {
            "gitHost": form.host,
            "gitProvider": form.provider.as_str(),
            "nameSshKeySecret": form.secret_name,
            "gitUser": form.user,
            "httpsPort": form.https_port,
            "sshPort": form.ssh_port,
            "skipWebhookSSLVerification": form.skip_webhook_ssl_verification,
            "tektonDisabled": form.tekton_disabled,
        },
    });
    if !form.webhook_url.is_empty() {
        server["spec"]["webhookUrl"] = form.webhook_url.clone().into();
    }
    server
}

/// Both objects as YAML to be looked at, the secrets masked.
pub fn preview_yaml(form: &ServerForm) -> String {
    // JSON values always have a YAML form.
    let yaml = |value: &Value| serde_yaml::to_string(value).unwrap_or_default();
    format!("{}---\n{}", yaml(&render_secret(form, None)), yaml(&render_server(form)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hosts_follow_the_portal() {
        for good in ["ab", "my-github", "a1-b2-c3"] {
            assert_eq!(name_flaw(good), None, "{good}");
        }
        for bad in ["", "a", "-ab", "ab-", "a--b", "Ab", "a_b", "a.b", &"a".repeat(46)] {
            assert!(name_flaw(bad).is_some(), "{bad}");
        }
        for good in ["github.com", "git", "10.0.0.1", "Git.Example.com"] {
            assert_eq!(host_flaw(good), None, "{good}");
        }
        for bad in
            ["", "https://github.com", "git.example.com/", "git@x", "x:22", "a..b", "-a.b", "a b", "a\nb", "ä.de"]
        {
            assert!(host_flaw(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn each_provider_asks_for_its_own() {
        let fields = |form: &ServerForm, key, token: Option<&ApiToken>| {
            validate(form, &[], key, token).into_iter().map(|one| one.field).collect::<Vec<_>>()
        };
        let token = ApiToken { username: String::new(), token: "t".to_owned().into() };
        let form = ServerForm::defaults;
        assert_eq!(fields(&form(ProviderKind::GitHub), false, None), ["key", "token"]);
        assert!(fields(&form(ProviderKind::GitLab), true, Some(&token)).is_empty());
        assert_eq!(fields(&form(ProviderKind::Bitbucket), true, Some(&token)), ["username"]);
        assert_eq!(fields(&form(ProviderKind::Gerrit), true, None), ["host"]);
        let bad = ServerForm {
            ssh_port: 0,
            https_port: 65_536,
            webhook_url: "el.example.com".into(),
            ..form(ProviderKind::GitHub)
        };
        assert_eq!(fields(&bad, true, Some(&token)), ["sshPort", "httpsPort", "webhookUrl"]);
    }

    #[test]
    fn a_preview_shows_no_secret() {
        for provider in ProviderKind::ALL {
            let yaml = preview_yaml(&ServerForm::defaults(provider));
            assert!(yaml.contains("id_rsa: '********'"), "{yaml}");
            assert_eq!(yaml.contains("token: '********'"), provider != ProviderKind::Gerrit, "{yaml}");
        }
    }
}
