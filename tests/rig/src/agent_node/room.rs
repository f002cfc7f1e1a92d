//! What a container finds around itself: its files, its variables, its arguments.
//!
//! There is no root file system of its own. A mounted folder lies elsewhere, and a container's port is another one, so
//! that several replicas fit on one machine; both are put in wherever arguments, variables and ConfigMaps name them.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVarSource, KeyToPath, ObjectFieldSelector, Pod, Secret, ServiceAccount, Volume,
    VolumeProjection,
};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};

use super::Server;
use crate::error::{At, Result};

/// Where every pod's own token is mounted.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What keeps a container from starting, in the kubelet's words.
#[derive(Debug)]
pub(super) struct Lacking(pub(super) String);

/// The rooms of one pod.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Paths in the container and where they lie; the longest first.
    mounts: Vec<(String, PathBuf)>,
    ports: BTreeMap<i32, u16>,
}

/// A container ready to start.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) arguments: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
}

fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

impl Room {
    /// Where a container's port is.
    pub(super) fn port(&self, port: i32) -> Option<u16> {
        self.ports.get(&port).copied()
    }

    /// A text of the manifest, as it is meant here.
    fn translate(&self, text: &str) -> String {
        for (port, here) in &self.ports {
            let port = port.to_string();
            if let Some(before) = text.strip_suffix(port.as_str())
                && (before.is_empty() || before.ends_with([':', '=']))
            {
                return format!("{before}{here}");
            }
        }
        // One pass: where a folder lies may itself read like a mounted path.
        let mut out = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let fresh = !out.chars().next_back().is_some_and(is_path_char);
            let mount = self.mounts.iter().filter(|_| fresh && next == '/').find_map(|(path, here)| {
                let after = rest.strip_prefix(path.as_str())?;
                (!after.chars().next().is_some_and(is_path_char)).then_some((here, after))
            });
            if let Some((here, after)) = mount {
                out.push_str(&here.to_string_lossy());
                rest = after;
            } else {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        out
    }

    /// Takes a free port for each that the container names.
    pub(super) fn take_ports(&mut self, container: &Container) -> Result<()> {
        for port in container.ports.iter().flatten() {
            let listener = TcpListener::bind("127.0.0.1:0").at("find a free port", "127.0.0.1")?;
            let free = listener.local_addr().at("find a free port", "127.0.0.1")?.port();
            self.ports.insert(port.container_port, free);
        }
        Ok(())
    }

    /// Writes what the pod's volumes hold below `dir`; again whenever it may have changed.
    pub(super) async fn fill(
        &mut self,
        client: &Client,
        pod: &Pod,
        container: &Container,
        dir: &Path,
    ) -> Result<std::result::Result<(), Lacking>> {
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let mut mounts = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let place = dir.join("volumes").join(&mount.name);
            let here = mount.sub_path.as_ref().map_or_else(|| place.clone(), |sub| place.join(sub));
            mounts.push((mount.mount_path.trim_end_matches('/').to_owned(), here));
        }
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        self.mounts = mounts;
        for volume in volumes.into_iter().flatten() {
            let place = dir.join("volumes").join(&volume.name);
            fs::create_dir_all(&place).at("make a volume", &place)?;
            if let Err(lacking) = self.fill_one(client, pod, volume, &place).await? {
                let name = &volume.name;
                return Ok(Err(Lacking(format!("MountVolume.SetUp failed for volume \"{name}\" : {}", lacking.0))));
            }
        }
        Ok(Ok(()))
    }

