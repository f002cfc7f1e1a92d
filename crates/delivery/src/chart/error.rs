//! What can go wrong with a chart.

/// Why a chart cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// There is no `Chart.yaml` where the chart should be.
    #[error("{place} holds no chart: there is no Chart.yaml")]
    Absent {
        /// The folder.
        place: String,
    },
    /// A chart holds something that is not written to the disk: a link, a submodule, an odd name.
    #[error("the chart is not rendered, because {path} is {what}. Put a plain file there")]
    Refused {
        /// Where, made printable.
        path: String,
        /// What it is.
        what: String,
    },
    /// A chart is larger than is read.
    #[error("the chart is not read: {what}")]
    TooLarge {
        /// What is too large, and the limit.
        what: String,
    },
    /// `Chart.yaml` or another file of the chart does not say what it has to.
    #[error("{path} cannot be used: {why}")]
    BadFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The chart needs other charts that do not lie in it.
    #[error(
        "the chart needs {}, which {} not in its charts/ folder. Nothing is downloaded to render it: run `helm \
         dependency build` in the chart and commit charts/, or look at the manifests in Argo CD, which fetches them \
         when it deploys",
        names.join(", "), if names.len() == 1 { "is" } else { "are" }
    )]
    MissingDependencies {
        /// Their names, with version and repository where the chart says.
        names: Vec<String>,
    },
    /// An Application's source is no address that a chart is fetched from.
    #[error("no chart is fetched from {address:?}: {why}")]
    BadSource {
        /// The source, without anything secret.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server shows its charts to those only who log in.
    #[error("{host} wants a user name and a password or token before it shows the chart")]
    LoginNeeded {
        /// The server.
        host: String,
    },
    /// The server does not publish that version.
    #[error("{place} has no such version of {chart}{}", some_known(known))]
    Unpublished {
        /// The chart.
        chart: String,
        /// Where it was looked for.
        place: String,
        /// Some versions that are published.
        known: Vec<String>,
    },
    /// What came is not what was published.
    #[error(
        "{what} is not what is published: its digest is {found}, and {expected} is what the server says. Nothing of it \
         is used"
    )]
    Altered {
        /// What came.
        what: String,
        /// The digest that was said.
        expected: String,
        /// The digest that it has.
        found: String,
    },
    /// The server of the chart cannot be reached, or does not give it.
    #[error(transparent)]
    Web(#[from] pilothouse_cluster::web::WebError),
    /// The release's name, namespace, parameters or values cannot be given to Helm.
    #[error("the release cannot be rendered: {0}")]
    BadRelease(String),
    /// Helm could not be run to its end.
    #[error("{program} {problem}")]
    Engine {
        /// The command.
        program: String,
        /// What happened.
        problem: String,
    },
    /// Helm refused the chart or the values.
    #[error("{}{message}", place(file, line))]
    Template {
        /// The template, from the chart's name on, where Helm says.
        file: Option<String>,
        /// The line in it, from 1.
        line: Option<u32>,
        /// What Helm says.
        message: String,
    },
    /// What Helm made is not a list of Kubernetes objects.
    #[error("{}what it renders cannot be used: {why}", place(file, &None))]
    Output {
        /// The template, where it is known.
        file: Option<String>,
        /// What is wrong. Holds nothing of the text itself.
        why: String,
    },
    /// The repository cannot be read.
    #[error(transparent)]
    Git(#[from] pilothouse_git::Error),
    /// The private folder for a rendering cannot be written.
    #[error("the folder {folder} cannot be used for rendering: {why}")]
    Disk {
        /// The folder.
        folder: String,
        /// What the system says.
        why: String,
    },
}

fn some_known(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; it has {}, for instance", known.join(", ")) }
}

fn place(file: &Option<String>, line: &Option<u32>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{file}, line {line}: "),
        (Some(file), None) => format!("{file}: "),
        (None, _) => String::new(),
    }
}

impl ChartError {
    /// A stable code for the edge.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Git(error) => error.code(),
            Self::Web(error) => error.code(),
            _ => "chart.invalid",
        }
    }
}
