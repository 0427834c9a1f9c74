//! What a message needs for a moment, kept by each thread for the next one.
//!
//! The last thing that was given back is the first to be lent again, so that thousands of connections use the same few
//! pages, which are in the processor's caches. A connection that waits holds nothing of this.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::fields::Fields;
use crate::request_fields::RequestFields;

/// What is read at once, unless a body keeps its buffer full.
pub(super) const READ_BYTES: usize = 8 * 1024;
/// A buffer of what is written that has grown beyond this is not kept.
const WRITE_BYTES_MAX: usize = 32 * 1024;
/// A map with room for more is not kept.
const MAP_FIELDS_MAX: usize = 96;
/// How many of each a thread keeps: about as many as there are messages under way at once.
const KEPT: usize = 64;

type Stock<T> = RefCell<Vec<T>>;

thread_local! {
    static READ: Stock<BytesMut> = const { RefCell::new(Vec::new()) };
    static WRITE: Stock<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static MAPS: Stock<HeaderMap> = const { RefCell::new(Vec::new()) };
    static REQUESTS: Stock<RequestFields> = const { RefCell::new(Vec::new()) };
    static FIELDS: Stock<Box<Fields>> = const { RefCell::new(Vec::new()) };
}

fn lend<T>(stock: &'static std::thread::LocalKey<Stock<T>>) -> Option<T> {
    // A thread that ends has none any more.
    stock.try_with(|kept| kept.borrow_mut().pop()).ok().flatten()
}

fn keep<T>(stock: &'static std::thread::LocalKey<Stock<T>>, thing: T) {
    let _ = stock.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT {
            kept.push(thing);
        }
    });
}

/// An empty buffer to read into, with room.
#[inline]
pub(super) fn read_buffer() -> BytesMut {
    let mut buffer = lend(&READ).unwrap_or_else(new_buffer);
    // From its beginning again, unless somebody still holds a part of it.
    buffer.reserve(READ_BYTES);
    buffer
}

/// One whose parts are counted from the first on, so that it can be had back whole when they are gone.
#[cold]
fn new_buffer() -> BytesMut {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    buffer.extend_from_slice(&[0]);
    drop(buffer.split_to(1));
    buffer
}

/// Takes back a buffer that was read into, and in which nothing is left. One that has grown is given to the allocator.
#[inline]
pub(super) fn keep_read_buffer(buffer: BytesMut) {
    if (1..=READ_BYTES).contains(&buffer.capacity()) {
        keep(&READ, buffer);
    }
}

/// Takes back a buffer that was handed on whole, unless somebody still holds a part of it.
#[inline]
fn keep_bytes(bytes: Bytes) {
    if let Ok(mut buffer) = bytes.try_into_mut() {
        buffer.clear();
        keep_read_buffer(buffer);
    }
}

/// An empty buffer to write a message into, or lines of one.
#[inline]
pub fn write_buffer() -> Vec<u8> {
    lend(&WRITE).unwrap_or_default()
}

/// Takes back a buffer whose bytes have left.
#[inline]
pub(super) fn keep_write_buffer(mut buffer: Vec<u8>) {
    if (1..=WRITE_BYTES_MAX).contains(&buffer.capacity()) {
        buffer.clear();
        keep(&WRITE, buffer);
    }
}

/// An empty map for an answer of the gateway's own, with room if one was kept.
#[inline]
pub(crate) fn map() -> HeaderMap {
    lend(&MAPS).unwrap_or_default()
}

/// Takes back the map of an answer that has been written.
#[inline]
pub(super) fn keep_map(mut map: HeaderMap) {
    if (1..=MAP_FIELDS_MAX).contains(&map.capacity()) {
        map.clear();
        keep(&MAPS, map);
    }
}

/// No fields of a request, with room for some if that was kept.
#[inline]
pub(crate) fn request_fields() -> RequestFields {
    lend(&REQUESTS).unwrap_or_default()
}

/// Takes back fields of a request that are of no more use.
#[inline]
pub(crate) fn keep_request_fields(mut fields: RequestFields) {
    if fields.has_room() {
        keep_bytes(fields.take_block());
        fields.clear();
        keep(&REQUESTS, fields);
    }
}

/// No fields, with room for some.
#[inline]
pub(super) fn fields() -> Box<Fields> {
    lend(&FIELDS).unwrap_or_default()
}

/// Takes back fields that have been written.
#[inline]
pub(super) fn keep_fields(mut fields: Box<Fields>) {
    fields.clear();
    keep(&FIELDS, fields);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_last_is_lent_first_and_is_empty() {
        let mut buffer = read_buffer();
        buffer.extend_from_slice(&[7; 100]);
        let place = buffer.as_ptr();
        // A part that somebody held for a while, as a head is.
        drop(buffer.split_to(100).freeze());
        keep_read_buffer(buffer);
        let again = read_buffer();
        assert_eq!((again.as_ptr(), again.len()), (place, 0), "the same memory, from its beginning");

        let mut written = write_buffer();
        written.extend_from_slice(b"x");
        let place = written.as_ptr();
        keep_write_buffer(written);
        let again = write_buffer();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn one_that_was_handed_on_whole_is_lent_again_when_nobody_holds_a_part_of_it() {
        let mut place = None;
        for round in 0..3 {
            let mut buffer = read_buffer();
            buffer.extend_from_slice(b"head body");
            let place = *place.get_or_insert(buffer.as_ptr());
            assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, READ_BYTES), "round {round}");
            let head = buffer.split_to(5).freeze();
            let body = buffer.freeze();
            // Whoever is last gives it back.
            keep_bytes(head);
            keep_bytes(body);
        }
        let held = Bytes::from_static(b"static");
        keep_bytes(held.clone());
        assert_eq!(held, "static");
    }

    #[test]
    fn a_part_that_is_held_keeps_its_bytes() {
        let mut buffer = read_buffer();
        buffer.extend_from_slice(b"held");
        let held = buffer.split_to(4).freeze();
        keep_read_buffer(buffer);
        read_buffer().extend_from_slice(b"another");
        assert_eq!(held, "held");
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        keep_write_buffer(Vec::with_capacity(WRITE_BYTES_MAX + 1));
        assert_eq!(write_buffer().capacity(), 0);
        keep_map(HeaderMap::with_capacity(1000));
        assert_eq!(map().capacity(), 0);
        keep_request_fields(RequestFields::new());
        assert!(!request_fields().has_room(), "there is nothing to keep");
    }
}
