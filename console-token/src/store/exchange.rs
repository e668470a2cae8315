//! An exchange of one token for another, as every store does it.

use alloc::sync::Arc;

use crate::{AttemptId, Grant, Record, Refusal, StoreError, TokenHash, VerifyContext};

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
