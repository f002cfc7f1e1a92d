//! Sets the stage for a journey on real parts: a real API server with a seeded platform, whose operators' parts are
//! played, and a real Git server. Prints one line of JSON that says where everything is, and holds it all until
//! standard input ends. While the folder holds a file `unplugged`, Git over HTTPS cannot be reached.
//!
//! `pilothouse-stage ssh|https <folder>`

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse_practice::controllers::{Actor, ActorConfig, Actors};
use pilothouse_practice::git_remote::{GitAccess, GitRemote};
use pilothouse_practice::seed;
use pilothouse_rig::Rig;
use pilothouse_rig::agent_node::{self, AgentNode};
use pilothouse_rig::git_host::GitHost;
use pilothouse_rig::wire::Wire;
use serde_json::json;

/// Time between two steps that the actors take: long enough for a screenshot, short enough for a test.
const PACE: Duration = Duration::from_millis(150);

/// Where the agent is installed, and the images of it that can be pulled.
const AGENT_PLACE: &str = "pilothouse";
const AGENT_IMAGES: [&str; 2] = ["registry.test/pilothouse-agent:1", "registry.test/pilothouse-agent:2"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let transport = arguments.next().unwrap_or_default();
    let folder = PathBuf::from(arguments.next().ok_or("usage: pilothouse-stage ssh|https <folder>")?);
    std::fs::create_dir_all(&folder)?;
    let rig = Rig::get();
    let host = match transport.as_str() {
        "ssh" => GitHost::ssh()?,
        "https" => GitHost::https()?,
        _ => return Err("the first word is ssh or https".into()),
    };
    let remote = Arc::new(GitRemote::create(&host.repositories())?);
    let client = rig.client().await;
    seed::plant_in(client.clone(), &remote, seed::PLATFORM).await?;
    // Only HTTPS goes through a wire that can be pulled: SSH's known hosts name the server's own port.
    let wire = if transport == "https" { Some(Wire::before(host.port())?) } else { None };
    let port = wire.as_ref().map_or(host.port(), Wire::port);
    point_git_server_at(&client, &host.username, port, &transport).await?;
    let git: Arc<dyn GitAccess> = remote.clone();
    let config = ActorConfig::new(seed::PLATFORM, Some(git)).paced(PACE);
    let _actors = Actors::start(client, config, Actor::PLATFORM);

    // Whoever installs the agent finds a node that runs its program.
    let agents = match agent_node::program() {
        Ok(program) => Some(AgentNode::start(&agent_node::Setting {
            kubeconfig: rig.kubeconfig(),
            program,
            namespaces: vec![AGENT_PLACE.to_owned()],
            images: AGENT_IMAGES.map(str::to_owned).to_vec(),
        })?),
        Err(_) => None,
    };

    let keep = |name: &str, text: &str| -> std::io::Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let description = json!({
        "kubeconfig": rig.kubeconfig(),
        "context": "rig",
        "transport": transport,
        "gitServer": seed::GIT_SERVER,
        "repositories": host.repositories(),
        "account": host.username,
        "port": port,
        "token": host.token,
        "trust": trust(&folder, &host.ca_pem)?,
        "privateKey": keep("client_key", &host.client_private_key)?,
        "hostKeyLine": host.host_key_line,
        "node": rig.description().has_node,
        "agentImages": agents.is_some().then_some(AGENT_IMAGES),
    });
    println!("{description}");
    // Keys that the journey's user makes are let in when it writes their public halves here.
    let wanted = folder.join("authorize.pub");
    let unplugged = folder.join("unplugged");
    let mut plugged = true;
    std::thread::spawn(move || {
        loop {
            if let Ok(line) = std::fs::read_to_string(&wanted)
                && host.authorize_line(&line).is_ok()
            {
                let _ = std::fs::rename(&wanted, wanted.with_extension("done"));
            }
            if let Some(wire) = &wire
                && plugged == unplugged.exists()
            {
                plugged = !plugged;
                if plugged {
                    let _ = wire.plug_in();
                } else {
                    wire.unplug();
                }
                // The journey waits for this before it goes on.
                let _ = std::fs::write(folder.join("wire"), if plugged { "plugged" } else { "unplugged" });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    // The runtime would wait for its blocking threads; everything started here ends with the process.
    std::process::exit(0)
}

/// Makes the seeded Git server the one that really runs here.
async fn point_git_server_at(
    client: &kube::Client,
    account: &str,
    port: u16,
    transport: &str,
) -> Result<(), kube::Error> {
    let kind = GroupVersionKind::gvk("v2.edp.epam.com", "v1", "GitServer");
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), seed::PLATFORM, &ApiResource::from_gvk_with_plural(&kind, "gitservers"));
    let (ssh, https) = if transport == "ssh" { (port, 443) } else { (22, port) };
    let spec = json!({ "gitHost": "127.0.0.1", "gitUser": account, "sshPort": ssh, "httpsPort": https });
    api.patch(seed::GIT_SERVER, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await?;
    Ok(())
}

/// The system's certificates and the Git server's authority in one file, for SSL_CERT_FILE.
fn trust(folder: &Path, authority: &str) -> std::io::Result<PathBuf> {
    let system = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let path = folder.join("trust.pem");
    std::fs::write(&path, format!("{system}\n{authority}"))?;
    Ok(path)
}
