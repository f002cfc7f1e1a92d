//! The doctor: whether everything the app needs is in order.

use crate::{
    App, Result,
    contract::{CheckState, CloneState, ComponentEntry, ComponentKind, DoctorCheck},
    trigger_engine::EngineState,
};

fn check(id: &str, label: &str, state: CheckState, words: impl Into<String>, hint: Option<&str>) -> DoctorCheck {
    DoctorCheck {
        id: id.to_owned(),
        label: label.to_owned(),
        state,
        words: words.into(),
        hint: hint.map(str::to_owned),
    }
}

/// A hint as a sentence of its own.
fn sentence(hint: &str) -> String {
    let mut letters = hint.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

fn component(entry: &ComponentEntry) -> DoctorCheck {
    let id = match entry.id {
        ComponentKind::Krci => "component.krci",
        ComponentKind::ArgoCd => "component.argoCd",
        ComponentKind::Tekton => "component.tekton",
        ComponentKind::Litmus => "component.litmus",
        ComponentKind::ArgoWorkflows => "component.argoWorkflows",
        ComponentKind::Pilothouse => "component.pilothouse",
    };
    if entry.present {
        let version = entry.version.as_deref().unwrap_or("an unknown version");
        return check(id, &entry.name, CheckState::Ok, format!("Installed ({version})."), None);
    }
    check(id, &entry.name, CheckState::Warn, "Not installed.", Some(entry.missing_means.as_str()))
}

impl App {
    /// Whether everything the app needs is in order.
    pub async fn doctor(&self) -> Result<Vec<DoctorCheck>> {
        let mut checks = Vec::new();
        let keychain = self.keychain.info().await;
        checks.push(match keychain.problem {
            None => {
                check("keychain", "Keychain", CheckState::Ok, format!("Secrets are kept in {}.", keychain.kind), None)
            }
            Some(problem) => check(
                "keychain",
                "Keychain",
                CheckState::Warn,
                format!("Secrets are kept in this session's memory only: {problem}."),
                keychain.hint.as_deref().map(sentence).as_deref(),
            ),
        });
        checks.push(match self.identity().await? {
            Some(who) => {
                check("identity", "Author of commits", CheckState::Ok, format!("{} <{}>", who.name, who.email), None)
            }
            None => check(
                "identity",
                "Author of commits",
                CheckState::Warn,
                "Not set; commits are not possible yet.",
                Some("Enter your name and e-mail address in the settings."),
            ),
        });
        let contexts = self.list_contexts().await?;
        let broken: Vec<String> =
            contexts.files.iter().filter_map(|f| Some(format!("{}: {}", f.path, f.error.as_ref()?))).collect();
        checks.push(if broken.is_empty() {
            let words = format!("{} contexts in {} files.", contexts.contexts.len(), contexts.files.len());
            check("kubeconfig", "Kubeconfig", CheckState::Ok, words, None)
        } else {
            let hint = "Mend the file, or take it out of KUBECONFIG; the other files are used all the same.";
            check("kubeconfig", "Kubeconfig", CheckState::Warn, broken.join("; "), Some(hint))
        });
        checks.push(self.check_helm().await);
        self.check_connection(&mut checks).await?;
        Ok(checks)
    }

    async fn check_connection(&self, checks: &mut Vec<DoctorCheck>) -> Result<()> {
        let Some(live) = self.maybe_live() else {
            let hint = "Choose a context or the practice cluster.";
            checks.push(check("cluster", "Cluster", CheckState::Warn, "Nothing is connected.", Some(hint)));
            return Ok(());
        };
        checks.push(match live.cluster.version().await {
            Ok(version) => {
                check("cluster", "Cluster", CheckState::Ok, format!("{} answers ({version}).", live.name()), None)
            }
            Err(error) => {
                let hint = error.hint();
                check("cluster", "Cluster", CheckState::Bad, error.to_string(), hint.as_deref())
            }
        });
        let view = live.view();
        checks.extend(view.components.iter().map(component));
        let overview = self.repository_overview().await;
        checks.push(match overview.map(|o| o.card) {
            Err(error) => {
                check("repository", "GitOps repository", CheckState::Bad, error.message, error.hint.as_deref())
            }
            Ok(None) => {
                let hint = "Create, import or register it on the repository page.";
                check("repository", "GitOps repository", CheckState::Warn, "There is none yet.", Some(hint))
            }
            Ok(Some(card)) => {
                let (state, words, hint) = match card.clone_state {
                    CloneState::Ready { .. } => (CheckState::Ok, format!("{} is cloned.", card.name), None),
                    CloneState::Cloning => (CheckState::Ok, format!("{} is being cloned.", card.name), None),
                    CloneState::None => {
                        (CheckState::Warn, format!("{} is not cloned yet.", card.name), Some("Clone it."))
                    }
                    CloneState::NeedsCredential => (
                        CheckState::Warn,
                        format!("No credential is kept for {}.", card.name),
                        Some("Give a token or an SSH key on the repository page."),
                    ),
                    CloneState::Error { message } => (CheckState::Bad, message, None),
                };
                check("repository", "GitOps repository", state, words, hint)
            }
        });
        checks.push(trigger_engine(&live.engine()));
        Ok(())
    }
}

/// Who is in charge of triggers, namespace by namespace.
fn trigger_engine(engine: &EngineState) -> DoctorCheck {
    let seats = engine.namespaces().into_iter().map(|namespace| (engine.view(&namespace), namespace));
    let (mut here, mut elsewhere, mut nobody, mut problem) = (Vec::new(), Vec::new(), Vec::new(), None);
    for (seat, namespace) in seats {
        match (seat.here, seat.holder) {
            (true, _) => here.push(namespace),
            (false, Some(holder)) => elsewhere.push(format!("{holder} in {namespace}")),
            (false, None) => nobody.push(namespace),
        }
        problem = problem.or(seat.problem);
    }
    let mut words = Vec::new();
    if !here.is_empty() {
        words.push(format!("This app is in charge of triggers in {}.", here.join(", ")));
    }
    if !elsewhere.is_empty() {
        words.push(format!("Others are in charge elsewhere: {}.", elsewhere.join(", ")));
    }
    if !nobody.is_empty() {
        words.push(format!("Nobody is in charge of triggers in {} yet.", nobody.join(", ")));
    }
    if words.is_empty() {
        words.push("There are no triggers, and no projects that could have some.".to_owned());
    }
    let state = if nobody.is_empty() && problem.is_none() { CheckState::Ok } else { CheckState::Warn };
    check("triggers", "Trigger engine", state, words.join(" "), problem.as_deref())
}
