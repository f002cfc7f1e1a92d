//! Which tags an application can be deployed with in an environment.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::objects::{CdPipeline, ImageStream, ImageTag, Objects, Stage};

/// The image streams that a flow looks at, so that one of many applications looks through them once.
pub(crate) struct StreamIndex<'a> {
    by_codebase: HashMap<&'a str, Vec<&'a ImageStream>>,
    by_name: HashMap<&'a str, &'a ImageStream>,
    inputs: HashSet<&'a str>,
    promoted: HashSet<&'a str>,
    flow: &'a str,
}

impl<'a> StreamIndex<'a> {
    pub(crate) fn of(objects: &'a Objects, pipeline: &'a CdPipeline) -> Self {
        let mut by_codebase: HashMap<&str, Vec<&ImageStream>> = HashMap::new();
        let mut by_name = HashMap::with_capacity(objects.streams.len());
        for stream in &objects.streams {
            by_codebase.entry(&stream.codebase).or_default().push(stream);
            by_name.entry(stream.meta.name.as_str()).or_insert(stream);
        }
        Self {
            by_codebase,
            by_name,
            inputs: pipeline.input_streams.iter().map(String::as_str).collect(),
            promoted: pipeline.to_promote.iter().map(String::as_str).collect(),
            flow: &pipeline.meta.name,
        }
    }

    /// The streams of an application, whichever flow and environment they are for.
    pub(crate) fn of_codebase(&self, application: &str) -> &[&'a ImageStream] {
        self.by_codebase.get(application).map_or(&[], Vec::as_slice)
    }

    fn input(&self, application: &str) -> Option<&'a ImageStream> {
        self.of_codebase(application).iter().copied().find(|stream| self.inputs.contains(stream.meta.name.as_str()))
    }

    fn verified(&self, environment: &str, application: &str) -> Option<&'a ImageStream> {
        self.by_name.get(format!("{}-{environment}-{application}-verified", self.flow).as_str()).copied()
    }
}

/// A tag on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The tag.
    pub name: String,
    /// The image's digest.
    pub digest: Option<String>,
    /// When it was built, RFC 3339.
    pub created: Option<String>,
    /// The newest by build time.
    pub latest: bool,
    /// The last that passed this environment.
    pub stable: bool,
    /// The environments of the flow that it has passed, in their order: it is in their verified streams.
    pub verified: Vec<String>,
    /// The environments of the flow that it is deployed to now.
    pub deployed: Vec<String>,
}

/// Which rule decides what is on offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TagSource {
    /// The flow's input stream: this is the first environment.
    #[default]
    Input,
    /// The flow's input stream: the application is not promoted from environment to environment.
    NotPromoted,
    /// The verified stream of the environment before, which holds what has passed it.
    Verified(String),
    /// Argo CD alone deploys, which keeps no list of images.
    None,
}

/// The tags of an application, newest first, and where they come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagList {
    /// The image stream read; none when it does not exist.
    pub stream: Option<String>,
    /// Why that one.
    pub source: TagSource,
    /// The tags, newest first.
    pub tags: Vec<Tag>,
    /// What the platform's portal calls latest, the last of the list, where that is another tag than the newest by
    /// build time (which is what automatic deploys take).
    pub portal_latest: Option<String>,
}

impl TagList {
    /// A tag by name.
    pub fn find(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// Why these tags and no others, in words.
    pub fn why(&self) -> String {
        let from = match (&self.source, &self.stream) {
            (TagSource::None, _) => {
                return "Argo CD keeps no list of images: the version is chosen by its name.".to_owned();
            }
            (TagSource::Input, Some(stream)) => {
                format!("This is the flow's first environment: every image of its input stream `{stream}` is on offer.")
            }
            (TagSource::NotPromoted, Some(stream)) => format!(
                "It is not promoted from environment to environment: every image of the flow's input stream \
                 `{stream}` is on offer."
            ),
            (TagSource::Input | TagSource::NotPromoted, None) => {
                return "None of the flow's input streams is this application's, so nothing can be on offer."
                    .to_owned();
            }
            (TagSource::Verified(before), Some(stream)) => {
                format!(
                    "Only what was deployed to `{before}` without failure is on offer: its verified stream `{stream}`."
                )
            }
            (TagSource::Verified(before), None) => {
                return format!(
                    "Only what was deployed to `{before}` without failure is on offer, and `{before}` has no verified \
                     stream of it yet."
                );
            }
        };
        match (&self.source, self.tags.is_empty()) {
            (TagSource::Verified(before), true) => format!("{from} Nothing has passed `{before}` yet."),
            (_, true) => format!("{from} Nothing has been built yet."),
            _ => from,
        }
    }
}

/// The stream an application is deployed from in an environment, as the portal resolves it (resolveStageImageStreams):
/// in the first environment, or for an application that is not promoted, the flow's input stream; later, the verified
/// stream of the environment before.
fn stream_of<'a>(
    streams: &StreamIndex<'a>,
    stages: &[&Stage],
    stage: &Stage,
    application: &str,
) -> (Option<&'a ImageStream>, TagSource) {
    match stages.iter().rfind(|one| one.order < stage.order) {
        Some(before) if streams.promoted.contains(application) => {
            (streams.verified(&before.name, application), TagSource::Verified(before.name.clone()))
        }
        Some(_) => (streams.input(application), TagSource::NotPromoted),
        None => (streams.input(application), TagSource::Input),
    }
}

