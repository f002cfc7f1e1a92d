//! From the domains' errors to the edge's.

use crate::contract::{AppError, ErrorCode, ErrorDetail, FieldProblem};

impl From<pilothouse_git::Error> for AppError {
    fn from(error: pilothouse_git::Error) -> Self {
        use pilothouse_git::{Error as E, TlsProblem as T};
        let code = ErrorCode::from_domain(error.code()).unwrap_or(ErrorCode::GitInternal);
        let mut edge = AppError::new(code, error.to_string());
        edge.hint = error.hint();
        match error {
            E::HostKeyUnknown(key) => edge
                .with_hint("compare the fingerprint with the one the provider publishes, then accept it")
                .with_detail(ErrorDetail::HostKey {
                    host: key.host,
                    port: u32::from(key.port),
                    algorithm: key.algorithm,
                    fingerprint: key.fingerprint,
                    published_by: key.published_by.map(str::to_owned),
                    differs_from: key.differs_from.map(str::to_owned),
                    note: key.note,
                }),
            E::HostKeyChanged { host, known, seen } => {
                let (name, port) = split_host(&host);
                edge.with_detail(ErrorDetail::HostKeyChanged {
                    host: name,
                    port,
                    algorithm: String::new(),
                    fingerprint: seen,
                    known,
                })
            }
            E::Auth { hint, .. } => edge.with_hint(hint),
            // Only an authority can be added here; the other problems are the server's to mend.
            E::Tls { problem: T::SelfSigned | T::UnknownAuthority | T::OtherAuthority | T::NotAnAuthority, .. } => {
                edge.with_hint(AUTHORITY_HINT)
            }
            _ => edge,
        }
    }
}

/// How to trust an authority that this computer does not know.
const AUTHORITY_HINT: &str = "choose the authority's certificate in the settings, or start Pilothouse with \
                              GIT_SSL_CAINFO naming it, as git itself takes it";

impl From<pilothouse_cluster::Error> for AppError {
    fn from(error: pilothouse_cluster::Error) -> Self {
        use pilothouse_cluster::Error as E;
        let code = ErrorCode::from_domain(error.code()).unwrap_or(ErrorCode::ClusterInternal);
        let mut edge = AppError::new(code, error.to_string());
        edge.hint = error.hint();
        match error {
            E::Forbidden { verb, resource, namespace, .. } if !verb.is_empty() => {
                edge.with_detail(ErrorDetail::Forbidden { verb, resource, namespace })
            }
            E::BadName { field, .. } => {
                let message = edge.message.clone();
                edge.with_detail(ErrorDetail::Fields { problems: vec![FieldProblem { field, message }] })
            }
            E::Invalid { causes, .. } if !causes.is_empty() => {
                let problems = causes.into_iter().map(|c| FieldProblem { field: c.field, message: c.message });
                edge.with_detail(ErrorDetail::Fields { problems: problems.collect() })
            }
            _ => edge,
        }
    }
}

impl From<pilothouse_delivery::Error> for AppError {
    fn from(error: pilothouse_delivery::Error) -> Self {
        use pilothouse_delivery::Error as E;
        let message = error.to_string();
        match error {
            E::Cluster(error) => error.into(),
            E::Form(problems) => AppError::fields(
                problems.into_iter().map(|p| FieldProblem { field: p.field, message: p.message }).collect(),
            ),
            E::RepositoryExists { .. } => AppError::new(ErrorCode::RepositoryExists, message),
            E::BeingDeleted { .. } => AppError::blocked(message).with_hint("its card shows what still holds it"),
            E::Changed { .. } => AppError::new(ErrorCode::ClusterConflict, message),
            E::Refused(_) => AppError::blocked(message),
            E::Provider(error) => error.into(),
            E::Exists { .. } => AppError::new(ErrorCode::Exists, message),
            E::InUse { .. } | E::Underway { .. } => AppError::blocked(message),
            E::HalfDone(_) => AppError::new(ErrorCode::Delivery, message),
            E::Unknown { .. } => AppError::not_found(message),
            E::Busy { .. } => AppError::blocked(message),
            E::PreviewStale { .. } => AppError::new(ErrorCode::DeployPreviewStale, message)
                .with_hint("look at what is shown now, then decide again"),
            E::Choice(_) | E::Template { .. } => AppError::new(ErrorCode::Delivery, message),
        }
    }
}

