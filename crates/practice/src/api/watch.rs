//! Watch: a stream of changes read from the log, from a resource version on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::kinds::KindDef;
use super::routes::View;
use super::selectors::Selection;
use super::status_errors::Refusal;
use super::store::{Change, State, Store};
use super::writes::as_version;

/// How often an idle watch that allows it gets a bookmark.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// How long a watch lives that names no time itself.
const DEFAULT_LIFE: Duration = Duration::from_secs(30 * 60);

/// What a watch request asks for.
#[derive(Debug)]
pub struct WatchOptions {
    /// Selectors.
    pub selection: Selection,
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// The version after which to start; `None` starts with all objects that there are.
    pub from: Option<u64>,
    /// Whether bookmarks may be sent.
    pub bookmarks: bool,
    /// How long the watch may live.
    pub life: Option<Duration>,
    /// How objects are shown.
    pub view: View,
}

/// One running watch.
struct Watch {
    store: Arc<Store>,
    kind: Arc<KindDef>,
    options: WatchOptions,
    position: u64,
    queue: VecDeque<Bytes>,
    bell: Receiver<u64>,
    deadline: Instant,
    next_bookmark: Instant,
    ended: bool,
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    Bytes::from(text)
}

/// Starts a watch.
pub fn start(
    store: &Arc<Store>,
    kind: Arc<KindDef>,
    options: WatchOptions,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let bell = store.bell();
    let now = Instant::now();
    let mut watch = Watch {
        store: store.clone(),
        deadline: now + options.life.unwrap_or(DEFAULT_LIFE),
        next_bookmark: now + BOOKMARK_EVERY,
        position: options.from.unwrap_or_default(),
        kind,
        options,
        queue: VecDeque::new(),
        bell,
        ended: false,
    };
    if watch.options.from.is_none() {
        watch.queue_present();
    }
    futures::stream::unfold(watch, |mut watch| async move { watch.next().await.map(|bytes| (bytes, watch)) })
}

impl Watch {
    fn queue_present(&mut self) {
        let Self { store, kind, options, queue, position, .. } = self;
        store.with(|state: &mut State| {
            *position = state.version();
            for (_, object) in state.scan(&kind.group, &kind.plural, options.namespace.as_deref()) {
                if options.selection.matches(object) {
                    queue.push_back(line("ADDED", &options.view.object(as_version(kind, object))));
                }
            }
        });
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            self.bell.mark_unchanged();
            if let Err(refusal) = self.read_log() {
                self.ended = true;
                return Some(line("ERROR", &refusal.status()));
            }
            if !self.queue.is_empty() {
                continue;
            }
            if self.ended {
                return None;
            }
            let wake = if self.options.bookmarks { self.deadline.min(self.next_bookmark) } else { self.deadline };
            tokio::select! {
                rung = self.bell.changed() => {
                    if rung.is_err() {
                        return None;
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    let now = Instant::now();
                    if now >= self.deadline {
                        self.ended = true;
                    }
                    if self.options.bookmarks {
                        self.next_bookmark = now + BOOKMARK_EVERY;
                        return Some(self.bookmark());
                    }
                }
            }
        }
    }

    fn bookmark(&self) -> Bytes {
        let metadata = json!({"resourceVersion": self.position.to_string(), "creationTimestamp": null});
        let object = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata});
        line("BOOKMARK", &object)
    }

    fn read_log(&mut self) -> Result<(), Refusal> {
        let Self { store, kind, options, queue, position, ended, .. } = self;
        store.with(|state: &mut State| {
            if state.kinds.find(&kind.group, &kind.version, &kind.plural).is_none() {
                *ended = true;
            }
            let own = |change: &&Change| {
                kind.is(&change.key.group, &change.key.plural)
                    && options.namespace.as_ref().is_none_or(|n| change.key.namespace == *n)
            };
            for change in state.changes_after(*position)?.filter(own) {
                if let Some((what, object)) = event(change, &options.selection) {
                    queue.push_back(line(what, &options.view.object(as_version(kind, &object))));
                }
            }
            *position = (*position).max(state.version());
            Ok(())
        })
    }
}

/// What a change is for a watch with this selection: an object that leaves the selection is deleted for it.
fn event(change: &Change, selection: &Selection) -> Option<(&'static str, Value)> {
    let was = change.before.as_ref().is_some_and(|before| selection.matches(before));
    let is = !change.deleted && selection.matches(&change.after);
    match (was, is) {
        (false, true) => Some(("ADDED", (*change.after).clone())),
        (true, true) => Some(("MODIFIED", (*change.after).clone())),
        (true, false) => {
            let mut last = change.before.as_ref().map(|b| (**b).clone()).unwrap_or_default();
            last["metadata"]["resourceVersion"] = change.after["metadata"]["resourceVersion"].clone();
            Some(("DELETED", last))
        }
        (false, false) => None,
    }
}
