//! Eight secrets go through every way to fail; none of them may come out again.

use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use pilothouse_git::{
    Access, BareClone, Credential, Error, KnownHosts, Observer, Progress, ProxyChoice, RemoteUrl, UrlSecret, Variables,
    inspect_private_key, probe, probe_push,
};
use pilothouse_rig::git_host::{Answer, Certificate, GitHost};
use pilothouse_rig::proxy::{Manner, Proxy};

use crate::stage::*;

/// All that is said aloud: errors, their causes, events, log lines.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<u8>>>);

impl Ear {
    fn hear(&self, text: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend_from_slice(text.as_bytes());
        heard.push(b'\n');
    }

    fn error<T: Debug>(&self, outcome: Result<T, Error>) -> Error {
        let error = outcome.expect_err("every way here is one to fail");
        self.hear(&format!("{error} {error:?} {error:#?} {}", error.code()));
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            self.hear(&format!("{inner} {inner:?}"));
            cause = inner.source();
        }
        error
    }

    fn heard(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Observer for Ear {
    fn progress(&self, progress: &Progress) {
        self.hear(&format!("{progress:?}"));
    }
}

/// Where a secret shows in a text: as it is, in base64 at any of its three places, or percent-encoded.
fn traces(heard: &[u8], secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), secret.bytes().map(|byte| format!("%{byte:02x}")).collect()];
    for shift in 0..3 {
        let padded = [vec![b' '; shift], secret.as_bytes().to_vec()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            // The first and last letters depend on the neighbours.
            forms.push(encoded[4..encoded.len() - 2].to_owned());
        }
    }
    let text = String::from_utf8_lossy(heard).to_lowercase();
    forms.into_iter().filter(|form| text.contains(&form.to_lowercase())).collect()
}

