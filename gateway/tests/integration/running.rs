//! A program that lets the gateway serve by itself: hands on it, its end, and sockets that the program holds.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use gateway::builder::Builder;
use gateway::gateway::Gateway;
use gateway::prelude::{Drained, Handle, Running};
use mocks::{Effect, Rule};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::support::{Client, echo, eventually, guarded};

/// One route to this upstream, on any port.
fn builder(upstream: std::net::SocketAddr) -> Builder {
    Gateway::builder().config_text(format!(
        "[server]\nworkers = 1\n[admin]\naddress = '127.0.0.1:0'\n[[listeners]]\nname = 'web'\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = 'off'\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{upstream}'\nretry = {{ attempts = 1 }}\n"
    ))
}

async fn post(address: std::net::SocketAddr, path: &str) -> u16 {
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n");
    Client::connect(address).await.ask(head).await.status
}

async fn get(address: std::net::SocketAddr) -> u16 {
    Client::connect(address).await.ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.status
}

#[tokio::test]
async fn a_hand_drains_from_any_task_and_all_who_wait_see_the_same_end() {
    let upstream = echo().await;
    let running = builder(upstream.addr()).start().await.unwrap();
    let (handle, other) = (running.handle(), running.handle());
    assert_eq!((handle.listeners(), handle.admin()), (&*running.listeners, running.admin));
    let address = running.listeners[0];
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let mut client = Client::connect(address).await;
    client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("it is in flight", || upstream.counters().requests > 0).await;
    assert!(!handle.is_draining());
    // It begins without anybody waiting for it.
    drop(handle.drain());
    assert!(other.is_draining());
    upstream.set_rules([]);
    drop(client);
    let (here, there) = (other.drain(), tokio::spawn(handle.clone().drain()));
    assert_eq!(guarded("the end", running.ended()).await, Drained::Clean);
    assert_eq!(
        (here.await, there.await.unwrap(), running.drain().await),
        (Drained::Clean, Drained::Clean, Drained::Clean)
    );
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn operators_end_it_without_the_programs_help() {
    let upstream = echo().await;
    let running = builder(upstream.addr()).start().await.unwrap();
    assert_eq!(post(running.admin.unwrap(), "/drain").await, 202);
    guarded("it is asked for", running.drain_asked()).await;
    assert_eq!(guarded("the end", running.ended()).await, Drained::Clean);
}

#[tokio::test]
async fn it_serves_until_the_program_says_so() {
    let upstream = echo().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::<Value>::new()));
    let into = Arc::clone(&heard);
    let builder = builder(upstream.addr())
        .listener("web", socket)
        .events(move |event| into.lock().unwrap().push(serde_json::from_str(event.json()).unwrap()));
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(builder.run_until(async { drop(ended.await) }));
    // Whoever connects before it accepts waits in the socket's queue.
    assert_eq!(get(address).await, 200);
    end.send(()).unwrap();
    guarded("the end", serving).await.unwrap().unwrap();
    let told = |kind: &str| heard.lock().unwrap().iter().find(|it| it["kind"] == kind).cloned();
    assert_eq!(told("ready").unwrap()["listeners"][0], address.to_string());
    assert_eq!(told("stopped").unwrap()["after"], "drain");
    eventually("the drain is told", || told("drain").is_some()).await;
}

#[tokio::test]
async fn a_socket_without_a_listener_of_its_name_is_an_error() {
    let upstream = echo().await;
    for names in [&["wep"][..], &["web", "web"]] {
        let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
        let builder = names.iter().fold(builder(upstream.addr()), |builder, name| builder.listener(*name, socket()));
        let error = builder.start().await.map(drop).unwrap_err().to_string();
        assert!(error.contains(&format!("the listener {:?}", names[0])), "{error}");
    }
}

#[tokio::test]
async fn a_hand_reloads_the_file_and_a_text() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let text = |route: &str| {
        format!(
            "[server]\nworkers = 1\n[admin]\naddress = '127.0.0.1:0'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
             [telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '{route}'\nupstream = 'http://{}'\n",
            upstream.addr()
        )
    };
    std::fs::write(&path, text("/b")).unwrap();
    let running = Gateway::builder().config_file(&path).start().await.unwrap();
    let (handle, address) = (running.handle(), running.listeners[0]);
    assert_eq!(get(address).await, 404);
    let report = handle.gateway().reload_text(text("/a")).await.unwrap();
    assert!(report.needs_restart.is_empty());
    assert_eq!(get(address).await, 200);
    assert!(handle.gateway().reload_text("[server]\nworkers = 'many'").await.is_err());
    assert_eq!(get(address).await, 200);
    handle.reload().await.unwrap();
    assert_eq!(get(address).await, 404, "the file is as it was");
    running.drain().await;
}

#[tokio::test]
async fn dropped_it_ends_whatever_hands_there_are() {
    let upstream = echo().await;
    let running = builder(upstream.addr()).start().await.unwrap();
    let (handle, address): (Handle, _) = (running.handle(), running.listeners[0]);
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let mut client = Client::connect(address).await;
    client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("it is in flight", || upstream.counters().requests > 0).await;
    drop(running);
    guarded("what is in flight is cut", client.closed()).await;
    guarded("and there is an end", handle.drain()).await;
}

#[test]
fn hands_can_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    anywhere::<Handle>();
    sent::<Running>();
}
