//! Headers are read back as they were written, at every cut, and nothing else is taken for one.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn line_of(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[0x20 | command, family], &length, body].concat()
}

fn addresses(source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
    let (family, ips) = match (source, destination) {
        (SocketAddr::V4(a), SocketAddr::V4(b)) => (0x11, [a.ip().octets().to_vec(), b.ip().octets().to_vec()]),
        (SocketAddr::V6(a), SocketAddr::V6(b)) => (0x21, [a.ip().octets().to_vec(), b.ip().octets().to_vec()]),
        _ => unreachable!("both of one family"),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    (family, [ips.concat(), ports].concat())
}

fn fields(values: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let one = |(kind, value): &(u8, Vec<u8>)| {
        [&[*kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    };
    values.iter().flat_map(one).collect()
}

/// Two addresses of one family.
fn pairs() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<[([u8; 4], u16); 2]>().prop_map(|[a, b]| (a.into(), b.into()));
    let v6 = any::<[([u8; 16], u16); 2]>().prop_map(|[a, b]| (a.into(), b.into()));
    prop_oneof![v4, v6]
}

/// Any header, and what it says.
fn headers() -> impl Strategy<Value = (Vec<u8>, Header)> {
    // All kinds but the checksum's.
    let extra = prop::collection::vec(
        (any::<u8>().prop_filter("", |kind| *kind != 3), prop::collection::vec(any::<u8>(), 0..40)),
        0..4,
    );
    let text = pairs().prop_map(|(from, to)| (line_of(from, to), Header::Client(from)));
    let addressed = (pairs(), extra).prop_map(|((from, to), extra)| {
        let (family, body) = addresses(from, to);
        (binary(1, family, &[body, fields(&extra)].concat()), Header::Client(from))
    });
    let unknown = "( [ -~]{0,80})?".prop_map(|rest| (format!("PROXY UNKNOWN{rest}\r\n").into_bytes(), Header::Unknown));
    let any_body = || prop::collection::vec(any::<u8>(), 0..300);
    let local = (any::<u8>(), any_body()).prop_map(|(family, body)| (binary(0, family, &body), Header::Local));
    let unspecified = any_body().prop_map(|body| (binary(1, 0, &body), Header::Unknown));
    let other = prop_oneof![Just((0x12, 12)), Just((0x22, 36)), Just((0x31, 216)), Just((0x32, 216))]
        .prop_map(|(family, length)| (binary(1, family, &vec![7; length]), Header::Unknown));
    prop_oneof![text, addressed, unknown, local, unspecified, other]
}

proptest! {
    #[test]
    fn a_header_is_read_as_written_and_what_follows_is_left(header in headers(), after in any::<Vec<u8>>()) {
        let (bytes, says) = header;
        let whole = Ok(Progress::Whole(says, bytes.len()));
        prop_assert_eq!(parse(&bytes), whole);
        prop_assert_eq!(parse(&[&*bytes, &after].concat()), whole);
    }

    #[test]
    fn at_every_cut_no_more_is_asked_for_than_is_missing(header in headers()) {
        let (bytes, _) = header;
        for cut in 0..bytes.len() {
            match parse(&bytes[..cut]) {
                Ok(Progress::Missing(least)) => prop_assert!(least > 0 && cut + least <= bytes.len(), "{cut}: {least}"),
                other => prop_assert!(false, "{cut}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_read_and_never_a_panic(header in headers(), mask in 1u8..) {
        let (mut bytes, _) = header;
        for at in 0..bytes.len() {
            bytes[at] ^= mask;
            match parse(&bytes) {
                Ok(Progress::Whole(_, length)) => prop_assert!(length <= bytes.len()),
                Ok(Progress::Missing(least)) => prop_assert!(least > 0 && bytes.len() + least <= LONGEST),
                Err(_) => {}
            }
            bytes[at] ^= mask;
        }
    }

    #[test]
    fn what_is_refused_stays_refused_whatever_follows(
        bytes in any::<Vec<u8>>(),
        begin in 0usize..3,
        after in any::<Vec<u8>>(),
    ) {
        let begin: &[u8] = [&b""[..], b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11"][begin];
        let bytes = [begin, &bytes].concat();
        if let Err(refused) = parse(&bytes) {
            prop_assert_eq!(parse(&[bytes, after].concat()), Err(refused));
        }
    }

    #[test]
    fn what_is_taken_for_a_client_is_that_client_to_others(
        header in headers(),
        mask in any::<u8>(),
        at in any::<prop::sample::Index>(),
    ) {
        let (mut bytes, _) = header;
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(Progress::Whole(Header::Client(source), length)) = parse(&bytes) {
            prop_assert_eq!(oracle(&bytes[..length]), Some(source));
        }
    }
}

/// The client by the crate `ppp`.
fn oracle(bytes: &[u8]) -> Option<SocketAddr> {
    match ppp::HeaderResult::parse(bytes) {
        ppp::HeaderResult::V1(header) => match header.ok()?.addresses {
            ppp::v1::Addresses::Tcp4(a) => Some((a.source_address, a.source_port).into()),
            ppp::v1::Addresses::Tcp6(a) => Some((a.source_address, a.source_port).into()),
            ppp::v1::Addresses::Unknown => None,
        },
        ppp::HeaderResult::V2(header) => match header.ok()?.addresses {
            ppp::v2::Addresses::IPv4(a) => Some((a.source_address, a.source_port).into()),
            ppp::v2::Addresses::IPv6(a) => Some((a.source_address, a.source_port).into()),
            _ => None,
        },
    }
}

#[test]
fn what_does_not_begin_as_a_header_is_known_by_its_first_byte() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"proxy TCP4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n\r\nG"]
    {
        assert_eq!(parse(bytes), Err(Refused::Absent), "{bytes:?}");
    }
    assert_eq!(parse(b""), Ok(Progress::Missing(15)));
}

#[test]
fn lines_that_are_nearly_headers_are_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n\r\n\r\n\r\n",
        "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(Refused::Malformed), "{line:?}");
    }
}

#[test]
fn no_header_is_read_beyond_its_bound() {
    let unknown = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16)).into_bytes();
    assert_eq!(parse(&unknown(107)), Ok(Progress::Whole(Header::Unknown, 107)));
    assert_eq!(parse(&unknown(108)), Err(Refused::Malformed));
    assert_eq!(parse(&unknown(107)[..106]), Ok(Progress::Missing(1)));
    assert_eq!(parse(&unknown(108)[..106]), Err(Refused::Malformed), "its end would come too late");
    assert_eq!(parse(&binary(0, 0, &[0; 4080])), Ok(Progress::Whole(Header::Local, 4096)));
    assert_eq!(parse(&binary(0, 0, &[0; 4081])[..16]), Err(Refused::Malformed), "its length says so before it is read");
}

