//! What can go wrong with a values file.

/// Everything this crate can refuse, each with the way out in its words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is larger than [`crate::LIMIT`] bytes.
    #[error("the values file has {size} bytes; the limit is {limit}. Split it or remove what the chart does not need")]
    TooLarge {
        /// Size of the text, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The text is not YAML that Helm would read.
    #[error("the values file cannot be read at line {line}, column {column}: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the reader says.
        message: String,
    },
    /// The text holds more than one YAML document.
    #[error("the values file holds several YAML documents; Helm reads only one. Remove the `---` line at line {line}")]
    SeveralDocuments {
        /// Line where the second document begins, from 1.
        line: usize,
    },
    /// The top of the file is a list or a scalar.
    #[error("a values file must be a mapping of keys at the top, but this one is {found}")]
    NotAMapping {
        /// What stands there instead.
        found: &'static str,
    },
    /// A path such as `image.tag` is malformed.
    #[error(
        "`{path}` is not a key path: {why}. Write keys separated by dots, list places as [0], and a dot in a key as \\."
    )]
    BadPath {
        /// The text given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An edit could not be made without touching something else, so nothing was changed.
    #[error("`{path}` cannot be set without changing something else in the file ({why}); edit the text by hand")]
    EditRefused {
        /// The path that was to be set.
        path: String,
        /// Why the edit was refused.
        why: String,
    },
    /// A chart's values.schema.json is not used.
    #[error("the chart's values.schema.json is not used: {why}")]
    Schema {
        /// What is wrong with it.
        why: String,
    },
    /// A file name in the repository is unsafe.
    #[error("the path of the values file is not usable: {0}")]
    Path(#[from] pilothouse_git::Error),
}

impl Error {
    /// A stable code for the edge, such as `values.syntax`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "values.too_large",
            Self::Syntax { .. } => "values.syntax",
            Self::SeveralDocuments { .. } => "values.several_documents",
            Self::NotAMapping { .. } => "values.not_a_mapping",
            Self::BadPath { .. } => "values.bad_path",
            Self::EditRefused { .. } => "values.edit_refused",
            Self::Schema { .. } => "values.schema",
            Self::Path(_) => "values.path",
        }
    }
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
