//! Changes for the window: bursts become one event.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use crate::{
    EventSink,
    contract::{Changed, Topic},
};

/// How long a burst is gathered.
const GATHER: Duration = Duration::from_millis(200);

/// Tells the window what changed; cheap to clone.
#[derive(Clone)]
pub(crate) struct Changes {
    topics: mpsc::UnboundedSender<Topic>,
}

impl Changes {
    /// Starts gathering on the current runtime; ends with the last clone.
    pub(crate) fn start(events: Arc<dyn EventSink>) -> Self {
        let (topics, mut told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(first) = told.recv().await {
                let mut burst = BTreeSet::from([first]);
                tokio::time::sleep(GATHER).await;
                while let Ok(topic) = told.try_recv() {
                    burst.insert(topic);
                }
                for topic in burst {
                    events.changed(Changed { topic });
                }
            }
        });
        Self { topics }
    }

    /// Something of this topic changed.
    pub(crate) fn tell(&self, topic: Topic) {
        // Nobody listens any more only while the runtime shuts down.
        let _ = self.topics.send(topic);
    }
}
