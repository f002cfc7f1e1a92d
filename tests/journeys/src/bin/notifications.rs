//! A desktop's notification service for tests: prints `ready`, then each notification as a line of JSON, and ends when
//! its input does.

use std::collections::HashMap;
use std::io::{Read, Write};

use zbus::OwnedVariant;
use zbus::{connection, interface};

struct Notifications {
    last: u32,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    fn get_capabilities(&self) -> Vec<String> {
        vec!["body".to_owned()]
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("tests".to_owned(), "Pilothouse".to_owned(), "1".to_owned(), "1.2".to_owned())
    }

    fn close_notification(&self, _id: u32) {}

    #[allow(clippy::too_many_arguments, reason = "the interface is the desktop's")]
    fn notify(
        &mut self,
        app_name: &str,
        replaces_id: u32,
        _app_icon: &str,
        summary: &str,
        body: &str,
        _actions: Vec<String>,
        _hints: HashMap<String, OwnedVariant>,
        _expire_timeout: i32,
    ) -> u32 {
        say(&serde_json::json!({ "app": app_name, "title": summary, "body": body }).to_string());
        if replaces_id != 0 {
            return replaces_id;
        }
        self.last += 1;
        self.last
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Whoever started this is gone when nobody reads.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _connection = connection::Builder::session()
        .name("org.freedesktop.Notifications")
        .serve_at("/org/freedesktop/Notifications", Notifications { last: 0 })
        .build()
        .await?;
    say("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
