//! What an AppProject permits, by Argo CD's own rules (pkg/apis/application/v1alpha1, `IsSourcePermitted` and
//! `IsDestinationPermitted`): patterns with `*`, and `!` before what is refused.

use super::form::Destination;
use super::views::{OWN_CLUSTER, OWN_SERVER};
use crate::objects::AppProject;

/// Whether a project permits something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permitted {
    /// It does.
    Yes,
    /// It does not, and why.
    No(String),
    /// It cannot be told from here, and why.
    Unknown(String),
}

/// As long as a pattern may be to be compared.
const LONGEST: usize = 1024;

/// Whether `text` matches a pattern: `*` is any run of characters but `apart`, `**` of any, `?` is one. Other special
/// characters (`[`, `{`) are rare in projects; `None` says that such a pattern is not understood here.
fn glob(pattern: &str, text: &str, apart: Option<char>) -> Option<bool> {
    if pattern.len() > LONGEST || text.len() > LONGEST || pattern.contains(['[', '{', '\\']) {
        return None;
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Which beginnings of the text are matched by the pattern so far.
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let deep = pattern[at] == '*' && pattern.get(at + 1) == Some(&'*');
        let mut next = vec![false; text.len() + 1];
        match pattern[at] {
            '*' => {
                let mut on = false;
                for place in 0..=text.len() {
                    on = on || reach[place];
                    next[place] = on;
                    if place < text.len() && !deep && Some(text[place]) == apart {
                        on = false;
                    }
                }
            }
            wanted => {
                for place in 0..text.len() {
                    let fits = if wanted == '?' { Some(text[place]) != apart } else { text[place] == wanted };
                    next[place + 1] = reach[place] && fits;
                }
            }
        }
        reach = next;
        at += if deep { 2 } else { 1 };
    }
    Some(reach[text.len()])
}

/// The address as Argo CD compares it.
fn normal(address: &str) -> String {
    let text = address.trim().to_lowercase();
    let text = match text.split_once("://") {
        None if text.contains('@') => text.replacen(':', "/", 1),
        _ => text,
    };
    let text = text.strip_suffix(".git").unwrap_or(&text);
    text.strip_prefix("ssh://").unwrap_or(text).to_owned()
}

/// What a pattern says of a text, with `!` before it the opposite; `None` where it cannot be told.
fn says(pattern: &str, text: Option<&str>, apart: Option<char>) -> Option<bool> {
    let (refuses, pattern) = match pattern.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let matches = match text {
        _ if pattern == "*" => Some(true),
        _ if pattern.is_empty() => Some(text == Some("")),
        Some(text) => glob(pattern, text, apart),
        None => None,
    };
    matches.map(|matches| matches != refuses)
}

fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    either(one.map(|one| !one), other.map(|other| !other)).map(|no| !no)
}

/// Whether a project's Applications may read a repository.
pub fn permits_source(project: &AppProject, address: &str) -> Permitted {
    let wanted = normal(address);
    let name = &project.meta.name;
    let (mut allowed, mut unclear) = (false, false);
    for pattern in &project.source_repos {
        let (mark, text) = match pattern.strip_prefix('!') {
            Some(rest) => ("!", rest),
            None => ("", pattern.as_str()),
        };
        match says(&format!("{mark}{}", normal(text)), Some(&wanted), Some('/')) {
            None => unclear = true,
            Some(true) => allowed = true,
            Some(false) if mark == "!" => {
                return Permitted::No(format!("The project {name} refuses it by `{pattern}`."));
            }
            Some(false) => {}
        }
    }
    verdict(name, allowed, unclear, "sourceRepos", &project.source_repos)
}

fn verdict(name: &str, allowed: bool, unclear: bool, field: &str, listed: &[String]) -> Permitted {
    if unclear {
        let words = format!("The project {name} has a pattern in {field} that only Argo CD itself can judge.");
        return Permitted::Unknown(words);
    }
    if allowed {
        return Permitted::Yes;
    }
    let shown: Vec<&str> = listed.iter().take(5).map(String::as_str).collect();
    let more =
        if listed.len() > shown.len() { format!(" and {} more", listed.len() - shown.len()) } else { String::new() };
    Permitted::No(match shown.is_empty() {
        true => format!("The project {name} allows nothing in {field}."),
        false => format!("The project {name} allows {}{more}.", shown.join(", ")),
    })
}

