//! The user's own `helm`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pilothouse_cluster::exec::{Limits, Stopped, run};
use pilothouse_cluster::search_path::SearchPath;
use serde_json::Value;

use super::files::schemas_left_out;
use super::parameters::{Failed, pass};
use super::release::printable;
use super::workroom::Workroom;
use super::{Chart, ChartError, Manifest, Release, parse};

/// What one rendering may take. A chart's template can ask for anything.
const LIMITS: Limits = Limits { patience: Duration::from_secs(30), output: 16 << 20, memory: Some(2 << 30) };
/// What asking for the version may take.
const ASKING: Limits = Limits { patience: Duration::from_secs(10), output: 64 << 10, memory: Some(2 << 30) };
/// How much of Helm's own words is shown.
const MOST_WORDS: usize = 2000;
/// The most of Helm's warnings that are shown.
const MOST_WARNINGS: usize = 8;
/// Where a proxy would listen; nothing does. Helm opens addresses that a chart names, and this keeps it from them.
const NO_WAY_OUT: &str = "http://127.0.0.1:1";

/// Helm's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helm {
    /// The command's absolute path.
    pub program: PathBuf,
    /// Its version, such as `v4.1.4`.
    pub version: String,
}

/// There is no usable Helm on this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInstalled {
    /// Why, in a sentence.
    pub why: String,
    /// Where it was searched.
    pub searched: Vec<PathBuf>,
}

/// What a chart renders.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The objects in Helm's order.
    pub manifests: Vec<Manifest>,
    /// What Helm remarked.
    pub warnings: Vec<String>,
}

impl Helm {
    /// Finds Helm: `chosen` if given, else on the login shell's PATH and in the usual folders, as credential plugins
    /// are found. It is asked for its version with a private folder below `root` as its home.
    ///
    /// # Errors
    /// It is not there, does not run, or is older than version 3.
    pub async fn find(chosen: Option<&Path>, root: &Path) -> Result<Self, NotInstalled> {
        let (program, searched) = match chosen {
            Some(path) => (SearchPath::default().find(&path.to_string_lossy()), vec![path.to_owned()]),
            None => {
                let search = SearchPath::complete().await;
                (search.find("helm"), search.folders().to_vec())
            }
        };
        let missing = |why: String| NotInstalled { why, searched: searched.clone() };
        let Some(program) = program else { return Err(missing("there is no `helm` command".to_owned())) };
        let shown = program.display().to_string();
        let root = root.to_owned();
        let room = tokio::task::spawn_blocking(move || Workroom::make(&root)).await;
        let room = room.map_err(|error| missing(error.to_string()))?.map_err(|error| missing(error.to_string()))?;
        let home = environment(&room.path().join("home"));
        match run(&program, &["version".into(), "--short".into()], &home, ASKING).await {
            Ok(ended) if ended.status.success() => {
                let text = String::from_utf8_lossy(&ended.stdout).into_owned();
                match version(&text) {
                    Some((major, version)) if major >= 3 => Ok(Self { program, version }),
                    Some((_, version)) => Err(missing(format!("{shown} is {version}; version 3 or newer is needed"))),
                    None => Err(missing(format!("{shown} does not say a version, so it is not Helm"))),
                }
            }
            Ok(ended) => Err(missing(format!("{shown} does not tell its version ({})", ended.status))),
            Err(Stopped::NotStarted(why)) => Err(missing(format!("{shown} could not be started: {why}"))),
            Err(Stopped::TooLong) => Err(missing(format!("{shown} did not tell its version in time"))),
            Err(Stopped::TooMuch) => Err(missing(format!("{shown} does not answer as Helm does"))),
        }
    }

