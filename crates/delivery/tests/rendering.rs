//! Charts rendered by a real Helm: what comes out, and what a hostile chart can do.

#![allow(clippy::unwrap_used, reason = "a test ends where its story cannot go on")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use pilothouse_delivery::chart::{
    Change, Chart, ChartError, Helm, HelmParameter, Manifest, Mask, Release, Rendering, ValuesText, with_rendering,
};
use pilothouse_rig::{helm::program, skipped};

#[path = "rendering/parameters.rs"]
mod parameters;
#[path = "rendering/published.rs"]
mod published;

/// The stock chart of the practice cluster.
const STOCK: &[(&str, &str)] = &[
    ("Chart.yaml", include_str!("../../practice/src/seed/chart/Chart.yaml")),
    ("values.yaml", include_str!("../../practice/src/seed/chart/values.yaml")),
    ("values.schema.json", include_str!("../../practice/src/seed/chart/values.schema.json")),
    ("templates/deployment.yaml", include_str!("../../practice/src/seed/chart/deployment.yaml")),
    ("templates/service.yaml", include_str!("../../practice/src/seed/chart/service.yaml")),
];

/// The smallest chart, for templates of a test's own.
const BARE: &[(&str, &str)] = &[("Chart.yaml", "apiVersion: v2\nname: cart\nversion: 0.1.0\n")];

fn chart(base: &[(&str, &str)], more: &[(&str, &str)]) -> Arc<Chart> {
    let fill = |text: &str| {
        text.replace("@name@", "cart").replace("@about@", "Carts").replace("@port@", "8080").replace("@version@", "1.0")
    };
    let files = base.iter().chain(more).map(|(path, text)| ((*path).to_owned(), fill(text).into_bytes()));
    Arc::new(Chart::of("deploy-templates", files.collect::<BTreeMap<_, _>>()).unwrap())
}

fn release(values: &str) -> Release {
    Release {
        name: "cart".into(),
        namespace: "shop".into(),
        values: vec![ValuesText { name: "dev/cart-values.yaml".into(), text: values.into() }],
        parameters: vec![HelmParameter { name: "image.tag".into(), value: "1.4.0".into(), force_string: false }],
        ..Release::default()
    }
}

/// Helm, or nothing where it cannot be had, which is counted.
async fn helm(test: &str) -> Option<Helm> {
    match program() {
        Ok(path) => {
            let dir = tempfile::tempdir().unwrap();
            Some(Helm::find(Some(&path), dir.path()).await.unwrap())
        }
        Err(why) => {
            skipped(test, &why);
            None
        }
    }
}

async fn render(helm: &Helm, chart: &Arc<Chart>, release: &Release) -> Result<Rendering, ChartError> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rendering");
    let rendering = helm.render(chart, release, &root).await;
    let left = std::fs::read_dir(&root).map(|all| all.flatten().filter(|entry| entry.path().is_dir()).count());
    assert_eq!(left.unwrap_or(0), 0, "nothing is left of it");
    rendering
}

fn text(rendering: &Rendering, kind: &str) -> String {
    let mut mask = Mask::default();
    rendering.manifests.iter().find(|one| one.kind == kind).unwrap().text(&mut mask)
}

#[tokio::test]
async fn the_stock_chart_renders_with_values_and_parameters() {
    let Some(helm) = helm("the_stock_chart_renders_with_values_and_parameters").await else { return };
    assert!(helm.version.starts_with('v'), "{}", helm.version);
    let rendering =
        render(&helm, &chart(STOCK, &[]), &release("replicaCount: 7\nimage:\n  tag: ignored\n")).await.unwrap();
    let kinds: Vec<_> = rendering.manifests.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["Service", "Deployment"]);
    let deployment = text(&rendering, "Deployment");
    assert!(deployment.contains("replicas: 7"), "{deployment}");
    assert!(
        deployment.contains("image: registry.practice.local/krci/cart:1.4.0\n"),
        "parameters go first: {deployment}"
    );
    assert_eq!(rendering.manifests[1].source.as_deref(), Some("cart/templates/deployment.yaml"));
}

#[tokio::test]
async fn values_are_held_against_the_schema() {
    let Some(helm) = helm("values_are_held_against_the_schema").await else { return };
    let told = render(&helm, &chart(STOCK, &[]), &release("replicaCount: 99\n")).await.unwrap_err().to_string();
    assert!(told.contains("replicaCount") && told.contains("20"), "{told}");
}

