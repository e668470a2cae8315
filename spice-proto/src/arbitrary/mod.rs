//! Values made from a fuzzer's bytes (feature `arbitrary`).
//!
//! Flat layouts derive it; the values whose parts must agree have a file of their own.

mod values;

use alloc::vec::Vec;

use ::arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;

use crate::frame::{Frame, Header};

/// A payload.
pub(crate) fn bytes(u: &mut Unstructured<'_>) -> Result<Bytes> {
    Vec::arbitrary(u).map(Bytes::from)
}

/// An id that is narrower on the wire than in memory.
pub(crate) fn narrow<'a, T: From<R>, R: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<T> {
    R::arbitrary(u).map(T::from)
}

/// What a number without a layout is kept as.
pub(crate) fn frame(number: u16, u: &mut Unstructured<'_>) -> Result<Frame> {
    let body = bytes(u)?;
    let header = Header {
        serial: 0,
        number,
        size: u32::try_from(body.len()).unwrap_or(u32::MAX),
        sub_list: 0,
    };
    Ok(Frame { header, body })
}
