//! The GitOps repository: the one Codebase of type `system` with the label `app.edp.epam.com/systemType: gitops`.

mod address;
mod card;
mod edit;
mod form;
mod readers;
mod strays;
mod warnings;

pub use address::{CloneUrls, clone_urls, same_repository};
pub use card::{Card, card};
pub use edit::{Edit, EditPlan, FieldChange, edit_refusal, plan_edit};
pub use form::{CiTool, Form, Strategy, render, render_yaml, validate};
pub use readers::{Readers, StaleSet, ValuesSource, is_at, readers, stale_sets, values_sources};
pub use strays::{FlowShape, Stray, StrayKind, flow_shapes, strays};
pub use warnings::{Action, Warning, form_warnings, seconds_until_retry, warnings, warnings_on};

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
