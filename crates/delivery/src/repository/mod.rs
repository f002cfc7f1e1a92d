//! The GitOps repository: the one Codebase of type `system` with the label `app.edp.epam.com/systemType: gitops`.

mod address;
mod card;
mod form;
mod warnings;

pub use address::{CloneUrls, clone_urls};
pub use card::{Card, card};
pub use form::{CiTool, Form, Strategy, render, render_yaml, validate};
pub use warnings::{Warning, form_warnings, warnings};

use crate::objects::Codebase;

/// The branch the platform reads values from: hard-coded in cd-pipeline-operator (generateTemplatePatch) and in the
/// portal's links, whatever a Codebase's `spec.defaultBranch` says.
pub const PLATFORM_BRANCH: &str = "main";

/// The GitOps repositories among the Codebases, by age and name. There should be one; the operator refuses new flows
/// when there are more (`found more than one GitOps codebase`).
pub fn find_existing(codebases: &[Codebase]) -> Vec<&Codebase> {
    let mut found: Vec<&Codebase> = codebases.iter().filter(|one| one.is_gitops()).collect();
    found.sort_by(|a, b| (&a.meta.created, &a.meta.name).cmp(&(&b.meta.created, &b.meta.name)));
    found
}
