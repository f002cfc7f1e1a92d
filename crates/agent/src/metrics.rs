//! The agent's state in the text format of Prometheus.

use std::fmt::Write;

use pilothouse_app::agent::AgentState;

/// What the program itself counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// How often it connected.
    pub connects: u64,
    /// How often a connection could not be made.
    pub failures: u64,
}

/// A label's value, escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Page {
    text: String,
}

impl Page {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.begin(name, "gauge", help);
        self.value(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.begin(name, "counter", help);
        self.value(name, &[], value);
    }
}

/// The page that Prometheus reads.
pub fn page(state: &AgentState, counters: Counters) -> String {
    let mut page = Page { text: String::new() };
    let up = |yes: bool| u8::from(yes);
    page.gauge("pilothouse_agent_connected", "Whether it is connected to the API server.", up(state.connected));
    page.gauge("pilothouse_agent_ready", "Whether it can do its work.", up(state.problems.is_empty()));
    page.gauge("pilothouse_agent_notes", "What keeps single projects from being looked after.", state.notes.len());
    page.counter("pilothouse_agent_connects_total", "How often it connected.", counters.connects);
    let help = "How often a connection could not be made.";
    page.counter("pilothouse_agent_connect_failures_total", help, counters.failures);

    let name = "pilothouse_project_in_charge";
    page.begin(name, "gauge", "Whether this agent looks after the project now.");
    for one in &state.projects {
        page.value(name, &[("namespace", &one.namespace), ("project", &one.id)], up(one.in_charge));
    }
    let name = "pilothouse_project_state";
    page.begin(name, "gauge", "The state that the project's last sync left, as a label.");
    for one in state.projects.iter().filter(|one| !one.state.is_empty()) {
        page.value(name, &[("namespace", &one.namespace), ("project", &one.id), ("state", &one.state)], 1);
    }
    let name = "pilothouse_project_last_sync_timestamp_seconds";
    page.begin(name, "gauge", "When the last sync ended that noted something new.");
    for one in &state.projects {
        if let Some(time) = one.last_sync {
            page.value(name, &[("namespace", &one.namespace), ("project", &one.id)], time);
        }
    }
    let name = "pilothouse_workflows";
    page.begin(name, "gauge", "The project's workflows by their state.");
    for one in &state.projects {
        for (word, count) in &one.workflows {
            page.value(name, &[("namespace", &one.namespace), ("project", &one.id), ("state", word)], count);
        }
    }
    let name = "pilothouse_triggers_in_charge";
    page.begin(name, "gauge", "Whether this agent serves the namespace's triggers now.");
    for one in &state.engines {
        page.value(name, &[("namespace", &one.namespace)], up(one.in_charge));
    }
    let name = "pilothouse_triggers";
    page.begin(name, "gauge", "The namespace's triggers.");
    for one in &state.engines {
        page.value(name, &[("namespace", &one.namespace)], one.triggers);
    }
    let name = "pilothouse_trigger_decisions";
    page.begin(name, "gauge", "The decisions that the triggers' statuses remember.");
    for one in &state.engines {
        for (word, count) in &one.decisions {
            page.value(name, &[("namespace", &one.namespace), ("decision", word)], count);
        }
    }
    let name = "pilothouse_runs";
    page.begin(name, "gauge", "The runs that there are, by phase and verdict.");
    for ((phase, verdict), count) in &state.runs {
        page.value(name, &[("phase", phase), ("verdict", verdict)], count);
    }
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilothouse_app::agent::{EngineState, ProjectState};

    #[test]
    fn the_page_has_the_form_that_prometheus_reads() {
        let state = AgentState {
            connected: true,
            notes: vec!["GitOps is off for the project bank".into()],
            projects: vec![ProjectState {
                namespace: "litmus".into(),
                id: "sh\"op".into(),
                in_charge: true,
                state: "InSync".into(),
                last_sync: Some(1_700_000_000),
                workflows: [("InSync".to_owned(), 3)].into(),
            }],
            engines: vec![EngineState {
                namespace: "litmus".into(),
                in_charge: false,
                triggers: 2,
                decisions: [("fired", 1)].into(),
            }],
            runs: [(("Succeeded".to_owned(), "Pass".to_owned()), 4)].into(),
            ..AgentState::default()
        };
        let text = page(&state, Counters { connects: 1, failures: 2 });
        for line in [
            "pilothouse_agent_ready 1",
            "pilothouse_agent_connect_failures_total 2",
            "pilothouse_project_in_charge{namespace=\"litmus\",project=\"sh\\\"op\"} 1",
            "pilothouse_workflows{namespace=\"litmus\",project=\"sh\\\"op\",state=\"InSync\"} 3",
            "pilothouse_triggers_in_charge{namespace=\"litmus\"} 0",
            "pilothouse_runs{phase=\"Succeeded\",verdict=\"Pass\"} 4",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        let comment = |line: &str| line.starts_with("# HELP ") || line.starts_with("# TYPE ");
        assert!(
            text.lines()
                .all(|line| comment(line) || line.rsplit_once(' ').is_some_and(|(_, n)| n.parse::<f64>().is_ok()))
        );
    }
}
