//! QEMU's keys and sound (community specification, `QEMU Client Message`).
//!
//! ```text
//! C  u8 255, u8 0, u16 down, u32 keysym, u32 keycode                        a key
//! C  u8 255, u8 1, u16 0 or 1                                               sound on or off
//! C  u8 255, u8 1, u16 2, u8 format, u8 channels, u32 frequency             how it is to sound
//! S  u8 255, u8 1, u16 0 or 1                                               sound ends or begins
//! S  u8 255, u8 1, u16 2, u32 length, samples                               sound
//! ```

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::ids::ids;
use crate::wire::{Decode, Encode, Field, Fixed, Reader, codec, layout, length, put_block};

const NUMBER: u8 = 255;
const HEAD: usize = 2;
/// With the operation.
const OPERATION: usize = 4;
const HEAD_FIELDS: &[Field] = &[Field::new::<u8>("type"), Field::new::<u8>("subtype")];
const OPERATION_FIELDS: &[Field] = &[Field::new::<u16>("operation")];

/// Subtypes of the message.
const KEY: u8 = 0;
const AUDIO: u8 = 1;

ids! {
    /// How one sample is stored: little endian, as QEMU sends them.
    pub struct AudioFormat(u8) {
        /// 8 bits without a sign.
        U8 = 0, "U8";
        /// 8 bits with a sign.
        S8 = 1, "S8";
        /// 16 bits without a sign.
        U16 = 2, "U16";
        /// 16 bits with a sign.
        S16 = 3, "S16";
        /// 32 bits without a sign.
        U32 = 4, "U32";
        /// 32 bits with a sign.
        S32 = 5, "S32";
    }
}

layout! {
    /// A key, with the code of the keyboard beside the keysym; 12 bytes with the type and the subtype.
    #[derive(Copy)]
    pub struct QemuExtendedKeyEvent {
        /// 0: let go.
        down: u16,
        /// The key, as a keysym of X.
        keysym: u32,
        /// The key, as a code of the XT keyboard.
        keycode: u32,
    }
}

layout! {
    /// How sound is to be sent; 10 bytes with what is in front of it.
    #[derive(Copy)]
    pub struct QemuAudioFormat {
        /// How a sample is stored.
        format: AudioFormat,
        /// Samples at a time: 1 or 2.
        channels: u8,
        /// How often in a second. QEMU takes up to 48000.
        frequency: u32,
    }
}

/// QEMU's message from the client: a key, or what sound is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum QemuClientMessage {
    /// A key.
    ExtendedKeyEvent(QemuExtendedKeyEvent),
    /// Sound is wanted.
    EnableAudio,
    /// Sound is not wanted.
    DisableAudio,
    /// How sound is to be sent.
    SetAudioFormat(QemuAudioFormat),
}
codec!(QemuClientMessage);

/// QEMU's message from the server: sound.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum QemuServerMessage {
    /// Sound ends.
    AudioEnd,
    /// Sound begins.
    AudioBegin,
    /// Samples, in the format that the client has set.
    AudioData(#[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))] Bytes),
}
codec!(QemuServerMessage);

/// Reads the type, and gives the subtype.
fn subtype(r: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let mut block = r.block(HEAD, HEAD_FIELDS)?;
    r.is_type(&mut block, NUMBER)?;
    Ok(u8::get(&mut block))
}

/// A value of a field, `size` bytes, that was just read and means nothing.
#[cold]
fn unknown(r: &Reader<'_>, field: &'static str, size: usize, value: u16) -> DecodeError {
    let offset = r.at().saturating_sub(size);
    r.error(field, offset, DecodeErrorKind::Unknown { value: value.into() })
}

fn operation(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    Ok(u16::get(&mut r.block(u16::SIZE, OPERATION_FIELDS)?))
}

fn put_head(dst: &mut BytesMut, subtype: u8) {
    dst.extend_from_slice(&[NUMBER, subtype]);
}

fn put_operation(dst: &mut BytesMut, operation: u16) {
    put_head(dst, AUDIO);
    dst.extend_from_slice(&operation.to_be_bytes());
}

