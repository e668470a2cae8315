//! Sub-messages: several messages in one frame.
//!
//! ```text
//! list         | count u16 | offset u32 ... |      offsets count from the start of the body
//! sub-message  | type u16 | size u32 | data |
//! ```
//!
//! With a full header `sub_list` leads to the list, and the sub-messages come before the message of the
//! frame itself. With mini headers a LIST message holds the list at its start and nothing else.
//!
//! spice-server sends lists on display channels, and fills `size` from C structures, so that the declared bytes of a
//! sub-message can overlap the next one or run past the body. Where the layout has a count it tells the real size
//! ([`SubMessage::exact_data`]); other sizes are cut at the end of the body.

use core::fmt;

use crate::channel::common::{List, WaitForChannels};
use crate::channel::display::InvalList;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::Unseen;
use crate::ids::ChannelType;

/// One message in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubMessage<'a> {
    /// Message number.
    pub number: u16,
    /// Where it begins in the body, its own header included.
    pub offset: usize,
    /// The size that stands in its header; may be more than there is.
    pub declared_size: u32,
    /// Its data: the declared size, cut at the end of the body.
    pub data: &'a [u8],
}

impl<'a> SubMessage<'a> {
    /// The data without what belongs to the next sub-message. On a display channel that is what the count says in
    /// `WAIT_FOR_CHANNELS` and `INVAL_LIST`, whose sizes spice-server overstates. On every other channel nothing is cut:
    /// no list is overstated there, and the number of `INVAL_LIST` is that of another message.
    #[must_use]
    pub fn exact_data(&self, channel: ChannelType) -> &'a [u8] {
        let exact = match (channel, self.number, self.data) {
            (ChannelType::DISPLAY, WaitForChannels::NUMBER, [count, ..]) => {
                usize::from(*count).saturating_mul(10).saturating_add(1)
            }
            (ChannelType::DISPLAY, InvalList::NUMBER, [low, high, ..]) => {
                usize::from(u16::from_le_bytes([*low, *high]))
                    .saturating_mul(9)
                    .saturating_add(2)
            }
            _ => self.data.len(),
        };
        self.data.get(..exact).unwrap_or(self.data)
    }
}

/// The sub-messages of a body, in the order in which they are to be processed.
#[derive(Clone)]
pub struct SubMessages<'a> {
    body: &'a [u8],
    offsets: &'a [u8],
    list: usize,
    next: usize,
}

impl fmt::Debug for SubMessages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubMessages")
            .field("body", &Unseen(self.body))
            .field("offsets", &Unseen(self.offsets))
            .field("list", &self.list)
            .field("next", &self.next)
            .finish()
    }
}

impl<'a> SubMessages<'a> {
    /// The list at `sub_list` (0 for the body of a LIST).
    ///
    /// # Errors
    /// A list that does not lie in the body.
    pub fn new(body: &'a [u8], sub_list: u32) -> Result<Self, DecodeError> {
        let list = sub_list as usize;
        let left = body.get(list..).unwrap_or_default();
        let Some((count, offsets)) = left.split_first_chunk::<2>() else {
            return Err(truncated("count", list, 2, left.len()));
        };
        let size = usize::from(u16::from_le_bytes(*count)).saturating_mul(4);
        match offsets.get(..size) {
            Some(offsets) => Ok(Self {
                body,
                offsets,
                list,
                next: list.saturating_add(2),
            }),
            None => Err(truncated("offsets", list.saturating_add(2), size as u64, offsets.len())),
        }
    }

    /// The sub-messages of a frame that a server sent: all of a LIST, or those that its full header leads to.
    /// `None`: it has none.
    pub fn of(frame: &'a super::Frame) -> Option<Result<Self, DecodeError>> {
        let listed = frame.header.number == List::NUMBER || frame.header.sub_list != 0;
        listed.then(|| Self::new(&frame.body, frame.header.sub_list))
    }

    /// Where the list begins in the body.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.list
    }
}

fn truncated(field: &'static str, offset: usize, needed: u64, left: usize) -> DecodeError {
    DecodeError {
        message: "SubMessageList",
        field,
        offset,
        kind: DecodeErrorKind::Truncated { needed, left },
    }
}

impl<'a> Iterator for SubMessages<'a> {
    type Item = Result<SubMessage<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (offset, rest) = self.offsets.split_first_chunk::<4>()?;
        let at = self.next;
        self.offsets = rest;
        self.next = at.saturating_add(4);
        let value = u32::from_le_bytes(*offset);
        let Some(left) = self.body.get(value as usize..) else {
            let kind = DecodeErrorKind::OutOfBounds {
                value: value.into(),
                len: self.body.len(),
            };
            return Some(Err(DecodeError {
                message: "SubMessageList",
                field: "offsets",
                offset: at,
                kind,
            }));
        };
        let Some((head, data)) = left.split_first_chunk::<6>() else {
            return Some(Err(truncated("sub_message", value as usize, 6, left.len())));
        };
        let [n0, n1, s0, s1, s2, s3] = *head;
        let declared_size = u32::from_le_bytes([s0, s1, s2, s3]);
        let data = data.get(..declared_size as usize).unwrap_or(data);
        Some(Ok(SubMessage {
            number: u16::from_le_bytes([n0, n1]),
            offset: value as usize,
            declared_size,
            data,
        }))
    }
}
