//! One way to lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also when another thread has panicked with the lock: what our locks protect is changed in one step
/// or holds nothing that a half-made change could spoil.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
