//! Raw mocks: TCP servers that answer given bytes, whatever is asked.
//!
//! For what no HTTP server would send: garbage, interim answers, early answers, answers cut at a byte. A [`Script`] is
//! a list of steps for each connection; [`Raw::serve`] takes a function of the stream where a script is too little.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use mocks::raw::{Raw, Script};
//!
//! // Each connection: reads a request, answers half a head, closes.
//! let upstream = Raw::script(Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-")).await?;
//! // ... send a request to `upstream.addr()` ...
//! # Ok(()) }
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::http1::body::Decoder;
use crate::http1::head::{self, Parsed};
use crate::server::socket::{Port, into_tokio};
use crate::server::worker::{runtime, until_stopped};

/// How long a connection that a script closed is still read.
const LINGER: Duration = Duration::from_secs(1);

/// A gate in a script: connections wait at it until the test opens it. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets through who waits and who comes.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        // The sender lives in `self`, so the wait can only end by the gate's opening.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

#[derive(Debug, Clone)]
enum Step {
    ReadHead,
    ReadRequest,
    ReadBytes(usize),
    Send(Vec<u8>),
    Wait(Gate),
    Reset,
    Hang,
    Again,
}

/// What happens on a connection, step by step. At its end the connection is closed in order (FIN).
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
}

impl Script {
    /// Closes each connection at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// A keep-alive server that answers each request with the same bytes.
    pub fn always(answer: impl AsRef<[u8]>) -> Self {
        Self::new().read_request().send(answer).again()
    }

    /// Reads a request's head, and no byte of its body on purpose (what came with the head is left unread).
    #[must_use]
    pub fn read_head(self) -> Self {
        self.then(Step::ReadHead)
    }

    /// Reads a request with its body.
    #[must_use]
    pub fn read_request(self) -> Self {
        self.then(Step::ReadRequest)
    }

    /// Reads so many bytes.
    #[must_use]
    pub fn read_bytes(self, count: usize) -> Self {
        self.then(Step::ReadBytes(count))
    }

    /// Sends these bytes.
    #[must_use]
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Waits until the gate is open.
    #[must_use]
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Step::Wait(gate.clone()))
    }

    /// Resets the connection (RST). Ends the script.
    #[must_use]
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Keeps the connection open and reads until the client leaves. Ends the script.
    #[must_use]
    pub fn hang(self) -> Self {
        self.then(Step::Hang)
    }

    /// Starts the script again on the same connection. Ends the script.
    #[must_use]
    pub fn again(self) -> Self {
        self.then(Step::Again)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// The bytes that each connection read, in the order of their acceptance.
    received: Mutex<Vec<Vec<u8>>>,
    accepted: AtomicU64,
}

