//! Kubeconfig files as they are found in the wild.

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A file with one context, cluster and user of that name.
fn simple(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: {name}, cluster: {{server: 'https://{name}.example:6443'}}}}]\n\
         users: [{{name: {name}, user: {{token: s3cr3t}}}}]\n\
         contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}, namespace: team}}}}]\ncurrent-context: {name}\n"
    )
}

/// One context named c on `cluster` and `user`, both YAML in flow style.
fn problem_of(cluster: &str, user: &str) -> Option<String> {
    let files = Files::new();
    let text = format!(
        "clusters: [{{name: c, cluster: {cluster}}}]\nusers: [{{name: u, user: {user}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    let found = load(&[files.write("config", text)]);
    assert_eq!(found.files[0].error, None);
    found.contexts[0].problem.clone()
}

#[test]
fn several_files_are_one_and_the_first_wins() {
    let files = Files::new();
    let twin = simple("a").replace("a.example", "other.example");
    let paths = [files.write("1", simple("a")), files.write("2", simple("b")), files.write("3", twin)];
    let found = load(&paths);
    let seen: Vec<_> = found.contexts.iter().map(|c| (c.name.as_str(), c.server.as_str(), c.current)).collect();
    assert_eq!(seen, [("a", "https://a.example:6443", true), ("b", "https://b.example:6443", false)]);
    assert_eq!(found.contexts[0].namespace.as_deref(), Some("team"));
    assert!(found.contexts.iter().all(|context| context.problem.is_none()));
}

#[test]
fn broken_files_hide_only_themselves() {
    let files = Files::new();
    let paths = [
        files.0.path().join("absent"),
        files.write("empty", ""),
        files.write("bad", "contexts: [\nusers: s3cr3t"),
        files.write("list", "- s3cr3t\n"),
        files.write("binary", [0xFF, 0x00, 0x80]),
        files.0.path().to_owned(),
        files.write("good", simple("a")),
        files.write("typed", "users: [{name: u, user: {exec: s3cr3t}}]"),
    ];
    let found = load(&paths);
    let bad: Vec<_> = found.files.iter().map(|file| file.error.is_some()).collect();
    assert_eq!(bad, [true, false, true, true, true, true, false, true]);
    assert_eq!(found.contexts.len(), 1);
    assert_eq!(found.files[0].error.as_deref(), Some("does not exist"));
    assert!(found.files[2].error.as_ref().unwrap().contains("line"));
    assert!(!format!("{found:?}").contains("s3cr3t"), "{found:?}");
}

#[test]
fn an_alias_bomb_is_refused() {
    let files = Files::new();
    let mut text = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (next, last) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        text.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 9].join(",")));
    }
    let found = load(&[files.write("bomb", text), files.write("good", simple("a"))]);
    assert!(found.files[0].error.is_some());
    assert_eq!(found.contexts.len(), 1);
}

#[test]
fn each_context_says_what_is_wrong_with_it() {
    let fine = "{server: 'https://h:1'}";
    let cases = [
        ("{}", "{}", "names no server"),
        ("{server: ''}", "{}", "names no server"),
        ("{server: 'not a url'}", "{}", "is not a URL"),
        ("{server: 'ftp://h'}", "{}", "neither https"),
        ("{server: 'http://h:1'}", "{token: t}", "in the open"),
        ("{server: 'https://h:1', certificate-authority: absent.crt}", "{}", "certificate-authority"),
        (fine, "{client-certificate: absent.crt, client-key: absent.key}", "client-certificate"),
        (fine, "{tokenFile: /absent/token}", "tokenFile"),
        (fine, "{auth-provider: {name: azure, config: {}}}", "azure"),
    ];
    for (cluster, user, expected) in cases {
        let problem = problem_of(cluster, user).unwrap_or_default();
        assert!(problem.contains(expected), "{cluster} {user}: {problem:?}");
    }
    for cluster in [fine, "{server: 'http://127.0.0.1:8080'}", "{server: 'http://[::1]:8080'}"] {
        assert_eq!(problem_of(cluster, "{token: t}"), None, "{cluster}");
    }
}

#[test]
fn dangling_references_are_named() {
    let files = Files::new();
    let text = "clusters: [{name: c, cluster: {server: 'https://h'}}, {name: null-cluster}]\n\
        contexts: [{name: no-cluster, context: {cluster: x, user: y}}, {name: no-user, context: {cluster: c, user: y}},\n\
        {name: anonymous, context: {cluster: c}}, {name: empty}, {name: hollow, context: {cluster: null-cluster}}]\n";
    let found = load(&[files.write("config", text)]);
    let problem = |name: &str| found.context(name).unwrap().problem.clone().unwrap_or_default();
    assert!(problem("no-cluster").contains("\"x\""));
    assert!(problem("no-user").contains("\"y\""));
    assert_eq!(problem("anonymous"), "");
    assert!(problem("empty").contains("empty"));
    assert!(problem("hollow").contains("null-cluster"));
    assert_eq!(found.context("other").unwrap_err().code(), "cluster.kubeconfig");
}

