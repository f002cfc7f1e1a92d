//! Certificates that are not as they should be: each is refused with words of its own, and nothing is asked of it.

use pilothouse_git::{Access, Error, KnownHosts, RemoteUrl, TlsProblem, probe};
use pilothouse_rig::git_host::{Certificate, GitHost};
use pilothouse_rig::old_tls::OldTls;

use crate::stage::*;

fn problem(address: &RemoteUrl, access: &Access) -> TlsProblem {
    match probe(address, access) {
        Err(Error::Tls { problem, .. }) => problem,
        other => panic!("must be refused: {other:?}"),
    }
}

/// A server with this certificate, and access to it that trusts what the server would have trusted, or nothing.
fn server(certificate: Certificate<'_>) -> (GitHost, RemoteUrl, Access, Access) {
    let host = GitHost::https_with(certificate).unwrap();
    let address = url(&host.create_repo("tls").unwrap().url);
    let bare = Access::new(&address, token(&host), KnownHosts::default());
    let trusting = bare.clone().with_authority(host.ca_pem.clone());
    (host, address, trusting, bare)
}

#[test]
fn case_08_a_private_authority_is_trusted_only_where_it_is_given() {
    let (_host, address, trusting, bare) = server(Certificate::For(&["127.0.0.1"]));
    probe(&address, &trusting).unwrap();
    assert_eq!(problem(&address, &bare), TlsProblem::UnknownAuthority);
    let other = bare.with_authority(https().ca_pem.clone());
    assert_eq!(problem(&address, &other), TlsProblem::OtherAuthority);
    let broken = Access { extra_ca_pem: Some(b"no certificate".to_vec()), ..trusting };
    assert!(matches!(probe(&address, &broken), Err(Error::BadAuthority { .. })));
}

#[test]
fn case_08_an_address_in_numbers_needs_a_certificate_for_it() {
    // By number, and by name: each is good only for what it lists.
    let (host, address, trusting, _) = server(Certificate::For(&["localhost"]));
    assert_eq!(problem(&address, &trusting), TlsProblem::WrongName { names: "localhost".to_owned() });
    let named = url(&address.as_str().replace("127.0.0.1", "localhost"));
    let access = Access::new(&named, token(&host), KnownHosts::default()).with_authority(host.ca_pem.clone());
    probe(&named, &access).unwrap();
}

#[test]
fn case_08_a_wrong_name_an_old_and_an_early_certificate() {
    let (host, address, trusting, bare) = server(Certificate::For(&["elsewhere.example", "other.example"]));
    for access in [&trusting, &bare] {
        let names = "elsewhere.example, other.example".to_owned();
        assert_eq!(problem(&address, access), TlsProblem::WrongName { names });
    }
    assert!(host.requests().is_empty(), "nothing was asked of a server that is not trusted");

    let (host, address, trusting, bare) = server(Certificate::Expired);
    for access in [&trusting, &bare] {
        let found = problem(&address, access);
        assert!(matches!(&found, TlsProblem::Expired { since } if since.contains("2020")), "{found:?}");
    }
    assert!(host.requests().is_empty());

    let (_host, address, trusting, _) = server(Certificate::Early);
    let found = problem(&address, &trusting);
    assert!(matches!(&found, TlsProblem::NotYetValid { from } if from.contains("2090")), "{found:?}");
    assert!(found.to_string().contains("clock"));
}

#[test]
fn case_08_a_self_signed_certificate_is_trusted_only_as_given() {
    for kind in [Certificate::SelfSigned, Certificate::SelfSignedAuthority] {
        let (_host, address, trusting, bare) = server(kind);
        assert_eq!(problem(&address, &bare), TlsProblem::SelfSigned, "{kind:?}");
        probe(&address, &trusting).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        let other = bare.with_authority(https().ca_pem.clone());
        assert_eq!(problem(&address, &other), TlsProblem::SelfSigned, "{kind:?}");
    }
}

#[test]
fn case_08_a_servers_certificate_is_no_authority() {
    let (host, address, trusting, _) = server(Certificate::FromServer);
    assert_eq!(problem(&address, &trusting), TlsProblem::NotAnAuthority);
    assert!(host.requests().is_empty());
}

#[test]
fn case_08_a_server_that_wants_a_certificate_of_ours_is_named_as_such() {
    let (_host, address, trusting, _) = server(Certificate::Mutual(&["127.0.0.1"]));
    let found = problem(&address, &trusting);
    assert_eq!(found, TlsProblem::ClientCertificate);
    assert!(found.to_string().contains("mutual TLS"));
}

#[test]
fn case_08_old_tls_is_refused_by_name() {
    let server = OldTls::start().unwrap();
    let address = url(&format!("https://127.0.0.1:{}/x.git", server.port));
    let access = Access::new(&address, token(https()), KnownHosts::default()).with_authority(server.ca_pem.clone());
    assert_eq!(problem(&address, &access), TlsProblem::OldVersion);
}

#[test]
fn case_08_a_server_without_tls_is_told_from_one_with_a_bad_certificate() {
    let address = url(&format!("https://127.0.0.1:{}/x.git", ssh().port()));
    let access = Access::new(&address, token(https()), KnownHosts::default());
    assert_eq!(problem(&address, &access), TlsProblem::NotTls);
}

#[test]
fn case_08_every_problem_has_words_of_its_own() {
    let text = String::new;
    let all = [
        TlsProblem::SelfSigned,
        TlsProblem::UnknownAuthority,
        TlsProblem::OtherAuthority,
        TlsProblem::NotAnAuthority,
        TlsProblem::Expired { since: text() },
        TlsProblem::NotYetValid { from: text() },
        TlsProblem::WrongName { names: text() },
        TlsProblem::ClientCertificate,
        TlsProblem::OldVersion,
        TlsProblem::Handshake,
        TlsProblem::Changed,
        TlsProblem::NotTls,
    ];
    let words: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), all.len());
}