#[test]
fn a_checksum_that_is_there_has_to_be_right() {
    let (family, body) = addresses("192.0.2.1:80".parse().unwrap(), "192.0.2.2:443".parse().unwrap());
    let told = |sum: &[u8]| binary(1, family, &[body.clone(), fields(&[(3, sum.to_vec()), (4, vec![1])])].concat());
    // Reckoned elsewhere, with zeros in its place.
    let right = 0xf39d_c3d2_u32.to_be_bytes();
    assert!(matches!(parse(&told(&right)), Ok(Progress::Whole(Header::Client(_), _))));
    for bit in 0..32 {
        let mut wrong = right;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(parse(&told(&wrong)), Err(Refused::Malformed), "{bit}");
    }
    assert_eq!(parse(&told(&right[..3])), Err(Refused::Malformed));
    let mut other = told(&right);
    other[16] ^= 1;
    assert_eq!(parse(&other), Err(Refused::Malformed), "another address");
}

#[test]
fn addresses_that_are_cut_and_fields_beyond_the_end_are_refused() {
    let (family, body) = addresses("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
    for bad in [&body[..11], &[], &[&*body, &[4]].concat(), &[&*body, &[4, 0]].concat(), &[&*body, &[4, 0, 1]].concat()]
    {
        assert_eq!(parse(&binary(1, family, bad)), Err(Refused::Malformed), "{bad:?}");
    }
    assert!(matches!(
        parse(&binary(1, family, &[&*body, &[4, 0, 0]].concat())),
        Ok(Progress::Whole(Header::Client(_), _))
    ));
    for (command, family) in [(2, 0x11), (1, 0x41), (1, 0x13), (1, 0x10), (1, 0x01)] {
        assert_eq!(parse(&binary(command, family, &body)), Err(Refused::Malformed), "{command} {family:x}");
    }
    let mut first_version = binary(1, family, &body);
    first_version[12] = 0x11;
    assert_eq!(parse(&first_version), Err(Refused::Malformed));
}
