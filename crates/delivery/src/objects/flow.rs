//! Deployment flows, environments and image streams (`v2.edp.epam.com/v1`).

use kube::api::DynamicObject;

use super::Meta;
use super::reader::Reader;
use crate::FieldProblem;

/// What the operator says of a CDPipeline or a Stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectStatus {
    /// `created`, `in progress`, `failed` and the like.
    pub status: Option<String>,
    /// Ready for use.
    pub available: bool,
    /// What went wrong.
    pub message: Option<String>,
}

impl ObjectStatus {
    fn read(reader: &Reader<'_>) -> Self {
        Self {
            status: reader.text("status.status").filter(|text| !text.is_empty()),
            available: reader.flag("status.available").unwrap_or(false),
            message: reader.text("status.detailed_message").filter(|text| !text.is_empty()),
        }
    }
}

/// A deployment flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CdPipeline {
    /// Metadata.
    pub meta: Meta,
    /// What it is for.
    pub description: Option<String>,
    /// Its applications, in order.
    pub applications: Vec<String>,
    /// Those promoted from environment to environment.
    pub to_promote: Vec<String>,
    /// The image streams the first environment deploys from.
    pub input_streams: Vec<String>,
    /// The operator's words.
    pub status: ObjectStatus,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

impl CdPipeline {
    /// Reads a CDPipeline.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        Self {
            meta: Meta::read(object),
            description: reader.text("spec.description").filter(|text| !text.is_empty()),
            applications: reader.texts("spec.applications"),
            to_promote: reader.texts("spec.applicationsToPromote"),
            input_streams: reader.texts("spec.inputDockerStreams"),
            status: ObjectStatus::read(&reader),
            problems: reader.problems(),
        }
    }
}

/// An environment of a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// Metadata; the object is named `<flow>-<environment>`.
    pub meta: Meta,
    /// The flow.
    pub pipeline: String,
    /// The environment's name in the flow.
    pub name: String,
    /// Its place in the flow, from 0.
    pub order: i64,
    /// Where it deploys to.
    pub namespace: String,
    /// The cluster, or the Secret with its kubeconfig; `in-cluster` for the platform's own.
    pub cluster: String,
    /// `Manual`, `Auto` or `Auto-stable`.
    pub trigger_type: String,
    /// The TriggerTemplate of a deploy.
    pub trigger_template: String,
    /// The TriggerTemplate of a clean run.
    pub clean_template: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The operator's words.
    pub status: ObjectStatus,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

impl Stage {
    /// Reads a Stage.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        let or = |path: &str, usual: &str| {
            reader.text(path).filter(|text| !text.is_empty()).unwrap_or_else(|| usual.to_owned())
        };
        Self {
            meta: Meta::read(object),
            pipeline: reader.required("spec.cdPipeline"),
            name: reader.required("spec.name"),
            order: reader.number("spec.order").unwrap_or(0),
            namespace: reader.required("spec.namespace"),
            cluster: or("spec.clusterName", "in-cluster"),
            trigger_type: or("spec.triggerType", "Manual"),
            trigger_template: or("spec.triggerTemplate", "deploy"),
            clean_template: reader.text("spec.cleanTemplate").filter(|text| !text.is_empty()),
            description: reader.text("spec.description").filter(|text| !text.is_empty()),
            status: ObjectStatus::read(&reader),
            problems: reader.problems(),
        }
    }
}

/// A list of built or verified images of a codebase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageStream {
    /// Metadata.
    pub meta: Meta,
    /// The codebase.
    pub codebase: String,
    /// The image without a tag.
    pub image: String,
    /// The tags, as the operator appends them: the newest last.
    pub tags: Vec<ImageTag>,
    /// Fields that could not be read.
    pub problems: Vec<FieldProblem>,
}

/// One tag of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageTag {
    /// The tag.
    pub name: String,
    /// When it was built, RFC 3339.
    pub created: Option<String>,
    /// The image's digest, `sha256:…`.
    pub digest: Option<String>,
}

impl ImageStream {
    /// Reads a CodebaseImageStream.
    pub fn read(object: &DynamicObject) -> Self {
        let reader = Reader::new(&object.data);
        Self {
            meta: Meta::read(object),
            codebase: reader.required("spec.codebase"),
            image: reader.text("spec.imageName").unwrap_or_default(),
            tags: reader.each("spec.tags", |tag| {
                let name = tag.required("name");
                let created = tag.text("created").filter(|text| !text.is_empty());
                let digest = tag.text("digest").filter(|text| !text.is_empty());
                (!name.is_empty()).then_some(ImageTag { name, created, digest })
            }),
            problems: reader.problems(),
        }
    }
}