#[tokio::test]
async fn relative_paths_are_the_file_s_own_and_links_are_followed() {
    let files = Files::new();
    files.write("dir ü/ca.crt", "");
    let text = "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: ca.crt}}]\n\
        contexts: [{name: c, context: {cluster: c}}]\n";
    let path = files.write("dir ü/config", text);
    assert_eq!(load(&[path]).contexts[0].problem, None);
}

#[test]
fn sixty_contexts_are_listed() {
    let files = Files::new();
    let paths: Vec<_> = (0..60).map(|n| files.write(&n.to_string(), simple(&format!("c{n}")))).collect();
    assert_eq!(load(&paths).contexts.len(), 60);
}

#[test]
fn plugins_and_insecure_clusters_are_shown() {
    let files = Files::new();
    let text = "clusters: [{name: c, cluster: {server: 'https://h', insecure-skip-tls-verify: true}}]\n\
        users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-aws, args: [eks, get-token], env: [{name: A, value: s3cr3t}]}}}]\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\n";
    let found = load(&[files.write("config", text)]);
    assert!(found.contexts[0].insecure);
    assert_eq!(found.contexts[0].exec.as_deref(), Some("no-such-aws eks get-token"));
    assert!(!format!("{found:?}").contains("s3cr3t"));
}

#[test]
fn a_plugin_s_options_are_not_shown() {
    let cases = [
        ("/opt/bin/kubectl", "[oidc-login, get-token, '--oidc-client-secret=s3cr3t']", "kubectl oidc-login get-token"),
        ("kubelogin", "[get-token, --secret, hushhush, more]", "kubelogin get-token"),
        ("kubelogin", "[get-token, S3CR3T, more]", "kubelogin get-token"),
        ("'C:\\bin\\aws.exe'", "[eks]", "aws.exe eks"),
        ("plain", "[]", "plain"),
    ];
    for (command, args, shown) in cases {
        let files = Files::new();
        let text = format!(
            "clusters: [{{name: c, cluster: {{server: 'https://h'}}}}]\n\
             users: [{{name: u, user: {{exec: {{command: {command}, args: {args}}}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        );
        let found = load(&[files.write("config", text)]);
        assert_eq!(found.contexts[0].exec.as_deref(), Some(shown));
    }
}

#[test]
fn a_server_is_shown_without_its_user() {
    let cases = [
        ("https://h:6443/k8s?a=b@c", "https://h:6443/k8s?a=b@c"),
        ("https://me:s3cr3t@h:6443/k8s", "https://h:6443/k8s"),
        ("https://me:s3/cr3t@h:6443", "https://h:6443"),
        ("https://me@s3cr3t@[::1]", "https://[::1]"),
        ("ftp://me:s3cr3t@h", "ftp://h"),
        ("me:s3cr3t@h it is", "h it is"),
        ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
        ("", ""),
    ];
    for (url, shown) in cases {
        assert_eq!(without_userinfo(url), shown, "{url}");
    }
    for server in ["ftp://me:s3cr3t@h", "me:s3cr3t@h it is", "https://me:s3cr3t@h"] {
        let problem = problem_of(&format!("{{server: '{server}'}}"), "{}").unwrap_or_default();
        assert!(!problem.contains("s3cr3t"), "{problem}");
    }
}

#[test]
fn production_is_a_word_of_the_name() {
    for name in ["prod", "eu-prod", "PRODUCTION", "prod2", "live_eu", "arn:aws:eks:eu:1:cluster/prd", "my.live.cluster"]
    {
        assert!(is_production(name), "{name}");
    }
    for name in ["dev", "product-catalog", "reproduce", "deliver", "olive", "preprod", ""] {
        assert!(!is_production(name), "{name}");
    }
}

#[test]
fn proxies_follow_the_environment_s_customs() {
    let proxied = |host: &str, without: &str| proxy_for(host, "proxy.example:3128", without).is_some();
    assert!(proxied("k8s.corp", ""));
    assert!(!proxied("127.0.0.1", "") && !proxied("localhost", "") && !proxied("[::1]", ""));
    for without in ["*", "corp", ".corp", "*.corp", "x, k8s.corp ,y"] {
        assert!(!proxied("k8s.corp", without), "{without}");
    }
    assert!(proxied("k8s.corp", "orp") && proxied("k8s.corp", ",") && proxied("k8s.corp", "10.0.0.0/8"));
    assert!(!proxied("10.1.2.3", "10.0.0.0/8") && proxied("11.1.2.3", "10.0.0.0/8"));
    assert!(
        !proxied("10.1.2.3", "10.1.2.3/32") && proxied("10.1.2.4", "10.1.2.3/32") && !proxied("10.1.2.4", "0.0.0.0/0")
    );
    assert!(proxied("10.1.2.3", "10.1.2.3/x") && proxied("10.1.2.3", "fd00::/8") && !proxied("[fd00::1]", "fd00::/8"));
}
