//! Charts in a registry of container images (the OCI distribution API).

use std::sync::{Mutex, PoisonError};

use pilothouse_cluster::web::{ApiToken, Download, Downloads, Proof, Wanted as Asked, WebError, leads_inwards};
use serde_json::Value;
use url::Url;

use super::super::archive::LARGEST_ARCHIVE;
use super::super::release::printable;
use super::version::Wanted;
use super::{Progress, sha256, unpublished, without_login};
use crate::chart::ChartError;

/// What a chart's archive is called in a manifest; the second is from before Helm 3.7.
const ARCHIVES: [&str; 2] = ["application/vnd.cncf.helm.chart.content.v1.tar+gzip", "application/tar+gzip"];
const MANIFESTS: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
const JSON: &str = "application/json";
/// The largest manifest, in bytes, and the largest page of tags.
const LARGEST_TEXT: usize = 2 * 1024 * 1024;
/// The most pages of tags, of a thousand each.
const MOST_PAGES: usize = 20;

/// Where a chart lies in a registry.
pub(super) struct Registry<'a> {
    downloads: &'a Downloads,
    base: Url,
    path: String,
    login: Option<&'a ApiToken>,
    /// What the registry asked for, once it did.
    proof: Mutex<Option<Proof>>,
}

/// What a registry holds under a tag.
pub(super) struct Held {
    /// The chart's version.
    pub version: String,
    /// The archive's digest, `sha256:…`.
    pub digest: String,
    /// Its size as the manifest says it.
    size: usize,
}

