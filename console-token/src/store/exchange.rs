//! An exchange of one token for another, and a replacement of one by another, as every store does them.

use alloc::sync::Arc;

use crate::{AttemptId, Grant, Record, Refusal, StoreError, TokenHash, UnixSeconds, VerifyContext};

/// Applies an exchange to the record of the token that is given up. `known` is the grant of the new
/// token, if the store has it already. Gives that grant, and whether it has to be kept now.
pub(crate) fn exchanged<B>(
    record: &mut Record,
    known: Option<Arc<Grant>>,
    context: &VerifyContext<'_>,
    new: &TokenHash,
    ttl: u64,
) -> Result<(Arc<Grant>, bool), StoreError<B>> {
    // The first half of the new token's hash: as good as random.
    let mut attempt = AttemptId([0; 16]);
    attempt
        .0
        .iter_mut()
        .zip(new.as_bytes())
        .for_each(|(to, from)| *to = *from);
    let answered = record.answered(attempt).is_some();
    match known {
        Some(grant) if answered => {
            record.exchange(context, attempt)?;
            Ok((grant, false))
        }
        Some(_) => Err(StoreError::Duplicate),
        // The new token has come and gone.
        None if answered => Err(Refusal::Spent.into()),
        None => {
            record.exchange(context, attempt)?;
            Ok((Arc::new(record.grant().exchanged(context.now, ttl)), true))
        }
    }
}

/// Replaces a token. Gives the grant, and the record of the new token if that has to be kept now. `is_known`: the store
/// has a record of the new token.
pub(crate) fn replaced<B>(
    record: &mut Record,
    is_known: bool,
    new: &TokenHash,
    now: UnixSeconds,
) -> Result<(Arc<Grant>, Option<Record>), StoreError<B>> {
    if record.replaced_by() == Some(new) {
        // Asked again.
        return Ok((Arc::clone(record.grant()), None));
    }
    if is_known {
        return Err(StoreError::Duplicate);
    }
    let successor = record.replace(new, now)?;
    Ok((Arc::clone(record.grant()), Some(successor)))
}
