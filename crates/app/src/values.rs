//! Values files.

use std::sync::Arc;

use pilothouse_cluster::Name;
use pilothouse_delivery::flows;
use pilothouse_git::RepoPath;
use pilothouse_values::{
    Chart, Parameter, Severity as Seriousness, Source, check, create_from_defaults, diagnose, diff, effective, read,
    values_path,
};
use serde_json::Value;

use crate::{
    App, Result,
    commits::{Accept, Change},
    contract::{
        ActivityKind, AppError, CommitOutcome, CommitValues, Diagnostic, DiffHunk, DiffKind, DiffLine, EffectiveLine,
        EffectiveValues, EnvironmentEntry, ErrorCode, FlowEntry, OpenedValues, Review, Severity, TextDiff, ValueSource,
        ValuesFile, WaitingCommits,
    },
    gitops::commit_entry,
};

pub(crate) fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn diagnostic(found: pilothouse_values::Diagnostic) -> Diagnostic {
    Diagnostic {
        line: small(found.line),
        column: small(found.column),
        severity: match found.severity {
            Seriousness::Error => Severity::Error,
            Seriousness::Warning => Severity::Warning,
            Seriousness::Hint => Severity::Info,
        },
        code: found.code.to_owned(),
        message: found.message,
        path: found.path.map(|path| path.to_string()),
    }
}

/// A change as the window sees it.
pub(crate) fn text_diff(old: &str, new: &str) -> TextDiff {
    shown_diff(diff(old, new))
}

/// A difference as the window sees it.
pub(crate) fn shown_diff(found: pilothouse_values::TextDiff) -> TextDiff {
    let line = |line: pilothouse_values::DiffLine| DiffLine {
        kind: match line.kind {
            pilothouse_values::LineKind::Same => DiffKind::Same,
            pilothouse_values::LineKind::Added => DiffKind::Added,
            pilothouse_values::LineKind::Removed => DiffKind::Removed,
        },
        old_no: line.old_no.map(small),
        new_no: line.new_no.map(small),
        text: line.text,
    };
    let hunks = found.hunks.into_iter().map(|h| DiffHunk { lines: h.lines.into_iter().map(line).collect() });
    TextDiff { hunks: hunks.collect(), added: small(found.added), removed: small(found.removed) }
}

/// A file's text; files are UTF-8.
pub(crate) fn text_of(path: &RepoPath, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| {
        AppError::new(ErrorCode::Values, format!("{path} is not UTF-8 text"))
            .with_hint("save it as UTF-8 with another editor and push it")
    })
}

/// Two changes that fit line by line can still make a file that Helm does not read.
pub(crate) fn readable_values() -> Accept {
    Arc::new(|_, bytes| std::str::from_utf8(bytes).is_ok_and(|text| refuse_broken(text).is_ok()))
}

/// Refuses a text that Helm does not read.
pub(crate) fn refuse_broken(text: &str) -> Result<()> {
    match diagnose(text).into_iter().find(|d| d.severity == Seriousness::Error) {
        Some(error) => Err(AppError::new(ErrorCode::Values, format!("line {}: {}", error.line, error.message))),
        None => Ok(()),
    }
}

impl ValuesFile {
    /// Where it lies in the repository.
    pub(crate) fn path(&self) -> Result<RepoPath> {
        let flow = Name::parse("flow", &self.flow)?;
        let environment = Name::parse("environment", &self.env)?;
        let application = Name::parse("application", &self.app)?;
        Ok(values_path(&flow, &environment, &application)?)
    }

    fn page(&self) -> String {
        format!("/environments/{}/{}/{}/values", self.flow, self.env, self.app)
    }
}

impl App {
    /// The flows of the platform with their environments.
    pub async fn list_flows(&self) -> Result<Vec<FlowEntry>> {
        let (live, _) = self.deliverer()?;
        let found = flows(&self.objects(&live));
        Ok(found
            .into_iter()
            .map(|flow| FlowEntry {
                environments: flow
                    .environments
                    .into_iter()
                    .map(|e| EnvironmentEntry {
                        name: e.name,
                        order: u32::try_from(e.order).unwrap_or(0),
                        namespace: e.namespace,
                        cluster: e.cluster,
                        trigger_type: e.trigger_type,
                        applications: e.applications,
                        status: e.status,
                    })
                    .collect(),
                name: flow.name,
                status: flow.status,
                description: flow.description,
            })
            .collect())
    }

