//! OCSP responses to be stapled (RFC 6960; RFC 6066, section 8): what one says of a certificate, and until when.
//!
//! Its signature is the client's to check, who knows its issuer. Here it is found out whether it is a response at all,
//! about this certificate, and worth showing.

use std::path::Path;

use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key_files::read;

/// The largest file; a response with its signer's certificate takes a few kilobytes.
const MAX_BYTES: u64 = 64 << 10;

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const INTEGER: u8 = 0x02;
const ENUMERATED: u8 = 0x0a;
const TIME: u8 = 0x18;
/// `[n]`, of something that is made of parts.
const fn tagged(n: u8) -> u8 {
    0xa0 | n
}
/// `[0]` of nothing: the certificate is good.
const GOOD: u8 = 0x80;

/// A response about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staple {
    /// As it is shown, DER.
    pub(crate) der: Vec<u8>,
    /// Until when it holds, seconds since the Unix epoch; `None` = it does not say.
    pub(crate) until: Option<i64>,
}

/// The response of a file about a certificate.
///
/// # Errors
/// The file cannot be read, is no response, or is one that says something else than that this certificate is good.
pub(crate) fn about(certificate: &CertifiedKey, file: &Path) -> Result<Staple, String> {
    let der = read(file, MAX_BYTES)?;
    let own = certificate.cert.first().and_then(|own| X509Certificate::from_der(own).ok());
    let (_, own) = own.ok_or("the certificate cannot be read")?;
    let until = judge(&der, own.tbs_certificate.raw_serial())?;
    Ok(Staple { der: der.to_vec(), until })
}

/// What a response says of the certificate with this serial number: until when it is good.
fn judge(der: &[u8], serial: &[u8]) -> Result<Option<i64>, String> {
    let no_response = || "it is no OCSP response in DER".to_owned();
    let status = status_of(der).ok_or_else(no_response)?;
    if status != 0 {
        return Err(format!("whoever made it could not answer (status {status})"));
    }
    let mut responses = responses(der).ok_or_else(no_response)?;
    while !responses.is_empty() {
        let one = take(&mut responses, SEQUENCE).and_then(single).ok_or_else(no_response)?;
        if significant(one.serial) != significant(serial) {
            continue;
        }
        return if one.status == GOOD {
            Ok(one.until)
        } else {
            Err("it does not say that the certificate is good".into())
        };
    }
    Err("it is about another certificate".to_owned())
}

/// A serial number without zeros before it.
fn significant(serial: &[u8]) -> &[u8] {
    &serial[serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len())..]
}

/// The status of a response that is all there is.
fn status_of(der: &[u8]) -> Option<u8> {
    let mut rest = der;
    let mut response = take(&mut rest, SEQUENCE).filter(|_| rest.is_empty())?;
    take(&mut response, ENUMERATED)?.first().copied()
}

/// `responses` of a successful response.
fn responses(der: &[u8]) -> Option<&[u8]> {
    let mut rest = der;
    let mut response = take(&mut rest, SEQUENCE)?;
    take(&mut response, ENUMERATED)?;
    let mut bytes = take(&mut response, tagged(0))?;
    let mut bytes = take(&mut bytes, SEQUENCE)?;
    element(&mut bytes)?;
    let mut basic = take(&mut bytes, OCTETS)?;
    let mut basic = take(&mut basic, SEQUENCE)?;
    let mut data = take(&mut basic, SEQUENCE)?;
    if data.first() == Some(&tagged(0)) {
        element(&mut data)?;
    }
    // Who answers, and when it did.
    element(&mut data)?;
    element(&mut data)?;
    take(&mut data, SEQUENCE)
}

struct Single<'a> {
    serial: &'a [u8],
    status: u8,
    until: Option<i64>,
}

fn single(mut one: &[u8]) -> Option<Single<'_>> {
    let mut id = take(&mut one, SEQUENCE)?;
    for _ in 0..3 {
        element(&mut id)?;
    }
    let serial = take(&mut id, INTEGER)?;
    let (status, _) = element(&mut one)?;
    take(&mut one, TIME)?;
    let until = match one.first() {
        Some(tag) if *tag == tagged(0) => {
            let mut next = take(&mut one, tagged(0))?;
            Some(unix(take(&mut next, TIME)?)?)
        }
        _ => None,
    };
    Some(Single { serial, status, until })
}

/// Takes the next element, if it has this tag.
fn take<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let mut rest = *from;
    let (found, inner) = element(&mut rest)?;
    if found != tag {
        return None;
    }
    *from = rest;
    Some(inner)
}