/// Whether a project's Applications may deploy to a namespace of a cluster.
pub fn permits_destination(project: &AppProject, destination: &Destination, namespace: &str) -> Permitted {
    let name = &project.meta.name;
    // Argo CD knows both names of a cluster; of another than its own we know the one that was entered.
    let (server, cluster) = match destination {
        Destination::InCluster => (Some(OWN_SERVER), Some(OWN_CLUSTER)),
        Destination::Server(server) => (Some(server.as_str()), None),
        Destination::Named(cluster) => (None, Some(cluster.as_str())),
    };
    let (mut allowed, mut unclear) = (false, false);
    for one in &project.destinations {
        let parts = [
            (&one.server, says(&one.server, server, None)),
            (&one.name, says(&one.name, cluster, None)),
            (&one.namespace, says(&one.namespace, Some(namespace), None)),
        ];
        let fits = both(either(parts[0].1, parts[1].1), parts[2].1);
        let mut refused = Some(false);
        for (pattern, says) in &parts {
            refused = either(refused, if pattern.starts_with('!') { says.map(|says| !says) } else { Some(false) });
        }
        match (fits, refused) {
            (Some(true), _) => allowed = true,
            (Some(false), Some(true)) => {
                return Permitted::No(format!("The project {name} refuses that place."));
            }
            (Some(false), Some(false)) => {}
            // A refusal that may be meant for this place weighs more than a permission.
            (_, None | Some(true)) => {
                let words = format!("The project {name} refuses clusters in a way that only Argo CD itself can judge.");
                return Permitted::Unknown(words);
            }
            (None, Some(false)) => unclear = true,
        }
    }
    if allowed {
        return Permitted::Yes;
    }
    if unclear {
        return Permitted::Unknown(format!(
            "The project {name} names clusters in a way that only Argo CD itself can compare with this one."
        ));
    }
    let listed: Vec<String> = project
        .destinations
        .iter()
        .map(|one| format!("{} in {}", one.namespace, if one.server.is_empty() { &one.name } else { &one.server }))
        .collect();
    verdict(name, false, false, "destinations", &listed)
}

/// Whether a project's Applications may lie in a namespace: its own, or one that it names.
pub fn permits_namespace(project: &AppProject, namespace: &str) -> Permitted {
    if project.meta.namespace == namespace {
        return Permitted::Yes;
    }
    // Between slashes it is a regular expression.
    let says = |pattern: &String| match pattern.starts_with('/') && pattern.ends_with('/') {
        true => None,
        false => glob(pattern, namespace, None),
    };
    let found: Vec<Option<bool>> = project.source_namespaces.iter().map(says).collect();
    let (allowed, unclear) = (found.contains(&Some(true)), found.contains(&None));
    verdict(&project.meta.name, allowed, unclear && !allowed, "sourceNamespaces", &project.source_namespaces)
}

/// The project that an Application means by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant<'a> {
    /// None has that name.
    Nobody,
    /// This one.
    One(&'a AppProject),
    /// One of several in other namespaces; which of them, only Argo CD itself knows.
    Several,
}

