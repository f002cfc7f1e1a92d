//! Fuzz targets for everything that reads text from outside: addresses, paths, known_hosts, pages of providers.
//!
//! Each target takes bytes put together from a dictionary of what such text is made of and from noise. They run
//! shortly with the other tests; `PROPTEST_CASES=1000000 cargo test -p pilothouse-git --test fuzz` runs them longer.
//! A server's words are private to the crate: their target is `rejection::tests`, under the same variable.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use pilothouse_git::{KnownHosts, Provider, RemoteUrl, RepoPath, Scheme, Trust, inspect_private_key, new_request_url};
use proptest::prelude::*;

/// Bytes made of `words` and of noise.
fn text(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
        1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
    ];
    proptest::collection::vec(word, 0..14).prop_map(|words| words.concat())
}

const ADDRESS: &[&str] = &[
    "https",
    "http",
    "ssh",
    "git",
    "file",
    "ext",
    "fd",
    "://",
    "::",
    ":",
    "/",
    "//",
    "@",
    "git@",
    "me:secret@",
    "host",
    "127.0.0.1",
    "[::1]",
    "localhost",
    ":22",
    ":443",
    ":99999",
    "o/r.git",
    "..",
    ".",
    "~",
    "-o",
    "--upload-pack=",
    "%0a",
    "%00",
    "%2e%2e",
    "\n",
    "\r",
    "\0",
    " ",
    "\\",
    "?",
    "#",
    "$(x)",
    "`",
    "'",
    ";",
    "\u{202e}",
    "é",
];

const PATH: &[&str] = &[
    "/",
    "//",
    "..",
    ".",
    "a",
    "dev",
    ".git",
    ".GIT",
    "git~1",
    ".gitmodules",
    "CON",
    "nul",
    "com1",
    ".yaml",
    "\\",
    ":",
    "::$INDEX_ALLOCATION",
    " ",
    "\t",
    "\n",
    "\0",
    "\u{200c}",
    "\u{202e}",
    "\u{feff}",
    "é",
    "e\u{301}",
    "*",
    "|",
];

const KNOWN: &[&str] = &[
    "host",
    "[host]:2222",
    "*.example",
    "!bad",
    ",",
    " ",
    "\t",
    "\n",
    "\r\n",
    "#",
    "@cert-authority",
    "@revoked",
    "@odd",
    "|1|",
    "|",
    "=",
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "AAAAC3NzaC1lZDI1NTE5AAAAI",
    "AAAA",
    "comment",
];

proptest! {
    #[test]
    fn an_address_that_is_taken_is_safe_to_hand_on(bytes in text(ADDRESS)) {
        let text = String::from_utf8_lossy(&bytes);
        match RemoteUrl::parse(&text) {
            Ok(url) => {
                let kept = url.as_str();
                prop_assert!(!kept.starts_with('-') && !kept.contains(|c: char| c.is_control() || c.is_whitespace()));
                prop_assert!(!kept.contains("secret"), "{kept}");
                prop_assert!(url.host().is_some_and(|host| !host.is_empty() && !host.starts_with('-')));
                prop_assert!(matches!(url.scheme(), Scheme::Https | Scheme::HttpLoopback | Scheme::Ssh));
                let again = RemoteUrl::parse(kept).unwrap();
                prop_assert_eq!((again.as_str(), again.host(), again.port()), (kept, url.host(), url.port()));
            }
            Err(error) => {
                let said = format!("{error} {error:?}");
                prop_assert!(!said.contains("secret@") && !said.contains(['\r', '\0']), "{said}");
            }
        }
    }

    #[test]
    fn a_path_that_is_taken_stays_in_its_folder_on_every_disk(bytes in text(PATH)) {
        let text = String::from_utf8_lossy(&bytes);
        match RepoPath::parse(&text) {
            Ok(path) => {
                let joined = std::path::Path::new("/root/here").join(path.as_str());
                prop_assert!(joined.components().all(|part| matches!(
                    part,
                    std::path::Component::Normal(_) | std::path::Component::RootDir
                )));
                prop_assert!(joined.starts_with("/root/here"));
                for part in path.components() {
                    let lower = part.to_lowercase();
                    prop_assert!(lower != ".git" && !part.contains(['\\', ':', '\0']) && !part.ends_with(['.', ' ']));
                }
            }
            Err(error) => {
                prop_assert!(!error.to_string().chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn no_file_of_known_hosts_vouches_for_a_key_it_does_not_hold(bytes in text(KNOWN)) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        std::fs::write(&file, &bytes).unwrap();
        let hosts = KnownHosts::new(dir.path().join("own"), vec![file]);
        let trust = hosts.check("host", 22, "ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0\x20a key that nobody wrote down here");
        prop_assert!(!matches!(trust, Ok(Trust::Trusted)), "{trust:?}");
    }

    #[test]
    fn a_page_lies_on_the_providers_own_host(base in text(ADDRESS), path in text(PATH), branch in text(PATH)) {
        let [base, path, branch] = [base, path, branch].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        for provider in [Provider::GitHub, Provider::GitLab, Provider::BitbucketCloud, Provider::BitbucketServer] {
            for base in ["https://git.example/lab", &base] {
                if let Some(page) = new_request_url(provider, base, &path, &branch, "main") {
                    let (page, base) = (url::Url::parse(&page).unwrap(), url::Url::parse(base).unwrap());
                    prop_assert_eq!((page.scheme(), page.host(), page.port()), (base.scheme(), base.host(), base.port()));
                    prop_assert!(matches!(page.scheme(), "https" | "http") && page.password().is_none());
                }
            }
        }
    }

    #[test]
    fn no_text_breaks_the_reader_of_keys(bytes in text(&["-----BEGIN OPENSSH PRIVATE KEY-----", "-----END", "\n", "AAAA", "b3BlbnNzaC1rZXktdjE="])) {
        let text = secrecy::SecretString::from(String::from_utf8_lossy(&bytes).into_owned());
        prop_assert!(inspect_private_key(&text, None).is_err());
    }
}
