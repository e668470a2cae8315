//! Cutting a stream of frames where a message ends.

use core::fmt;

use super::{Header, HeaderForm};

/// Follows what is written to a viewer, and tells where each message ends, so that each gets a TLS record of its own.
///
/// spice-gtk looks at its socket to see whether there is another message. What came in one record is taken off the
/// socket at once: the second message of a record lies in the viewer until something else comes, and the picture
/// stands still. The same befalls a viewer behind any other program that ends TLS for it, since records are made anew
/// there: TLS with spice-gtk is for the proxy to end, and a balancer in front of it passes bytes.
#[derive(Clone)]
pub struct RecordSplitter {
    form: HeaderForm,
    /// The header of the current frame, as far as it was written.
    head: [u8; HeaderForm::Full.len()],
    known: usize,
    /// Bytes up to the next cut, of which nothing has to be known.
    left: u64,
}

impl fmt::Debug for RecordSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSplitter")
            .field("form", &self.form)
            .field("known", &self.known)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl RecordSplitter {
    /// For frames with headers of this form, behind so many bytes of the link stage.
    #[must_use]
    pub const fn new(form: HeaderForm, link_stage: usize) -> Self {
        Self {
            form,
            head: [0; HeaderForm::Full.len()],
            known: 0,
            left: link_stage as u64,
        }
    }

    /// How many of these bytes, which are next, go into one record: those up to the end of a message, or all. They
    /// count as written.
    #[must_use]
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        if self.left == 0 {
            let missing = self.head.get_mut(self.known..self.form.len()).unwrap_or_default();
            taken = missing.len().min(bytes.len());
            for (place, byte) in missing.iter_mut().zip(bytes) {
                *place = *byte;
            }
            self.known = self.known.saturating_add(taken);
            if self.known < self.form.len() {
                return taken;
            }
            self.known = 0;
            self.left = Header::read(self.form, &self.head).map_or(0, |header| header.size.into());
        }
        let rest = bytes.len().saturating_sub(taken);
        let body = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
        self.left = self.left.saturating_sub(body as u64);
        taken.saturating_add(body)
    }
}
