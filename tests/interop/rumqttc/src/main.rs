//! `rumqttc` as a peer of the interoperability tests.
//!
//! One process holds many clients. Each line on standard input is a JSON request
//! (`{"id":1,"client":"c1","op":"connect",...}`), each line on standard output an answer with the
//! same `id` (`ok`, `refused` or `error`) or an event of one client (`message`, `closed`).
//! `../peers.py` drives it; `../mqttjs/peer.mjs` speaks the same lines.

mod v4;
mod v5;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::{JoinHandle, LocalSet};

/// What one poll of an event loop told, the same for both protocol versions.
enum Happened {
    Connected(Value),
    Message(Value),
    Subscribed(Value),
    Unsubscribed,
    /// A QoS 0 publish left, or a QoS 1 or 2 publish was acknowledged for good.
    Published(Value),
    Nothing,
}

/// Why an event loop ended.
enum Ended {
    Refused(String),
    Lost(String),
}

enum Requests {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// The request that a client is waiting for: the driver asks one thing at a time.
#[derive(Default)]
struct Waiting {
    id: Option<Value>,
    op: String,
}

struct Client {
    requests: Requests,
    waiting: Rc<RefCell<Waiting>>,
    task: JoinHandle<()>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    LocalSet::new().run_until(serve()).await;
}

async fn serve() {
    let mut clients: HashMap<String, Client> = HashMap::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let request: Value = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(error) => {
                say(&json!({"error": format!("not a request: {error}")}));
                continue;
            }
        };
        let name = text(&request, "client");
        let op = text(&request, "op");
        match op.as_str() {
            "connect" => {
                if let Some(old) = clients.remove(&name) {
                    old.task.abort();
                }
                clients.insert(name.clone(), connect(name, &request));
            }
            "abort" => {
                // Dropping the event loop closes the socket without a DISCONNECT.
                if let Some(client) = clients.remove(&name) {
                    client.task.abort();
                    let _ = client.task.await;
                }
                say(&json!({"id": request["id"], "ok": {}}));
            }
            _ => match clients.get(&name) {
                Some(client) => {
                    if let Err(error) = ask(client, &op, &request).await {
                        client.waiting.borrow_mut().id = None;
                        say(&json!({"id": request["id"], "error": error}));
                    }
                }
                None => say(&json!({"id": request["id"], "error": "no such client"})),
            },
        }
    }
}

fn connect(name: String, request: &Value) -> Client {
    let waiting = Rc::new(RefCell::new(Waiting {
        id: Some(request["id"].clone()),
        op: "connect".to_owned(),
    }));
    if request["version"] == 5 {
        let (client, events) = v5::open(request);
        let task = tokio::task::spawn_local(v5::run(events, name, waiting.clone()));
        Client {
            requests: Requests::V5(client),
            waiting,
            task,
        }
    } else {
        let (client, events) = v4::open(request);
        let task = tokio::task::spawn_local(v4::run(events, name, waiting.clone()));
        Client {
            requests: Requests::V4(client),
            waiting,
            task,
        }
    }
}

async fn ask(client: &Client, op: &str, request: &Value) -> Result<(), String> {
    *client.waiting.borrow_mut() = Waiting {
        id: Some(request["id"].clone()),
        op: op.to_owned(),
    };
    match &client.requests {
        Requests::V4(requests) => v4::ask(requests, op, request).await,
        Requests::V5(requests) => v5::ask(requests, op, request).await,
    }
}

/// Turns what happened into a line for the driver.
fn report(name: &str, waiting: &RefCell<Waiting>, happened: Happened) {
    let (op, result) = match happened {
        Happened::Connected(result) => ("connect", result),
        Happened::Subscribed(result) => ("subscribe", result),
        Happened::Unsubscribed => ("unsubscribe", json!({})),
        Happened::Published(result) => ("publish", result),
        Happened::Message(message) => return say(&json!({"client": name, "message": message})),
        Happened::Nothing => return,
    };
    let mut waiting = waiting.borrow_mut();
    if waiting.op == op
        && let Some(id) = waiting.id.take()
    {
        say(&json!({"id": id, "ok": result}));
    }
}

/// Answers the request that was waiting, if any, and tells that the connection is over.
fn report_end(name: &str, waiting: &RefCell<Waiting>, ended: Ended) {
    let mut waiting = waiting.borrow_mut();
    let id = waiting.id.take();
    match ended {
        Ended::Refused(code) => say(&json!({"id": id, "refused": code})),
        Ended::Lost(cause) => {
            if let Some(id) = id {
                if waiting.op == "disconnect" {
                    say(&json!({"id": id, "ok": {}}));
                } else {
                    say(&json!({"id": id, "error": cause}));
                }
            }
            say(&json!({"client": name, "closed": cause}));
        }
    }
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // The driver going away is the end of this process anyway.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn text(request: &Value, key: &str) -> String {
    request[key].as_str().unwrap_or_default().to_owned()
}

fn number(request: &Value, key: &str) -> u64 {
    request[key].as_u64().unwrap_or_default()
}

fn flag(request: &Value, key: &str) -> bool {
    request[key].as_bool().unwrap_or_default()
}

fn bytes(request: &Value, key: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(request[key].as_str().unwrap_or_default())
        .unwrap_or_default()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