    /// Renders a release of a chart in a private folder below `root`, without network and within limits. When the
    /// future is dropped, Helm is killed and the folder removed.
    ///
    /// # Errors
    /// What is wrong with the chart or the values, with file and line where Helm says them.
    pub async fn render(&self, chart: &Arc<Chart>, release: &Release, root: &Path) -> Result<Rendering, ChartError> {
        release.check()?;
        let names = chart.missing_dependencies();
        if !names.is_empty() {
            return Err(ChartError::MissingDependencies { names });
        }
        let program = self.program.display().to_string();
        let failed = |problem: String| ChartError::Engine { program: program.clone(), problem };
        let laid_out = match self.lay_out(chart, release, root, None).await? {
            Laid::Out(room, remarks, count) => (room, remarks, count),
            Laid::Unsure => {
                let base = self.merged(release, root).await?;
                match self.lay_out(chart, release, root, Some(base)).await? {
                    Laid::Out(room, remarks, count) => (room, remarks, count),
                    Laid::Unsure => return Err(failed("did not tell what the values come to".to_owned())),
                }
            }
        };
        let (room, mut warnings, count) = laid_out;
        let names: Vec<PathBuf> = (0..count).map(|n| room.path().join(values_file(n))).collect();
        let names: Vec<&Path> = names.iter().map(PathBuf::as_path).collect();
        let arguments = release.arguments(&room.path().join(CHART), &names);
        let (output, said) = self.run(&arguments, &room, release).await?;
        warnings.extend(remarks(&said));
        // Megabytes of YAML take a while to read.
        let parsed = tokio::task::spawn_blocking(move || parse(&output)).await;
        let manifests = parsed.map_err(|error| failed(format!("was not understood: {error}")))??;
        Ok(Rendering { manifests, warnings })
    }

    /// Runs Helm in a room, and answers what it wrote and what it said.
    async fn run(
        &self,
        arguments: &[OsString],
        room: &Workroom,
        release: &Release,
    ) -> Result<(String, String), ChartError> {
        let program = self.program.display().to_string();
        let failed = |problem: String| ChartError::Engine { program: program.clone(), problem };
        let ended = run(&self.program, arguments, &environment(&room.path().join("home")), LIMITS).await;
        let ended = ended.map_err(|stopped| match stopped {
            Stopped::NotStarted(why) => failed(format!("could not be started: {why}")),
            Stopped::TooLong => failed(format!(
                "did not end within {} s and was stopped. A template of the chart may loop",
                LIMITS.patience.as_secs()
            )),
            Stopped::TooMuch => failed(format!(
                "wrote more than {} MiB and was stopped. A template of the chart may loop",
                LIMITS.output >> 20
            )),
        })?;
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = cleaned(&said, room.path(), release);
        if !ended.status.success() {
            if said.contains("out of memory") || said.contains("cannot allocate memory") {
                return Err(failed("ran out of the memory it may take. A template of the chart may loop".to_owned()));
            }
            return Err(complaint(&said, &ended.status.to_string()));
        }
        let output = String::from_utf8(ended.stdout)
            .map_err(|_| ChartError::Output { file: None, why: "it is not UTF-8 text".to_owned() })?;
        Ok((output, said))
    }

    /// Lays out what Helm reads, on a thread that may wait.
    async fn lay_out(
        &self,
        chart: &Arc<Chart>,
        release: &Release,
        root: &Path,
        base: Option<Value>,
    ) -> Result<Laid, ChartError> {
        let (chart, release, root) = (chart.clone(), release.clone(), root.to_owned());
        let work = move || lay_out(&chart, &release, &root, base.as_ref());
        let program = self.program.display().to_string();
        let failed = |error| ChartError::Engine { program, problem: format!("was not started: {error}") };
        tokio::task::spawn_blocking(work).await.map_err(failed)?
    }

