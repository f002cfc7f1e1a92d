//! Proxies: found in the variables that git and curl read, and told apart from the server when they fail.

use pilothouse_git::{Access, BareClone, Error, ProxyChoice, RemoteUrl, TlsProblem, Variables, probe};
use pilothouse_rig::git_host::{Certificate, GitHost};
use pilothouse_rig::proxy::{Manner, Proxy};

use crate::look::Look;
use crate::stage::*;

fn through(address: &RemoteUrl, variables: &[(&str, &str)]) -> Access {
    let proxy = ProxyChoice::Variables(Variables::new(variables.iter().copied()));
    Access { proxy, ..https_access(address) }
}

fn failure(address: &RemoteUrl, access: &Access) -> String {
    match probe(address, access) {
        Err(error @ Error::Proxy { .. }) => {
            assert_eq!(error.code(), "git.proxy");
            format!("{error} {error:?}")
        }
        other => panic!("must be the proxy's fault: {other:?}"),
    }
}

#[test]
fn case_09_https_goes_through_the_proxy_of_the_environment() {
    let address = url(&https().create_repo("proxied").unwrap().url);
    let open = Proxy::http(Manner::Open).unwrap();
    let at = format!("http://127.0.0.1:{}", open.port);
    let line = format!("CONNECT 127.0.0.1:{} HTTP/1.1", https().port());
    for (count, name) in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].into_iter().enumerate() {
        probe(&address, &through(&address, &[(name, &at)])).unwrap_or_else(|error| panic!("{name}: {error}"));
        let asked = open.asked();
        assert!(asked.len() > count && asked.iter().all(|asked| asked.line == line), "{name}: {asked:?}");
        assert!(asked.iter().all(|asked| asked.authorization.is_none()));
    }
    // A whole fetch, too, and not only the first look.
    let before = open.asked().len();
    let dir = tempfile::tempdir().unwrap();
    let clone = BareClone::open_or_create(&dir.path().join("c"), &address).unwrap();
    assert!(clone.fetch(&through(&address, &[("https_proxy", &at)]), "main").unwrap().tip.is_some());
    assert!(open.asked().len() > before);

    // Spared servers go straight.
    let before = open.asked().len();
    for list in ["127.0.0.1", "127.0.0.0/8", "*", "x.example, 127.0.0.1"] {
        probe(&address, &through(&address, &[("https_proxy", &at), ("NO_PROXY", list)])).unwrap();
    }
    probe(&address, &Access { proxy: ProxyChoice::Direct, ..https_access(&address) }).unwrap();
    assert_eq!(open.asked().len(), before);
}

/// Git's library writes to freed memory when it refuses a certificate behind a proxy, so it must never come to that.
#[test]
fn case_09_a_servers_certificate_is_judged_behind_a_proxy_too() {
    for tls in [false, true] {
        let (proxy, scheme) = match tls {
            true => (Proxy::https(Manner::Open).unwrap(), "https"),
            false => (Proxy::http(Manner::Open).unwrap(), "http"),
        };
        let at = format!("{scheme}://127.0.0.1:{}", proxy.port);
        for (certificate, word) in [
            (Certificate::For(&["elsewhere.example"]), "is for elsewhere.example"),
            (Certificate::Expired, "expired"),
            (Certificate::SelfSigned, "signed by itself"),
            (Certificate::FromServer, "cannot vouch for others"),
        ] {
            let host = GitHost::https_with(certificate).unwrap();
            let address = url(&host.create_repo("x").unwrap().url);
            let given = match certificate {
                Certificate::SelfSigned => https().ca_pem.clone(),
                _ => host.ca_pem.clone(),
            };
            let access = Access { credential: token(&host), ..through(&address, &[("https_proxy", &at)]) };
            let error = probe(&address, &access.with_authority(given + &proxy.ca_pem)).unwrap_err();
            if tls {
                // The library trusts a proxy only through the system's authorities, and so gets no further.
                assert!(matches!(error, Error::Tls { .. } | Error::Proxy { .. }), "{certificate:?}: {error:?}");
            } else {
                assert!(matches!(error, Error::Tls { .. }), "{certificate:?}: {error:?}");
                assert!(error.to_string().contains(word), "{certificate:?}: {error}");
            }
            assert!(host.requests().is_empty());
        }
    }
    let (host, proxy) = (GitHost::https().unwrap(), Proxy::http(Manner::Open).unwrap());
    let address = url(&host.create_repo("x").unwrap().url);
    let at = format!("http://127.0.0.1:{}", proxy.port);
    let bare = Access { credential: token(&host), ..through(&address, &[("https_proxy", &at)]) };
    let error = probe(&address, &Access { extra_ca_pem: None, ..bare.clone() }).unwrap_err();
    assert!(error.to_string().contains("does not know"), "{error}");
    probe(&address, &bare.with_authority(host.ca_pem.clone())).unwrap();
}

/// A proxy that shows the true server first and another one afterwards, whatever its certificate: nothing is sent there.
#[test]
fn case_09_a_proxy_that_swaps_the_server_gets_nothing() {
    let address = url(&https().create_repo("swapped").unwrap().url);
    for certificate in [Certificate::For(&["127.0.0.1"]), Certificate::SelfSigned] {
        let other = GitHost::https_with(certificate).unwrap();
        for trusted in [https().ca_pem.clone(), https().ca_pem.clone() + &other.ca_pem] {
            let proxy = Proxy::http(Manner::Swindler(other.port())).unwrap();
            let at = format!("http://127.0.0.1:{}", proxy.port);
            let access = through(&address, &[("https_proxy", &at)]).with_authority(trusted);
            let error = probe(&address, &access).unwrap_err();
            assert!(matches!(error, Error::Tls { problem: TlsProblem::Changed, .. }), "{error:?}");
        }
        assert!(other.requests().is_empty());
    }
}