impl Decode for QemuClientMessage {
    const NAME: &'static str = "QemuClientMessage";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match subtype(r)? {
            KEY => QemuExtendedKeyEvent::read(r).map(Self::ExtendedKeyEvent),
            AUDIO => match operation(r)? {
                0 => Ok(Self::EnableAudio),
                1 => Ok(Self::DisableAudio),
                2 => QemuAudioFormat::read(r).map(Self::SetAudioFormat),
                other => Err(unknown(r, "operation", u16::SIZE, other)),
            },
            other => Err(unknown(r, "subtype", u8::SIZE, other.into())),
        }
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < HEAD {
            return Ok(HEAD);
        }
        match subtype(r)? {
            KEY => <QemuExtendedKeyEvent as Decode>::extent(r),
            AUDIO => {
                if r.left().len() < u16::SIZE {
                    return Ok(OPERATION);
                }
                match operation(r)? {
                    0 | 1 => Ok(OPERATION),
                    2 => <QemuAudioFormat as Decode>::extent(r),
                    other => Err(unknown(r, "operation", u16::SIZE, other)),
                }
            }
            other => Err(unknown(r, "subtype", u8::SIZE, other.into())),
        }
    }
}

impl Encode for QemuClientMessage {
    fn wire_len(&self) -> usize {
        match self {
            Self::ExtendedKeyEvent(_) => const { HEAD + QemuExtendedKeyEvent::SIZE },
            Self::EnableAudio | Self::DisableAudio => OPERATION,
            Self::SetAudioFormat(_) => const { OPERATION + QemuAudioFormat::SIZE },
        }
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::ExtendedKeyEvent(event) => {
                put_head(dst, KEY);
                event.write(dst)
            }
            Self::EnableAudio => {
                put_operation(dst, 0);
                Ok(())
            }
            Self::DisableAudio => {
                put_operation(dst, 1);
                Ok(())
            }
            Self::SetAudioFormat(format) => {
                put_operation(dst, 2);
                format.write(dst)
            }
        }
    }
}

const LENGTH_FIELDS: &[Field] = &[Field::new::<u32>("length")];

/// The length of samples, held against its limit.
fn samples(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let length = u32::get(&mut r.block(u32::SIZE, LENGTH_FIELDS)?);
    r.limited("length", u32::SIZE, length, r.limits().audio)?;
    Ok(length)
}

impl Decode for QemuServerMessage {
    const NAME: &'static str = "QemuServerMessage";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match subtype(r)? {
            AUDIO => match operation(r)? {
                0 => Ok(Self::AudioEnd),
                1 => Ok(Self::AudioBegin),
                2 => {
                    let length = samples(r)?;
                    r.blob(length, "samples").map(Self::AudioData)
                }
                other => Err(unknown(r, "operation", u16::SIZE, other)),
            },
            other => Err(unknown(r, "subtype", u8::SIZE, other.into())),
        }
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < HEAD {
            return Ok(HEAD);
        }
        match subtype(r)? {
            AUDIO => {
                if r.left().len() < u16::SIZE {
                    return Ok(OPERATION);
                }
                match operation(r)? {
                    0 | 1 => Ok(OPERATION),
                    2 => {
                        if r.left().len() < u32::SIZE {
                            return Ok(const { OPERATION + u32::SIZE });
                        }
                        let length = samples(r)?;
                        Ok(r.end_of::<u8>(length))
                    }
                    other => Err(unknown(r, "operation", u16::SIZE, other)),
                }
            }
            other => Err(unknown(r, "subtype", u8::SIZE, other.into())),
        }
    }
}

impl Encode for QemuServerMessage {
    fn wire_len(&self) -> usize {
        match self {
            Self::AudioEnd | Self::AudioBegin => OPERATION,
            Self::AudioData(samples) => const { OPERATION + u32::SIZE }.saturating_add(samples.len()),
        }
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::AudioEnd => put_operation(dst, 0),
            Self::AudioBegin => put_operation(dst, 1),
            Self::AudioData(samples) => {
                let length = length(samples.len(), Self::NAME, "length", u32::MAX)?;
                put_operation(dst, 2);
                put_block::<{ u32::SIZE }>(dst, |block| length.put(block));
                dst.extend_from_slice(samples);
            }
        }
        Ok(())
    }
}
