//! Cutting a stream of frames where a message ends.

use super::{Header, HeaderForm};

/// Follows what is written to a viewer, and tells where each message ends, so that each gets a TLS record of its own.
///
/// spice-gtk looks at its socket to see whether there is another message. What came in one record is taken off the socket
/// at once: the second message of a record lies in the viewer until something else comes, and the picture stands still.
#[derive(Debug, Clone)]
pub struct Cutter {
    form: HeaderForm,
    /// The header of the current frame, as far as it was written.
    head: [u8; HeaderForm::Full.len()],
    known: usize,
    /// Bytes up to the next cut, of which nothing has to be known.
    left: u64,
}

impl Cutter {
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

    /// How many of these bytes, which are next, go into one record: those up to the end of a message, or all. They count as
    /// written.
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

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use bytes::BytesMut;

    use super::*;

    /// A link result, and frames with bodies of these sizes; and where each part ends.
    fn stream(form: HeaderForm, sizes: &[u32]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = BytesMut::from(&[0; 4][..]);
        let mut ends = Vec::from([4]);
        for &size in sizes {
            let (serial, number, sub_list) = (1, 101, 0);
            Header {
                serial,
                number,
                size,
                sub_list,
            }
            .write(form, &mut bytes);
            bytes.extend(core::iter::repeat_n(0xff, size as usize));
            ends.push(bytes.len());
        }
        (bytes.to_vec(), ends)
    }

    #[test]
    fn cuts_at_the_end_of_each_message_however_much_is_there() {
        for form in [HeaderForm::Mini, HeaderForm::Full] {
            let (bytes, ends) = stream(form, &[0, 1, 0, 300, 7]);
            for there in 1..=bytes.len() {
                let (mut cutter, mut at, mut cuts) = (Cutter::new(form, 4), 0, Vec::new());
                while at < bytes.len() {
                    let next = &bytes[at..bytes.len().min(at + there)];
                    let taken = cutter.take(next);
                    assert!(0 < taken && taken <= next.len());
                    assert!(
                        !ends.iter().any(|end| at < *end && *end < at + taken),
                        "a record of two messages"
                    );
                    at += taken;
                    cuts.push(at);
                }
                assert!(ends.iter().all(|end| cuts.contains(end)));
                if there == bytes.len() {
                    assert_eq!(cuts, ends, "no more records than messages");
                }
            }
        }
    }
}
