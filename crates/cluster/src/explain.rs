//! From kube's errors to ours. Kube's say little on their face; what matters is in their sources.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher;

use crate::error::{Cause, Error};

/// The most of a server's message that is kept: a validation error of a big object runs to pages.
const MESSAGE_LIMIT: usize = 2_000;

/// Says what a kube error means.
pub fn explain(error: &kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => explain_status(status),
        kube::Error::Auth(_) => Error::Exec {
            program: "of the kubeconfig".to_owned(),
            // Not shown: kube's text may hold the plugin's environment and output.
            problem: "the credential could not be loaded".to_owned(),
            hint: None,
        },
        kube::Error::SerdeError(source) => Error::Unexpected { problem: shorten(&source.to_string()) },
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            Error::Kubeconfig { context: None, problem: "proxy-url must begin with http, https or socks5".to_owned() }
        }
        other => explain_chain(other),
    }
}

/// Says what a watcher's error means.
pub fn explain_watch(error: &watcher::Error) -> Error {
    match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => explain(source),
        watcher::Error::WatchError(status) => explain_status(status),
        watcher::Error::NoResourceVersion => {
            Error::Unexpected { problem: "a list without a resource version".to_owned() }
        }
    }
}

/// Says what a Status object of the server means.
pub(crate) fn explain_status(status: &Status) -> Error {
    let message = shorten(if status.message.is_empty() { &status.reason } else { &status.message });
    match status.code {
        401 => Error::Unauthorized { message },
        403 => forbidden(status, message),
        404 => Error::NotFound { message },
        409 => Error::Conflict { message, exists: status.reason == "AlreadyExists" },
        410 => Error::Gone { message },
        400 | 422 => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let causes =
                causes.map(|cause| Cause { field: cause.field.clone(), message: shorten(&cause.message) }).collect();
            Error::Invalid { message, causes }
        }
        408 | 504 => Error::Timeout { what: message, after: Duration::ZERO },
        code if code == 429 || code >= 500 => Error::Busy { code, message },
        code => Error::Unexpected { problem: format!("status {code}: {message}") },
    }
}

/// Reads `… cannot list resource "secrets" in API group "" in the namespace "krci"`; the details say less.
fn forbidden(status: &Status, message: String) -> Error {
    let after = |mark: &str| {
        let (_, rest) = status.message.split_once(mark)?;
        rest.split_once('"').map(|(word, _)| word.to_owned())
    };
    let verb = status.message.split_once(" cannot ").and_then(|(_, rest)| rest.split_once(' ')).map(|(verb, _)| verb);
    let details = status.details.as_ref();
    let plural = after("resource \"").or_else(|| details.map(|details| details.kind.clone())).unwrap_or_default();
    let group = after("API group \"").or_else(|| details.map(|details| details.group.clone())).unwrap_or_default();
    let resource = if group.is_empty() { plural } else { format!("{plural}.{group}") };
    Error::Forbidden {
        verb: verb.unwrap_or_default().to_owned(),
        resource,
        namespace: after("in the namespace \""),
        message,
    }
}

fn explain_chain(error: &kube::Error) -> Error {
    let mut last = error.to_string();
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(link) = next {
        if let Some(ours) = link.downcast_ref::<Error>() {
            return ours.clone();
        }
        if let Some(kube::Error::Api(status)) = link.downcast_ref::<kube::Error>() {
            return explain_status(status);
        }
        if let Some(found) = explain_tls(link) {
            return found;
        }
        last = link.to_string();
        if let Some(io) = link.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::TimedOut {
                return Error::Timeout { what: "connecting".to_owned(), after: Duration::ZERO };
            }
            if let Some(inner) = io.get_ref() {
                // An io::Error hides what it wraps: its source is its content's source.
                next = Some(inner);
                continue;
            }
            return Error::Unreachable { reason: io.to_string() };
        }
        next = link.source();
    }
    match error {
        kube::Error::Service(_)
        | kube::Error::HyperError(_)
        | kube::Error::ReadEvents(_)
        | kube::Error::RustlsTls(_) => Error::Unreachable { reason: shorten(&last) },
        _ => Error::Unexpected { problem: shorten(&last) },
    }
}

fn explain_tls(error: &(dyn StdError + 'static)) -> Option<Error> {
    use rustls::CertificateError as Bad;
    let tls = error.downcast_ref::<rustls::Error>()?;
    let reason = match tls {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => {
                "its certificate was issued by an authority that the kubeconfig does not name".to_owned()
            }
            Bad::Expired | Bad::ExpiredContext { .. } => "its certificate has expired".to_owned(),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => "its certificate is not valid yet".to_owned(),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "its certificate is for another host".to_owned()
            }
            other => format!("its certificate is not valid ({other:?})"),
        },
        rustls::Error::AlertReceived(alert) => format!("the server ended the handshake ({alert:?})"),
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        other => other.to_string(),
    };
    Some(Error::Tls { reason: shorten(&reason) })
}

/// Cuts at a character's border.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str) -> Status {
        Status { code, reason: reason.to_owned(), message: message.to_owned(), ..Status::default() }
    }

    #[test]
    fn a_refusal_names_verb_resource_and_namespace() {
        let text = "secrets is forbidden: User \"developer\" cannot list resource \"secrets\" in API group \"\" in the \
                    namespace \"krci\"";
        match explain_status(&status(403, "Forbidden", text)) {
            Error::Forbidden { verb, resource, namespace, .. } => {
                assert_eq!((verb.as_str(), resource.as_str(), namespace.as_deref()), ("list", "secrets", Some("krci")));
            }
            other => panic!("{other:?}"),
        }
        let text = "customresourcedefinitions.apiextensions.k8s.io is forbidden: User \"x\" cannot create resource \
                    \"customresourcedefinitions\" in API group \"apiextensions.k8s.io\" at the cluster scope";
        let error = explain_status(&status(403, "Forbidden", text));
        match &error {
            Error::Forbidden { verb, resource, namespace, .. } => {
                assert_eq!(verb, "create");
                assert_eq!(resource, "customresourcedefinitions.apiextensions.k8s.io");
                assert_eq!(*namespace, None);
            }
            other => panic!("{other:?}"),
        }
        assert!(error.hint().unwrap().contains("cluster administrator"));
    }

    #[test]
    fn an_admission_rule_s_refusal_claims_no_verb() {
        let error = explain_status(&status(403, "Forbidden", "pods \"x\" is forbidden: exceeded quota: small"));
        assert!(matches!(&error, Error::Forbidden { verb, .. } if verb.is_empty()));
        assert_eq!(error.hint(), None);
    }

    #[test]
    fn codes_follow_the_status() {
        for (code, expected) in [
            (400, "cluster.invalid"),
            (401, "cluster.unauthorized"),
            (404, "cluster.not_found"),
            (409, "cluster.conflict"),
            (410, "cluster.gone"),
            (422, "cluster.invalid"),
            (429, "cluster.busy"),
            (500, "cluster.busy"),
            (504, "cluster.timeout"),
            (418, "cluster.unexpected"),
        ] {
            assert_eq!(explain_status(&status(code, "", "x")).code(), expected, "{code}");
        }
    }

    #[test]
    fn an_error_of_ours_comes_back_out() {
        let ours = Error::Exec { program: "aws".into(), problem: "gone".into(), hint: None };
        assert_eq!(explain(&kube::Error::Service(Box::new(ours))).code(), "cluster.exec");
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert!(shorten(&"é".repeat(5_000)).chars().count() <= MESSAGE_LIMIT + 1);
    }
}
