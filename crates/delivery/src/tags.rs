//! Which tags an application can be deployed with in an environment.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::objects::{CdPipeline, ImageStream, ImageTag, Objects, Stage};

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
}

/// The tags of an application, newest first, and where they come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagList {
    /// The image stream read; none when it does not exist.
    pub stream: Option<String>,
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
}

/// The stream an application is deployed from in an environment, as the portal resolves it (resolveStageImageStreams):
/// in the first environment, or for an application that is not promoted, the flow's input stream; later, the verified
/// stream of the environment before.
pub(crate) fn stream_of<'a>(
    objects: &'a Objects,
    pipeline: &CdPipeline,
    stage: &Stage,
    application: &str,
) -> Option<&'a ImageStream> {
    let before = objects.stages_of(&pipeline.meta.name).into_iter().rfind(|one| one.order < stage.order);
    match before {
        Some(before) if pipeline.to_promote.iter().any(|one| one == application) => {
            let name = verified(&pipeline.meta.name, &before.name, application);
            objects.streams.iter().find(|stream| stream.meta.name == name)
        }
        _ => objects
            .streams
            .iter()
            .find(|stream| stream.codebase == application && pipeline.input_streams.contains(&stream.meta.name)),
    }
}

fn verified(flow: &str, environment: &str, application: &str) -> String {
    format!("{flow}-{environment}-{application}-verified")
}

/// The tags on offer for an application in an environment.
pub(crate) fn tags_of(objects: &Objects, pipeline: &CdPipeline, stage: &Stage, application: &str) -> TagList {
    let Some(stream) = stream_of(objects, pipeline, stage, application) else { return TagList::default() };
    let own = verified(&pipeline.meta.name, &stage.name, application);
    let stable = objects.streams.iter().find(|one| one.meta.name == own).and_then(|one| one.tags.last());
    let ordered = newest_first(&stream.tags);
    let newest = ordered.first().map(|tag| tag.name.clone());
    TagList {
        stream: Some(stream.meta.name.clone()),
        portal_latest: stream.tags.last().map(|tag| tag.name.clone()).filter(|last| Some(last) != newest.as_ref()),
        tags: ordered
            .into_iter()
            .map(|tag| Tag {
                name: tag.name.clone(),
                digest: tag.digest.clone(),
                created: tag.created.clone(),
                latest: Some(&tag.name) == newest.as_ref(),
                stable: stable.is_some_and(|stable| stable.name == tag.name),
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
