//! Argo CD's AppProjects (`argoproj.io/v1alpha1`): what Applications may be made of and where they may go.

use kube::api::DynamicObject;

use super::Meta;
use super::reader::Reader;
use crate::FieldProblem;

/// An AppProject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppProject {
    /// Metadata.
    pub meta: Meta,
    /// What it is for.
    pub description: Option<String>,
    /// The repositories that Applications may read: patterns, one that begins with `!` refuses.
    pub source_repos: Vec<String>,
    /// Where Applications may deploy to.
    pub destinations: Vec<ProjectDestination>,
    /// The namespaces besides Argo CD's own in which its Applications may lie: patterns.
    pub source_namespaces: Vec<String>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

/// A place that a project allows: patterns, one that begins with `!` refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectDestination {
    /// The cluster's address.
    pub server: String,
    /// The cluster's name.
    pub name: String,
    /// The namespace.
    pub namespace: String,
}

impl AppProject {
    /// Reads an AppProject.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        Self {
            meta: Meta::read(object),
            description: reader.text("spec.description").filter(|text| !text.is_empty()),
            source_repos: reader.texts("spec.sourceRepos"),
            destinations: reader.each("spec.destinations", |one| {
                let text = |key: &str| one.text(key).unwrap_or_default();
                Some(ProjectDestination { server: text("server"), name: text("name"), namespace: text("namespace") })
            }),
            source_namespaces: reader.texts("spec.sourceNamespaces"),
            problems: reader.problems(),
        }
    }
}
