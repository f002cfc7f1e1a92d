//! Brings the agent's pods to their own node: a webhook that names it while they are made. The scheduler never sees
//! them, so the hollow node cannot take them first.

use std::io::{self, Read, Write};

use serde_json::{Value, json};

use super::AGENT;
use crate::base64::base64;
use crate::error::Result;
use crate::git_host::Certificate;
use crate::provider_host::read;
use crate::tls_listener::{Connection, TlsListener, finish};

/// The webhook's server. It ends with this value.
#[derive(Debug)]
pub(super) struct Steering {
    listener: TlsListener,
}

impl Steering {
    /// Starts to answer; pods of these namespaces that are asked about go to `node`.
    pub(super) fn start(node: &str, namespaces: &[String]) -> Result<Self> {
        let (node, namespaces) = (node.to_owned(), namespaces.to_vec());
        let certificate = Certificate::For(&["127.0.0.1", "localhost"]);
        let listener = TlsListener::start(certificate, move |connection, _| serve(connection, &node, &namespaces))?;
        Ok(Self { listener })
    }

    /// What makes the API server ask here, for the agent's pods.
    pub(super) fn configuration(&self, name: &str) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "agent-node.rig.test",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                // One that a killed test left behind must not be in anybody's way.
                "failurePolicy": "Ignore",
                "timeoutSeconds": 10,
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{}/steer", self.listener.port),
                    "caBundle": base64(self.listener.trust.as_bytes()),
                },
                "objectSelector": {"matchLabels": {AGENT.0: AGENT.1}},
                "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
            }],
        })
    }
}

fn serve(mut connection: Connection, node: &str, namespaces: &[String]) -> io::Result<()> {
    let Some(call) = read(&mut connection)? else { return Ok(()) };
    let length = call.headers.get("content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let mut body = vec![0; length.min(4 << 20)];
    connection.read_exact(&mut body)?;
    let review: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let patch = json!([{"op": "add", "path": "/spec/nodeName", "value": node}]).to_string();
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    // Namespaces have had a label of their name, to select them by, since Kubernetes 1.21 only.
    if namespaces.iter().any(|one| review["request"]["namespace"] == **one) {
        response["patchType"] = "JSONPatch".into();
        response["patch"] = base64(patch.as_bytes()).into();
    }
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    let stream = connection.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(answer.as_bytes())?;
    finish(&mut connection)
}