#[tokio::test]
async fn a_secret_is_compared_and_not_shown() {
    let Some(helm) = helm("a_secret_is_compared_and_not_shown").await else { return };
    let template = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n# {{ .Values.password }}\nstringData:\n  p: {{ .Values.password }}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata:\n  name: probe\n  annotations: {helm.sh/hook: test}\n";
    let chart = chart(
        BARE,
        &[("templates/a.yaml", template), ("crds/c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: crd}\n")],
    );
    let one = render(&helm, &chart, &release("password: hunter2\n")).await.unwrap();
    let other = render(&helm, &chart, &release("password: hunter3\n")).await.unwrap();
    let compared = with_rendering(&other.manifests, &one.manifests, &|_: &Manifest| None);
    let changes: Vec<_> = compared.iter().map(|one| (one.kind.as_str(), one.change, one.hook.as_deref())).collect();
    assert_eq!(
        changes,
        [("ConfigMap", Change::Same, None), ("Secret", Change::Changed, None), ("Pod", Change::Same, Some("test"))]
    );
    let shown = format!("{compared:?}{one:?}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[tokio::test]
async fn errors_of_templates_have_file_and_line() {
    let Some(helm) = helm("errors_of_templates_have_file_and_line").await else { return };
    for (template, wanted, words) in [
        ("a: 1\nb: {{ .Values.nope.deeper }}\n", Some(2), "nil pointer"),
        ("a: 1\nb: 2\nc: {{ if }}\n", Some(3), "missing value for if"),
        ("a: b\n  c: d\n", Some(2), "mapping values"),
        ("a: 1\nb: {{ required \"say which\" .Values.nope }}\n", Some(2), "say which"),
    ] {
        let error = render(&helm, &chart(BARE, &[("templates/b.yaml", template)]), &release("")).await.unwrap_err();
        let ChartError::Template { file, line, message } = &error else { panic!("{error}") };
        assert_eq!((file.as_deref(), *line), (Some("cart/templates/b.yaml"), wanted), "{error}");
        assert!(message.contains(words), "{error}");
    }
    // The file in the error is the one people know, not the copy in the private folder.
    let error = render(&helm, &chart(BARE, &[]), &release("a: [1\n")).await.unwrap_err().to_string();
    assert!(error.contains("dev/cart-values.yaml"), "{error}");
}

#[tokio::test]
async fn a_template_that_never_ends_or_takes_everything_is_stopped() {
    let Some(helm) = helm("a_template_that_never_ends_or_takes_everything_is_stopped").await else { return };
    for (template, words) in [
        ("{{ define \"x\" }}{{ include \"x\" . }}{{ end }}{{ include \"x\" . }}", "include"),
        ("{{ range until 1000000000 }}{{ end }}", "memory"),
        (
            "a: |-\n{{ range until 300000 }}  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n{{ end }}",
            "wrote more than 16 MiB",
        ),
    ] {
        let error = render(&helm, &chart(BARE, &[("templates/b.yaml", template)]), &release("")).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains(words) && told.len() < 3000, "{told}");
    }
}

#[tokio::test]
async fn a_chart_reaches_neither_the_network_nor_a_cluster_nor_other_files() {
    let Some(helm) = helm("a_chart_reaches_neither_the_network_nor_a_cluster_nor_other_files").await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let schema = format!("{{\"$ref\": \"http://{}/x.json\"}}", listener.local_addr().unwrap());
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  \
        secrets: {{ lookup \"v1\" \"Secret\" \"\" \"\" | toJson | quote }}\n  \
        file: {{ .Files.Get \"../../../../../../etc/passwd\" | quote }}\n  host: {{ getHostByName \"example.org\" | quote }}\n";
    let chart = chart(BARE, &[("values.schema.json", &schema), ("templates/a.yaml", template)]);
    let rendering = render(&helm, &chart, &release("a: 1\n")).await.unwrap();
    let map = text(&rendering, "ConfigMap");
    assert!(map.contains("secrets: '{}'") && map.contains("file: ''") && map.contains("host: ''"), "{map}");
    assert!(rendering.warnings.iter().any(|words| words.contains("values.schema.json")), "{:?}", rendering.warnings);
    assert!(listener.accept().is_err(), "nobody called");
}

#[tokio::test]
async fn missing_dependencies_are_told_and_bundled_ones_used() {
    let Some(helm) = helm("missing_dependencies_are_told_and_bundled_ones_used").await else { return };
    let about = "apiVersion: v2\nname: cart\nversion: 0.1.0\ndependencies:\n- {name: lib, version: 1.0.0, repository: 'https://charts.example'}\n";
    let with = |more: &[(&str, &str)]| {
        let files: Vec<(&str, &str)> = [("Chart.yaml", about)].iter().chain(more).copied().collect();
        chart(&[], &files)
    };
    let missing = render(&helm, &with(&[]), &release("")).await.unwrap_err();
    assert!(missing.to_string().contains("lib 1.0.0 from https://charts.example"), "{missing}");
    let bundled = with(&[
        ("charts/lib/Chart.yaml", "apiVersion: v2\nname: lib\nversion: 1.0.0\n"),
        ("charts/lib/templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
    ]);
    assert_eq!(render(&helm, &bundled, &release("")).await.unwrap().manifests.len(), 1);
    // A packed chart that is none is told, and nothing is fetched in its place.
    let broken = render(&helm, &with(&[("charts/lib-1.0.0.tgz", "no archive")]), &release("")).await.unwrap_err();
    assert!(matches!(broken, ChartError::BadFile { .. }), "{broken}");
    assert!(broken.to_string().contains("cart/charts/lib-1.0.0.tgz"), "{broken}");
}

#[tokio::test]
async fn a_rendering_that_is_given_up_leaves_nothing() {
    let Some(helm) = helm("a_rendering_that_is_given_up_leaves_nothing").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rendering");
    let slow = chart(BARE, &[("templates/b.yaml", "{{ range until 3000 }}{{ range until 100000 }}{{ end }}{{ end }}")]);
    let rooms = |root: &Path| {
        let all = std::fs::read_dir(root).into_iter().flatten().flatten();
        all.filter(|entry| entry.path().is_dir()).count()
    };
    let release = release("");
    tokio::select! {
        ended = helm.render(&slow, &release, &root) => panic!("{ended:?}"),
        () = async { while rooms(&root) == 0 { tokio::task::yield_now().await } } => {}
    }
    for _ in 0..500 {
        if rooms(&root) == 0 {
            return;
        }
        pilothouse_delivery::chart::sweep(&root);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the folder is still there");
}

#[cfg(unix)]
#[test]
fn a_chart_is_read_out_of_git_and_what_is_odd_is_refused() {
    use pilothouse_git::{Access, BareClone, RemoteUrl, RepoPath};

    let host = pilothouse_rig::git_host::GitHost::https().unwrap();
    let repo = host.create_repo("acme/cart").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let clone = BareClone::open_or_create(&dir.path().join("clone"), &RemoteUrl::local(&repo.path).unwrap()).unwrap();
    let read = || {
        let tip = clone.fetch(&Access::default(), "main").unwrap().tip.unwrap();
        Chart::read(&clone, &tip, &RepoPath::parse("deploy-templates").unwrap()).map_err(|error| error.to_string())
    };
    assert!(read().unwrap_err().contains("deploy-templates holds no chart"));
    repo.push_file("deploy-templates/Chart.yaml", "name: cart\nversion: 1.0.0\n", "A chart").unwrap();
    repo.push_file("deploy-templates/templates/a.yaml", "a: 1\n", "A template").unwrap();
    let read_chart = read().unwrap();
    assert_eq!((read_chart.name(), read_chart.file("templates/a.yaml")), ("cart", Some(b"a: 1\n".as_slice())));
    assert_eq!(read_chart.file("README.md"), None, "what lies elsewhere is not the chart's");

    let odd = |message: &str, change: &dyn Fn(&Path)| {
        repo.edit("main", message, |work| {
            change(&work.join("deploy-templates"));
            Ok(())
        })
        .unwrap();
        read().unwrap_err()
    };
    let told = odd("Large", &|chart| std::fs::write(chart.join("big"), "x".repeat((5 << 20) + 1)).unwrap());
    assert!(told.contains("deploy-templates/big is larger than 5 MiB"), "{told}");
    let told = odd("Link", &|chart| {
        std::fs::remove_file(chart.join("big")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", chart.join("templates/link.yaml")).unwrap();
    });
    assert!(told.contains("deploy-templates/templates/link.yaml is a symbolic link"), "{told}");
    let told = odd("Name", &|chart| {
        std::fs::remove_file(chart.join("templates/link.yaml")).unwrap();
        std::fs::write(chart.join("templates/a:b.yaml"), "").unwrap();
    });
    assert!(told.contains("a:b.yaml is named in a way"), "{told}");
    let told = odd("Many", &|chart| {
        std::fs::remove_file(chart.join("templates/a:b.yaml")).unwrap();
        (0..2001).for_each(|n| std::fs::write(chart.join(format!("{n}.txt")), "").unwrap());
    });
    assert!(told.contains("more than 2000 files"), "{told}");
}