impl<'a> Registry<'a> {
    /// `place` is `host/path` without a scheme. `login` is for that host.
    pub fn new(downloads: &'a Downloads, place: &str, login: Option<&'a ApiToken>) -> Result<Self, ChartError> {
        let bad =
            |why: &str| ChartError::BadSource { address: printable(without_login(place), 200), why: why.to_owned() };
        let (host, path) = place.trim_matches('/').split_once('/').ok_or_else(|| bad("it names no chart"))?;
        let host = match host {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let base = Url::parse(&format!("https://{host}/")).map_err(|_| bad("it names no host"))?;
        if !base.username().is_empty() || base.password().is_some() || base.path() != "/" || base.query().is_some() {
            return Err(bad("it names no host"));
        }
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let plain = |part: &str| part.chars().all(letter) && part.starts_with(|c: char| c.is_ascii_alphanumeric());
        if path.is_empty() || path.len() > 255 || !path.split('/').all(plain) {
            return Err(bad("a registry has small letters, digits, `.`, `_` and `-` in its paths"));
        }
        Ok(Self { downloads, base, path: path.to_owned(), login, proof: Mutex::new(None) })
    }

    /// Finds the wanted version.
    pub async fn find(&self, chart: &str, wanted: &Wanted) -> Result<Held, ChartError> {
        let version = match wanted {
            Wanted::One(version) => version.clone(),
            Wanted::Range(_) => {
                let all = self.versions().await?;
                let found = wanted.choose(all.iter().map(String::as_str)).map(str::to_owned);
                found.ok_or_else(|| unpublished(chart, &self.place(), all.iter().map(String::as_str)))?
            }
        };
        // A registry takes no `+` in a tag; Helm writes `_` for it.
        let tag = version.replace('+', "_");
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let by_digest = tag
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if !by_digest && (tag.is_empty() || tag.len() > 128 || !tag.chars().all(fine)) {
            return Err(unpublished(chart, &self.place(), std::iter::empty()));
        }
        let answer = self.ask(&format!("manifests/{tag}"), MANIFESTS, LARGEST_TEXT, &|_, _| {}).await?;
        if answer.status == 404 {
            return Err(unpublished(chart, &self.place(), std::iter::empty()));
        }
        let answer = answer.good("read the chart")?;
        let found = format!("sha256:{}", sha256(&answer.body));
        let said = if by_digest { Some(tag.as_str()) } else { answer.header("docker-content-digest") };
        if let Some(said) = said.filter(|said| said.starts_with("sha256:") && !said.eq_ignore_ascii_case(&found)) {
            let what = format!("the manifest of {} at {tag}", self.place());
            return Err(ChartError::Altered { what, expected: printable(said, 80), found });
        }
        self.read(&answer, version)
    }

    fn read(&self, answer: &Download, version: String) -> Result<Held, ChartError> {
        let no_chart = |why: &str| ChartError::BadFile { path: self.place(), why: why.to_owned() };
        let manifest: Value =
            serde_json::from_slice(&answer.body).map_err(|_| no_chart("what the registry holds is no manifest"))?;
        let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let archive = layers.iter().find(|one| one["mediaType"].as_str().is_some_and(|kind| ARCHIVES.contains(&kind)));
        let archive = archive.ok_or_else(|| no_chart("what the registry holds there is no Helm chart"))?;
        let digest = archive["digest"].as_str().unwrap_or_default().to_owned();
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(no_chart("its manifest names the archive by a digest that is not SHA-256"));
        }
        let size = archive["size"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        if size > LARGEST_ARCHIVE {
            let what = format!("{} is larger than {} MiB", self.place(), LARGEST_ARCHIVE >> 20);
            return Err(ChartError::TooLarge { what });
        }
        Ok(Held { version, digest, size })
    }

    /// The archive. Its digest is for the caller to look at.
    pub async fn archive(&self, held: &Held, progress: Progress<'_>) -> Result<Vec<u8>, ChartError> {
        let place = format!("blobs/{}", held.digest);
        let answer = self.ask(&place, "application/octet-stream, */*", held.size, progress).await?;
        Ok(answer.good("read the chart's archive")?.body)
    }

    async fn versions(&self) -> Result<Vec<String>, ChartError> {
        let mut versions = Vec::new();
        let mut next = "tags/list?n=1000".to_owned();
        for _ in 0..MOST_PAGES {
            let answer = self.ask(&next, JSON, LARGEST_TEXT, &|_, _| {}).await?;
            if answer.status == 404 {
                break;
            }
            let answer = answer.good("list the chart's versions")?;
            let list: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let tags = list["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
            versions.extend(tags.map(|tag| tag.replace('_', "+")));
            let more = answer.header("link").and_then(|link| {
                let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
                rest.contains("next").then(|| answer.url.join(target).ok())?
            });
            // A next page is a query of this very list.
            let query =
                more.filter(|url| url.origin() == self.base.origin()).and_then(|url| url.query().map(str::to_owned));
            match query {
                Some(query) => next = format!("tags/list?{query}"),
                None => break,
            }
        }
        Ok(versions)
    }

    /// The chart's place, for people.
    pub fn place(&self) -> String {
        let host = self.base.as_str().trim_start_matches("https://");
        format!("oci://{host}{}", self.path)
    }

    /// The host, with its port where that is not the usual one.
    fn host(&self) -> String {
        self.base.as_str().trim_start_matches("https://").trim_end_matches('/').to_owned()
    }

    async fn ask(
        &self,
        what: &str,
        accept: &str,
        limit: usize,
        progress: Progress<'_>,
    ) -> Result<Download, ChartError> {
        let url = self.base.join(&format!("v2/{}/{what}", self.path));
        let url =
            url.map_err(|_| ChartError::BadSource { address: self.place(), why: "it is no address".to_owned() })?;
        let proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = Asked { url: &url, accept, limit, proof: proof.as_ref() };
        let answer = self.downloads.get(asked, progress).await?;
        if answer.status != 401 || proof.is_some() {
            return self.unless_refused(answer);
        }
        // Nothing is shown to a registry that does not ask for it.
        let Some(proof) = self.prove(&answer).await? else { return self.unless_refused(answer) };
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Some(proof.clone());
        let asked = Asked { url: &url, accept, limit, proof: Some(&proof) };
        let answer = self.downloads.get(asked, progress).await?;
        self.unless_refused(answer)
    }

    /// Registries answer 401 also to somebody who came without a login, with a token for everybody.
    fn unless_refused(&self, answer: Download) -> Result<Download, ChartError> {
        if answer.status == 401 && self.login.is_none() {
            return Err(ChartError::LoginNeeded { host: self.host() });
        }
        Ok(answer)
    }

    /// What the registry's 401 asks for, as far as it is given to it.
    async fn prove(&self, refused: &Download) -> Result<Option<Proof>, ChartError> {
        let challenges: Vec<Challenge> = refused
            .headers
            .get_all("www-authenticate")
            .iter()
            .filter_map(|one| Challenge::read(one.to_str().ok()?))
            .collect();
        if let Some(bearer) = challenges.iter().find(|one| one.scheme == "bearer") {
            return self.token(bearer).await.map(Some);
        }
        let basic = challenges.iter().any(|one| one.scheme == "basic");
        Ok(self.login.filter(|_| basic).cloned().map(Proof::Basic))
    }

    async fn token(&self, challenge: &Challenge) -> Result<Proof, ChartError> {
        let host = self.host();
        let unexpected = |words: &str| {
            ChartError::Web(WebError::Unexpected { host: host.clone(), status: 401, words: words.to_owned() })
        };
        let mut realm = token_server(&self.base, challenge).map_err(unexpected)?;
        let related = related(&self.base, &realm);
        if self.login.is_some() && !related {
            let words = format!(
                "its tokens are given by {}, which the login is not shown to",
                realm.host_str().unwrap_or_default()
            );
            return Err(unexpected(&printable(&words, 300)));
        }
        {
            let mut query = realm.query_pairs_mut();
            if let Some(service) = challenge.get("service") {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &format!("repository:{}:pull", self.path));
        }
        let login = self.login.cloned().map(Proof::Basic);
        let asked = Asked { url: &realm, accept: JSON, limit: LARGEST_TEXT, proof: login.as_ref() };
        let answer = self.downloads.get(asked, &|_, _| {}).await?;
        if answer.status == 401 && login.is_none() {
            return Err(ChartError::LoginNeeded { host });
        }
        let answer = answer.good("get a token to read the chart")?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = said["token"].as_str().or_else(|| said["access_token"].as_str()).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| unexpected("it gives no token"))?;
        Ok(Proof::Bearer(token.to_owned().into()))
    }
}

/// Who gives a registry's tokens, or why nobody is asked.
fn token_server(registry: &Url, challenge: &Challenge) -> Result<Url, &'static str> {
    let realm = challenge.get("realm").and_then(|realm| Url::parse(realm).ok());
    let realm = realm.ok_or("it does not say who gives its tokens")?;
    if realm.scheme() != "https" {
        return Err("its tokens are given over plain HTTP, which is not asked");
    }
    if leads_inwards(registry, &realm) {
        return Err("it says that its tokens are given by this machine, which is not asked");
    }
    Ok(realm)
}

