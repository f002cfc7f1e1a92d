//! What is proposed before anybody has chosen: what was begun and cut off, else what is installed, else the usual. What
//! somebody took from the agent is not proposed again; what is new is named beside it, for a person to add.

use std::collections::BTreeMap;

use pilothouse_chaos::project::Project;

use super::{
    Installed, USUAL_NAMESPACE,
    handing_over::key_of,
    planning::image_setting,
    standing::{image, replicas_when_on},
};
use crate::{
    App, Result,
    agent::{Needs, ProjectNeed},
    contract::AgentForm,
    session::Live,
};

/// The entry of a project in a configuration.
pub(super) fn entry_of<'a>(needs: &'a Needs, project: &Project) -> Option<&'a ProjectNeed> {
    needs.projects.iter().find(|one| one.namespace == project.namespace && one.id == project.id)
}

/// Whether a configuration has the triggers of a namespace served.
pub(super) fn serves_triggers(needs: &Needs, namespace: &str) -> bool {
    needs.triggers.iter().any(|one| one.namespace == namespace)
}

/// The namespaces whose triggers are proposed: all there are for a new agent, those that it serves for one that is there.
fn trigger_namespaces(needs: Option<&Needs>, there: &BTreeMap<String, u32>) -> Vec<String> {
    there.keys().filter(|one| needs.is_none_or(|needs| serves_triggers(needs, one))).cloned().collect()
}

/// What was begun, as far as it can still be done: projects and triggers that are gone meanwhile are left out, and an
/// agent stays where it is.
fn still_possible(
    form: &AgentForm,
    place: Option<&str>,
    projects: &[Project],
    triggers: &BTreeMap<String, u32>,
) -> AgentForm {
    let mut form = form.clone();
    form.projects.retain(|key| projects.iter().any(|one| one.enabled && key_of(&one.namespace, &one.id) == *key));
    form.triggers.retain(|namespace| triggers.contains_key(namespace));
    if let Some(place) = place {
        place.clone_into(&mut form.namespace);
    }
    form
}

impl App {
    /// The form before anybody has filled it in.
    pub(super) async fn usual_form(
        &self,
        live: &Live,
        installed: Option<&Installed>,
        begun: Option<&AgentForm>,
        projects: &[Project],
        triggers: &BTreeMap<String, u32>,
    ) -> Result<AgentForm> {
        let place = installed.map(|one| one.namespace.as_str());
        if let Some(form) = begun {
            return Ok(still_possible(form, place, projects, triggers));
        }
        let deployment = installed.and_then(|one| one.deployment.as_ref());
        let identity = self.identity().await?;
        let says = |at: &str| installed.and_then(|one| one.says(at));
        let author_name = says("/author/name").unwrap_or_else(|| "Pilothouse agent".to_owned());
        let author_email = says("/author/email").or(identity.map(|one| one.email)).unwrap_or_default();
        let image = match deployment {
            Some(one) => image(one),
            None => self.storage.setting(&image_setting(live)).await?.unwrap_or_default(),
        };
        let needs = installed.and_then(|one| one.needs.as_ref());
        let mut chosen = Vec::new();
        for project in projects.iter().filter(|one| one.enabled) {
            // Where it leads was agreed to by whoever installed the agent so, or let this computer sync it.
            let wanted = match needs.map(|needs| entry_of(needs, project)) {
                Some(None) => false,
                Some(Some(entry)) if entry.url == project.url && entry.branch == project.branch => true,
                Some(Some(_)) | None => self.keeps(live, project).await,
            };
            if wanted {
                chosen.push(key_of(&project.namespace, &project.id));
            }
        }
        Ok(AgentForm {
            triggers: trigger_namespaces(needs, triggers),
            namespace: place.unwrap_or(USUAL_NAMESPACE).to_owned(),
            image,
            replicas: deployment.map_or(2, replicas_when_on),
            author_name,
            author_email,
            projects: chosen,
        })
    }
}

#[cfg(test)]
mod tests {
    use pilothouse_triggers::spec::WorkloadKind;

    use super::*;
    use crate::agent::TriggerNeed;

    fn there() -> BTreeMap<String, u32> {
        [("bank".to_owned(), 1), ("litmus".to_owned(), 2)].into()
    }

    #[test]
    fn what_somebody_took_from_the_agent_is_not_proposed_again() {
        assert_eq!(trigger_namespaces(None, &there()), ["bank", "litmus"], "a new agent is offered all");
        let mut needs = Needs::default();
        assert_eq!(trigger_namespaces(Some(&needs), &there()), Vec::<String>::new());
        needs.triggers.push(TriggerNeed {
            namespace: "litmus".into(),
            target: "shop".into(),
            kind: WorkloadKind::Deployment,
            respect_disruption_budget: false,
        });
        assert_eq!(trigger_namespaces(Some(&needs), &there()), ["litmus"]);
    }

    #[test]
    fn what_was_begun_is_gone_on_with_as_far_as_it_can_be() {
        let form = AgentForm {
            namespace: "elsewhere".into(),
            image: "registry.example/agent:2".into(),
            replicas: 3,
            author_name: "Agent".into(),
            author_email: "agent@example.com".into(),
            projects: vec!["litmus/gone".into()],
            triggers: vec!["gone".into(), "litmus".into()],
        };
        let now = still_possible(&form, Some("pilothouse"), &[], &there());
        assert_eq!((now.namespace.as_str(), now.replicas, now.image.as_str()), ("pilothouse", 3, form.image.as_str()));
        assert_eq!((now.projects, now.triggers), (Vec::new(), vec!["litmus".to_owned()]));
        assert_eq!(still_possible(&form, None, &[], &there()).namespace, "elsewhere");
    }
}
