//! The Secret with the agent's Git credentials, made from this computer's keychain at the user's explicit word. No value
//! of it ever goes anywhere else, and none is read back.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use pilothouse_chaos::project::Project;
use pilothouse_cluster::{Error as ClusterError, kinds};
use pilothouse_git::{Credential, RemoteUrl};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, HELD, planning::Drawn};
use crate::{
    App, Result,
    agent::{AGENT, MANAGER, MANAGER_LABEL, NAME_LABEL, ProjectNeed},
    contract::{ActivityKind, AgentProject, AppError, ErrorCode},
    journal::{Begin, End, Intent},
    session::Live,
};

/// The ends of the Secret's keys that belong to one credential.
const ENDS: [&str; 4] = ["token", "username", "key", "passphrase"];

/// `namespace/id`, by which a project is chosen.
pub(super) fn key_of(namespace: &str, id: &str) -> String {
    format!("{namespace}/{id}")
}

/// A credential as the Secret holds it; none for one that lives on this computer only.
fn entries(credential: &Credential) -> Option<Vec<(&'static str, &str)>> {
    Some(match credential {
        Credential::None | Credential::SshAgent { .. } => return None,
        Credential::Token { username, token } => {
            let mut all = vec![("token", token.expose_secret())];
            if !username.is_empty() {
                all.push(("username", username.as_str()));
            }
            all
        }
        Credential::SshKey { private_key, passphrase, .. } => {
            let mut all = vec![("key", private_key.expose_secret())];
            all.extend(passphrase.as_ref().map(|text: &SecretString| ("passphrase", text.expose_secret())));
            all
        }
    })
}

/// A credential in words that give nothing away.
fn words_of(credential: &Credential) -> Option<String> {
    Some(match credential {
        Credential::None => return None,
        Credential::Token { username, .. } if username.is_empty() => "a token".to_owned(),
        Credential::Token { username, .. } => format!("a token of {username}"),
        Credential::SshKey { passphrase: Some(_), .. } => "an SSH key and its passphrase".to_owned(),
        Credential::SshKey { passphrase: None, .. } => "an SSH key".to_owned(),
        Credential::SshAgent { .. } => "the SSH agent".to_owned(),
    })
}

/// The annotation that says which credentials the Secret holds.
fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

impl App {
    /// A project as the agent's page shows it.
    pub(super) async fn agent_project(
        &self,
        project: &Project,
        secret: &str,
        namespace: &str,
        in_cluster: bool,
    ) -> AgentProject {
        let kept = match self.remote(&project.url) {
            Ok(url) => self.kept_credential(&url).await,
            Err(error) => Err(error),
        };
        let refused = match &kept {
            Err(error) => Some(error.message.clone()),
            Ok(None) => Some("This computer keeps no credential for the repository.".to_owned()),
            Ok(Some(Credential::None)) => Some("The practice cluster’s repositories are folders here.".to_owned()),
            Ok(Some(Credential::SshAgent { .. })) => Some(
                "Its key is in the SSH agent, which does not give keys away. Keep a key or a token for the repository."
                    .to_owned(),
            ),
            Ok(Some(_)) => None,
        };
        let credential = kept.ok().flatten().as_ref().and_then(words_of);
        AgentProject {
            key: key_of(&project.namespace, &project.id),
            url: project.url.clone(),
            branch: project.branch.clone(),
            credential,
            refused,
            in_cluster,
            served: None,
            secret_name: format!("{namespace}/{secret}"),
            readers: format!(
                "Whoever may read Secrets in the namespace {namespace}, or start pods or read backups there, can read it; \
                 so can the cluster's administrators."
            ),
        }
    }