    /// What the values files come to, as Helm itself reads them: rendered by a chart that only shows them.
    async fn merged(&self, release: &Release, root: &Path) -> Result<Value, ChartError> {
        let files = [
            ("Chart.yaml", "apiVersion: v2\nname: values\nversion: 0.0.0\n"),
            ("templates/all.yaml", "{{ .Values | toJson }}"),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let chart = Arc::new(Chart::of("values", BTreeMap::from(files))?);
        let bare = Release {
            name: "values".to_owned(),
            namespace: "values".to_owned(),
            values: release.values.clone(),
            ..Release::default()
        };
        let unread = || ChartError::Output { file: None, why: "the values are not shown".to_owned() };
        let Laid::Out(room, _, count) = self.lay_out(&chart, &bare, root, None).await? else { return Err(unread()) };
        let names: Vec<PathBuf> = (0..count).map(|n| room.path().join(values_file(n))).collect();
        let names: Vec<&Path> = names.iter().map(PathBuf::as_path).collect();
        let (output, _) = self.run(&bare.arguments(&room.path().join(CHART), &names), &room, release).await?;
        let shown = output.lines().find(|line| line.starts_with('{')).ok_or_else(unread)?;
        serde_json::from_str(shown).map_err(|_| unread())
    }
}

/// The chart's folder in the room.
const CHART: &str = "chart";

fn values_file(number: usize) -> String {
    format!("values-{number}.yaml")
}

/// What Helm reads, laid out.
enum Laid {
    /// The room, remarks about what of the chart is left out, and how many files of values there are.
    Out(Workroom, Vec<String>, usize),
    /// What the values files come to has to be asked of Helm first.
    Unsure,
}

/// Writes what Helm reads.
fn lay_out(chart: &Chart, release: &Release, root: &Path, base: Option<&Value>) -> Result<Laid, ChartError> {
    let passed = match pass(&release.parameters, &release.values, base) {
        Ok(passed) => passed,
        Err(Failed::Unsure) => return Ok(Laid::Unsure),
        Err(Failed::Refused(name, why)) => {
            return Err(ChartError::BadRelease(format!("the parameter {name:?} cannot be set: {why}")));
        }
    };
    let files = chart.unfolded()?;
    let room = Workroom::make(root)?;
    let left_out: BTreeMap<&str, &str> = schemas_left_out(&files).into_iter().collect();
    for (path, bytes) in files.iter().filter(|(path, _)| !left_out.contains_key(path.as_str())) {
        // Every path of a chart has been checked to stay below its folder.
        room.write(&Path::new(CHART).join(path), bytes)?;
    }
    if let Some(template) = &passed.template {
        room.write(&Path::new(CHART).join(first_template(&files)), template.as_bytes())?;
    }
    let texts: Vec<&str> = release.values.iter().map(|one| one.text.as_str()).chain(passed.file.as_deref()).collect();
    for (number, text) in texts.iter().enumerate() {
        room.write(Path::new(&values_file(number)), text.as_bytes())?;
    }
    let remark = |(schema, why): (&str, &str)| format!("The values were not held against {schema}: {why}.");
    Ok(Laid::Out(room, left_out.into_iter().map(remark).collect(), texts.len()))
}

/// A place for a template that Helm runs before all others: it begins with the deepest.
fn first_template(files: &BTreeMap<String, Vec<u8>>) -> String {
    let deepest = files.keys().map(|path| path.matches('/').count()).max().unwrap_or(0);
    let name: String = (0..8).map(|_| fastrand::lowercase()).collect();
    format!("templates/{}{name}.yaml", "numbers/".repeat(deepest + 1))
}

/// All that Helm sees of this process: folders of its own, nobody's kubeconfig, no plugins, no way to the network.
fn environment(home: &Path) -> Vec<(OsString, OsString)> {
    let folders = [
        ("HOME", ""),
        ("USERPROFILE", ""),
        ("TMPDIR", ""),
        ("TEMP", ""),
        ("TMP", ""),
        ("HELM_CACHE_HOME", "cache"),
        ("HELM_CONFIG_HOME", "config"),
        ("HELM_DATA_HOME", "data"),
        ("HELM_PLUGINS", "plugins"),
        ("HELM_REPOSITORY_CACHE", "repository-cache"),
        ("HELM_REPOSITORY_CONFIG", "repositories.yaml"),
        ("HELM_REGISTRY_CONFIG", "registry.json"),
        ("HELM_CONTENT_CACHE", "content"),
    ];
    let mut all: Vec<(OsString, OsString)> =
        folders.iter().map(|(name, path)| ((*name).into(), home.join(path).into_os_string())).collect();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        all.push((name.into(), NO_WAY_OUT.into()));
    }
    all.push(("NO_COLOR".into(), "1".into()));
    // Without it no program starts on Windows.
    all.extend(std::env::var_os("SYSTEMROOT").filter(|_| cfg!(windows)).map(|root| ("SYSTEMROOT".into(), root)));
    all
}

/// 4 and `v4.1.4` of `v4.1.4+g05fa379`; Helm 2 writes `Client: v2.17.0+g…`.
fn version(text: &str) -> Option<(u32, String)> {
    let word = text.split_whitespace().find(|word| word.starts_with('v') && word.contains('.'))?;
    let version = word.split('+').next().unwrap_or(word);
    let major = version.trim_start_matches('v').split('.').next()?.parse().ok()?;
    Some((major, printable(version, 40)))
}

