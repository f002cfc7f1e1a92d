//! The front end in an ordinary browser against the real commands, for tests only: Tauri's mock runtime answers
//! them, and a few lines of HTTP on loopback carry them. Prints its address and lives until its standard input ends.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tauri::Listener;
use tauri::test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder, mock_context, noop_assets};

/// The events that the window listens to, as the contract names them.
const EVENTS: [&str; 3] = ["changed", "operation-progress", "notice"];

/// What every connection needs.
struct Bridge {
    window: tauri::WebviewWindow<MockRuntime>,
    dist: PathBuf,
    streams: Mutex<Vec<mpsc::Sender<String>>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::var_os("PILOTHOUSE_DATA").map(PathBuf::from).ok_or("PILOTHOUSE_DATA must name a folder")?;
    let ipc = pilothouse_desktop::ipc::<MockRuntime>();
    let app = mock_builder()
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_notification::init())
        .invoke_handler(ipc.invoke_handler())
        .build(mock_context(noop_assets()))?;
    ipc.mount_events(&app);
    let handle = app.handle().clone();
    let _core = pilothouse_desktop::start_app(&handle, data)?;
    let window = tauri::WebviewWindowBuilder::new(&app, "main", tauri::WebviewUrl::default()).build()?;
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/dist");
    let bridge = Arc::new(Bridge { window, dist, streams: Mutex::default() });
    for name in EVENTS {
        let bridge = bridge.clone();
        app.listen_any(name, move |event| bridge.send(name, event.payload()));
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let bridge = bridge.clone();
            std::thread::spawn(move || bridge.serve(stream));
        }
    });
    // The test that started this holds the other end of the pipe.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0)
}

impl Bridge {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<String>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an event to every page that listens.
    fn send(&self, event: &str, payload: &str) {
        let message = format!("data: {{\"event\":\"{event}\",\"payload\":{payload}}}\n\n");
        self.streams().retain(|stream| stream.send(message.clone()).is_ok());
    }

    /// Answers one request; a connection that breaks is the page's own business.
    fn serve(&self, stream: TcpStream) {
        let _ = self.answer(stream);
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
        if path == "/events" {
            return self.stream_events(stream);
        }
        if let Some(command) = path.strip_prefix("/ipc/") {
            let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let (status, answer) = self.invoke(command, &body);
            return respond(&mut stream, status, "application/json", answer.to_string().as_bytes());
        }
        let path = path.split(['?', '#']).next().unwrap_or("/");
        let file = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
        let inside = Path::new(file).components().all(|c| matches!(c, Component::Normal(_)));
        match std::fs::read(self.dist.join(file)) {
            Ok(bytes) if inside => respond(&mut stream, 200, media_type(file), &bytes),
            _ => respond(&mut stream, 404, "text/plain", b"no such file"),
        }
    }

    fn stream_events(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\r\n")?;
        let (sender, receiver) = mpsc::channel();
        self.streams().push(sender);
        loop {
            match receiver.recv_timeout(Duration::from_secs(5)) {
                Ok(message) => stream.write_all(message.as_bytes())?,
                Err(mpsc::RecvTimeoutError::Timeout) => stream.write_all(b": still here\n\n")?,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Asks the command as a window would.
    fn invoke(&self, command: &str, body: &[u8]) -> (u16, serde_json::Value) {
        let arguments: serde_json::Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(e) => return (400, serde_json::Value::String(e.to_string())),
        };
        let origin = if cfg!(windows) { "http://tauri.localhost" } else { "tauri://localhost" };
        let Ok(url) = origin.parse() else { return (500, serde_json::Value::Null) };
        let request = tauri::webview::InvokeRequest {
            cmd: command.to_owned(),
            callback: tauri::ipc::CallbackFn(0),
            error: tauri::ipc::CallbackFn(1),
            url,
            body: arguments.into(),
            headers: Default::default(),
            invoke_key: INVOKE_KEY.to_owned(),
        };
        match get_ipc_response(&self.window, request) {
            Ok(answer) => (200, answer.deserialize().unwrap_or(serde_json::Value::Null)),
            Err(error) => (400, error),
        }
    }
}

fn respond(stream: &mut TcpStream, status: u16, media: &str, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} .\r\ncontent-type: {media}\r\ncontent-length: {}\r\n", body.len())?;
    stream.write_all(b"connection: close\r\n\r\n")?;
    stream.write_all(body)
}

fn media_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
