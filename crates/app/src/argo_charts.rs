//! The chart of an application where Argo CD alone deploys: where its Application says.

use pilothouse_delivery::{
    Objects,
    argo_cd::{SourceKind, source_kind, version},
};
use pilothouse_git::{Credential, Scheme};

use crate::{
    App, Result,
    argo_cd::stood,
    charts::{ChartPlace, InGit, folder_of},
    contract::{AppError, ValuesFile},
    gitops::GitOps,
    operations::Operation,
};

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
            return Err(AppError::not_found(format!("the chart {} is not in Git", source.chart)));
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
        let folder = folder_of(&source.path);
        let title = url.display().to_owned();
        let git = InGit { url, access, references, folder };
        Ok(ChartPlace { git, title, tag })
    }
}