impl From<pilothouse_delivery::chart::ChartError> for AppError {
    fn from(error: pilothouse_delivery::chart::ChartError) -> Self {
        use pilothouse_delivery::chart::ChartError as E;
        let message = error.to_string();
        match error {
            E::Git(error) => error.into(),
            E::Web(error) => error.into(),
            E::LoginNeeded { .. } => AppError::new(ErrorCode::NoCredential, message)
                .with_hint("enter a user name and a password or token for this server beside the chart’s name"),
            E::Unpublished { .. } => AppError::not_found(message),
            E::Absent { .. } => AppError::not_found(message),
            E::Disk { .. } => AppError::new(ErrorCode::Storage, message)
                .with_hint("check that the data folder can be written and that the disk is not full"),
            _ => AppError::new(ErrorCode::Delivery, message),
        }
    }
}

impl From<pilothouse_delivery::provider::ProviderError> for AppError {
    fn from(error: pilothouse_delivery::provider::ProviderError) -> Self {
        use pilothouse_delivery::provider::ProviderError as E;
        let code = ErrorCode::from_domain(error.code()).unwrap_or(ErrorCode::ProviderRefused);
        let edge = AppError::new(code, error.to_string());
        match error {
            E::Auth { .. } => edge.with_hint("make a new token at the provider, and give it here"),
            E::Forbidden { .. } => edge.with_hint("give the token the missing scope, or use another one"),
            E::Tls { .. } => edge.with_hint(AUTHORITY_HINT),
            _ => edge,
        }
    }
}

impl From<pilothouse_values::Error> for AppError {
    fn from(error: pilothouse_values::Error) -> Self {
        match error {
            pilothouse_values::Error::Path(error) => error.into(),
            other => AppError::new(ErrorCode::Values, other.to_string()),
        }
    }
}

impl From<pilothouse_chaos::Error> for AppError {
    fn from(error: pilothouse_chaos::Error) -> Self {
        use pilothouse_chaos::Error as E;
        let message = error.to_string();
        match error {
            E::Cluster(error) => error.into(),
            E::Git { code, message } => {
                let known = ErrorCode::ALL.iter().copied().find(|c| c.as_str() == code);
                AppError::new(known.unwrap_or(ErrorCode::GitInternal), message)
            }
            E::NotFound { .. } => AppError::not_found(message),
            E::Parameter { name, .. } => AppError::fields(vec![FieldProblem { field: name, message }]),
            E::BadName { what, .. } => {
                let field = if what == "project" { "id" } else { "name" };
                AppError::fields(vec![FieldProblem { field: field.into(), message }])
            }
            E::WrongState { .. }
            | E::Contended { .. }
            | E::Superseded { .. }
            | E::Elsewhere { .. }
            | E::NotAgreed { .. } => AppError::blocked(message),
            E::Taken { .. } => AppError::fields(vec![FieldProblem { field: "id".into(), message }]),
            E::PreviewStale { .. } => AppError::new(ErrorCode::ChaosPreviewStale, message),
            E::Refused(_) => AppError::new(ErrorCode::Chaos, message),
            E::Center(error) => {
                let refused = matches!(error, pilothouse_cluster::web::WebError::Auth { .. });
                let edge = AppError::from(error);
                if refused {
                    edge.with_hint("make a new token in ChaosCenter, and add the connection again")
                } else {
                    edge
                }
            }
            E::CenterRefused { .. } => AppError::new(ErrorCode::ChaosCenter, message),
        }
    }
}

impl From<kube::Error> for AppError {
    fn from(error: kube::Error) -> Self {
        AppError::from(pilothouse_cluster::explain(&error))
    }
}

impl From<pilothouse_practice::Error> for AppError {
    fn from(error: pilothouse_practice::Error) -> Self {
        AppError::new(ErrorCode::Practice, error.to_string())
    }
}

/// `host` or `[host]:port` as known_hosts writes it.
fn split_host(text: &str) -> (String, u32) {
    match text.strip_prefix('[').and_then(|t| t.split_once("]:")) {
        Some((host, port)) => (host.to_owned(), port.parse().unwrap_or(22)),
        None => (text.to_owned(), 22),
    }
}
