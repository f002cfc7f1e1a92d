//! Charts that are published: in a Helm repository, or in a registry of container images.

mod index;
mod registry;
mod shelf;
mod version;

use std::path::PathBuf;

use pilothouse_cluster::web::{ApiToken, Connection, Downloads, Proof, Wanted as Asked, is_loopback, leads_inwards};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::archive::{LARGEST_ARCHIVE, unpack};
use super::release::printable;
use super::{Chart, ChartError};
use index::{IndexError, LARGEST_INDEX, Published, versions};
use registry::Registry;
use shelf::Shelf;
use version::Wanted;

/// Is told how many bytes have come, and of how many where that is known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Sync);

/// Where a chart is published, as an Application's source says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteChart {
    /// The repository: an address with `https://` or `oci://`, or without either, which is a registry to Argo CD.
    pub repository: String,
    /// The chart's name.
    pub chart: String,
    /// A version, or a range of them.
    pub revision: String,
}

/// A chart that was fetched.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The chart.
    pub chart: Chart,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its archive, in hexadecimal.
    pub digest: String,
}

/// Fetches charts.
#[derive(Debug, Clone)]
pub struct Puller {
    downloads: Downloads,
    shelf: Shelf,
}

impl RemoteChart {
    /// The place in a registry, `host/path`; none for a Helm repository.
    fn in_registry(&self) -> Option<String> {
        let place = match self.repository.split_once("://") {
            Some((scheme, place)) if scheme.eq_ignore_ascii_case("oci") => place,
            Some(_) => return None,
            None => &self.repository,
        };
        let place = place.trim_matches('/');
        Some(if self.chart.is_empty() { place.to_owned() } else { format!("{place}/{}", self.chart.trim_matches('/')) })
    }

    fn bad(&self, why: &str) -> ChartError {
        ChartError::BadSource { address: printable(without_login(&self.repository), 200), why: why.to_owned() }
    }

