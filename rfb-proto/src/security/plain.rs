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
use crate::limits::Limits;
use crate::wire::{Decode, Encode, Fixed as _, Reader, codec, layout, length, put_block};

/// What a client shows in a Plain subtype.
///
/// Decoding copies both, so that the received bytes can be overwritten.
#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    /// At most [`Limits::user`] bytes.
    pub user: Bytes,
    /// At most [`Limits::password`] bytes.
    pub password: Secret,
}

codec!(Credentials);

const FIELDS: &[(&str, usize)] = &[("user_length", 4), ("password_length", 4)];

impl Credentials {
    fn lengths(r: &mut Reader<'_>) -> Result<(u32, u32), DecodeError> {
        let Limits { user, password, .. } = *r.limits();
        let mut block = r.block(4, FIELDS.get(..1).unwrap_or_default())?;
        let user_length = u32::get(&mut block);
        r.limited("user_length", 4, user_length, user)?;
        let mut block = r.block(4, FIELDS.get(1..).unwrap_or_default())?;
        let password_length = u32::get(&mut block);
        r.limited("password_length", 4, password_length, password)?;
        Ok((user_length, password_length))
    }
}

impl Decode for Credentials {
    const NAME: &'static str = "Credentials";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (user, password) = Self::lengths(r)?;
        let user = Bytes::copy_from_slice(r.bytes(user, "user")?);
        let password = Secret::new(r.bytes(password, "password")?);
        Ok(Self { user, password })
    }

    fn missing(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        let here = r.left().len();
        if here < 8 {
            // A user length that is too large is refused before the other one is there.
            if 4 <= here {
                let mut block = r.block(4, FIELDS)?;
                let limit = r.limits().user;
                r.limited("user_length", 4, u32::get(&mut block), limit)?;
            }
            return Ok(8_usize.saturating_sub(here));
        }
        let (user, password) = Self::lengths(r)?;
        Ok(r.missing::<u8>(user.saturating_add(password)))
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
        /// At most [`Limits::user`] bytes.
        user: [u8; ..=user],
    }
}