/// The project that an Application in `namespace` means by `name`: the one beside it, else the only one of that name.
/// Argo CD looks in its own namespace alone, which is not known here.
pub fn meant<'a>(projects: &'a [AppProject], name: &str, namespace: &str) -> Meant<'a> {
    let named: Vec<&AppProject> = projects.iter().filter(|one| one.meta.name == name).collect();
    match (named.iter().find(|one| one.meta.namespace == namespace), named.as_slice()) {
        (Some(beside), _) => Meant::One(beside),
        (None, []) => Meant::Nobody,
        (None, [only]) => Meant::One(only),
        (None, _) => Meant::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Meta, ProjectDestination};

    fn project(repos: &[&str], destinations: &[(&str, &str, &str)]) -> AppProject {
        AppProject {
            meta: Meta { name: "shop".into(), namespace: "argocd".into(), ..Meta::default() },
            source_repos: repos.iter().map(|one| (*one).to_owned()).collect(),
            destinations: destinations
                .iter()
                .map(|(server, name, namespace)| ProjectDestination {
                    server: (*server).to_owned(),
                    name: (*name).to_owned(),
                    namespace: (*namespace).to_owned(),
                })
                .collect(),
            source_namespaces: vec!["team-*".to_owned()],
            ..AppProject::default()
        }
    }

    fn word(found: &Permitted) -> char {
        match found {
            Permitted::Yes => 'y',
            Permitted::No(_) => 'n',
            Permitted::Unknown(_) => '?',
        }
    }

    #[test]
    fn repositories_are_permitted_by_patterns() {
        let table: [(&[&str], &str, char); 14] = [
            (&["*"], "https://git.example.com/acme/cart.git", 'y'),
            (&[], "https://git.example.com/acme/cart.git", 'n'),
            (&["https://git.example.com/acme/cart"], "https://git.example.com/ACME/cart.git", 'y'),
            (&["https://git.example.com/acme/*"], "https://git.example.com/acme/cart", 'y'),
            (&["https://git.example.com/acme/*"], "https://git.example.com/acme/deep/cart", 'n'),
            (&["https://git.example.com/acme/**"], "https://git.example.com/acme/deep/cart", 'y'),
            (&["https://git.example.com/*"], "https://git.example.com.evil/acme", 'n'),
            (&["git@git.example.com:acme/*"], "ssh://git@git.example.com/acme/cart", 'y'),
            (&["*", "!https://git.example.com/secret"], "https://git.example.com/secret.git", 'n'),
            (&["!https://git.example.com/secret"], "https://git.example.com/other", 'y'),
            (&["*", "!https://git.example.com/secret"], "https://git.example.com/other", 'y'),
            (&["https://git.example.com/[a-z]cme/cart"], "https://git.example.com/acme/cart", '?'),
            (&["registry.example.com/charts"], "registry.example.com/charts", 'y'),
            (&["https://git.example.com/acme/c?rt"], "https://git.example.com/acme/cart", 'y'),
        ];
        for (repos, address, wanted) in table {
            assert_eq!(word(&permits_source(&project(repos, &[]), address)), wanted, "{repos:?} {address}");
        }
        let long = "*a".repeat(600);
        assert_eq!(word(&permits_source(&project(&[&long], &[]), &"a".repeat(500))), '?', "too long to be judged");
        // Many stars take no more than their share of time.
        let stars = "*a".repeat(500);
        assert_eq!(word(&permits_source(&project(&[&stars], &[]), &format!("{}b", "a".repeat(900)))), 'n');
    }

    /// What a project says of servers, names and namespaces.
    type Rules<'a> = &'a [(&'a str, &'a str, &'a str)];

    #[test]
    fn places_are_permitted_by_server_or_name_and_namespace() {
        let own = Destination::InCluster;
        let server = Destination::Server("https://eu.example.com".into());
        let named = Destination::Named("eu".into());
        let table: [(Rules<'_>, &Destination, &str, char); 13] = [
            (&[("*", "*", "*")], &own, "shop", 'y'),
            (&[], &own, "shop", 'n'),
            (&[("https://kubernetes.default.svc", "", "shop-*")], &own, "shop-dev", 'y'),
            (&[("https://kubernetes.default.svc", "", "shop-*")], &own, "kube-system", 'n'),
            (&[("", "in-cluster", "shop-dev")], &own, "shop-dev", 'y'),
            (&[("https://eu.example.com", "", "*")], &server, "shop", 'y'),
            (&[("https://us.example.com", "", "*")], &server, "shop", 'n'),
            (&[("", "eu", "*")], &named, "shop", 'y'),
            // By its address alone it cannot be told whether this name is that cluster.
            (&[("https://eu.example.com", "", "*")], &named, "shop", '?'),
            (&[("*", "", "*")], &named, "shop", 'y'),
            (&[("*", "*", "*"), ("https://kubernetes.default.svc", "", "!kube-*")], &own, "kube-system", 'n'),
            (&[("*", "*", "*"), ("https://kubernetes.default.svc", "", "!kube-*")], &own, "shop", 'y'),
            (&[("*", "*", "*"), ("!https://eu.example.com", "", "*")], &server, "shop", 'n'),
        ];
        for (destinations, to, namespace, wanted) in table {
            let found = permits_destination(&project(&[], destinations), to, namespace);
            assert_eq!(word(&found), wanted, "{destinations:?} {to:?} {namespace}: {found:?}");
        }
    }

    #[test]
    fn other_namespaces_have_to_be_named() {
        let mut project = project(&[], &[]);
        for (namespace, wanted) in [("argocd", 'y'), ("team-a", 'y'), ("other", 'n')] {
            assert_eq!(word(&permits_namespace(&project, namespace)), wanted, "{namespace}");
        }
        project.source_namespaces.push("/^(other|more)$/".to_owned());
        for (namespace, wanted) in [("team-a", 'y'), ("other", '?'), ("third", '?')] {
            assert_eq!(word(&permits_namespace(&project, namespace)), wanted, "{namespace}");
        }
    }

    #[test]
    fn of_projects_of_one_name_the_one_beside_is_meant() {
        let at = |namespace: &str| {
            let mut one = project(&[], &[]);
            one.meta.namespace = namespace.to_owned();
            one
        };
        let all = [at("argocd"), at("team-argocd")];
        assert_eq!(meant(&all, "shop", "team-argocd"), Meant::One(&all[1]));
        assert_eq!(meant(&all, "shop", "other"), Meant::Several);
        assert_eq!(meant(&all[..1], "shop", "other"), Meant::One(&all[0]));
        assert_eq!(meant(&all, "else", "argocd"), Meant::Nobody);
    }
}
