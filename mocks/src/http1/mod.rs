//! HTTP/1.1 of the mock's own: strict parsing of requests, writing of answers.
//!
//! Pure: bytes in, values or bytes out. A general server could not write the faults that lie below HTTP, and its cost
//! would be part of every measurement. `head` parses on `httparse` and refuses what is ambiguous; `body` decodes
//! lengths and chunks, cut anywhere; `answer` writes heads and chunks; `json` writes the echo.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod json;