    /// What the deployment passes as parameters, which beat the file.
    pub(crate) fn parameters(&self, file: &ValuesFile) -> Vec<Parameter> {
        let Some(live) = self.maybe_live() else { return Vec::new() };
        let objects = self.objects(&live);
        let Some(application) = objects.application(&file.flow, &file.env, &file.app) else { return Vec::new() };
        if let Some(convention) = &objects.convention {
            let placed = convention.get(&file.flow, &file.env, &file.app);
            let source = placed.and_then(|placed| application.sources.get(placed.place.chart));
            let all = source.into_iter().flat_map(|source| source.parameters.iter());
            return all.map(|(name, value)| Parameter { name: name.clone(), value: value.clone() }).collect();
        }
        let passed = ["image.tag", "image.repository", "image.digest"];
        let value = |name: &str| application.parameter(name).map(str::to_owned);
        passed.iter().filter_map(|n| Some(Parameter { name: (*n).to_owned(), value: value(n)? })).collect()
    }

    /// What is known of an application's chart: nothing before it has been read.
    pub(crate) fn chart_knowledge(&self, file: &ValuesFile) -> Arc<Chart> {
        self.charts.get(&self.chart_place(file)).map(|seen| seen.knowledge).unwrap_or_default()
    }

    /// Problems of a text, with the chart where it has been read.
    async fn diagnostics(&self, file: &ValuesFile, text: &str) -> Result<Vec<Diagnostic>> {
        let (chart, parameters, text) = (self.chart_knowledge(file), self.parameters(file), text.to_owned());
        // A long file against a large schema takes longer than a command may hold its thread.
        let found = crate::blocking(move || {
            let mut found: Vec<Diagnostic> = check(&text, &chart, &parameters).into_iter().map(diagnostic).collect();
            found.extend(chart.problems().iter().map(|problem| Diagnostic {
                line: 1,
                column: 1,
                severity: Severity::Info,
                code: "chart".into(),
                message: problem.clone(),
                path: None,
            }));
            Ok(found)
        });
        found.await
    }

