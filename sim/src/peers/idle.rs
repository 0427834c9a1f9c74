//! What an idle keep-alive connection costs in memory.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use loadgen::request::Template;
use loadgen::response::{Progress, ResponseReader};
use loadgen::target::Target;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::process::Process;

/// Files that a process opens beside its connections.
const OTHER_FILES: u64 = 1_024;
/// Open files that are asked for where the system gives them.
const WANTED_FILES: u64 = 100_000;

/// Raises the limit of open files, for this process and those that it starts, so that a proxy can hold this many
/// connections; how many it may hold under the limit that was got, and how many with an upstream connection each.
///
/// # Errors
/// When the hard limit is too low for that; the message says what is needed.
pub(crate) fn raise_file_limit(connections: usize) -> io::Result<(u64, u64)> {
    let needed = connections as u64 + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = WANTED_FILES.max(2 * needed);
    if limit.current.is_some_and(|current| current < wanted) {
        let maximum = limit.maximum;
        limit.current = Some(wanted);
        limit.maximum = maximum.map(|maximum| maximum.max(wanted));
        // Only root may raise the hard limit; others take all that they are allowed.
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = maximum;
            limit.maximum = maximum;
            setrlimit(Resource::Nofile, limit)?;
        }
    }
    let files = limit.current.unwrap_or(wanted);
    if files < needed {
        let text =
            format!("{connections} idle connections need {needed} open files; raise the hard limit (ulimit -Hn)");
        return Err(io::Error::other(text));
    }
    let pairs = files.saturating_sub(OTHER_FILES) / 2;
    Ok((pairs.max(needed - OTHER_FILES / 2), pairs))
}

/// Opens connections, lets each carry one request, keeps them all open, and sees what the process has grown by for
/// each.
///
/// # Errors
/// When a connection cannot be opened, or its request is not answered.
pub(super) fn bytes_per_connection(process: &Process, target: &Target, connections: usize) -> io::Result<f64> {
    // Pools and caches grow with the first requests; that is no cost of a connection.
    drop(open(target, 1)?);
    let before = process.usage().rss_bytes;
    let open = open(target, connections)?;
    let after = process.usage().rss_bytes;
    drop(open);
    Ok(after.saturating_sub(before) as f64 / connections.max(1) as f64)
}

/// Connections that have carried one request each, and are idle.
///
/// # Errors
/// When one cannot be opened, or its request is not answered.
pub(crate) fn open(target: &Target, connections: usize) -> io::Result<Vec<TcpStream>> {
    let request = Template::get("idle", target.clone()).encode().map_err(io::Error::other)?;
    (0..connections).map(|_| ask(target, &request)).collect()
}

/// A connection that has carried one request.
fn ask(target: &Target, request: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(target.address)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    stream.write_all(request)?;
    let mut reader = ResponseReader::new();
    reader.reset(false);
    let mut piece = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        if let Progress::Done(_) = reader.feed(&piece[..count]).map_err(io::Error::other)? {
            let kept = reader.head().status == 200 && reader.head().keep_alive;
            return if kept { Ok(stream) } else { Err(io::Error::other("the connection is not kept")) };
        }
    }
}
