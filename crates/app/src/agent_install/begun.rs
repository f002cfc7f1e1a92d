//! What was begun about the agent and not brought to its end, because the app was killed, somebody cancelled, or the
//! cluster refused half-way. It is noted before the first write and forgotten after the last one, so that the window can
//! say what is half done, and go on with the very settings that were asked for.

use serde::{Deserialize, Serialize};

use crate::{
    App, Result,
    contract::{AgentCutOff, AgentForm, AgentWork},
    journal::{AgentSince, now},
    session::Live,
};

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "camelCase")]
pub(super) enum Work {
    /// It is installed, or brought up to date.
    Install {
        /// As it was asked for.
        form: AgentForm,
    },
    /// It is removed.
    Remove {
        /// Whether Pilothouse's kinds go too.
        kinds: bool,
    },
}

/// Something that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// When, as RFC 3339.
    pub(super) since: String,
    /// What.
    #[serde(flatten)]
    pub(super) work: Work,
}

impl Begun {
    /// The settings of an installation.
    pub(super) fn form(&self) -> Option<&AgentForm> {
        match &self.work {
            Work::Install { form } => Some(form),
            Work::Remove { .. } => None,
        }
    }

    /// Whether a removal takes the kinds along; none for an installation.
    pub(super) fn removal(&self) -> Option<bool> {
        match self.work {
            Work::Install { .. } => None,
            Work::Remove { kinds } => Some(kinds),
        }
    }

    pub(super) fn view(&self) -> AgentCutOff {
        let work = match self.work {
            Work::Install { .. } => AgentWork::Install,
            Work::Remove { .. } => AgentWork::Remove,
        };
        AgentCutOff { work, since: self.since.clone(), kinds: self.removal().unwrap_or(false) }
    }
}

fn setting(live: &Live) -> String {
    format!("agent-begun:{}", live.name())
}

impl App {
    /// What was begun in this cluster on this computer. What cannot be read is no hindrance: the cluster says how it
    /// stands.
    pub(super) async fn begun(&self, live: &Live) -> Option<Begun> {
        let kept = self.storage.setting(&setting(live)).await.ok().flatten()?;
        serde_json::from_str(&kept).ok()
    }

    /// Notes what is about to be begun.
    pub(super) async fn begin_work(&self, live: &Live, work: Work) -> Result<()> {
        let text = serde_json::to_string(&Begun { since: now(), work }).unwrap_or_default();
        self.storage.set_setting(&setting(live), Some(text)).await
    }

    /// Forgets it, for it is done, and says so of what was cut off before. What is done stays done when that cannot be
    /// noted.
    pub(super) async fn end_work(&self, live: &Live, since: AgentSince) {
        let forgotten = self.storage.set_setting(&setting(live), None).await;
        if let Err(error) = forgotten.and(self.journal.settle_agent(live.name(), &since).await) {
            tracing::warn!(%error, "what was begun about the agent is done and could not be forgotten");
        }
    }

    /// Gives up what was begun about the agent and cut off: from now on what is installed counts. Nothing is written to
    /// the cluster.
    pub async fn forget_agent_work(&self) -> Result<()> {
        let live = self.live()?;
        self.storage.set_setting(&setting(&live), None).await?;
        self.journal.settle_agent(live.name(), &AgentSince::GivenUp).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_reads_back() {
        let form = AgentForm {
            namespace: "pilothouse".into(),
            image: "registry.example/agent:1".into(),
            replicas: 3,
            author_name: "Agent".into(),
            author_email: "agent@example.com".into(),
            projects: vec!["litmus/shop".into()],
            triggers: vec!["litmus".into()],
        };
        let install = Begun { since: "2026-01-01T00:00:00Z".into(), work: Work::Install { form: form.clone() } };
        let remove = Begun { since: install.since.clone(), work: Work::Remove { kinds: true } };
        for one in [&install, &remove] {
            let again: Begun = serde_json::from_str(&serde_json::to_string(one).unwrap()).unwrap();
            assert_eq!(again, *one);
        }
        assert_eq!((install.form(), install.removal()), (Some(&form), None));
        assert_eq!((remove.form(), remove.removal()), (None, Some(true)));
        assert!(remove.view().kinds && remove.view().work == AgentWork::Remove);
    }
}
