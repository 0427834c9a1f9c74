//! Which sentinels are believed where they do not agree: those that know of the latest fail-over.
//!
//! A sentinel that is cut off from the others goes on naming the master of before, which may be up and take itself for
//! one. Each fail-over has a number (`config-epoch`) that is higher than all before it, and that most sentinels have
//! agreed on. So among most of them is one that knows it.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::RedisConnectionInfo;

use super::link::{client, config};
use crate::config::settings::Store;
use crate::config::settings::store::Access;

/// A sentinel's host and port.
type Sentinel = (String, u16);

/// Those of a store's sentinels that know of the latest fail-over of this master, as far as most of them are heard in
/// time. All of them where none says anything: whoever asks them then hears why.
pub(super) async fn believed<'a>(store: &Store, sentinels: &'a [Sentinel], master: &str) -> Vec<&'a Sentinel> {
    if sentinels.len() == 1 {
        return sentinels.iter().collect();
    }
    let asked = sentinels.iter().map(|sentinel| async move { (epoch(store, sentinel, master).await, sentinel) });
    let mut asked: FuturesUnordered<_> = asked.collect();
    let (mut heard, most) = (Vec::new(), sentinels.len() / 2 + 1);
    let hear = async {
        while let Some((epoch, sentinel)) = asked.next().await {
            heard.extend(epoch.map(|epoch| (epoch, sentinel)));
            if heard.len() >= most {
                break;
            }
        }
    };
    // The rest of the time is the master's. Of those that are down nobody knows whether they would have said more.
    let _ = tokio::time::timeout(store.connect_timeout / 2, hear).await;
    let latest = heard.iter().map(|(epoch, _)| *epoch).max();
    let known = heard.iter().filter(|(epoch, _)| Some(*epoch) == latest).map(|(_, sentinel)| *sentinel);
    match latest {
        Some(_) => known.collect(),
        None => sentinels.iter().collect(),
    }
}

/// The number of the latest fail-over of a master that this sentinel knows of; `None` where it does not say.
async fn epoch(store: &Store, sentinel: &Sentinel, master: &str) -> Option<u64> {
    let Access { sentinel_password, .. } = &store.access;
    let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(password) = sentinel_password {
        settings = settings.set_password(password);
    }
    let client = client(store, sentinel, settings).ok()?;
    let config = config(store, store.connect_timeout);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.ok()?;
    // As whoever looks for the master asks: no other right is needed.
    let masters = redis::cmd("SENTINEL").arg("MASTERS").query_async(&mut connection).await;
    let masters: Vec<HashMap<String, String>> = masters.ok()?;
    masters.iter().find(|one| one.get("name").is_some_and(|name| name == master))?.get("config-epoch")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::settings::store::Servers;
    use crate::store::tests::store;

    /// A sentinel that knows of this fail-over of `main`, and of a later one of another master.
    async fn sentinel(epoch: u64) -> Sentinel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let one = |name: &str, epoch: u64| {
            let words = ["name", name, "config-epoch", &epoch.to_string()].map(str::to_owned);
            let bulk = |word: &String| format!("${}\r\n{word}\r\n", word.len());
            format!("*4\r\n{}", words.iter().map(bulk).collect::<String>())
        };
        let answer = format!("*2\r\n{}{}", one("other", 99), one("main", epoch));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut heard = [0; 512];
                    while matches!(socket.read(&mut heard).await, Ok(count) if count > 0) {
                        if socket.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        ("127.0.0.1".to_owned(), port)
    }

    async fn believed_of(sentinels: &[Sentinel]) -> Vec<Sentinel> {
        let servers = Servers::Sentinels(sentinels.to_vec(), "main".to_owned(), 0);
        let (store, _stores) = store(servers, Duration::from_secs(5));
        believed(&store.settings, sentinels, "main").await.into_iter().cloned().collect()
    }

    #[tokio::test]
    async fn the_latest_fail_over_decides_whoever_answers_first() {
        let [old, new, down] = [sentinel(3).await, sentinel(7).await, ("127.0.0.1".to_owned(), 1)];
        let all = [old.clone(), down.clone(), new.clone()];
        assert_eq!(believed_of(&all).await, std::slice::from_ref(&new));
        let both = believed_of(&[new.clone(), old.clone(), sentinel(7).await]).await;
        assert!(!both.is_empty() && !both.contains(&old), "of three any two are most, and one of them knows");
        assert_eq!(believed_of(&[old.clone(), down.clone()]).await, [old], "who is alone is believed");
        assert_eq!(
            believed_of(&[down.clone(), down.clone()]).await,
            [down.clone(), down],
            "and asked why, where none is"
        );
    }
}