    /// Looks the credentials up that the user gives to the cluster; before anything is written.
    pub(super) async fn given_credentials(
        &self,
        keys: &[String],
        projects: &[ProjectNeed],
    ) -> Result<Vec<(ProjectNeed, Credential)>> {
        let mut given = Vec::new();
        for key in keys {
            let project = projects.iter().find(|one| key_of(&one.namespace, &one.id) == *key).ok_or_else(|| {
                AppError::blocked(format!(
                    "the agent is not to look after the project {key}, so it needs no credential"
                ))
            })?;
            let credential = self.credential(&self.remote(&project.url)?).await?;
            if entries(&credential).is_none() {
                return Err(AppError::blocked(format!(
                    "the credential for {} cannot leave this computer",
                    project.url
                ))
                .with_hint("keep a token or an SSH key of its own for the repository"));
            }
            given.push((project.clone(), credential));
        }
        Ok(given)
    }

    /// Writes the given credentials into the Secret and takes out those whose projects are not the agent's any more.
    /// Others that it holds stay as they are.
    pub(super) async fn hand_over(
        &self,
        live: &Live,
        namespace: &str,
        given: &[(ProjectNeed, Credential)],
        drawn: &Drawn,
    ) -> Result<()> {
        let needed: BTreeSet<&String> = drawn.needs.projects.iter().map(|one| &one.credential).collect();
        let gone: Vec<&String> = drawn.held.iter().flatten().filter(|one| !needed.contains(one)).collect();
        if given.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let secret = drawn.secret.as_str();
        let hosts: BTreeSet<String> = given
            .iter()
            .map(|(project, credential)| {
                let host = RemoteUrl::parse(&project.url).ok().and_then(|url| url.host().map(str::to_owned));
                format!("{} for {}", words_of(credential).unwrap_or_default(), host.unwrap_or_default())
            })
            .collect();
        let words = if given.is_empty() {
            format!("Take credentials that the agent does not need out of the Secret {secret} in {namespace}")
        } else {
            let hosts = hosts.into_iter().collect::<Vec<_>>().join(" and ");
            format!("Give {hosts} to the agent, in the Secret {secret} in {namespace}")
        };
        let begin = Begin {
            kind: ActivityKind::Credential,
            words,
            context: Some(live.name().to_owned()),
            object: Some(format!("Secret/{namespace}/{secret}")),
            intent: Intent::Other,
        };
        let entry = self.journal.enter(begin).await?;
        let place = Place { namespace, secret, held: drawn.held.as_ref() };
        let outcome = self.write_secret(live, &place, given, &gone).await;
        let url = Some("/agent".to_owned());
        entry.close_with(outcome, |()| End { url, ..End::default() }).await
    }

    async fn write_secret(
        &self,
        live: &Live,
        place: &Place<'_>,
        given: &[(ProjectNeed, Credential)],
        gone: &[&String],
    ) -> Result<()> {
        let Place { namespace, secret: name, held } = *place;
        let mut data: BTreeMap<String, ByteString> = BTreeMap::new();
        let mut holds: BTreeSet<String> =
            held.into_iter().flatten().filter(|one| !gone.contains(one)).cloned().collect();
        // A key that is not given again must not stand beside the token that replaces it.
        let mut patch_data = serde_json::Map::new();
        for one in gone.iter().map(|one| one.as_str()).chain(given.iter().map(|(one, _)| one.credential.as_str())) {
            patch_data.extend(ENDS.map(|end| (format!("{one}.{end}"), Value::Null)));
        }
        for (project, credential) in given {
            holds.insert(project.credential.clone());
            for (end, text) in entries(credential).unwrap_or_default() {
                let bytes = ByteString(text.as_bytes().to_vec());
                let key = format!("{}.{end}", project.credential);
                patch_data.insert(key.clone(), json!(bytes));
                data.insert(key, bytes);
            }
        }
        let labels = [(NAME_LABEL, AGENT), (MANAGER_LABEL, MANAGER), ("app.kubernetes.io/part-of", MANAGER)];
        let labels: BTreeMap<String, String> =
            labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let annotations = BTreeMap::from([(HELD.to_owned(), listed(&holds))]);
        let api: Api<Secret> = Api::namespaced(live.cluster.client(), namespace);
        let mut patch = json!({ "data": patch_data });
        // A Secret that somebody made by hand stays theirs: it does not go with the agent.
        if held.is_some() {
            patch["metadata"] = json!({ "labels": labels, "annotations": annotations });
        }
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = live.cluster.in_time("the Secret", api.patch(name, &parameters, &Patch::Merge(&patch))).await;
        let written = match patched {
            Err(ClusterError::NotFound { .. }) if given.is_empty() => return Ok(()),
            Err(ClusterError::NotFound { .. }) => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(name.to_owned()),
                        labels: Some(labels),
                        annotations: Some(annotations),
                        ..ObjectMeta::default()
                    },
                    data: Some(data),
                    type_: Some("Opaque".to_owned()),
                    ..Secret::default()
                };
                let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                live.cluster.in_time("the Secret", api.create(&parameters, &secret)).await
            }
            other => other,
        };
        written.map(|_| ()).map_err(|error| tell(error, namespace, name))
    }
}

