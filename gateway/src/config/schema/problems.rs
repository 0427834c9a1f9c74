//! `problems` of `[server]` and of routes.

use super::{Kind, TableDef, key};
use crate::config::validate::problems;
use crate::config::value::text;

/// The bodies, by what they are for.
pub(super) const PROBLEMS: Kind = Kind::Map(&text::PROBLEM_KEY, const { &Kind::Table(&PROBLEM) });

/// One of `problems`
pub(crate) static PROBLEM: TableDef = TableDef::plain(
    "problems",
    "A body in place of a problem document; status and headers stay, and callers of gRPC are told as ever. In it `{request_id}`, \
     `{status}` and `{code}` stand for those of the occurrence.",
    &[
        key("body", Kind::Text(&text::ANY), "The body."),
        key("file", Kind::File, "A file that it is in, of 256 KiB at most; read anew when it changes."),
        key(
            "content_type",
            Kind::Text(&text::HEADER_VALUE),
            "Its content type; when absent by the file's ending (`html`, `json`, `xml`), else `text/plain`.",
        ),
    ],
)
.rules(&[problems::one_body]);
