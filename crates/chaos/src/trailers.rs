//! Trailers of commits: which workflow a commit is about, and the run that its author had before them.

use crate::workflow_object::LastRun;

/// A commit message with what it is about, as `git interpret-trailers` reads it. Trailers that the author wrote stay,
/// and nothing is said twice.
pub fn with_trailers(message: &str, project: &str, workflows: &[(&str, Option<&LastRun>)]) -> String {
    let mut lines = vec![format!("Chaos-Project: {project}")];
    for (workflow, run) in workflows {
        lines.push(format!("Chaos-Workflow: {workflow}"));
        if let Some(run) = run.filter(|run| !run.name.is_empty()) {
            let verdict = run.verdict.as_deref().map(|verdict| format!(" {verdict}")).unwrap_or_default();
            let score = run.score.map(|score| format!(" {score}")).unwrap_or_default();
            lines.push(format!("Chaos-Last-Run: {}{verdict}{score}", run.name));
        }
    }
    let message = message.trim();
    let last = message.rsplit_once("\n\n").map(|(_, last)| last);
    let there = last.is_some_and(|last| last.lines().all(is_trailer));
    lines.retain(|line| !last.is_some_and(|last| there && last.lines().any(|one| one == line)));
    if lines.is_empty() {
        return message.to_owned();
    }
    format!("{message}{}{}", if there { "\n" } else { "\n\n" }, lines.join("\n"))
}

fn is_trailer(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(key, value)| {
        !key.is_empty() && !value.trim().is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_come_last_and_once() {
        let run =
            LastRun { name: "kill-1".into(), verdict: Some("Fail".into()), score: Some(33.3), ..LastRun::default() };
        let made = with_trailers("Spare the cart\n\nIt fell.", "shop", &[("kill", Some(&run))]);
        let wanted =
            "Spare the cart\n\nIt fell.\n\nChaos-Project: shop\nChaos-Workflow: kill\nChaos-Last-Run: kill-1 Fail 33.3";
        assert_eq!(made, wanted);
        assert_eq!(with_trailers(&made, "shop", &[("kill", Some(&run))]), wanted, "said twice");
        let signed =
            with_trailers("Change\n\nSigned-off-by: Ada <ada@example.org>\n", "shop", &[("a", None), ("b", None)]);
        let wanted =
            "Change\n\nSigned-off-by: Ada <ada@example.org>\nChaos-Project: shop\nChaos-Workflow: a\nChaos-Workflow: b";
        assert_eq!(signed, wanted);
        // A subject that looks like one is none.
        assert_eq!(with_trailers("fix: it", "p", &[]), "fix: it\n\nChaos-Project: p");
    }
}