/// The tags on offer for an application in an environment. `deployed` says which tag each environment runs now.
pub(crate) fn tags_of(
    streams: &StreamIndex<'_>,
    stages: &[&Stage],
    stage: &Stage,
    application: &str,
    deployed: &[(&str, &str)],
) -> TagList {
    let (stream, source) = stream_of(streams, stages, stage, application);
    let Some(stream) = stream else { return TagList { source, ..TagList::default() } };
    let passed: Vec<(&str, &ImageStream)> =
        stages.iter().filter_map(|one| Some((one.name.as_str(), streams.verified(&one.name, application)?))).collect();
    let own = passed.iter().find(|(name, _)| *name == stage.name);
    let stable = own.and_then(|(_, stream)| stream.tags.last());
    let ordered = newest_first(&stream.tags);
    let newest = ordered.first().map(|tag| tag.name.clone());
    let in_stages = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect();
    TagList {
        stream: Some(stream.meta.name.clone()),
        source,
        portal_latest: stream.tags.last().map(|tag| tag.name.clone()).filter(|last| Some(last) != newest.as_ref()),
        tags: ordered
            .into_iter()
            .map(|tag| Tag {
                name: tag.name.clone(),
                digest: tag.digest.clone(),
                created: tag.created.clone(),
                latest: Some(&tag.name) == newest.as_ref(),
                stable: stable.is_some_and(|stable| stable.name == tag.name),
                verified: in_stages(
                    &mut passed
                        .iter()
                        .filter(|(_, stream)| stream.tags.iter().any(|one| one.name == tag.name))
                        .map(|(name, _)| *name),
                ),
                deployed: in_stages(
                    &mut deployed.iter().filter(|(_, version)| *version == tag.name).map(|(name, _)| *name),
                ),
            })
            .collect(),
    }
}

/// By build time where every tag has one that can be read, else by the order of the list, which is appended to. A tag
/// that was built twice counts once, as the newer.
fn newest_first(tags: &[ImageTag]) -> Vec<&ImageTag> {
    let time = |tag: &ImageTag| tag.created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let mut ordered: Vec<&ImageTag> = tags.iter().rev().collect();
    if ordered.iter().all(|tag| time(tag).is_some()) {
        ordered.sort_by_key(|tag| std::cmp::Reverse(time(tag)));
    }
    let mut seen = HashSet::new();
    ordered.retain(|tag| seen.insert(tag.name.as_str()));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str, created: Option<&str>) -> ImageTag {
        ImageTag { name: name.into(), created: created.map(str::to_owned), digest: None }
    }

    fn names(tags: &[ImageTag]) -> Vec<&str> {
        newest_first(tags).into_iter().map(|tag| tag.name.as_str()).collect()
    }

    #[test]
    fn tags_come_newest_first() {
        let times = [
            tag("b", Some("2026-01-02T00:00:00Z")),
            tag("a", Some("2026-01-01T00:00:00Z")),
            tag("c", Some("2026-01-03T00:00:00+01:00")),
        ];
        assert_eq!(names(&times), ["c", "b", "a"]);
        assert_eq!(
            names(&[tag("b", Some("2026-01-02T00:00:00Z")), tag("a", None), tag("c", Some("soon"))]),
            ["c", "a", "b"]
        );
        assert_eq!(names(&[tag("a", None), tag("b", None), tag("a", None)]), ["a", "b"]);
    }
}
