//! Values files beside each other: an application's environments, and what one could take over from another.

use pilothouse_delivery::flows;
use pilothouse_git::{BareClone, CommitId, RepoPath};
use pilothouse_values::{
    Change, EnvironmentValues, KeyPath, LIMIT, Parameter, Side, Source, apply_promotion, comments_lost, inline, matrix,
    promote, read,
};
use serde_json::{Map, Value};

use crate::{
    App, Result,
    contract::{
        AppError, ErrorCode, LostComment, MatrixCell, MatrixEnvironment, MatrixRow, PromotedText, Promotion,
        PromotionChange, PromotionRow, PromotionSide, ValueSource, ValuesFile, ValuesMatrix,
    },
    gitops::{Fetched, GitOps, commit_entry},
    values::{small, text_of},
};

/// One environment's layers.
struct Layers {
    name: String,
    exists: bool,
    problem: Option<String>,
    defaults: Value,
    file: Value,
    parameters: Vec<Parameter>,
}

/// What stands in a cell; longer values are cut.
const CELL: usize = 300;

fn cell(value: &Value) -> String {
    let text = inline(value);
    match text.char_indices().nth(CELL) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn source_of(source: Source) -> ValueSource {
    match source {
        Source::Default => ValueSource::Defaults,
        Source::File => ValueSource::File,
        Source::Parameter => ValueSource::Parameter,
    }
}

/// Both files, and the source as it was when the target was last changed.
struct Pair {
    source: Option<Vec<u8>>,
    target: Option<(Vec<u8>, String)>,
    base: Option<(Vec<u8>, pilothouse_git::CommitInfo)>,
}

/// Reads both files of a promotion. Blocks.
fn read_pair(clone: &BareClone, tip: &CommitId, source: &RepoPath, target: &RepoPath) -> pilothouse_git::Result<Pair> {
    let from = clone.read(tip, source, LIMIT)?.map(|content| content.bytes);
    let to = clone.read(tip, target, LIMIT)?.map(|content| (content.bytes, content.blob.to_string()));
    let mut base = None;
    // A history that is not held, or too long, only means that there is no third side to compare with.
    if to.is_some()
        && let Ok(Some(last)) = clone.last_change(tip, target)
        && let Some(content) = clone.read(&last.id, source, LIMIT)?
    {
        base = Some((content.bytes, last));
    }
    Ok(Pair { source: from, target: to, base })
}

impl App {
    /// The branch as it is on the server; as fetched last when the server cannot be reached.
    async fn values_now(&self) -> Result<(GitOps, Fetched)> {
        let repository = self.gitops().await?;
        let fetched = match self.fetch(&repository.url, &repository.usual_branch, None).await {
            Ok(fetched) => fetched,
            Err(error) if matches!(error.code, ErrorCode::GitNetwork | ErrorCode::GitTimeout) => {
                self.on_disk(&repository.url).await?.ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        Ok((repository, fetched))
    }

    async fn layers(&self, repository: &GitOps, fetched: &Fetched, file: &ValuesFile) -> Result<Layers> {
        let mut problems = Vec::new();
        if let Err(error) = self.chart_defaults(repository, file).await {
            problems.push(format!("The chart's defaults are not known: {}", error.message));
        }
        let chart = self.chart_knowledge(file);
        let (clone, tip, path) = (fetched.clone.clone(), fetched.tip.clone(), file.path()?);
        let at = path.clone();
        let content =
            self.git(move || tip.map(|tip| clone.read(&tip, &at, LIMIT)).transpose().map(Option::flatten)).await;
        let text = match content {
            Ok(content) => content.map(|content| text_of(&path, content.bytes)).transpose(),
            Err(error) => Err(error),
        };
        let nothing = || Value::Object(Map::new());
        let (exists, values) = match text.and_then(|text| Ok(text.map(|text| read(&text)).transpose()?)) {
            Ok(values) => (values.is_some(), values.unwrap_or_else(nothing)),
            Err(error) => {
                problems.push(error.message);
                (true, nothing())
            }
        };
        Ok(Layers {
            name: file.env.clone(),
            exists,
            problem: (!problems.is_empty()).then(|| problems.join(" ")),
            defaults: chart.defaults().cloned().unwrap_or_else(nothing),
            file: values,
            parameters: self.parameters(file),
        })
    }

    /// Where an application's effective values differ between the environments of a flow.
    pub async fn values_matrix(&self, flow: String, app: String) -> Result<ValuesMatrix> {
        let (live, _) = self.deliverer()?;
        let known = flows(&self.objects(&live));
        let found = known.into_iter().find(|one| one.name == flow);
        let found = found.ok_or_else(|| AppError::not_found(format!("there is no deployment flow {flow:?}")))?;
        let (repository, fetched) = self.values_now().await?;
        let mut layers = Vec::new();
        // Where Argo CD alone deploys, an application need not be in every environment.
        let everywhere = !found.environments.iter().any(|one| one.applications.contains(&app));
        for environment in found.environments.into_iter().filter(|one| everywhere || one.applications.contains(&app)) {
            let file = ValuesFile { flow: flow.clone(), env: environment.name, app: app.clone() };
            layers.push(self.layers(&repository, &fetched, &file).await?);
        }
        crate::blocking(move || {
            let environments: Vec<EnvironmentValues<'_>> = layers
                .iter()
                .map(|one| EnvironmentValues {
                    name: &one.name,
                    defaults: &one.defaults,
                    file: &one.file,
                    parameters: &one.parameters,
                })
                .collect();
            let found = matrix(&environments);
            let row = |row: pilothouse_values::MatrixRow| MatrixRow {
                path: row.path,
                cells: row
                    .cells
                    .into_iter()
                    .map(|one| one.map(|one| MatrixCell { value: cell(&one.value), source: source_of(one.source) }))
                    .collect(),
            };
            Ok(ValuesMatrix {
                rows: found.rows.into_iter().map(row).collect(),
                same: small(found.same),
                environments: layers
                    .into_iter()
                    .map(|one| MatrixEnvironment { name: one.name, exists: one.exists, problem: one.problem })
                    .collect(),
            })
        })
        .await
    }

    async fn pair(&self, from: &ValuesFile, to: &ValuesFile) -> Result<(Pair, RepoPath, RepoPath)> {
        let (source, target) = (from.path()?, to.path()?);
        let (_, fetched) = self.values_now().await?;
        let tip = fetched.tip.clone().ok_or_else(|| AppError::not_found("the repository has no commits yet"))?;
        let (a, b) = (source.clone(), target.clone());
        let pair = self.git(move || read_pair(&fetched.clone, &tip, &a, &b)).await?;
        Ok((pair, source, target))
    }

    /// What could be taken over from one environment's values file to another's; nothing is written.
    pub async fn preview_promotion(&self, from: ValuesFile, to: ValuesFile) -> Result<Promotion> {
        let (pair, source, target) = self.pair(&from, &to).await?;
        let Some(bytes) = pair.source else {
            return Err(AppError::not_found(format!("{source} does not exist: there is nothing to take over")));
        };
        let from = text_of(&source, bytes)?;
        let (to, blob) = match pair.target {
            Some((bytes, blob)) => (text_of(&target, bytes)?, Some(blob)),
            None => (String::new(), None),
        };
        let (base, commit) = match pair.base {
            Some((bytes, commit)) => (text_of(&source, bytes).ok(), Some(commit)),
            None => (None, None),
        };
        crate::blocking(move || {
            // An ancestor that does not parse is none.
            let base = base.filter(|text| read(text).is_ok());
            let rows = promote(&from, &to, base.as_deref())?;
            let row = |row: pilothouse_values::PromotionRow| PromotionRow {
                path: row.path.to_string(),
                base: row.base.as_ref().map(cell),
                source: row.source.as_ref().map(cell),
                target: row.target.as_ref().map(cell),
                change: match row.change {
                    Change::Added => PromotionChange::Added,
                    Change::Removed => PromotionChange::Removed,
                    Change::Changed => PromotionChange::Changed,
                },
                changed_in: match row.changed_in {
                    Side::Source => PromotionSide::Source,
                    Side::Target => PromotionSide::Target,
                    Side::Both => PromotionSide::Both,
                    Side::Unknown => PromotionSide::Unknown,
                },
            };
            Ok(Promotion {
                rows: rows.into_iter().map(row).collect(),
                base: commit.filter(|_| base.is_some()).map(commit_entry),
                target_exists: blob.is_some(),
                target_text: to,
                target_blob: blob,
            })
        })
        .await
    }

    /// The target's text with the chosen keys taken over, to be reviewed and committed as any other edit, and what of
    /// its comments would go. `text` is the target's as it was previewed.
    pub async fn promoted_text(&self, from: ValuesFile, text: String, paths: Vec<String>) -> Result<PromotedText> {
        let path = from.path()?;
        let (_, fetched) = self.values_now().await?;
        let at = path.clone();
        let content = self
            .git(move || match &fetched.tip {
                Some(tip) => fetched.clone.read(tip, &at, LIMIT),
                None => Ok(None),
            })
            .await?;
        let content = content.ok_or_else(|| AppError::not_found(format!("{path} does not exist any more")))?;
        let source = text_of(&path, content.bytes)?;
        crate::blocking(move || {
            let paths = paths.iter().map(|one| KeyPath::parse(one)).collect::<pilothouse_values::Result<Vec<_>>>()?;
            let new = apply_promotion(&source, &text, &paths)?;
            let lost = comments_lost(&text, &new).into_iter();
            let lost = lost.map(|one| LostComment { line: small(one.line), text: one.text }).collect();
            Ok(PromotedText { text: new, lost })
        })
        .await
    }
}
