//! One request at a time over a connection of its own, blocking: for control ports and first looks, not for load.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::request::{Template, TemplateError};
use crate::response::{Progress, ResponseReader};
use crate::target::Target;

/// How long connecting, or any one read, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The connection broke, could not be opened, or the answer took too long.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The request cannot be sent.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// The answer was not well formed.
    #[error("the answer is not well formed")]
    Malformed,
}

/// Sends one request and reads its answer to the end.
///
/// # Errors
/// When the request cannot be sent, or no whole answer comes in time.
pub fn call(target: &Target, method: &str, body: &[u8]) -> Result<Answer, ControlError> {
    call_with(target, method, &[], body)
}

/// As [`call`], with further headers.
///
/// # Errors
/// As [`call`].
pub fn call_with(
    target: &Target,
    method: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Answer, ControlError> {
    let mut template = Template::get("control", target.clone());
    method.clone_into(&mut template.method);
    template.body = body.to_vec();
    template.headers.extend_from_slice(headers);
    template.headers.push(("connection".to_owned(), "close".to_owned()));
    if !body.is_empty() {
        template.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let mut stream = TcpStream::connect_timeout(&target.address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    stream.write_all(&template.encode()?)?;
    let mut reader = ResponseReader::keeping();
    reader.reset(method == "HEAD");
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut piece)?;
        let done = if count == 0 {
            if !reader.closed() {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            true
        } else {
            matches!(reader.feed(&piece[..count]).map_err(|_| ControlError::Malformed)?, Progress::Done(_))
        };
        if done {
            return Ok(Answer { status: reader.head().status, body: reader.body().to_vec() });
        }
    }
}
