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
use crate::fields::{Decode, Encode, Field, Fixed, Reader, codec, layout, length, put_block};
use crate::ids::ids;

const HEAD: usize = 2;
/// With the operation.
const OPERATION: usize = 4;
const HEAD_FIELDS: &[Field] = &[Field::new::<u8>("type"), Field::new::<u8>("subtype")];
const OPERATION_FIELDS: &[Field] = &[Field::new::<u16>("operation")];

ids! {
    /// What a message of QEMU's is about.
    pub struct QemuSubtype(u8) {
        /// A key, from the client.
        EXTENDED_KEY_EVENT = 0, "extended key event";
        /// Sound.
        AUDIO = 1, "audio";
    }

    /// What a client wants of sound.
    pub struct QemuAudioRequest(u16) {
        /// Sound is wanted.
        ENABLE = 0, "enable";
        /// Sound is not wanted.
        DISABLE = 1, "disable";
        /// How sound is to be sent.
        SET_FORMAT = 2, "set format";
    }

    /// What a server says of sound.
    pub struct QemuAudioNotice(u16) {
        /// Sound ends.
        END = 0, "end";
        /// Sound begins.
        BEGIN = 1, "begin";
        /// Samples.
        DATA = 2, "data";
    }

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
fn subtype(r: &mut Reader<'_>, number: u8) -> Result<QemuSubtype, DecodeError> {
    let mut block = r.block(HEAD, HEAD_FIELDS)?;
    r.is_type(&mut block, number)?;
    Ok(QemuSubtype::get(&mut block))
}

/// A value of a field, `size` bytes, that was just read and means nothing.
#[cold]
fn unknown(r: &Reader<'_>, field: &'static str, size: usize, value: u16) -> DecodeError {
    let offset = r.at().saturating_sub(size);
    r.error(field, offset, DecodeErrorKind::Unknown { value: value.into() })
}

fn operation<T: Fixed>(r: &mut Reader<'_>) -> Result<T, DecodeError> {
    Ok(T::get(&mut r.block(T::SIZE, OPERATION_FIELDS)?))
}

fn put_operation(dst: &mut BytesMut, number: u8, operation: u16) {
    dst.extend_from_slice(&[number, QemuSubtype::AUDIO.0]);
    dst.extend_from_slice(&operation.to_be_bytes());
}

impl Decode for QemuClientMessage {
    const NAME: &'static str = "QemuClientMessage";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match subtype(r, Self::NUMBER)? {
            QemuSubtype::EXTENDED_KEY_EVENT => QemuExtendedKeyEvent::read(r).map(Self::ExtendedKeyEvent),
            QemuSubtype::AUDIO => match operation(r)? {
                QemuAudioRequest::ENABLE => Ok(Self::EnableAudio),
                QemuAudioRequest::DISABLE => Ok(Self::DisableAudio),
                QemuAudioRequest::SET_FORMAT => QemuAudioFormat::read(r).map(Self::SetAudioFormat),
                other => Err(unknown(r, "operation", u16::SIZE, other.0)),
            },
            other => Err(unknown(r, "subtype", u8::SIZE, other.0.into())),
        }
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < HEAD {
            return Ok(HEAD);
        }
        match subtype(r, Self::NUMBER)? {
            QemuSubtype::EXTENDED_KEY_EVENT => <QemuExtendedKeyEvent as Decode>::extent(r),
            QemuSubtype::AUDIO => {
                if r.left().len() < u16::SIZE {
                    return Ok(OPERATION);
                }
                match operation(r)? {
                    QemuAudioRequest::ENABLE | QemuAudioRequest::DISABLE => Ok(OPERATION),
                    QemuAudioRequest::SET_FORMAT => <QemuAudioFormat as Decode>::extent(r),
                    other => Err(unknown(r, "operation", u16::SIZE, other.0)),
                }
            }
            other => Err(unknown(r, "subtype", u8::SIZE, other.0.into())),
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
                dst.extend_from_slice(&[Self::NUMBER, QemuSubtype::EXTENDED_KEY_EVENT.0]);
                event.write(dst)
            }
            Self::EnableAudio => {
                put_operation(dst, Self::NUMBER, QemuAudioRequest::ENABLE.0);
                Ok(())
            }
            Self::DisableAudio => {
                put_operation(dst, Self::NUMBER, QemuAudioRequest::DISABLE.0);
                Ok(())
            }
            Self::SetAudioFormat(format) => {
                put_operation(dst, Self::NUMBER, QemuAudioRequest::SET_FORMAT.0);
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
        match subtype(r, Self::NUMBER)? {
            QemuSubtype::AUDIO => match operation(r)? {
                QemuAudioNotice::END => Ok(Self::AudioEnd),
                QemuAudioNotice::BEGIN => Ok(Self::AudioBegin),
                QemuAudioNotice::DATA => {
                    let length = samples(r)?;
                    r.blob(length, "samples").map(Self::AudioData)
                }
                other => Err(unknown(r, "operation", u16::SIZE, other.0)),
            },
            other => Err(unknown(r, "subtype", u8::SIZE, other.0.into())),
        }
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < HEAD {
            return Ok(HEAD);
        }
        match subtype(r, Self::NUMBER)? {
            QemuSubtype::AUDIO => {
                if r.left().len() < u16::SIZE {
                    return Ok(OPERATION);
                }
                match operation(r)? {
                    QemuAudioNotice::END | QemuAudioNotice::BEGIN => Ok(OPERATION),
                    QemuAudioNotice::DATA => {
                        if r.left().len() < u32::SIZE {
                            return Ok(const { OPERATION + u32::SIZE });
                        }
                        let length = samples(r)?;
                        Ok(r.end_of::<u8>(length))
                    }
                    other => Err(unknown(r, "operation", u16::SIZE, other.0)),
                }
            }
            other => Err(unknown(r, "subtype", u8::SIZE, other.0.into())),
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
            Self::AudioEnd => put_operation(dst, Self::NUMBER, QemuAudioNotice::END.0),
            Self::AudioBegin => put_operation(dst, Self::NUMBER, QemuAudioNotice::BEGIN.0),
            Self::AudioData(samples) => {
                let length = length(samples.len(), Self::NAME, "length", u32::MAX)?;
                put_operation(dst, Self::NUMBER, QemuAudioNotice::DATA.0);
                put_block::<{ u32::SIZE }>(dst, |block| length.put(block));
                dst.extend_from_slice(samples);
            }
        }
        Ok(())
    }
}