/// Which Secret is written, and which credentials it is known to hold.
#[derive(Clone, Copy)]
struct Place<'a> {
    namespace: &'a str,
    secret: &'a str,
    held: Option<&'a BTreeSet<String>>,
}

/// A refusal without the server's words: they may quote what was sent, those of admission rules above all.
fn tell(error: ClusterError, namespace: &str, name: &str) -> AppError {
    match error {
        ClusterError::Forbidden { ref verb, .. } if !verb.is_empty() => error.into(),
        ClusterError::Unreachable { .. } | ClusterError::Unauthorized { .. } | ClusterError::Timeout { .. } => {
            error.into()
        }
        other => {
            let code = ErrorCode::from_domain(other.code()).unwrap_or(ErrorCode::ClusterInternal);
            let kind = kinds::SECRET.kind;
            AppError::new(code, format!("the API server did not take the {kind} {name} in {namespace}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_has_its_entries_and_an_agents_has_none() {
        let secret = |text: &str| SecretString::from(text.to_owned());
        let token = Credential::Token { username: "robin".into(), token: secret("t") };
        assert_eq!(entries(&token).unwrap(), [("token", "t"), ("username", "robin")]);
        let bare = Credential::Token { username: String::new(), token: secret("t") };
        assert_eq!(entries(&bare).unwrap(), [("token", "t")]);
        let key =
            Credential::SshKey { username: "git".into(), private_key: secret("k"), passphrase: Some(secret("p")) };
        assert_eq!(entries(&key).unwrap(), [("key", "k"), ("passphrase", "p")]);
        assert_eq!(entries(&Credential::SshAgent { username: "git".into() }), None);
        for one in [&token, &bare, &key] {
            let words = words_of(one).unwrap();
            assert!(
                entries(one)
                    .unwrap()
                    .iter()
                    .all(|(end, text)| *end == "username" || !words.split(' ').any(|w| w == *text))
            );
        }
    }

    #[test]
    fn a_refusal_never_quotes_what_was_sent() {
        let causes = vec![pilothouse_cluster::Cause { field: "data[x]".into(), message: "Invalid value: hush".into() }];
        let error = tell(ClusterError::Invalid { message: "hush".into(), causes }, "pilothouse", "git");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        // An admission rule names no verb, and says what it likes; who lacks a right is told which.
        let forbidden = |verb: &str| ClusterError::Forbidden {
            verb: verb.into(),
            resource: "secrets".into(),
            namespace: Some("pilothouse".into()),
            message: "denied: hush".into(),
        };
        let error = tell(forbidden(""), "pilothouse", "git");
        assert_eq!(error.code, ErrorCode::ClusterForbidden);
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        assert!(tell(forbidden("patch"), "pilothouse", "git").hint.unwrap().contains("secrets"));
    }
}