/// Registries whose tokens are given by another host, as their operators document it.
const TOKENS_ELSEWHERE: [(&str, &str); 2] =
    [("registry-1.docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")];

/// Whether the giver of tokens belongs to the registry: the same host at the same port, one that is known for it, or
/// the host right above it, as `gitlab.example.com` for `registry.gitlab.example.com`. What lies beside it may be
/// anybody's, and so may what is above two parts of a name. A login is not shown to others, whatever the registry says.
fn related(registry: &Url, realm: &Url) -> bool {
    if registry.port_or_known_default() != realm.port_or_known_default() {
        return false;
    }
    let (Some(url::Host::Domain(ours)), Some(url::Host::Domain(theirs))) = (registry.host(), realm.host()) else {
        return registry.host() == realm.host();
    };
    let above = ours.split_once('.').map(|(_, above)| above).filter(|above| above.split('.').count() > 2);
    ours == theirs || above == Some(theirs) || TOKENS_ELSEWHERE.contains(&(ours, theirs))
}

/// One way to prove who we are, as a 401 names it.
struct Challenge {
    scheme: String,
    values: Vec<(String, String)>,
}

impl Challenge {
    fn read(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let mut values = Vec::new();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, left) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            values.push((key.trim().trim_start_matches(',').trim().to_lowercase(), value.to_owned()));
            rest = left.trim_start_matches([',', ' ']);
        }
        Some(Self { scheme: scheme.to_lowercase(), values })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use pilothouse_cluster::web::Connection;

    use super::*;

    #[test]
    fn challenges_are_read() {
        let one = Challenge::read(
            r#"Bearer realm="https://auth.example/token",service="registry, of us",scope="a b",error=x"#,
        )
        .unwrap();
        assert_eq!((one.scheme.as_str(), one.get("realm")), ("bearer", Some("https://auth.example/token")));
        assert_eq!((one.get("service"), one.get("error")), (Some("registry, of us"), Some("x")));
        assert_eq!(Challenge::read("Basic realm=\"x\"").unwrap().scheme, "basic");
        assert!(Challenge::read("Bearer realm=\"x").is_none());
    }

    #[test]
    fn who_gives_tokens_is_asked_over_tls_and_never_here_for_somebody_outside() {
        let asked = |registry: &str, realm: &str| {
            let challenge = Challenge::read(&format!("Bearer realm=\"{realm}\"")).unwrap();
            token_server(&Url::parse(registry).unwrap(), &challenge).map(|url| url.to_string())
        };
        let (outside, here) = ("https://registry.example.com/", "https://127.0.0.1:5000/");
        assert_eq!(asked(outside, "https://auth.example.com/t").unwrap(), "https://auth.example.com/t");
        assert_eq!(asked(here, "https://127.0.0.1:5001/t").unwrap(), "https://127.0.0.1:5001/t");
        for realm in ["https://127.0.0.1/t", "https://localhost:5000/t", "https://[::1]/t"] {
            assert!(asked(outside, realm).unwrap_err().contains("this machine"), "{realm}");
        }
        assert!(asked(outside, "http://auth.example.com/t").unwrap_err().contains("plain HTTP"));
        assert!(asked(outside, "auth").unwrap_err().contains("who gives"));
    }

    #[test]
    fn a_login_is_shown_to_the_registrys_own_people() {
        let url = |host: &str| Url::parse(&format!("https://{host}/")).unwrap();
        for (ours, theirs, good) in [
            ("ghcr.io", "ghcr.io", true),
            ("registry-1.docker.io", "auth.docker.io", true),
            ("registry.gitlab.com", "gitlab.com", true),
            ("registry.gitlab.example.com", "gitlab.example.com", true),
            ("registry.example.com:5000", "registry.example.com:5000", true),
            ("127.0.0.1:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "127.0.0.1:5001", false),
            ("registry.example.com", "registry.example.com:8443", false),
            // Names below one suffix belong to many.
            ("robin.github.io", "evil.github.io", false),
            ("registry.co.uk", "evil.co.uk", false),
            ("registry.co.uk", "co.uk", false),
            ("registry.example.com", "auth.example.com", false),
            ("ghcr.io", "evil.io", false),
            ("registry.example.com", "example.com.evil.net", false),
            ("registry.example.com", "evilexample.com", false),
            ("10.0.0.1", "10.0.0.2", false),
            ("localhost", "auth.localhost", false),
        ] {
            assert_eq!(related(&url(ours), &url(theirs)), good, "{ours} {theirs}");
        }
    }

    #[test]
    fn places_in_a_registry_are_checked() {
        let downloads = Downloads::new(&Connection::default()).unwrap();
        let place = |text: &str| Registry::new(&downloads, text, None).map(|one| one.place());
        assert_eq!(place("registry.example:5000/charts/cart").unwrap(), "oci://registry.example:5000/charts/cart");
        assert_eq!(place("docker.io/bitnamicharts/redis").unwrap(), "oci://registry-1.docker.io/bitnamicharts/redis");
        let told = place("robin:hush@registry.example/charts").unwrap_err().to_string();
        assert!(!told.contains("hush"), "{told}");
        for text in [
            "registry.example",
            "registry.example/",
            "registry.example/../x",
            "a@b/c",
            "h/a b",
            "h/A",
            "h/a?b=c",
            "/x",
            "h/a//b",
        ] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
