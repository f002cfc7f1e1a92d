//! The Secret behind a GitServer: its keys differ by provider.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::provider::{ApiToken, ProviderKind};

/// The label by which the platform's pages find such Secrets.
pub const SECRET_TYPE_LABEL: &str = "app.edp.epam.com/secret-type";
/// Its value.
pub const SECRET_TYPE_REPOSITORY: &str = "repository";
/// What stands for a secret where it is shown.
const MASK: &str = "********";

/// What the platform gets to sign in with.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The private SSH key, without a passphrase: the platform cannot ask for one.
    pub private_key: SecretString,
    /// Its public half, one line.
    pub public_key: String,
    /// The API token; not for Gerrit.
    pub token: Option<ApiToken>,
}

/// The token as the Secret holds it: Bitbucket's is the user name and the password, joined and encoded.
fn stored_token(provider: ProviderKind, token: &ApiToken) -> Zeroizing<String> {
    let secret = token.token.expose_secret();
    match provider {
        ProviderKind::Bitbucket => {
            let pair = Zeroizing::new(format!("{}:{secret}", token.username));
            Zeroizing::new(STANDARD.encode(pair.as_bytes()))
        }
        _ => Zeroizing::new(secret.to_owned()),
    }
}

/// The Secret's texts, in the portal's order. Without credentials every secret is masked.
pub(super) fn texts(provider: ProviderKind, user: &str, credentials: Option<&Credentials>) -> Map<String, Value> {
    let mut texts = Map::new();
    let key = credentials.map_or_else(|| MASK.to_owned(), |given| key_text(&given.private_key).to_string());
    texts.insert("id_rsa".to_owned(), key.into());
    if provider == ProviderKind::Gerrit {
        let public = credentials.map_or(MASK, |given| given.public_key.trim());
        texts.insert("id_rsa.pub".to_owned(), public.into());
        texts.insert("username".to_owned(), user.into());
        return texts;
    }
    let token = credentials.and_then(|given| given.token.as_ref());
    let token = token.map_or_else(|| MASK.to_owned(), |token| stored_token(provider, token).to_string());
    texts.insert("token".to_owned(), token.into());
    if provider == ProviderKind::GitHub {
        // The portal writes this constant, whatever the GitServer's user is.
        texts.insert("username".to_owned(), "git".into());
    }
    texts
}

/// The changes of a merge patch that replaces what is given and leaves the rest.
pub(super) fn replacement(
    provider: ProviderKind,
    key: Option<(&SecretString, &str)>,
    token: Option<&ApiToken>,
) -> Map<String, Value> {
    let mut texts = Map::new();
    if let Some((private, public)) = key {
        texts.insert("id_rsa".to_owned(), json!(key_text(private).as_str()));
        if provider == ProviderKind::Gerrit {
            texts.insert("id_rsa.pub".to_owned(), json!(public.trim()));
        }
    }
    if let Some(token) = token {
        texts.insert("token".to_owned(), json!(stored_token(provider, token).as_str()));
    }
    texts
}

/// A private key ends with one line break; OpenSSH refuses one that does not.
fn key_text(key: &SecretString) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", key.expose_secret().trim()))
}

/// What a Secret holds, for a test from this computer.
#[derive(Debug, Clone, Default)]
pub struct StoredCredentials {
    /// The private SSH key.
    pub private_key: Option<SecretString>,
    /// The API token.
    pub token: Option<ApiToken>,
}

impl StoredCredentials {
    /// Reads the `data` of a Secret.
    pub(super) fn read(provider: Option<ProviderKind>, data: &Value) -> Self {
        let text = |key: &str| {
            let encoded = data.get(key)?.as_str()?;
            let text = Zeroizing::new(String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?);
            let text = if key == "id_rsa" { text.as_str() } else { text.trim() };
            (!text.trim().is_empty()).then(|| SecretString::from(text.to_owned()))
        };
        let token = text("token").map(|token| match provider {
            Some(ProviderKind::Bitbucket) => pair(&token).unwrap_or(ApiToken { username: String::new(), token }),
            _ => ApiToken { username: String::new(), token },
        });
        Self { private_key: text("id_rsa"), token }
    }
}

/// Bitbucket's user name and password, taken apart.
fn pair(token: &SecretString) -> Option<ApiToken> {
    let text = Zeroizing::new(String::from_utf8(STANDARD.decode(token.expose_secret()).ok()?).ok()?);
    let (username, password) = text.split_once(':')?;
    Some(ApiToken { username: username.to_owned(), token: SecretString::from(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> ApiToken {
        ApiToken { username: "robin".into(), token: SecretString::from("app:password".to_owned()) }
    }

    #[test]
    fn a_stored_token_comes_back() {
        for provider in [ProviderKind::GitHub, ProviderKind::GitLab, ProviderKind::Bitbucket] {
            let stored = stored_token(provider, &token());
            let data = json!({"token": STANDARD.encode(stored.as_bytes()), "id_rsa": STANDARD.encode("key\n")});
            let read = StoredCredentials::read(Some(provider), &data);
            let back = read.token.unwrap();
            assert_eq!(back.token.expose_secret(), "app:password");
            assert_eq!(back.username, if provider == ProviderKind::Bitbucket { "robin" } else { "" });
            assert_eq!(read.private_key.unwrap().expose_secret(), "key\n");
        }
        let none = StoredCredentials::read(None, &json!({"token": "not base64!", "id_rsa": ""}));
        assert!(none.token.is_none() && none.private_key.is_none());
    }

    #[test]
    fn a_replacement_names_only_what_changes() {
        let keys = |map: Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
        let private = SecretString::from("  key  ".to_owned());
        assert_eq!(keys(replacement(ProviderKind::GitHub, None, Some(&token()))), ["token"]);
        let both = replacement(ProviderKind::Gerrit, Some((&private, "ssh-ed25519 AAAA \n")), None);
        assert_eq!(both["id_rsa"], "key\n");
        assert_eq!(both["id_rsa.pub"], "ssh-ed25519 AAAA");
    }
}
