//! A connection to a store, whatever its servers are.

use std::time::Duration;

use futures_util::FutureExt as _;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline, RedisConnectionInfo,
    RedisResult, TlsCertificates, TlsMode, Value,
};

use super::names::Names;
use super::sentinels;
use crate::config::settings::Store;
use crate::config::settings::store::{Access, Servers};

/// A connection. Copies share it; what they send at the same moment travels together.
#[derive(Clone)]
pub(super) enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To the nodes of a cluster, each of which has slots of its own.
    Cluster(Box<ClusterConnection>),
    /// To a store of a test, which knows the gateway by this number.
    #[cfg(test)]
    Double(std::sync::Arc<super::tests::double::Double>, u16),
}

impl Link {
    /// Connects; as its user and with a password where the store has them.
    ///
    /// `patience` is how long an answer may take; who asks may stop waiting before.
    pub(super) async fn connect(store: &Store, patience: Duration) -> RedisResult<Self> {
        match &store.servers {
            #[cfg(test)]
            Servers::One((name, gateway), _) if super::tests::double::Double::find(name).is_some() => {
                let double =
                    super::tests::double::Double::find(name).ok_or_else(|| std::io::Error::other("it is gone"))?;
                double.connect();
                Ok(Self::Double(double, *gateway))
            }
            Servers::One(server, db) => {
                let Access { user, password, .. } = &store.access;
                let mut settings = RedisConnectionInfo::default().set_db(*db).set_skip_set_lib_name();
                if let Some(user) = user {
                    settings = settings.set_username(user);
                }
                if let Some(password) = password {
                    settings = settings.set_password(password);
                }
                let client = client(store, server, settings)?;
                client.get_multiplexed_async_connection_with_config(&config(store, patience)).await.map(Self::One)
            }
            Servers::Cluster(nodes) => {
                let nodes = nodes.iter().map(|node| address(node, store.tls));
                let mut builder = ClusterClientBuilder::new(nodes)
                    .connection_timeout(store.connect_timeout)
                    .response_timeout(patience)
                    .async_dns_resolver(Names::of(store))
                    // Who waits has no time for a second try but after a slot has moved.
                    .retries(1)
                    .max_retry_wait(1)
                    .min_retry_wait(1);
                let Access { user, password, .. } = &store.access;
                builder = user.iter().fold(builder, |builder, user| builder.username(user));
                builder = password.iter().fold(builder, |builder, password| builder.password(password));
                if store.tls {
                    builder = builder.tls(TlsMode::Secure);
                }
                if let Some(certificates) = believed(store) {
                    builder = builder.certs(certificates);
                }
                builder.build()?.get_async_connection().await.map(Box::new).map(Self::Cluster)
            }
            Servers::Sentinels(sentinels, master, db) => {
                // All at once: one that is down would be waited for, and the others know as much.
                let believed = sentinels::believed(store, sentinels, master).await;
                let each =
                    believed.into_iter().map(|sentinel| by_sentinel(store, (sentinel, master, *db), patience).boxed());
                futures_util::future::select_ok(each).await.map(|(connection, _)| Self::One(connection))
            }
        }
    }

    /// Sends commands together, and waits for all answers. What a server refuses is an answer; an error is that there
    /// is none.
    pub(super) async fn send(&mut self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::One(connection) => {
                let mut together = Pipeline::with_capacity(commands.len());
                for command in commands {
                    together.add_command(command.clone());
                }
                let answers = connection.send_packed_commands(&together, 0, commands.len()).await?;
                Ok(answers.into_iter().map(Value::extract_error).collect())
            }
            Self::Cluster(connection) => {
                let each = commands.iter().map(|command| {
                    let mut connection = connection.clone();
                    async move { redis::aio::ConnectionLike::req_packed_command(&mut *connection, command).await }
                });
                let mut answers = Vec::with_capacity(commands.len());
                for answer in futures_util::future::join_all(each).await {
                    answers.push(match answer {
                        Err(error) if !matches!(error.kind(), ErrorKind::Server(_)) => return Err(error),
                        answer => answer.and_then(Value::extract_error),
                    });
                }
                Ok(answers)
            }
            #[cfg(test)]
            Self::Double(double, gateway) => double.send(*gateway, commands).await,
        }
    }
}

/// Connects to the master that a sentinel names, if it is one.
async fn by_sentinel(
    store: &Store,
    (sentinel, master, db): (&(String, u16), &str, i64),
    patience: Duration,
) -> RedisResult<MultiplexedConnection> {
    let asked = [address(sentinel, store.tls)];
    let mut builder = SentinelClientBuilder::new(asked, master, SentinelServerType::Master)?.set_client_to_redis_db(db);
    let Access { user, password, sentinel_password } = &store.access;
    if let Some(user) = user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(password) = sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if store.tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = believed(store) {
        builder = builder.set_client_to_redis_certificates(certificates.clone());
        builder = builder.set_client_to_sentinel_certificates(certificates);
    }
    builder.build()?.get_async_connection_with_config(&config(store, patience)).await
}

/// A client of one server.
pub(super) fn client(store: &Store, server: &(String, u16), settings: RedisConnectionInfo) -> RedisResult<Client> {
    let info = address(server, store.tls).into_connection_info()?.set_redis_settings(settings);
    match believed(store) {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
}

fn address((host, port): &(String, u16), tls: bool) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    }
}

/// Who signs the servers' certificates, where `ca` says so.
fn believed(store: &Store) -> Option<TlsCertificates> {
    let ca = store.ca.as_ref().filter(|_| store.tls)?;
    Some(TlsCertificates { client_tls: None, root_cert: Some(ca.pem.clone()) })
}

/// Who asks keeps the time; these bounds hold for what nobody waits for any more.
pub(super) fn config(store: &Store, patience: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_dns_resolver(Names::of(store))
        .set_connection_timeout(Some(store.connect_timeout))
        .set_response_timeout(Some(patience))
}
