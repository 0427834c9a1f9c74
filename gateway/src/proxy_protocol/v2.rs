//! Version 2: a signature, what is meant, how addresses look, a length; then addresses, then fields of type and length.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, LONGEST, Progress, Refused, v1};

/// What no other protocol begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;

/// Two addresses and two ports.
const V4: usize = 12;
const V6: usize = 36;
/// Two paths of 108 bytes.
const UNIX: usize = 216;

/// The bytes begin with `SIGNATURE`, as far as they go.
pub(super) fn parse(bytes: &[u8]) -> Result<Progress, Refused> {
    // Before the first byte it may yet become a line of version 1, which can be shorter.
    let least = if bytes.is_empty() { v1::SHORTEST } else { FIXED };
    let is_local = match bytes.get(SIGNATURE.len()) {
        None | Some(0x21) => false,
        Some(0x20) => true,
        Some(_) => return Err(Refused::Malformed),
    };
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else {
        return Ok(Progress::Missing(least - bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED + length > LONGEST {
        return Err(Refused::Malformed);
    }
    let Some(body) = rest.get(..length) else {
        return Ok(Progress::Missing(length - rest.len()));
    };
    // Of the balancer's own connections nothing more is to be looked at.
    let header = if is_local { Header::Local } else { client(fixed[13], body)? };
    Ok(Progress::Whole(header, FIXED + length))
}

/// Whose connection it is. Families that are allowed and are not TCP tell nothing here; others are refused (section
/// 2.2).
fn client(family: u8, body: &[u8]) -> Result<Header, Refused> {
    let addresses = match family {
        0x11 | 0x12 => V4,
        0x21 | 0x22 => V6,
        0x31 | 0x32 => UNIX,
        0x00 => return Ok(Header::Unknown),
        _ => return Err(Refused::Malformed),
    };
    let (addresses, fields) = body.split_at_checked(addresses).ok_or(Refused::Malformed)?;
    skip(fields)?;
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    Ok(match family {
        0x11 => {
            let [a, b, c, d] = [addresses[0], addresses[1], addresses[2], addresses[3]];
            Header::Client(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port(8)))
        }
        0x21 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&addresses[..16]);
            Header::Client(SocketAddr::new(Ipv6Addr::from(octets).into(), port(32)))
        }
        _ => Header::Unknown,
    })
}

/// Passes over fields of a type, a length of two bytes and a value. None is needed here; a length beyond the header's
/// end says that the addresses are not what they seem either.
fn skip(mut fields: &[u8]) -> Result<(), Refused> {
    while !fields.is_empty() {
        let [_, high, low, rest @ ..] = fields else { return Err(Refused::Malformed) };
        fields = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).ok_or(Refused::Malformed)?;
    }
    Ok(())
}