/// A running raw mock on a free port of 127.0.0.1. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Raw {
    addr: SocketAddr,
    seen: Arc<Seen>,
    accepted: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Raw {
    /// The same script for each connection.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub async fn script(script: Script) -> io::Result<Self> {
        Self::scripts([script]).await
    }

    /// The n-th script for the n-th connection; the last one for all that follow.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub async fn scripts(scripts: impl IntoIterator<Item = Script>) -> io::Result<Self> {
        let scripts: Arc<[Script]> = scripts.into_iter().collect();
        let seen = Arc::new(Seen::default());
        let known = seen.clone();
        Self::start(seen, move |stream, number| {
            let script = scripts.get(number).or(scripts.last()).cloned().unwrap_or_default();
            play(stream, script, known.clone(), number)
        })
    }

    /// Calls a function for each connection, with the connection's number from 0. The bytes that it reads are not kept.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub async fn serve<F, Fut>(handler: F) -> io::Result<Self>
    where
        F: Fn(TcpStream, usize) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::start(Arc::default(), handler)
    }

    fn start<F, Fut>(seen: Arc<Seen>, handler: F) -> io::Result<Self>
    where
        F: Fn(TcpStream, usize) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (port, listener) = Port::open((Ipv4Addr::LOCALHOST, 0).into())?;
        let addr = port.address();
        let (stop, accepted) = (watch::Sender::new(false), watch::Sender::new(0));
        let watched = accepted.subscribe();
        let (stopped, counted, runtime) = (stop.subscribe(), seen.clone(), runtime()?);
        let accept = async move {
            let _port = port;
            let Ok(listener) = into_tokio(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.accepted.fetch_add(1, Ordering::SeqCst);
                lock(&counted.received).push(Vec::new());
                tokio::spawn(handler(stream, usize::try_from(number).unwrap_or(usize::MAX)));
                accepted.send_replace(number + 1);
            }
        };
        let thread = std::thread::Builder::new().name("mock-raw".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept => {}
                    () = until_stopped(stopped) => {}
                }
            });
        })?;
        Ok(Self { addr, seen, accepted: watched, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://`, its address, then `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// Waits until so many connections were accepted.
    pub async fn wait_for_accepts(&self, count: u64) {
        let _ = self.accepted.clone().wait_for(|accepted| *accepted >= count).await;
    }

    /// The bytes that each connection's script has read so far.
    pub fn received(&self) -> Vec<Vec<u8>> {
        lock(&self.seen.received).clone()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A handler that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn lock(received: &Mutex<Vec<Vec<u8>>>) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection under a script.
struct Player {
    stream: TcpStream,
    unread: Vec<u8>,
    seen: Arc<Seen>,
    number: usize,
}

/// Plays the script; ends early when the client leaves.
async fn play(stream: TcpStream, script: Script, seen: Arc<Seen>, number: usize) {
    let _ = stream.set_nodelay(true);
    let mut player = Player { stream, unread: Vec::new(), seen, number };
    let mut at = 0;
    while let Some(step) = script.steps.get(at) {
        at += 1;
        let done = match step {
            Step::ReadHead => player.read_head().await.map(drop),
            Step::ReadRequest => player.read_request().await,
            Step::ReadBytes(count) => player.read_bytes(*count).await,
            Step::Send(bytes) => player.stream.write_all(bytes).await,
            Step::Wait(gate) => {
                gate.passed().await;
                Ok(())
            }
            Step::Reset => return drop(SockRef::from(&player.stream).set_linger(Some(Duration::ZERO))),
            Step::Hang => return player.drain().await,
            Step::Again => {
                at = 0;
                Ok(())
            }
        };
        if done.is_err() {
            return;
        }
    }
    let _ = player.stream.shutdown().await;
    let _ = tokio::time::timeout(LINGER, player.drain()).await;
}

impl Player {
    async fn fill(&mut self) -> io::Result<()> {
        let before = self.unread.len();
        if self.stream.read_buf(&mut self.unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(received) = lock(&self.seen.received).get_mut(self.number) {
            received.extend_from_slice(&self.unread[before..]);
        }
        Ok(())
    }

    /// Reads a head and gives the decoder of its body. What is no head is taken as one that is whole.
    async fn read_head(&mut self) -> io::Result<Decoder> {
        loop {
            let mut storage = head::storage();
            let read = match head::parse(&self.unread, &mut storage) {
                Parsed::Partial => None,
                Parsed::Head(head) => {
                    let framing = head.facts().map_or(head::Framing::Empty, |facts| facts.framing);
                    Some((head.len, framing))
                }
                Parsed::Bad(..) => Some((self.unread.len(), head::Framing::Empty)),
            };
            if let Some((length, framing)) = read {
                self.unread.drain(..length);
                return Ok(Decoder::new(framing));
            }
            self.fill().await?;
        }
    }

    async fn read_request(&mut self) -> io::Result<()> {
        let mut decoder = self.read_head().await?;
        loop {
            let pushed = decoder.push(&self.unread, &mut |_| {});
            let taken = pushed.map_err(|_| io::ErrorKind::InvalidData)?;
            self.unread.drain(..taken);
            if decoder.is_done() {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn read_bytes(&mut self, count: usize) -> io::Result<()> {
        while self.unread.len() < count {
            self.fill().await?;
        }
        self.unread.drain(..count);
        Ok(())
    }

    async fn drain(&mut self) {
        while self.fill().await.is_ok() {
            self.unread.clear();
        }
    }
}
