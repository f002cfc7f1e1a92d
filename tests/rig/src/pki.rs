//! Fresh certificates for one control plane, and the kubeconfigs that carry them.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::error::{At, Result};

/// A certificate authority living in a folder.
pub struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority and writes `<name>.crt` into `dir`.
    pub fn create(dir: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        // Two authorities of one name would be taken for each other until a signature fails.
        params.distinguished_name.push(DnType::CommonName, format!("pilothouse rig {name} {}", fastrand::u32(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let path = dir.join(format!("{name}.crt"));
        fs::write(&path, issuer.pem()).at("write the certificate", &path)?;
        Ok(Self { dir: dir.to_owned(), issuer })
    }

    /// The authority's certificate in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for `common_name` (and `organization`, a group to Kubernetes) that is good for serving as
    /// any of `names` (DNS names or IP addresses) and as a client; writes `<file>.crt` and `<file>.key`.
    pub fn issue(&self, file: &str, common_name: &str, organization: Option<&str>, names: &[&str]) -> Result<Issued> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, common_name);
        if let Some(organization) = organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let issued =
            Issued { certificate: self.dir.join(format!("{file}.crt")), key: self.dir.join(format!("{file}.key")) };
        fs::write(&issued.certificate, certificate.pem()).at("write the certificate", &issued.certificate)?;
        fs::write(&issued.key, key.serialize_pem()).at("write the key", &issued.key)?;
        Ok(issued)
    }

    /// The authority's certificate file.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate in PEM.
    pub certificate: PathBuf,
    /// The private key in PEM (PKCS #8).
    pub key: PathBuf,
}

/// Writes a key pair for signing service account tokens: `<dir>/sa.key` and `<dir>/sa.pub`.
pub fn service_account_keys(dir: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    for (name, text) in [("sa.key", key.serialize_pem()), ("sa.pub", key.public_key_pem())] {
        let path = dir.join(name);
        fs::write(&path, text).at("write the key", &path)?;
    }
    Ok(())
}

/// One context of a kubeconfig: names and contents of the cluster and user it joins.
#[derive(Debug)]
pub struct Context<'a> {
    /// The context's and its user's name.
    pub name: &'a str,
    /// The server's URL.
    pub server: &'a str,
    /// The authority that the client trusts.
    pub authority: &'a Path,
    /// The client's certificate; none leaves the user out of the file.
    pub user: Option<&'a Issued>,
    /// The default namespace.
    pub namespace: Option<&'a str>,
}

/// Writes a kubeconfig of these contexts; the first is the current one.
pub fn write_kubeconfig(path: &Path, contexts: &[Context<'_>]) -> Result<()> {
    let mut clusters = Vec::new();
    let mut users = Vec::new();
    let mut list: Vec<Value> = Vec::new();
    for context in contexts {
        clusters.push(json!({"name": format!("{}-cluster", context.name), "cluster": {
            "server": context.server, "certificate-authority": context.authority}}));
        if let Some(user) = context.user {
            users.push(json!({"name": format!("{}-user", context.name), "user": {
                "client-certificate": user.certificate, "client-key": user.key}}));
        }
        let mut joined =
            json!({"cluster": format!("{}-cluster", context.name), "user": format!("{}-user", context.name)});
        if let Some(namespace) = context.namespace {
            joined["namespace"] = namespace.into();
        }
        list.push(json!({"name": context.name, "context": joined}));
    }
    let current = contexts.first().map_or("", |context| context.name);
    // JSON is YAML, and needs no care with quoting.
    let text = json!({"apiVersion": "v1", "kind": "Config", "clusters": clusters, "users": users, "contexts": list,
        "current-context": current});
    fs::write(path, format!("{text:#}\n")).at("write the kubeconfig", path)
}