    async fn fill_one(
        &self,
        client: &Client,
        pod: &Pod,
        volume: &Volume,
        place: &Path,
    ) -> Result<std::result::Result<(), Lacking>> {
        let namespace = pod.namespace().unwrap_or_default();
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let optional = source.optional == Some(true);
            return secret(client, &namespace, name, source.items.as_deref(), optional, place).await;
        }
        if let Some(source) = &volume.config_map {
            let optional = source.optional == Some(true);
            return self.config_map(client, &namespace, &source.name, source.items.as_deref(), optional, place).await;
        }
        for source in volume.projected.iter().filter_map(|all| all.sources.as_ref()).flatten() {
            if let Err(lacking) = self.projected(client, pod, source, place).await? {
                return Ok(Err(lacking));
            }
        }
        Ok(Ok(()))
    }

    async fn projected(
        &self,
        client: &Client,
        pod: &Pod,
        source: &VolumeProjection,
        place: &Path,
    ) -> Result<std::result::Result<(), Lacking>> {
        let namespace = pod.namespace().unwrap_or_default();
        if let Some(wanted) = &source.service_account_token {
            let file = place.join(&wanted.path);
            // Good for an hour at the least, which no test lasts.
            if !file.exists() {
                let token =
                    token(client, pod, wanted.audience.clone().filter(|a| !a.is_empty()), wanted.expiration_seconds)
                        .await?;
                write(&file, token.as_bytes())?;
            }
        }
        if let Some(from) = &source.secret {
            let optional = from.optional == Some(true);
            return secret(client, &namespace, &from.name, from.items.as_deref(), optional, place).await;
        }
        if let Some(from) = &source.config_map {
            let optional = from.optional == Some(true);
            return self.config_map(client, &namespace, &from.name, from.items.as_deref(), optional, place).await;
        }
        for item in source.downward_api.iter().filter_map(|all| all.items.as_ref()).flatten() {
            if let Some(field) = &item.field_ref {
                write(&place.join(&item.path), field_of(pod, field).as_bytes())?;
            }
        }
        Ok(Ok(()))
    }

    async fn config_map(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: bool,
        place: &Path,
    ) -> Result<std::result::Result<(), Lacking>> {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let Some(found) = api.get_opt(name).await? else {
            let lacking = Lacking(format!("configmap \"{name}\" not found"));
            return Ok(if optional { Ok(()) } else { Err(lacking) });
        };
        // Its texts may name mounted paths, as arguments do.
        let texts = found.data.unwrap_or_default();
        let texts = texts.into_iter().map(|(key, text)| (key, self.translate(&text).into_bytes()));
        let bytes = found.binary_data.unwrap_or_default().into_iter().map(|(key, ByteString(bytes))| (key, bytes));
        lay_out(&texts.chain(bytes).collect(), items, place)
    }

    /// The container's arguments and variables.
    pub(super) async fn fit(
        &self,
        client: &Client,
        pod: &Pod,
        container: &Container,
        server: &Server,
    ) -> Result<std::result::Result<Fitted, Lacking>> {
        let mut variables = vec![
            ("KUBERNETES_SERVICE_HOST".to_owned(), server.host.clone()),
            ("KUBERNETES_SERVICE_PORT".to_owned(), server.port.to_string()),
            ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ];
        for variable in container.env.iter().flatten() {
            let value = match (&variable.value, &variable.value_from) {
                (Some(value), _) => self.translate(&expand(value, &variables)),
                (None, Some(from)) => match value_from(client, pod, from).await? {
                    Ok(Some(value)) => value,
                    Ok(None) => continue,
                    Err(lacking) => return Ok(Err(lacking)),
                },
                (None, None) => String::new(),
            };
            variables.push((variable.name.clone(), value));
        }
        // The first word names the program, which is known.
        let mut words: Vec<&String> = container.command.iter().flatten().skip(1).collect();
        words.extend(container.args.iter().flatten());
        let mut arguments: Vec<String> =
            words.into_iter().map(|word| self.translate(&expand(word, &variables))).collect();
        if let Some((_, account)) = self.mounts.iter().find(|(path, _)| path == ACCOUNT) {
            // The place where an account is mounted is built in, and no argument of the manifest names it.
            arguments.push(format!("--service-account={}", account.display()));
        }
        Ok(Ok(Fitted { arguments, variables }))
    }
}

/// `$(NAME)` stands for a variable given before.
fn expand(text: &str, variables: &[(String, String)]) -> String {
    variables.iter().rev().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
}

