//! The chart of an application where Argo CD alone deploys: where its Application says.

use pilothouse_delivery::{
    Objects,
    argo_cd::{SourceKind, source_kind, version},
    chart::{Pulled, Puller, RemoteChart},
    provider::Connection,
};
use pilothouse_git::{Credential, RepoPath, Scheme};

use crate::{
    App, Result,
    argo_cd::stood,
    charts::{ChartPlace, DEFAULTS, InGit, SCHEMA, Whence},
    contract::{AppError, ChartDefaults, ValuesFile},
    gitops::GitOps,
    operations::Operation,
    seen_charts::Place,
    values::text_of,
};

/// Below the data folder, where fetched charts are kept.
const CHARTS: &str = "charts";

impl App {
    /// Where a chart is read. A repository may be open to everybody, so that a credential is not needed.
    pub(crate) async fn find_argo_chart(
        &self,
        repository: &GitOps,
        file: &ValuesFile,
        objects: &Objects,
        operation: Option<&Operation>,
    ) -> Result<ChartPlace> {
        let stood = stood(objects, &file.flow, &file.env, &file.app)?;
        let source = stood.application.sources.get(stood.place.chart).cloned().unwrap_or_default();
        let tag = Some((version(&stood.application, stood.place.chart), None));
        if source_kind(&source) != SourceKind::Git {
            let chart =
                RemoteChart { repository: source.repo_url, chart: source.chart, revision: source.target_revision };
            let title = chart.place();
            return Ok(ChartPlace { whence: Whence::Published(chart), title, tag });
        }
        let url = self.remote(&source.repo_url)?;
        let credential = match self.kept_credential(&url).await? {
            Some(credential) => credential,
            None if url.authority() == repository.url.authority() && url.scheme() == repository.url.scheme() => {
                self.credential(&repository.url).await?
            }
            None if url.scheme() == Scheme::Https => Credential::None,
            None => self.credential(&url).await?,
        };
        let revision = source.target_revision.clone();
        // Argo CD takes whichever of the two there is, a branch before a tag of its name.
        let mut references = vec![(revision.clone(), false)];
        if !matches!(revision.as_str(), "" | "HEAD") {
            references.push((revision, true));
        }
        let access = self.access(&url, credential, operation).await?;
        let folder = source.path.trim_matches('/');
        let folder = if folder == "." { "" } else { folder }.to_owned();
        let title = url.display().to_owned();
        let git = InGit { url, access, references, folder };
        Ok(ChartPlace { whence: Whence::Git(Box::new(git)), title, tag })
    }

    /// Fetches a published chart that everybody may read.
    pub(crate) async fn pull_chart(&self, chart: &RemoteChart) -> Result<Pulled> {
        let connection = Connection { authority_pem: self.authority_pem().await?, ..Connection::default() };
        let puller = Puller::new(&connection, self.options.data_dir.join(CHARTS))?;
        Ok(puller.pull(chart, None, &|_, _| {}).await?)
    }

    /// The defaults of a published chart.
    pub(crate) async fn published_defaults(&self, chart: &RemoteChart, place: Place) -> Result<ChartDefaults> {
        let reference = format!("{} {}", chart.place(), chart.revision);
        if let Some(seen) = self.charts.get(&place)
            && seen.reference == reference
            && chart.is_fixed()
        {
            return Ok(seen.defaults);
        }
        let pulled = self.pull_chart(chart).await?;
        let path = RepoPath::parse(DEFAULTS)?;
        let Some(bytes) = pulled.chart.file(DEFAULTS) else {
            return Err(AppError::not_found(format!("{} {} has no {DEFAULTS}", chart.place(), pulled.version)));
        };
        let defaults = ChartDefaults {
            text: text_of(&path, bytes.to_vec())?,
            source: format!("{} {}: {DEFAULTS}", chart.place(), pulled.version),
        };
        let schema = pulled.chart.file(SCHEMA).map(<[u8]>::to_vec);
        self.saw_chart(place, reference, defaults, schema).await
    }
}
