//! A connection to one cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue};
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use kube::client::Body;
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};
use crate::exec::Plugin;
use crate::explain::explain;
use crate::kinds::Kind;
use crate::kubeconfig::{self, Found};
use crate::search_path::SearchPath;

/// How long a request that a user waits for may take.
const REQUEST_PATIENCE: Duration = Duration::from_secs(20);

/// How many objects one answer of a list holds at most.
const PAGE: u32 = 500;

/// How long a connection may stay silent: watches end after 290 s by themselves, so that one silent for longer is dead.
const SILENCE: Duration = Duration::from_secs(305);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One cluster, connected. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    name: String,
    server: String,
    namespace: String,
    practice: bool,
    production: bool,
    insecure: bool,
    credential_expires: Option<Timestamp>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.inner.name)
            .field("server", &self.inner.server)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects to a context of the user's kubeconfig, and asks the server's version to see that it answers.
    pub async fn connect(context: &str) -> Result<Self> {
        Self::connect_in(&kubeconfig::default_paths(), context).await
    }

    /// As [`Cluster::connect`], with these kubeconfig files.
    pub async fn connect_in(paths: &[PathBuf], context: &str) -> Result<Self> {
        let owned = paths.to_vec();
        let found = tokio::task::spawn_blocking(move || kubeconfig::load(&owned))
            .await
            .map_err(|error| Error::Unexpected { problem: error.to_string() })?;
        let cluster = Self::prepare(&found, context).await?;
        cluster.version().await?;
        Ok(cluster)
    }

    async fn prepare(found: &Found, context: &str) -> Result<Self> {
        let info = found.context(context)?.clone();
        let mut config = found.config(context).await?;
        config.connect_timeout = Some(Duration::from_secs(10));
        config.read_timeout = Some(SILENCE);
        let mut plugin = None;
        let mut credential_expires = None;
        // A token beats a plugin, as for kubectl. kube must not see the plugin: it would run it in its own way.
        if let Some(exec) = config.auth_info.exec.take().filter(|_| config.auth_info.token.is_none()) {
            let source = Plugin::of(&exec, SearchPath::complete().await)?;
            let credential = source.credential().await?;
            if let Some((certificate, key)) = &credential.certificate {
                config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
                config.auth_info.client_key_data = Some(SecretString::from(STANDARD.encode(key.expose_secret())));
                credential_expires = credential.expires;
            }
            if credential.token.is_some() {
                plugin = Some(source);
            }
        }
        let namespace = config.default_namespace.clone();
        let server = kubeconfig::without_userinfo(&config.cluster_url.to_string());
        let insecure = config.accept_invalid_certs;
        let client = Client::try_from(config).map_err(|error| match explain(&error) {
            Error::Unexpected { problem } | Error::Unreachable { reason: problem } => {
                Error::Kubeconfig { context: Some(context.to_owned()), problem }
            }
            other => other,
        })?;
        let client = match plugin {
            Some(plugin) => with_plugin(client, plugin, &namespace),
            None => client,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                name: info.name,
                server,
                namespace,
                practice: false,
                production: info.production,
                insecure,
                credential_expires,
            }),
        })
    }

    /// A cluster reached through a ready client: the practice cluster, or a test's.
    pub fn from_client(client: Client, name: &str, practice: bool) -> Self {
        let namespace = client.default_namespace().to_owned();
        Self {
            inner: Arc::new(Inner {
                client,
                name: name.to_owned(),
                server: String::new(),
                namespace,
                practice,
                production: false,
                insecure: false,
                credential_expires: None,
            }),
        }
    }

    /// kube's client.
    pub fn client(&self) -> Client {
        self.inner.client.clone()
    }

    /// The context's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Whether it is the practice cluster.
    pub fn is_practice(&self) -> bool {
        self.inner.practice
    }

    /// Whether its name says that it is in production.
    pub fn is_production(&self) -> bool {
        self.inner.production
    }

    /// Whether its certificate is not checked.
    pub fn is_insecure(&self) -> bool {
        self.inner.insecure
    }

    /// The API server's URL without user and password; empty for a cluster made from a client.
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// The context's namespace.
    pub fn default_namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// When the client certificate that a plugin gave expires; then connect anew. Tokens renew themselves.
    pub fn credential_expires(&self) -> Option<Timestamp> {
        self.inner.credential_expires
    }

    /// The server's version, `v1.34.2`; empty if the server keeps it from us.
    pub async fn version(&self) -> Result<String> {
        match self.in_time("the server's version", self.inner.client.apiserver_version()).await {
            Ok(info) => Ok(info.git_version),
            Err(Error::Forbidden { .. }) => Ok(String::new()),
            Err(other) => Err(other),
        }
    }

    /// The objects of a kind in a namespace.
    pub fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), namespace, &kind.resource())
    }

    /// The objects of a kind in all namespaces, or outside them.
    pub fn api_all(&self, kind: &Kind) -> Api<DynamicObject> {
        Api::all_with(self.client(), &kind.resource())
    }

    /// Waits for an answer as long as a user would, and explains the error.
    pub async fn in_time<T>(
        &self,
        what: &str,
        request: impl Future<Output = std::result::Result<T, kube::Error>>,
    ) -> Result<T> {
        match tokio::time::timeout(REQUEST_PATIENCE, request).await {
            Ok(answer) => answer.map_err(|error| explain(&error)),
            Err(_) => Err(Error::Timeout { what: what.to_owned(), after: REQUEST_PATIENCE }),
        }
    }

    /// All objects that an API serves, by pages: of thousands, one answer would outlast a user's patience. When the pages
    /// expire in between, all are asked for at once, as client-go's pager does.
    pub async fn list_all(&self, what: &str, api: &Api<DynamicObject>) -> Result<Vec<DynamicObject>> {
        let mut params = ListParams::default().limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = match self.in_time(what, api.list(&params)).await {
                Err(Error::Gone { .. }) if params.continue_token.is_some() => {
                    return Ok(self.in_time(what, api.list(&ListParams::default())).await?.items);
                }
                page => page?,
            };
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }
}

/// A client that asks the plugin for a token at each request; the plugin remembers it while it is good.
fn with_plugin(client: Client, plugin: Arc<Plugin>, namespace: &str) -> Client {
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let (client, plugin) = (client.clone(), plugin.clone());
        async move {
            let credential = plugin.credential().await.map_err(BoxError::from)?;
            if let Some(token) = &credential.token {
                let text = format!("Bearer {}", token.expose_secret());
                let mut value = HeaderValue::try_from(text).map_err(|_| {
                    BoxError::from(Error::Exec {
                        program: plugin.program().display().to_string(),
                        problem: "its token holds characters that no token may hold".to_owned(),
                        hint: None,
                    })
                })?;
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            let response = client.send(request).await.map_err(BoxError::from)?;
            if let (Some(token), http::StatusCode::UNAUTHORIZED) = (&credential.token, response.status()) {
                plugin.refused(token).await;
            }
            Ok::<_, BoxError>(response)
        }
    });
    Client::new(service, namespace)
}