async fn value_from(
    client: &Client,
    pod: &Pod,
    from: &EnvVarSource,
) -> Result<std::result::Result<Option<String>, Lacking>> {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(field) = &from.field_ref {
        return Ok(Ok(Some(field_of(pod, field))));
    }
    let (kind, name, key, optional, value) = if let Some(from) = &from.secret_key_ref {
        let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        let found = api.get_opt(&from.name).await?.and_then(|secret| secret.data);
        let value = found.and_then(|mut data| data.remove(&from.key)).map(|ByteString(bytes)| bytes);
        ("secret", &from.name, &from.key, from.optional, value)
    } else if let Some(from) = &from.config_map_key_ref {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        let found = api.get_opt(&from.name).await?.and_then(|map| map.data);
        let value = found.and_then(|mut data| data.remove(&from.key)).map(String::into_bytes);
        ("configmap", &from.name, &from.key, from.optional, value)
    } else {
        return Ok(Ok(None));
    };
    Ok(match value {
        Some(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(Lacking(format!("couldn't find key {key} in {kind} {namespace}/{name}"))),
    })
}

fn field_of(pod: &Pod, field: &ObjectFieldSelector) -> String {
    match field.field_path.as_str() {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.serviceAccountName" => account_of(pod),
        "spec.nodeName" => pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "status.podIP" | "status.hostIP" => "127.0.0.1".to_owned(),
        _ => String::new(),
    }
}

fn account_of(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".to_owned())
}

async fn token(client: &Client, pod: &Pod, audience: Option<String>, seconds: Option<i64>) -> Result<String> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: audience.map(|one| vec![one]),
            expiration_seconds: seconds,
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name_any()),
                uid: pod.uid(),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let granted = api.create_token_request(&account_of(pod), &PostParams::default(), &request).await?;
    Ok(granted.status.and_then(|status| status.token).unwrap_or_default())
}

async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: bool,
    place: &Path,
) -> Result<std::result::Result<(), Lacking>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let Some(found) = api.get_opt(name).await? else {
        let lacking = Lacking(format!("secret \"{name}\" not found"));
        return Ok(if optional { Ok(()) } else { Err(lacking) });
    };
    let data = found.data.unwrap_or_default().into_iter().map(|(key, ByteString(bytes))| (key, bytes)).collect();
    lay_out(&data, items, place)
}

/// Writes a volume's files: all keys under their own names, or the chosen ones.
fn lay_out(
    data: &BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    place: &Path,
) -> Result<std::result::Result<(), Lacking>> {
    let Some(items) = items else {
        for (key, bytes) in data {
            write(&place.join(key), bytes)?;
        }
        return Ok(Ok(()));
    };
    for item in items {
        let Some(bytes) = data.get(&item.key) else {
            return Ok(Err(Lacking(format!("references non-existent key: {}", item.key))));
        };
        write(&place.join(&item.path), bytes)?;
    }
    Ok(Ok(()))
}

/// Writes aside and renames, so that a reader finds the old file or the new one.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).at("make a folder", folder)?;
    }
    let aside = path.with_extension("aside");
    fs::write(&aside, bytes).at("write a mounted file", &aside)?;
    fs::rename(&aside, path).at("write a mounted file", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_ports_are_put_in_where_they_are_named() {
        let room = Room {
            mounts: vec![
                ("/etc/agent/git".into(), "/tmp/g".into()),
                ("/etc/agent".into(), "/tmp/a".into()),
                ("/data".into(), "/tmp/d".into()),
                ("/tmp".into(), "/tmp/t".into()),
            ],
            ports: BTreeMap::from([(8080, 41_000)]),
        };
        for (text, here) in [
            ("--config=/etc/agent/config.yaml", "--config=/tmp/a/config.yaml"),
            ("/etc/agent/git/token", "/tmp/g/token"),
            ("/etc/agents", "/etc/agents"),
            ("--data=/data", "--data=/tmp/d"),
            ("/tmp", "/tmp/t"),
            ("/usr/tmp", "/usr/tmp"),
            ("file: \"/etc/agent/git\"\n", "file: \"/tmp/g\"\n"),
            ("0.0.0.0:8080", "0.0.0.0:41000"),
            ("--port=8080", "--port=41000"),
            ("8080", "41000"),
            ("18080", "18080"),
        ] {
            assert_eq!(room.translate(text), here, "{text}");
        }
    }
}