#[test]
fn case_09_a_proxy_with_a_password() {
    let address = url(&https().create_repo("guarded").unwrap().url);
    // `me:seeded-word`
    let guarded = Proxy::http(Manner::Guarded("Basic bWU6c2VlZGVkLXdvcmQ=".to_owned())).unwrap();
    let with = |user: &str| format!("http://{user}127.0.0.1:{}", guarded.port);
    probe(&address, &through(&address, &[("https_proxy", &with("me:seeded-word@"))])).unwrap();
    let told = failure(&address, &through(&address, &[("https_proxy", &with(""))]));
    assert!(told.contains("wants a user name and password") && told.contains("https_proxy"), "{told}");
    let told = failure(&address, &through(&address, &[("https_proxy", &with("me:seeded-other@"))]));
    assert!(told.contains("does not take the user name and password"), "{told}");
    assert!(!told.contains("seeded") && !told.contains("c2VlZGVk"), "{told}");
    // The server's token never goes to the proxy.
    let asked = format!("{:?}", guarded.asked());
    assert!(!asked.contains(&https().token), "{asked}");
}

#[test]
fn case_09_a_proxy_that_refuses_or_answers_with_a_page() {
    let address = url(&https().create_repo("refusing").unwrap().url);
    for (manner, word) in [
        (Manner::Page(407), "407"),
        (Manner::Page(403), "403"),
        (Manner::Page(503), "cannot reach the server"),
        (Manner::Page(302), "302"),
        (Manner::Liar, "something else"),
    ] {
        let proxy = Proxy::http(manner.clone()).unwrap();
        let at = format!("http://127.0.0.1:{}", proxy.port);
        let told = failure(&address, &through(&address, &[("https_proxy", &at)]));
        assert!(told.contains(word) && told.contains(&at), "{manner:?}: {told}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let told = failure(&address, &through(&address, &[("ALL_PROXY", &format!("127.0.0.1:{port}"))]));
    assert!(told.contains("ALL_PROXY"), "nobody there: {told}");
}

/// Git's library does not speak SOCKS: that is said, with the way out, before anything is sent.
#[test]
fn case_09_a_socks_proxy_is_refused_with_the_way_out() {
    let address = url(&https().create_repo("socks").unwrap().url);
    for scheme in ["socks5", "socks5h", "socks4"] {
        let at = format!("{scheme}://me:seeded-word@127.0.0.1:1080");
        let told = failure(&address, &through(&address, &[("ALL_PROXY", &at)]));
        assert!(told.contains("SOCKS") && told.contains("https_proxy") && told.contains("no_proxy"), "{told}");
        assert!(!told.contains("seeded"), "{told}");
        probe(&address, &through(&address, &[("ALL_PROXY", &at), ("no_proxy", "127.0.0.1")])).unwrap();
    }
}

/// In a process of its own: its environment is read, and so is the file of authorities that vouch for a proxy which is
/// itself spoken to over TLS.
#[test]
fn case_09_a_proxy_behind_tls_and_the_processs_own_environment() {
    let repo = https().create_repo("processes").unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (open, sealed) = (Proxy::http(Manner::Open).unwrap(), Proxy::https(Manner::Open).unwrap());
    std::fs::write(path("ca"), &https().ca_pem).unwrap();
    std::fs::write(path("proxy-ca"), &sealed.ca_pem).unwrap();
    let (plain, tls) = (format!("http://127.0.0.1:{}", open.port), format!("https://127.0.0.1:{}", sealed.port));
    let credential = format!("token {} {}", https().username, https().token);
    let look = |environment: &[(&str, &str)]| {
        Look {
            url: &repo.url,
            credential: &credential,
            known_hosts: &path("known"),
            authority: Some(&path("ca")),
            environment,
            home: home.path(),
        }
        .result()
    };
    assert_eq!(look(&[("HTTPS_PROXY", &plain)]), "ok");
    let before = open.asked().len();
    assert!(before > 0);
    assert_eq!(look(&[("HTTPS_PROXY", &plain), ("no_proxy", "127.0.0.1")]), "ok");
    assert_eq!(open.asked().len(), before);

    let trusted = path("proxy-ca");
    assert_eq!(look(&[("https_proxy", &tls), ("SSL_CERT_FILE", trusted.to_str().unwrap())]), "ok");
    let sealed_before = sealed.asked().len();
    assert!(sealed_before > 0);
    let told = look(&[("https_proxy", &tls)]);
    assert!(told.starts_with("git.proxy ") && told.contains(&tls), "{told}");
    assert_eq!(sealed.asked().len(), sealed_before, "nothing was asked of a proxy that is not trusted");

    // Git's own setting goes before the environment.
    std::fs::write(path(".gitconfig"), format!("[http]\n\tproxy = {plain}\n")).unwrap();
    assert_eq!(look(&[("https_proxy", "http://127.0.0.1:1")]), "ok");
    assert!(open.asked().len() > before);
}
