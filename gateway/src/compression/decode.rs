//! Content codings undone, of what is there as a whole and comes to no more than so much.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

/// The largest window that zstd may want of us, 8 MiB: what a sender has to keep to (RFC 8878, section 3.1.1.1.2).
const ZSTD_WINDOW_LOG: u32 = 23;
/// The room that is made at once for what comes out of zlib's form, bytes.
const ROOM: usize = 8 * 1024;

/// A content coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coded {
    /// None.
    Identity,
    /// RFC 1952; `x-gzip` too (RFC 9110, section 8.4.1.3).
    Gzip,
    /// RFC 1950: DEFLATE in zlib's form.
    Deflate,
    /// RFC 8878.
    Zstd,
}

/// Why there are no plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDecoded {
    /// There are more than are wanted.
    TooLarge,
    /// They are not what their coding has.
    Malformed,
}

impl Coded {
    /// The coding of an answer with these headers; `None` for one that is not known here, and for several.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let (first, None) = (values.next(), values.next()) else { return None };
        let Some(value) = first else { return Some(Self::Identity) };
        let known = [
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("zstd", Self::Zstd),
        ];
        let name = value.as_bytes().trim_ascii();
        known.into_iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }

    /// The plain bytes, up to so many.
    ///
    /// # Errors
    /// There are more, or what came is not of this coding.
    pub fn decode(self, bytes: &[u8], most: usize) -> Result<Vec<u8>, NotDecoded> {
        match self {
            Self::Identity => all_of(bytes, most),
            Self::Gzip => all_of(MultiGzDecoder::new(bytes), most),
            Self::Deflate => inflated(bytes, most),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| NotDecoded::Malformed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| NotDecoded::Malformed)?;
                all_of(decoder, most)
            }
        }
    }
}

/// All that comes out, unless that is more.
fn all_of(from: impl Read, most: usize) -> Result<Vec<u8>, NotDecoded> {
    let mut out = Vec::new();
    let limit = (most as u64).saturating_add(1);
    from.take(limit).read_to_end(&mut out).map_err(|_| NotDecoded::Malformed)?;
    if out.len() > most { Err(NotDecoded::TooLarge) } else { Ok(out) }
}

/// The same of zlib's form. By hand: a reader takes what ends midway for whole.
fn inflated(bytes: &[u8], most: usize) -> Result<Vec<u8>, NotDecoded> {
    let (mut decoder, mut out, mut left) = (Decompress::new(true), Vec::new(), bytes);
    loop {
        out.reserve(ROOM);
        let (taken, made) = (decoder.total_in(), out.len());
        let status =
            decoder.decompress_vec(left, &mut out, FlushDecompress::None).map_err(|_| NotDecoded::Malformed)?;
        let taken = usize::try_from(decoder.total_in() - taken).unwrap_or(left.len());
        left = &left[taken..];
        if out.len() > most {
            return Err(NotDecoded::TooLarge);
        }
        match status {
            Status::StreamEnd if left.is_empty() => return Ok(out),
            Status::Ok | Status::BufError if taken > 0 || out.len() > made => {}
            _ => return Err(NotDecoded::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http::HeaderValue;

    use super::*;

    const TEXT: &[u8] = b"twelve bytes twelve bytes twelve bytes twelve bytes";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_coded_comes_out_again_up_to_the_bound() {
        let zstd = zstd::stream::encode_all(TEXT, 3).unwrap();
        for (coding, coded) in [
            (Coded::Identity, TEXT.to_vec()),
            (Coded::Gzip, gzip(TEXT)),
            (Coded::Gzip, [gzip(&TEXT[..20]), gzip(&TEXT[20..])].concat()),
            (Coded::Deflate, zlib(TEXT)),
            (Coded::Zstd, zstd),
        ] {
            assert_eq!(coding.decode(&coded, TEXT.len()).as_deref(), Ok(TEXT), "{coding:?}");
            assert_eq!(coding.decode(&coded, TEXT.len() - 1), Err(NotDecoded::TooLarge), "{coding:?}");
            if coding != Coded::Identity {
                let broken = &coded[..coded.len() - 3];
                assert_eq!(coding.decode(broken, TEXT.len()), Err(NotDecoded::Malformed), "{coding:?}");
                assert_eq!(coding.decode(TEXT, TEXT.len()), Err(NotDecoded::Malformed), "{coding:?}");
            }
        }
        assert_eq!(Coded::Deflate.decode(&[zlib(TEXT), vec![1]].concat(), 99), Err(NotDecoded::Malformed));
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_bound() {
        let zeros = vec![0; 512 << 10];
        let zstd = zstd::stream::encode_all(&zeros[..], 3).unwrap();
        for (coding, bomb) in [(Coded::Gzip, gzip(&zeros)), (Coded::Deflate, zlib(&zeros)), (Coded::Zstd, zstd)] {
            assert!(bomb.len() < 10_000, "{coding:?}: {}", bomb.len());
            assert_eq!(coding.decode(&bomb, 1000), Err(NotDecoded::TooLarge), "{coding:?}");
        }
    }

    #[test]
    fn a_coding_is_one_that_is_known() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            Coded::of(&headers)
        };
        for (values, coding) in [
            (&[][..], Some(Coded::Identity)),
            (&["GZip"], Some(Coded::Gzip)),
            (&["x-gzip"], Some(Coded::Gzip)),
            (&[" zstd"], Some(Coded::Zstd)),
            (&["br"], None),
            (&["gzip, zstd"], None),
            (&["gzip", "zstd"], None),
            (&[""], None),
        ] {
            assert_eq!(of(values), coding, "{values:?}");
        }
    }
}