    /// The address of the Helm repository, with a slash at its end.
    fn address(&self) -> Result<Url, ChartError> {
        let mut url = Url::parse(self.repository.trim()).map_err(|_| self.bad("it is no address"))?;
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
            return Err(self.bad("a Helm repository has an address with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ChartError::BadSource {
                address: url.host_str().unwrap_or_default().to_owned(),
                why: "it holds a user name or a password. Take them out of the address and give them to Pilothouse"
                    .to_owned(),
            });
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(self.bad("a Helm repository is read over HTTPS only"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(url)
    }

    /// The server that a login is kept for: its host, with its port where that is not the usual one.
    ///
    /// # Errors
    /// The source names none.
    pub fn server(&self) -> Result<String, ChartError> {
        let url = match self.in_registry() {
            Some(place) => {
                let host = place.split('/').next().unwrap_or_default();
                Url::parse(&format!("https://{host}/")).map_err(|_| self.bad("it names no host"))?
            }
            None => self.address()?,
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| self.bad("it names no host"))?;
        Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// Whether the source means one version that does not move, rather than the newest of a range.
    pub fn is_fixed(&self) -> bool {
        matches!(Wanted::parse(&self.revision), Wanted::One(_))
    }

    /// The source in words, without anything secret.
    pub fn place(&self) -> String {
        let place = match self.in_registry() {
            Some(place) => format!("oci://{}", without_login(&place)),
            None => match self.address() {
                Ok(url) => format!("{}: {}", url.as_str().trim_end_matches('/'), self.chart),
                Err(_) => self.chart.clone(),
            },
        };
        printable(&place, 300)
    }
}

impl Puller {
    /// Charts are fetched over `connection`, and kept in `folder` by their digest.
    ///
    /// # Errors
    /// The private authority's certificate cannot be used.
    pub fn new(connection: &Connection, folder: PathBuf) -> Result<Self, ChartError> {
        Ok(Self { downloads: Downloads::new(connection)?, shelf: Shelf(folder) })
    }

    /// Fetches a chart. `login` is for the source's own server ([`RemoteChart::server`]) and is sent nowhere else. When
    /// the future is dropped, the transfer ends.
    ///
    /// # Errors
    /// The server cannot be reached, wants a login or another one, does not publish the version, or what came is not
    /// what it says it is, or larger than is read.
    pub async fn pull(
        &self,
        source: &RemoteChart,
        login: Option<&ApiToken>,
        progress: Progress<'_>,
    ) -> Result<Pulled, ChartError> {
        if let Some(place) = source.in_registry() {
            return self.out_of_registry(&place, &source.revision, login, progress).await;
        }
        let name = source.chart.as_str();
        if name.is_empty() {
            return Err(source.bad("the Application names no chart of it"));
        }
        let base = source.address()?;
        let found = self.listed(source, &base, login, progress).await?;
        let place = source.place();
        if let Some(bytes) = self.kept(found.digest.clone()).await {
            return self.finish(place, name, found.version, None, bytes).await;
        }
        let url = found.urls.first().ok_or_else(|| ChartError::BadFile {
            path: place.clone(),
            why: format!("its index says no address for {}", found.version),
        })?;
        let bad = |why: &str| ChartError::BadFile { path: place.clone(), why: why.to_owned() };
        if let Some(at) = url.strip_prefix("oci://") {
            // Some repositories list what lies in a registry. The login is not that registry's.
            let (at, tag) = at.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((at, &found.version));
            let host = at.split('/').next().unwrap_or_default();
            if let Ok(to) = Url::parse(&format!("https://{host}/")) {
                listed_at(&base, &to).map_err(bad)?;
            }
            return self.out_of_registry(at, tag, None, progress).await;
        }
        let url = base.join(url).map_err(|_| bad("its index holds an address that is none"))?;
        listed_at(&base, &url).map_err(bad)?;
        let own = url.origin() == base.origin();
        let proof = login.filter(|_| own).cloned().map(Proof::Basic);
        let asked = Asked { url: &url, accept: "*/*", limit: LARGEST_ARCHIVE, proof: proof.as_ref() };
        let answer = self.downloads.get(asked, progress).await?;
        if answer.status == 401 && proof.is_none() {
            return Err(ChartError::LoginNeeded { host: source.server()? });
        }
        let bytes = answer.good("read the chart's archive")?.body;
        self.finish(place, name, found.version, found.digest, bytes).await
    }

    /// The wanted version in the repository's index.
    async fn listed(
        &self,
        source: &RemoteChart,
        base: &Url,
        login: Option<&ApiToken>,
        progress: Progress<'_>,
    ) -> Result<Published, ChartError> {
        let place = source.place();
        let bad = |why: String| ChartError::BadFile { path: format!("{place}: index.yaml"), why };
        let url = base.join("index.yaml").map_err(|error| bad(error.to_string()))?;
        let proof = login.cloned().map(Proof::Basic);
        let asked = Asked { url: &url, accept: "*/*", limit: LARGEST_INDEX, proof: proof.as_ref() };
        let answer = self.downloads.get(asked, progress).await?;
        if answer.status == 401 && proof.is_none() {
            return Err(ChartError::LoginNeeded { host: source.server()? });
        }
        let answer = answer.good("read the list of charts")?;
        let chart = source.chart.clone();
        let read = tokio::task::spawn_blocking(move || {
            let text = String::from_utf8(answer.body).map_err(|_| IndexError::Text)?;
            versions(&text, &chart)
        });
        let all = read.await.map_err(|error| bad(error.to_string()))?.map_err(|error| bad(error.to_string()))?;
        let known = || all.iter().map(|one| one.version.as_str());
        let chosen = Wanted::parse(&source.revision).choose(known()).map(str::to_owned);
        let found = chosen.and_then(|version| all.iter().find(|one| one.version == version)).cloned();
        found.ok_or_else(|| unpublished(&source.chart, &place, known()))
    }

    async fn out_of_registry(
        &self,
        place: &str,
        revision: &str,
        login: Option<&ApiToken>,
        progress: Progress<'_>,
    ) -> Result<Pulled, ChartError> {
        let registry = Registry::new(&self.downloads, place, login)?;
        let name = place.rsplit('/').next().unwrap_or_default();
        let held = registry.find(name, &Wanted::parse(revision)).await?;
        let bytes = match self.kept(Some(held.digest.clone())).await {
            Some(bytes) => bytes,
            None => registry.archive(&held, progress).await?,
        };
        let version = if held.version.starts_with("sha256:") { String::new() } else { held.version.clone() };
        self.finish(registry.place(), name, version, Some(held.digest), bytes).await
    }

    async fn kept(&self, digest: Option<String>) -> Option<Vec<u8>> {
        let shelf = self.shelf.clone();
        tokio::task::spawn_blocking(move || shelf.get(&digest?)).await.ok().flatten()
    }

    /// Looks at what came, and takes it apart.
    async fn finish(
        &self,
        place: String,
        name: &str,
        version: String,
        expected: Option<String>,
        bytes: Vec<u8>,
    ) -> Result<Pulled, ChartError> {
        let (shelf, name, shown) = (self.shelf.clone(), name.to_owned(), place.clone());
        let work = move || -> Result<Pulled, ChartError> {
            let digest = sha256(&bytes);
            let said = expected.as_deref().map(|said| said.strip_prefix("sha256:").unwrap_or(said));
            if let Some(said) = said.filter(|said| !said.eq_ignore_ascii_case(&digest)) {
                let what = format!("the archive of {place} {version}");
                return Err(ChartError::Altered { what, expected: printable(said, 80), found: digest });
            }
            let chart = Chart::of(&place, unpack(&place, &bytes)?)?;
            let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
            if chart.name() != name || (!version.is_empty() && bare(chart.version()) != bare(&version)) {
                let is = printable(&format!("{} {}", chart.name(), chart.version()), 200);
                let why = format!("the archive published as {name} {version} is of {is}");
                return Err(ChartError::BadFile { path: place, why });
            }
            shelf.put(&bytes);
            Ok(Pulled { version: chart.version().to_owned(), chart, digest })
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(ChartError::BadFile { path: shown, why: error.to_string() }))
    }
}

/// The error of a version that is not published, with some that are.
fn unpublished<'a>(chart: &str, place: &str, known: impl Iterator<Item = &'a str>) -> ChartError {
    let known: Vec<String> = known.take(5).map(|version| printable(version, 40)).collect();
    ChartError::Unpublished { chart: printable(chart, 100), place: place.to_owned(), known }
}

/// What an address says without the login that may stand before it.
fn without_login(address: &str) -> &str {
    address.rsplit('@').next().unwrap_or_default()
}

/// Refuses an address of an index that nothing is fetched from: of this machine for an index outside, or without TLS.
fn listed_at(index: &Url, to: &Url) -> Result<(), &'static str> {
    if leads_inwards(index, to) {
        return Err("its index sends us to an address of this machine");
    }
    if to.scheme() != "https" && (index.scheme() == "https" || !is_loopback(to)) {
        return Err("its index sends us to an address without TLS");
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(repository: &str, chart: &str) -> RemoteChart {
        RemoteChart { repository: repository.into(), chart: chart.into(), revision: "1.0.0".into() }
    }

    #[test]
    fn sources_name_their_server() {
        for (repository, chart, server, place) in [
            ("https://charts.example/stable", "cart", "charts.example", "https://charts.example/stable: cart"),
            ("https://charts.example:8443/", "cart", "charts.example:8443", "https://charts.example:8443: cart"),
            ("oci://registry.example/charts", "cart", "registry.example", "oci://registry.example/charts/cart"),
            (
                "registry.example:5000/charts",
                "cart",
                "registry.example:5000",
                "oci://registry.example:5000/charts/cart",
            ),
            ("oci://registry.example/charts/cart", "", "registry.example", "oci://registry.example/charts/cart"),
        ] {
            let source = source(repository, chart);
            assert_eq!((source.server().unwrap().as_str(), source.place().as_str()), (server, place));
        }
        let local = source("http://127.0.0.1:8080/", "cart");
        assert_eq!(local.server().unwrap(), "127.0.0.1:8080");
        for repository in [
            "https://robin:hush@charts.example/",
            "http://robin:hush@charts.example/",
            "ftp://robin:hush@charts.example/",
            "https://robin:hush@",
            "http://charts.example/",
            "ftp://x/",
            "https://",
            "",
        ] {
            let told = format!("{:?} {}", source(repository, "cart").server(), source(repository, "cart").place());
            assert!(told.starts_with("Err") && !told.contains("hush"), "{told}");
        }
        let registry = source("robin:hush@registry.example/charts", "cart");
        assert_eq!(registry.place(), "oci://registry.example/charts/cart");
    }

    #[test]
    fn nobody_outside_leads_to_this_machine() {
        let url = |host: &str| Url::parse(&format!("https://{host}/x")).unwrap();
        for host in [
            "127.0.0.1",
            "127.8.9.1:5000",
            "2130706433",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "[::]",
            "localhost",
            "LOCALHOST.",
            "x.localhost",
        ] {
            assert!(listed_at(&url("charts.example"), &url(host)).unwrap_err().contains("this machine"), "{host}");
            assert!(listed_at(&url("127.0.0.1:8443"), &url(host)).is_ok(), "{host}");
        }
        for host in ["other.example", "10.0.0.1", "localhost.example"] {
            assert!(listed_at(&url("charts.example"), &url(host)).is_ok(), "{host}");
        }
        let plain = |text: &str| Url::parse(text).unwrap();
        for (index, to, good) in [
            ("https://charts.example/", "http://charts.example/x", false),
            ("https://127.0.0.1/", "http://127.0.0.1/x", false),
            ("http://127.0.0.1/", "http://127.0.0.1/x", true),
            ("http://127.0.0.1/", "http://charts.example/x", false),
            ("http://127.0.0.1/", "https://charts.example/x", true),
        ] {
            assert_eq!(listed_at(&plain(index), &plain(to)).is_ok(), good, "{index} {to}");
        }
    }
}