#[test]
fn case_13_no_secret_comes_out_of_any_failure() {
    let ear = Ear::default();
    let log = ear.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    // The only test here that listens to the whole process' log.
    let _ = subscriber.with_writer(move || log.clone()).try_init();

    let token = "seed-one-k3uQ9xTokenOverHttps";
    let username = "ghp_seedTwoTokenAsUserName77";
    let typed = "seed-three-Typed+Into/Address=";
    let in_proxy = "seed-four-ProxyPassword42";
    let passphrase = "seed-five-right passphrase";
    let wrong = "seed-six-wrong passphrase";
    let sealed = ssh().new_client_key(&["-t", "ed25519", "-N", passphrase, "-a", "4"]).unwrap();
    let plain = ssh().new_client_key(&["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]).unwrap();
    let middle = |key: &str| key.lines().nth(4).unwrap().to_owned();
    let (in_sealed, in_plain) = (middle(&sealed), middle(&plain));

    // Over HTTPS, with a token.
    let with = |host: &GitHost, address: &RemoteUrl| {
        let credential = Credential::Token { username: username.into(), token: secret(token) };
        Access::new(address, credential, KnownHosts::default())
            .with_authority(host.ca_pem.clone())
            .with_observer(Arc::new(ear.clone()))
    };
    let at = |path: &str| url(&format!("https://127.0.0.1:{}/{path}", https().port()));
    let repo = https().create_repo("seeded").unwrap();
    let elsewhere = format!("https://localhost:{}/", https().port());
    for (name, answer) in [
        ("s401", Answer::Locked),
        ("s403", Answer::Status(403)),
        ("s404", Answer::Status(404)),
        ("s500", Answer::Status(500)),
        ("s407", Answer::Status(407)),
        ("page", Answer::Page),
        ("away", Answer::Redirect(elsewhere)),
        ("mute", Answer::Silence),
    ] {
        https().answer(&format!("/seed-{name}/"), answer);
        let address = at(&format!("seed-{name}/x.git"));
        let access = impatient(with(https(), &address));
        ear.error(probe(&address, &access));
        ear.error(probe_push(&address, &access));
        let dir = tempfile::tempdir().unwrap();
        let clone = BareClone::open_or_create(&dir.path().join("c"), &address).unwrap();
        ear.error(clone.fetch(&access, "main"));
        ear.hear(&format!("{access:?} {clone:?}"));
    }
    let address = url(&repo.url);
    let access = with(https(), &address);
    assert!(matches!(ear.error(probe(&address, &access)), Error::Auth { .. }));
    ear.error(probe(&address, &Access { bound_host: "git.example".into(), ..access.clone() }));
    ear.error(probe(&address, &Access { extra_ca_pem: None, ..access.clone() }));
    ear.error(probe(&address, &Access { extra_ca_pem: Some(token.into()), ..access.clone() }));
    for certificate in [Certificate::Expired, Certificate::Mutual(&["127.0.0.1"]), Certificate::SelfSigned] {
        let host = GitHost::https_with(certificate).unwrap();
        let address = url(&host.create_repo("x").unwrap().url);
        ear.error(probe(&address, &Access { extra_ca_pem: None, ..with(&host, &address) }));
    }

    // Through proxies with a password.
    for manner in [Manner::Guarded("nobody".into()), Manner::Page(403), Manner::Liar] {
        let proxy = Proxy::http(manner).unwrap();
        let value = format!("http://me:{in_proxy}@127.0.0.1:{}", proxy.port);
        let choice = ProxyChoice::Variables(Variables::new([("https_proxy", value.as_str())]));
        let access = Access { proxy: choice, ..access.clone() };
        ear.hear(&format!("{access:?} {:?}", access.proxy));
        ear.error(probe(&address, &access));
    }
    for value in ["socks5://me:PW@s.example", "http://me:PW@127.0.0.1:1", "http://me:PW@no host", "gopher://me:PW@h"] {
        let value = value.replace("PW", in_proxy);
        let choice = ProxyChoice::Variables(Variables::new([("https_proxy", value.as_str())]));
        ear.error(probe(&address, &Access { proxy: choice, ..access.clone() }));
    }

    // Over SSH.
    let ssh_url = url(&ssh().create_repo("seeded").unwrap().url);
    let dir = tempfile::tempdir().unwrap();
    let hosts = known(&dir, &ssh().host_key_line);
    for (key, pass, hosts) in [
        (sealed.as_str(), Some(wrong), &hosts),
        (sealed.as_str(), None, &hosts),
        (sealed.as_str(), Some(passphrase), &KnownHosts::default()),
        (plain.as_str(), None, &KnownHosts::default()),
        (&sealed[..sealed.len() - 60], Some(passphrase), &hosts),
        (&plain[..plain.len() - 60], None, &hosts),
    ] {
        let credential = ssh_key(key, pass);
        ear.hear(&format!("{credential:?}"));
        let access = Access::new(&ssh_url, credential, hosts.clone()).with_observer(Arc::new(ear.clone()));
        ear.error(probe(&ssh_url, &access));
        let _ =
            inspect_private_key(&secret(key), pass.map(secret).as_ref()).map_err(|error| ear.error::<()>(Err(error)));
    }
    let absent = url(&ssh_url.as_str().replace("seeded", "absent"));
    ear.error(probe(&absent, &Access::new(&absent, ssh_key(&sealed, Some(passphrase)), hosts.clone())));
    let credential = Credential::Token { username: username.into(), token: secret(token) };
    ear.error(probe(&ssh_url, &Access::new(&ssh_url, credential, hosts)));

    // Typed into addresses.
    for text in ["https://me:PW@h.example/r", "http://me:PW@h.example/r", "ssh://me:PW@h/r", "me:PW@h:r", "ext::PW@h"] {
        ear.error(RemoteUrl::parse(&text.replace("PW", typed)));
        let parted: Option<UrlSecret> = RemoteUrl::part_secret(&text.replace("PW", typed));
        ear.hear(&format!("{parted:?}"));
    }

    let heard = ear.heard();
    assert!(heard.len() > 10_000, "the ear works");
    assert!(!traces(format!("x{typed}y").as_bytes(), typed).is_empty(), "so does the search");
    assert!(!traces(STANDARD_NO_PAD.encode(format!("abcd{token}")).as_bytes(), token).is_empty());
    for seed in [token, username, typed, in_proxy, passphrase, wrong, &in_sealed, &in_plain] {
        let found = traces(&heard, seed);
        assert!(found.is_empty(), "{seed}: {found:?}");
    }
}

#[test]
fn case_14_debug_shows_no_secret() {
    let seed = || secret("seeded-secret");
    let key = pilothouse_git::generate_ed25519("x").unwrap();
    let shown: Vec<String> = vec![
        format!("{:?}", Credential::Token { username: "u".into(), token: seed() }),
        format!("{:?}", Credential::SshKey { username: "u".into(), private_key: seed(), passphrase: Some(seed()) }),
        format!("{:?}", RemoteUrl::part_secret("https://me:seeded-secret@h.example/r").unwrap()),
        format!("{:?}", Variables::new([("https_proxy", "http://me:seeded-secret@h:1")])),
        format!("{key:?}"),
        format!("{:?}", RemoteUrl::parse("https://me:seeded-secret@h.example/r").unwrap_err()),
        format!("{:?}", inspect_private_key(&seed(), Some(&seed())).unwrap_err()),
    ];
    for text in shown {
        assert!(!text.contains("seeded-secret") && !text.contains("PRIVATE KEY"), "{text}");
    }
}
