//! Version 1: one line of text, `PROXY TCP4 192.0.2.1 198.51.100.1 51234 443`, and its CRLF.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Progress, Refused};

/// What a line begins with.
pub(super) const BEGIN: &[u8] = b"PROXY ";

/// `PROXY UNKNOWN` and CRLF: no line is shorter.
pub(super) const SHORTEST: usize = 15;

/// With CRLF (section 2.1 of the protocol).
const LONGEST: usize = 107;

/// Fields that come after a family: two addresses, two ports.
const FIELDS: usize = 4;

/// The bytes begin with `BEGIN`, as far as they go.
pub(super) fn parse(bytes: &[u8]) -> Result<Progress, Refused> {
    let head = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = head.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return missing(bytes);
    };
    match head[end..] {
        [b'\r', b'\n', ..] => Ok(Progress::Whole(line(&head[..end])?, end + 2)),
        // What stands before it is whole, and is refused now if ever.
        [b'\r'] if bytes.len() < LONGEST => line(&head[..end]).map(|_| Progress::Missing(1)),
        _ => Err(Refused::Malformed),
    }
}

/// How much is missing at least of a line whose end has not been seen.
fn missing(bytes: &[u8]) -> Result<Progress, Refused> {
    let least = match bytes.get(BEGIN.len()..) {
        Some(rest) if bytes.len() >= SHORTEST - 2 => {
            let spaces = rest.iter().filter(|byte| **byte == b' ').count();
            let empty = usize::from(rest.ends_with(b" "));
            match rest.first() {
                // Each field that has not begun is a space and a character.
                Some(b'T') => FIELDS.checked_sub(spaces).ok_or(Refused::Malformed)? * 2 + empty + 2,
                _ => 2,
            }
        }
        _ => SHORTEST - bytes.len(),
    };
    if bytes.len() + least > LONGEST { Err(Refused::Malformed) } else { Ok(Progress::Missing(least)) }
}

/// What a line says, without its end.
fn line(line: &[u8]) -> Result<Header, Refused> {
    let text = line.strip_prefix(BEGIN).and_then(|rest| std::str::from_utf8(rest).ok()).ok_or(Refused::Malformed)?;
    // Whatever follows is to be ignored.
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(Header::Unknown);
    }
    client(text).map(Header::Client).ok_or(Refused::Malformed)
}

fn client(text: &str) -> Option<SocketAddr> {
    let mut fields = text.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match fields.next()? {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => return None,
    };
    let (source, _destination) = (address(fields.next()?)?, address(fields.next()?)?);
    let (port, _destination) = (port(fields.next()?)?, port(fields.next()?)?);
    fields.next().is_none().then(|| SocketAddr::new(source, port))
}

/// Digits without a needless zero: `u16::from_str` would take a sign and zeros as well.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if digits && canonical { text.parse().ok() } else { None }
}