/// Takes the next element: its tag, and what is in it.
fn element<'a>(from: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = from.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        // Longer forms than three bytes are larger than any file that is read.
        0x81..=0x83 => {
            let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = behind;
            digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
        }
        _ => return None,
    };
    let (inner, behind) = rest.split_at_checked(length)?;
    *from = behind;
    Some((tag, inner))
}

/// `YYYYMMDDHHMMSSZ` in seconds since the Unix epoch (RFC 5280, section 4.1.2.5.2).
fn unix(time: &[u8]) -> Option<i64> {
    let digits =
        time.strip_suffix(b"Z").filter(|digits| digits.len() == 14 && digits.iter().all(u8::is_ascii_digit))?;
    let number =
        |range: std::ops::Range<usize>| digits[range].iter().fold(0_i64, |n, digit| n * 10 + i64::from(digit - b'0'));
    let (year, month, day) = (number(0..4), number(4..6), number(6..8));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 0000-03-01, so that a leap day is a year's last (Hinnant, "chrono-compatible low-level date
    // algorithms").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + number(8..10) * 3600 + number(10..12) * 60 + number(12..14))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let inner = parts.concat();
        let [high, low] = u16::try_from(inner.len()).unwrap().to_be_bytes();
        let length = if inner.len() < 128 { vec![low] } else { vec![0x82, high, low] };
        [&[tag][..], &length, &inner].concat()
    }

    /// A response about this serial number, as far as it is read.
    fn response(serial: &[u8], status: &[u8], until: Option<&str>) -> Vec<u8> {
        let id = der(
            SEQUENCE,
            &[&der(SEQUENCE, &[]), &der(OCTETS, &[&[1; 20]]), &der(OCTETS, &[&[2; 20]]), &der(INTEGER, &[serial])],
        );
        let next = until.map(|until| der(tagged(0), &[&der(TIME, &[until.as_bytes()])])).unwrap_or_default();
        let one = der(SEQUENCE, &[&id, status, &der(TIME, &[b"20260101000000Z"]), &next]);
        let who = der(tagged(2), &[&der(OCTETS, &[&[3; 20]])]);
        let data = der(SEQUENCE, &[&who, &der(TIME, &[b"20260101000000Z"]), &der(SEQUENCE, &[&one])]);
        let basic = der(SEQUENCE, &[&data, &der(SEQUENCE, &[]), &der(0x03, &[&[0; 256]])]);
        let bytes = der(SEQUENCE, &[&der(0x06, &[&[0x2b]]), &der(OCTETS, &[&basic])]);
        der(SEQUENCE, &[&der(ENUMERATED, &[&[0]]), &der(tagged(0), &[&bytes])])
    }

    #[test]
    fn a_response_is_about_one_certificate_and_says_until_when() {
        let good = der(GOOD, &[]);
        let whole = response(&[0, 0xaa, 1], &good, Some("20261231235959Z"));
        assert_eq!(judge(&whole, &[0xaa, 1]), Ok(Some(1_798_761_599)));
        assert_eq!(judge(&response(&[7], &good, None), &[7]), Ok(None));
        assert!(judge(&whole, &[1]).unwrap_err().contains("another certificate"));
        let revoked = der(tagged(1), &[&der(TIME, &[b"20260101000000Z"])]);
        assert!(judge(&response(&[7], &revoked, None), &[7]).unwrap_err().contains("good"));
        assert!(judge(&der(SEQUENCE, &[&der(ENUMERATED, &[&[6]])]), &[7]).unwrap_err().contains("status 6"));
        assert!(judge(b"-----BEGIN", &[7]).unwrap_err().contains("no OCSP response"));
        assert!(judge(&[&whole[..], b"x"].concat(), &[0xaa, 1]).is_err(), "something behind it");
        for cut in 0..whole.len() {
            assert!(judge(&whole[..cut], &[0xaa, 1]).is_err());
        }
    }

    #[test]
    fn times_are_told_to_the_second() {
        for (text, expected) in [
            ("19700101000000Z", Some(0)),
            ("20000229120000Z", Some(951_825_600)),
            ("20240301000000Z", Some(1_709_251_200)),
            ("20261301000000Z", None),
            ("2026010100000Z", None),
            ("20260101000000", None),
        ] {
            assert_eq!(unix(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_nothing_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..400,
        ) {
            let _ = judge(&bytes, &[1]);
            let mut whole = response(&[1], &der(GOOD, &[]), Some("20261231235959Z"));
            let at = at % whole.len();
            whole[at] = bytes.first().copied().unwrap_or(0);
            let _ = judge(&whole, &[1]);
        }
    }
}
