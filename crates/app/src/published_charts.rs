//! Charts that an Application takes from a Helm repository or a registry, and the logins for their servers.

use std::sync::Arc;

use pilothouse_cluster::web::{ApiToken, Connection};
use pilothouse_delivery::chart::{Chart, Origin, Puller, RemoteChart};
use pilothouse_git::RepoPath;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{
    App, Result,
    charts::FoundChart,
    contract::{ActivityKind, AppError, ChartDefaults, ChartServer, CredentialInput, FieldProblem, ValuesFile},
    git_servers::api_token,
    gitops::GitOps,
    journal::{Begin, End, Intent},
    operations::Operation,
    values::text_of,
};

/// Below the data folder, where archives of charts are kept by their digest.
const KEPT: &str = "charts";
/// The longest user name, password or token that is taken.
const LONGEST: usize = 16 * 1024;

/// The keychain's name for a server's login.
fn keychain_name(server: &str) -> String {
    format!("chart:{server}")
}

/// A login as the keychain keeps it, with the server it is for.
#[derive(Deserialize)]
struct Kept {
    server: String,
    username: String,
    token: SecretString,
}

fn pack(server: &str, login: &ApiToken) -> SecretString {
    let packed = json!({ "server": server, "username": login.username, "token": login.token.expose_secret() });
    SecretString::from(packed.to_string())
}

/// The login in an entry of the keychain; none when it is for another server.
fn unpack(text: &SecretString, server: &str) -> Option<ApiToken> {
    let kept: Kept = serde_json::from_str(text.expose_secret()).ok()?;
    (kept.server == server).then_some(ApiToken { username: kept.username, token: kept.token })
}

/// A login as it was entered, checked as far as that is possible without its server.
fn checked(login: CredentialInput) -> Result<ApiToken> {
    let problem = |field: &str, message: &str| {
        Err(AppError::fields(vec![FieldProblem { field: field.into(), message: message.into() }]))
    };
    let login = api_token(login)?;
    let odd = |c: char| c == ':' || c.is_control();
    if login.username.is_empty() || login.username.len() > LONGEST || login.username.contains(odd) {
        return problem("username", "Enter the user name, which holds no colon.");
    }
    let token = login.token.expose_secret();
    if token.len() > LONGEST || token.chars().any(char::is_control) {
        return problem("token", "Enter the password or token.");
    }
    Ok(login)
}

impl App {
    /// The published chart that the Application of a file names; none where its chart is in Git, or it is not known.
    pub(crate) fn published_chart(&self, file: &ValuesFile) -> Result<Option<RemoteChart>> {
        let (live, _) = self.deliverer()?;
        let (deployed, _) = self.deployed(&live, file)?;
        Ok(match deployed.origin {
            Origin::Published(source) => Some(source),
            Origin::Git { .. } | Origin::Unknown => None,
        })
    }

    /// The chart that a release is made of, wherever it is.
    pub(crate) async fn release_chart(
        &self,
        repository: &GitOps,
        file: &ValuesFile,
        operation: &Operation,
    ) -> Result<FoundChart> {
        if let Some(source) = self.published_chart(file)? {
            let (chart, version) = self.pulled(&source, Some(operation)).await?;
            let from = format!("{} {version}", source.place());
            return Ok(FoundChart { chart, source: from, tag: Some((version, None)) });
        }
        let place = self.find_chart(repository, file, Some(operation)).await?;
        self.whole_chart(file, place).await
    }

    /// A published chart and its version.
    async fn pulled(&self, source: &RemoteChart, operation: Option<&Operation>) -> Result<(Arc<Chart>, String)> {
        // One version does not move; what a range means now its server has to say.
        if source.is_fixed()
            && let Some(chart) = self.shelf.get(&source.place(), &source.revision)
        {
            let version = chart.version().to_owned();
            return Ok((chart, version));
        }
        let server = source.server()?;
        let login = self.chart_login(&server).await?;
        let connection = Connection { authority_pem: self.authority_pem().await?, ..Connection::default() };
        let puller = Puller::new(&connection, self.options.data_dir.join(KEPT))?;
        let last = std::sync::atomic::AtomicU64::new(u64::MAX);
        let progress = |done: u64, total: Option<u64>| {
            // The window needs each eighth of a megabyte once.
            let share = done >> 17;
            if last.swap(share, std::sync::atomic::Ordering::Relaxed) != share
                && let Some(operation) = operation
            {
                let small = |bytes: u64| u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
                operation.step("Fetching the chart", small(done), total.map(small));
            }
        };
        let pulled = puller.pull(source, login.as_ref(), &progress).await?;
        let chart = Arc::new(pulled.chart);
        if source.is_fixed() {
            self.shelf.put(&source.place(), &source.revision, &chart);
        }
        Ok((chart, pulled.version))
    }