    /// Opens a values file, or proposes one made from the chart's defaults.
    pub async fn open_values(&self, file: ValuesFile) -> Result<OpenedValues> {
        let path = file.path()?;
        let repository = self.gitops().await?;
        let (fetched, stale) = match self.fetch(&repository.url, &repository.usual_branch, None).await {
            Ok(fetched) => (fetched, None),
            // Without a network one can still look at and prepare a change; what was fetched last is said to be so.
            Err(error) if matches!(error.code, ErrorCode::GitNetwork | ErrorCode::GitTimeout) => {
                match self.on_disk(&repository.url).await? {
                    Some(fetched) => (fetched, Some(error)),
                    None => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        let (clone, tip, at) = (fetched.clone.clone(), fetched.tip.clone(), path.clone());
        let (content, last_change) = self
            .git(move || {
                let Some(tip) = tip else { return Ok((None, None)) };
                let content = clone.read(&tip, &at, pilothouse_values::LIMIT)?;
                let last = if content.is_some() { clone.last_change(&tip, &at)? } else { None };
                Ok((content, last))
            })
            .await?;
        let (defaults, defaults_problem) = match self.chart_defaults(&repository, &file).await {
            Ok(defaults) => (Some(defaults), None),
            Err(error) => (None, Some(error.message)),
        };
        let waiting = self.waiting_text(&repository.url, &fetched.branch, &path).await?;
        let exists = content.is_some() || waiting.is_some();
        let base_blob = match &waiting {
            Some(waiting) => Some(waiting.blob.clone()),
            None => content.as_ref().map(|c| c.blob.to_string()),
        };
        let note = waiting.as_ref().map(|waiting| waiting.note.clone());
        let text = match (waiting, content) {
            (Some(waiting), _) => waiting.text,
            (None, Some(content)) => text_of(&path, content.bytes)?,
            (None, None) => {
                let header = format!(
                    "Values of {} in {}/{}.\nEvery line below is the chart's default: take away the # of what you change.",
                    file.app, file.flow, file.env
                );
                let header = if defaults.is_some() {
                    header
                } else {
                    format!("Values of {} in {}/{}.", file.app, file.flow, file.env)
                };
                create_from_defaults(defaults.as_ref().map_or("", |d| d.text.as_str()), &header)
            }
        };
        let mut diagnostics = self.diagnostics(&file, &text).await?;
        if let Some(error) = stale {
            diagnostics.push(Diagnostic {
                line: 1,
                column: 1,
                severity: Severity::Warning,
                code: "stale".into(),
                message: format!("This is the file as it was fetched last: {}", error.message),
                path: None,
            });
        }
        Ok(OpenedValues {
            path: path.to_string(),
            branch: fetched.branch,
            exists,
            text,
            base_blob,
            base_commit: fetched.tip.map(|t| t.to_string()),
            defaults,
            defaults_problem,
            last_change: last_change.map(commit_entry),
            diagnostics,
            waiting: note,
        })
    }

    /// Problems of a text, without saving it.
    pub async fn check_values(&self, file: ValuesFile, text: String) -> Result<Vec<Diagnostic>> {
        self.diagnostics(&file, &text).await
    }

    /// What Helm would see with this text.
    pub async fn effective_values(&self, file: ValuesFile, text: String) -> Result<EffectiveValues> {
        let (chart, parameters) = (self.chart_knowledge(&file), self.parameters(&file));
        let lines = crate::blocking(move || {
            let nothing = Value::Object(serde_json::Map::new());
            Ok(effective(chart.defaults().unwrap_or(&nothing), &read(&text)?, &parameters))
        });
        let lines = lines.await?;
        let line = |line: pilothouse_values::EffectiveLine| EffectiveLine {
            value: line.text(),
            source: match line.source {
                Source::Default => ValueSource::Defaults,
                Source::File => ValueSource::File,
                Source::Parameter => ValueSource::Parameter,
            },
            path: line.path,
        };
        Ok(EffectiveValues { lines: lines.into_iter().map(line).collect() })
    }

    /// The change a commit would make.
    pub async fn review_values(&self, file: ValuesFile, text: String, base_blob: Option<String>) -> Result<Review> {
        let path = file.path()?;
        let repository = self.gitops().await?;
        let diagnostics = self.diagnostics(&file, &text).await?;
        let verb = if base_blob.is_some() { "Change" } else { "Add" };
        let message = format!("{verb} values of {} in {}/{}", file.app, file.flow, file.env);
        // A server that cannot be reached now does not keep anybody from looking at their own change.
        let fetched = match self.fetch(&repository.url, &repository.usual_branch, None).await {
            Ok(fetched) => Some(fetched),
            Err(_) => self.on_disk(&repository.url).await?,
        };
        self.review(fetched, &path, &text, base_blob, diagnostics, message).await
    }

    /// The change that a commit of a values file makes.
    pub(crate) fn values_change(&self, request: CommitValues) -> Result<Change> {
        let file = ValuesFile { flow: request.flow, env: request.env, app: request.app };
        let path = file.path()?;
        refuse_broken(&request.text)?;
        Ok(Change {
            kind: ActivityKind::Values,
            words: format!("Commit the values of {} in {}/{}", file.app, file.flow, file.env),
            page: file.page(),
            path,
            base_blob: request.base_blob,
            text: Some(request.text),
            message: request.message,
            accept: readable_values(),
        })
    }

    /// Keeps a values file's new text on this machine until the server takes it.
    pub async fn keep_values(&self, request: CommitValues) -> Result<WaitingCommits> {
        let change = self.values_change(request)?;
        let repository = self.gitops().await?;
        self.keep_change(&repository.url, "", change).await
    }

    /// Commits and pushes a values file.
    pub async fn commit_values(&self, request: CommitValues, operation: String) -> Result<CommitOutcome> {
        let change = self.values_change(request)?;
        let repository = self.gitops().await?;
        self.operations
            .run(operation, "Committing the values", |operation| async move {
                operation.step("Fetching what others pushed", 0, None);
                let fetched = self.fetch(&repository.url, &repository.usual_branch, Some(&operation)).await?;
                self.publish(&repository.url, fetched, change, &operation).await
            })
            .await
    }
}
