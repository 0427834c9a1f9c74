//! What comes out is what went in, whoever reads it, however it was cut, and whatever the encoder did before.

use std::io::Read;

use proptest::prelude::*;

use super::*;

fn unpacked(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    match coding {
        Coding::Gzip => {
            let mut reader = flate2::read::GzDecoder::new(bytes);
            reader.read_to_end(&mut whole).unwrap();
            assert!(reader.into_inner().is_empty(), "nothing follows");
        }
        Coding::Zstd => whole = zstd::stream::decode_all(bytes).unwrap(),
    }
    whole
}

/// What a reader has of a stream that goes on.
fn unpacked_so_far(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    let ended = match coding {
        Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut whole).is_ok(),
        Coding::Zstd => {
            zstd::stream::read::Decoder::new(bytes).is_ok_and(|mut reader| reader.read_to_end(&mut whole).is_ok())
        }
    };
    assert!(!ended, "it has no end yet");
    whole
}

fn packed(coding: Coding, effort: Effort, parts: &[(&[u8], bool)], length: Option<u64>) -> Vec<u8> {
    let mut encoder = Encoder::lend(coding, effort, length).unwrap();
    let mut out = Vec::new();
    for (part, flushed) in parts {
        encoder.write(part, &mut out).unwrap();
        if *flushed {
            encoder.flush(&mut out).unwrap();
        }
    }
    encoder.finish(&mut out).unwrap();
    encoder.give_back();
    out
}

fn all() -> impl Iterator<Item = (Coding, Effort)> {
    Coding::ALL.iter().flat_map(|coding| Effort::ALL.iter().map(|effort| (*coding, *effort)))
}

/// Text that repeats itself, and noise that does not.
fn sample(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        match noise() % 4 {
            0 => bytes.extend_from_slice(&noise().to_le_bytes()),
            _ => bytes.extend_from_slice(format!("{{\"id\":{},\"name\":\"item\"}}", noise() % 100).as_bytes()),
        }
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn bodies_of_every_size_come_back() {
    for (coding, effort) in all() {
        for len in [0, 1, 2, 100, ROOM, 65_535, 65_536, 131_073, 1_000_000] {
            let body = sample(len, 7);
            for length in [None, Some(len as u64)] {
                let packed = packed(coding, effort, &[(&body, false)], length);
                assert_eq!(unpacked(coding, &packed), body, "{coding:?} {effort:?} {len}");
                assert!(len < 1000 || packed.len() < len * 2 / 3, "{coding:?} {effort:?}: {len} to {}", packed.len());
            }
        }
    }
}

#[test]
fn noise_grows_by_next_to_nothing() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(300_000)
    .collect();
    for (coding, effort) in all() {
        let packed = packed(coding, effort, &[(&noise, false)], None);
        assert_eq!(unpacked(coding, &packed), noise);
        assert!(packed.len() < noise.len() + 1000, "{}", packed.len());
    }
}

#[test]
fn what_was_flushed_is_there_before_the_end() {
    for (coding, effort) in all() {
        let mut encoder = Encoder::lend(coding, effort, None).unwrap();
        let (mut out, mut whole) = (Vec::new(), Vec::new());
        for n in 0..50 {
            let event = format!("data: {n}\n\n");
            encoder.write(event.as_bytes(), &mut out).unwrap();
            encoder.flush(&mut out).unwrap();
            // Nothing new: nothing more that could matter.
            let before = out.len();
            encoder.flush(&mut out).unwrap();
            assert!(out.len() <= before + 16);
            whole.extend_from_slice(event.as_bytes());
            assert_eq!(unpacked_so_far(coding, &out), whole);
        }
        encoder.finish(&mut out).unwrap();
        assert_eq!(unpacked(coding, &out), whole);
    }
}

#[test]
fn one_that_was_stopped_anywhere_begins_anew() {
    for (coding, effort) in all() {
        let secret = b"what another client was told, in private";
        let mut encoder = Encoder::lend(coding, effort, Some(1000)).unwrap();
        let mut out = Vec::new();
        encoder.write(secret, &mut out).unwrap();
        encoder.give_back();
        let body = b"what another client was told".repeat(3);
        let again = packed(coding, effort, &[(&body, false)], Some(body.len() as u64));
        assert_eq!(unpacked(coding, &again), body);
        // As from a new one: nothing of the other answer is referred to.
        SPARE.with(|spare| spare.borrow_mut().clear());
        assert_eq!(again, packed(coding, effort, &[(&body, false)], Some(body.len() as u64)));
    }
}

#[test]
fn a_thread_keeps_only_a_few() {
    let lent: Vec<_> = (0..3 * KEPT).map(|_| Encoder::lend(Coding::Gzip, Effort::Low, None).unwrap()).collect();
    lent.into_iter().for_each(Encoder::give_back);
    assert_eq!(SPARE.with(|spare| spare.borrow().len()), KEPT);
}

#[test]
fn zstd_takes_no_more_memory_than_is_counted_for_it() {
    for effort in Effort::ALL {
        let mut context = zstd::zstd_safe::CCtx::create();
        context.set_parameter(CParameter::CompressionLevel(zstd_level(*effort))).unwrap();
        context.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG)).unwrap();
        let body = sample(2_000_000, 3);
        let mut out = vec![0_u8; 4_000_000];
        let mut input = InBuffer::around(&body);
        context.compress_stream(&mut OutBuffer::around(&mut out[..]), &mut input).unwrap();
        let (taken, counted) = (context.sizeof(), Encoder::memory(Coding::Zstd, *effort));
        assert!(taken <= counted && counted < 2 * taken, "{effort:?}: {taken} of {counted}");
    }
}

proptest! {
    #[test]
    fn bodies_come_back_however_they_are_cut_and_flushed(
        parts in proptest::collection::vec((0_usize..40_000, any::<u64>(), any::<bool>()), 0..8),
        which in 0_usize..6,
    ) {
        let (coding, effort) = all().nth(which).unwrap();
        let parts: Vec<(Vec<u8>, bool)> =
            parts.iter().map(|(len, seed, flushed)| (sample(*len, *seed), *flushed)).collect();
        let whole: Vec<u8> = parts.iter().flat_map(|(part, _)| part.iter().copied()).collect();
        let cut: Vec<(&[u8], bool)> = parts.iter().map(|(part, flushed)| (&part[..], *flushed)).collect();
        prop_assert_eq!(unpacked(coding, &packed(coding, effort, &cut, None)), whole);
    }
}
