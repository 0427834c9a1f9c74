//! Version 2: a signature, what is meant, how addresses look, a length; then addresses, then fields of type and length.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, LONGEST, Progress, Refused, v1};

/// What no other protocol begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The field that has a checksum of the whole header (section 2.2.3).
const CHECKSUM: u8 = 0x03;

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
    let Some(whole) = bytes.get(..FIXED + length) else {
        return Ok(Progress::Missing(length - rest.len()));
    };
    // Of the balancer's own connections nothing more is to be looked at.
    let header = if is_local { Header::Local } else { client(whole)? };
    Ok(Progress::Whole(header, whole.len()))
}

/// Whose connection it is. Families that are allowed and are not TCP tell nothing here; others are refused (section
/// 2.2).
fn client(whole: &[u8]) -> Result<Header, Refused> {
    let (family, body) = (whole[13], &whole[FIXED..]);
    let addresses = match family {
        0x11 | 0x12 => V4,
        0x21 | 0x22 => V6,
        0x31 | 0x32 => UNIX,
        0x00 => return Ok(Header::Unknown),
        _ => return Err(Refused::Malformed),
    };
    let (addresses, fields) = body.split_at_checked(addresses).ok_or(Refused::Malformed)?;
    check(whole, fields)?;
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

/// Passes over fields of a type, a length of two bytes and a value, with which a header ends. None is needed here; a
/// length beyond the header's end says that the addresses are not what they seem either, and so does a checksum.
fn check(whole: &[u8], mut fields: &[u8]) -> Result<(), Refused> {
    while let [kind, high, low, rest @ ..] = fields {
        let at = whole.len() - rest.len();
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, others) = rest.split_at_checked(length).ok_or(Refused::Malformed)?;
        if *kind == CHECKSUM && value != checksum(whole, at).to_be_bytes() {
            return Err(Refused::Malformed);
        }
        fields = others;
    }
    if fields.is_empty() { Ok(()) } else { Err(Refused::Malformed) }
}

/// CRC-32C of a header whose own checksum, which stands there, counts as zeros.
#[cold]
fn checksum(whole: &[u8], at: usize) -> u32 {
    let bytes = whole.iter().enumerate().map(|(place, byte)| if (at..at + 4).contains(&place) { 0 } else { *byte });
    !bytes.fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum: u32, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(checksum(b"123456789", 9), 0xe306_9283, "its check value");
        assert_eq!(checksum(b"\0\0\0\0abcd", 4), checksum(b"\0\0\0\0\0\0\0\0", 9));
    }
}
