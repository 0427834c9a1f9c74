//! A gateway that is held up itself, while its store has answered long ago.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use crate::config::settings::store::Servers;
use crate::store::{By, Call, Script};

const MAY_TAKE: Duration = Duration::from_millis(250);

fn call() -> Call {
    let mut call = Call::new(Script::IsThere);
    call.keys.push("key".to_owned());
    call
}

#[test]
fn an_answer_that_came_while_nobody_could_look_is_no_silence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ((asked, was_asked), (answered, was_answered)) = (mpsc::sync_channel(9), mpsc::sync_channel(9));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        while let Ok(1..) = stream.read(&mut buffer) {
            if asked.send(()).is_err() || stream.write_all(b":1\r\n").is_err() || answered.send(()).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let servers = Servers::One(("127.0.0.1".to_owned(), port), 0);
        let (store, _stores) = super::store(servers, MAY_TAKE);
        assert_eq!(store.ask(By::worker(0), call()).await, Ok(vec![1]));
        was_asked.recv().unwrap();
        was_answered.recv().unwrap();
        let mut posted = store.post(By::worker(0), call()).unwrap();
        while was_asked.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        // The whole thread stands still: the answer comes meanwhile, and its time goes by.
        was_answered.recv().unwrap();
        let until = store.now() + 2 * MAY_TAKE;
        while store.now() < until {
            std::thread::park_timeout(until - store.now());
        }
        assert_eq!(posted.in_time().await, Some(Ok(vec![1])));
        assert_eq!(store.health.last_failure(), None);
    });
    drop(runtime);
    server.join().unwrap();
}