    /// The defaults of a published chart.
    pub(crate) async fn published_defaults(&self, file: &ValuesFile, source: &RemoteChart) -> Result<ChartDefaults> {
        let place = self.chart_place(file);
        let wanted = format!("{}@{}", source.place(), source.revision);
        if let Some(seen) = self.charts.get(&place)
            && seen.reference == wanted
            && source.is_fixed()
        {
            return Ok(seen.defaults);
        }
        let (chart, version) = self.pulled(source, None).await?;
        let from = format!("{} {version}", source.place());
        let defaults = chart.file("values.yaml").unwrap_or_default().to_vec();
        let limit = pilothouse_values::LIMIT;
        if defaults.len() > limit {
            return Err(AppError::blocked(format!("values.yaml of {from} is larger than {} KiB", limit >> 10)));
        }
        let defaults = ChartDefaults { text: text_of(&RepoPath::parse("values.yaml")?, defaults)?, source: from };
        let schema = chart.file("values.schema.json").filter(|bytes| bytes.len() <= pilothouse_values::SCHEMA_LIMIT);
        self.saw_chart(place, wanted, defaults, schema.map(<[u8]>::to_vec)).await
    }

    async fn chart_login(&self, server: &str) -> Result<Option<ApiToken>> {
        let kept = self.keychain.get(&keychain_name(server)).await?;
        Ok(kept.as_ref().and_then(|text| unpack(text, server)))
    }

    /// The server of the chart that the Application of a file names, and whether a login is kept for it; none where the
    /// chart is in Git.
    pub async fn chart_server(&self, file: ValuesFile) -> Result<Option<ChartServer>> {
        let Some(source) = self.published_chart(&file)? else { return Ok(None) };
        let server = source.server()?;
        let username = self.chart_login(&server).await?.map(|login| login.username);
        Ok(Some(ChartServer { place: source.place(), kept: username.is_some(), username, server }))
    }

    /// Keeps a login for the server of that chart in the keychain; without one the one that is kept is forgotten.
    /// The server is the one that the Application names now, so that nothing is kept for another.
    pub async fn keep_chart_login(
        &self,
        file: ValuesFile,
        server: String,
        login: Option<CredentialInput>,
    ) -> Result<()> {
        let named = match self.published_chart(&file)? {
            Some(source) => source.server()?,
            None => return Err(AppError::not_found("the chart of this application is in Git")),
        };
        if named != server {
            return Err(AppError::blocked(format!("the chart comes from {named} now, and the login was for {server}"))
                .with_hint("look at the server again, and enter the login for it"));
        }
        let login = login.map(checked).transpose()?;
        let verb = if login.is_some() { "Keep" } else { "Forget" };
        let begin = Begin {
            kind: ActivityKind::Credential,
            words: format!("{verb} the login for charts of {server}"),
            context: self.context_name(),
            object: None,
            intent: Intent::Other,
        };
        let id = self.journal.begin(begin).await?;
        let name = keychain_name(&server);
        let outcome = match login {
            Some(login) => self.keychain.set(&name, pack(&server, &login)).await,
            None => self.keychain.delete(&name).await,
        };
        self.journal.close_with(id, outcome, |()| End::default()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_for_its_own_server() {
        let login = ApiToken { username: "robin".into(), token: SecretString::from("hu\"sh".to_owned()) };
        let kept = pack("charts.example", &login);
        let read = unpack(&kept, "charts.example").unwrap();
        assert_eq!((read.username.as_str(), read.token.expose_secret()), ("robin", "hu\"sh"));
        for other in ["charts.example:8443", "evil.example", ""] {
            assert!(unpack(&kept, other).is_none(), "{other}");
        }
        assert!(unpack(&SecretString::from("{}".to_owned()), "charts.example").is_none());
    }

    #[test]
    fn what_is_no_login_is_refused() {
        let login = |username: &str, token: &str| {
            let token = SecretString::from(token.to_owned());
            checked(CredentialInput::Token { username: Some(username.into()), token })
        };
        assert_eq!(login(" robin ", " hush\n").unwrap().username, "robin");
        for (username, token) in [("", "x"), ("a:b", "x"), ("a", " "), ("a", "x\ny"), ("a\nb", "x")] {
            assert!(login(username, token).is_err(), "{username:?}");
        }
    }
}
