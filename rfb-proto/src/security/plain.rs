//! User and password as they are: the Plain subtypes of [VeNCrypt](super::vencrypt), and Ident, which has a user only.
//!
//! ```text
//! Plain   C  u32 user length, u32 password length, user, password      UTF-8
//! Ident   C  u32 user length, user
//! ```
//!
//! TigerVNC's server takes less than 1024 bytes of each, neatvnc 256, Proxmox a password (a ticket) up to 510.

use bytes::{Bytes, BytesMut};

use super::Secret;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed as _, Reader, codec, layout, length, put_block};

/// What a client shows in a Plain subtype.
///
/// Decoding copies both, so that the received bytes can be overwritten.
#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    /// At most [`Limits::user`](crate::Limits::user) bytes.
    pub user: Bytes,
    /// At most [`Limits::password`](crate::Limits::password) bytes.
    pub password: Secret,
}

codec!(Credentials);

const fn length_field(name: &'static str) -> Field {
    Field {
        name,
        size: 4,
        inner: &[],
    }
}

const USER_LENGTH: &[Field] = &[length_field("user_length")];
const PASSWORD_LENGTH: &[Field] = &[length_field("password_length")];

impl Credentials {
    fn user_length(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let mut block = r.block(4, USER_LENGTH)?;
        let length = u32::get(&mut block);
        r.limited("user_length", 4, length, r.limits().user)?;
        Ok(length)
    }

    fn password_length(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let mut block = r.block(4, PASSWORD_LENGTH)?;
        let length = u32::get(&mut block);
        r.limited("password_length", 4, length, r.limits().password)?;
        Ok(length)
    }
}

impl Decode for Credentials {
    const NAME: &'static str = "Credentials";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (user, password) = (Self::user_length(r)?, Self::password_length(r)?);
        let user = Bytes::copy_from_slice(r.bytes(user, "user")?);
        let password = Secret::new(r.bytes(password, "password")?);
        Ok(Self { user, password })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        const HEADER: usize = 8;
        let there = r.left().len();
        if there < u32::SIZE {
            return Ok(HEADER);
        }
        // A user length that is too large is refused before the other one is there.
        let user = Self::user_length(r)?;
        if there < HEADER {
            return Ok(HEADER);
        }
        let password = Self::password_length(r)?;
        Ok(r.end_of::<u8>(user.saturating_add(password)))
    }
}

impl Encode for Credentials {
    fn wire_len(&self) -> usize {
        8_usize
            .saturating_add(self.user.len())
            .saturating_add(self.password.expose().len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let user = length(self.user.len(), Self::NAME, "user_length", u32::MAX)?;
        let password = length(self.password.expose().len(), Self::NAME, "password_length", u32::MAX)?;
        put_block::<8>(dst, |block| {
            u32::put(&user, block);
            u32::put(&password, block);
        });
        dst.extend_from_slice(&self.user);
        dst.extend_from_slice(self.password.expose());
        Ok(())
    }
}

layout! {
    /// What a client shows in an Ident subtype. Nothing proves it.
    pub struct Ident {
        ;
        length: u32,
        /// At most [`Limits::user`](crate::Limits::user) bytes.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
        user: [u8; ..=user],
    }
}