/// Helm's words without the names of the private folder.
fn cleaned(said: &str, room: &Path, release: &Release) -> String {
    let mut text = said.to_owned();
    for (number, values) in release.values.iter().enumerate() {
        text = text.replace(&room.join(values_file(number)).display().to_string(), &values.name);
    }
    let parameters = room.join(values_file(release.values.len())).display().to_string();
    text = text.replace(&parameters, "the parameters of the Application");
    let room = room.display().to_string();
    printable(&text.replace(&format!("{room}/{CHART}/"), "").replace(&room, "…"), 64 << 10)
}

/// What Helm complains of, with file and line where it says them.
fn complaint(said: &str, status: &str) -> ChartError {
    let kept: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .skip_while(|line| !line.starts_with("Error: "))
        .filter(|line| !line.is_empty() && !line.starts_with("Use --debug"))
        .collect();
    let mut text = kept.join("\n");
    if text.is_empty() {
        text = printable(said.trim(), MOST_WORDS);
    }
    let text = text.trim_start_matches("Error: ").to_owned();
    let (file, line) = place(&text);
    let message = if text.is_empty() { format!("helm failed ({status})") } else { printable(&text, MOST_WORDS) };
    ChartError::Template { file, line, message }
}

/// The first `chart/templates/x.yaml:3` in Helm's words; of a text that is no YAML, the line is named apart.
fn place(text: &str) -> (Option<String>, Option<u32>) {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '<' | '>'));
    for word in words {
        let mut parts = word.split(':');
        let path = parts.next().unwrap_or_default();
        let template = path.contains("/templates/") || path.ends_with("values.schema.json") || path.contains("/crds/");
        if !template || path.contains("…") {
            continue;
        }
        let line = parts.next().and_then(|number| number.parse().ok());
        let apart = || {
            let (_, rest) = text.split_once("yaml: line ")?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        return (Some(printable(path, 300)), line.or_else(apart));
    }
    (None, None)
}

fn remarks(said: &str) -> Vec<String> {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(MOST_WARNINGS).map(|line| format!("Helm: {}", printable(line, 300))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("v4.1.4+g05fa379\n"), Some((4, "v4.1.4".into())));
        assert_eq!(version("Client: v2.17.0+gabc\n"), Some((2, "v2.17.0".into())));
        assert_eq!(version("usage: something\n"), None);
    }

    #[test]
    fn complaints_have_a_place() {
        let told = |said: &str| match complaint(said, "exit status: 1") {
            ChartError::Template { file, line, message } => (file.unwrap_or_default(), line, message),
            other => panic!("{other}"),
        };
        let (file, line, words) = told(
            "Error: cart/templates/b.yaml:3:10\n  executing \"cart/templates/b.yaml\" at <.Values.nope.deeper>:\n    nil pointer\n\nUse --debug flag to render out invalid YAML\n",
        );
        assert_eq!((file.as_str(), line), ("cart/templates/b.yaml", Some(3)));
        assert!(words.ends_with("nil pointer"), "{words}");
        let (file, line, _) = told("Error: parse error at (cart/templates/b.yaml:1): missing value for if\n");
        assert_eq!((file.as_str(), line), ("cart/templates/b.yaml", Some(1)));
        let (file, line, _) = told(
            "Error: YAML parse error on cart/templates/b.yaml: error converting YAML to JSON: yaml: line 2: mapping values\n",
        );
        assert_eq!((file.as_str(), line), ("cart/templates/b.yaml", Some(2)));
        let (_, line, words) = told("Error: values don't meet the specifications\ncart:\n- at '/a': got number\n");
        assert_eq!(line, None);
        assert!(words.contains("got number"));
        assert!(told("").2.contains("exit status"));
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_with_where_it_was_searched() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Helm::find(Some(Path::new("/no/such/helm")), dir.path()).await.unwrap_err();
        assert_eq!(missing.searched, [PathBuf::from("/no/such/helm")]);
        #[cfg(unix)]
        {
            let wrong = Helm::find(Some(Path::new("/bin/echo")), dir.path()).await.unwrap_err();
            assert!(wrong.why.contains("does not say a version"), "{wrong:?}");
        }
    }
}
