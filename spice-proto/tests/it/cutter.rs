//! Where messages end in what is written.

use bytes::BytesMut;
use spice_proto::frame::{Header, HeaderForm, RecordSplitter};

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
        bytes.resize(bytes.len() + size as usize, 0xff);
        ends.push(bytes.len());
    }
    (bytes.to_vec(), ends)
}

#[test]
fn cuts_at_the_end_of_each_message_however_much_is_there() {
    for form in [HeaderForm::Mini, HeaderForm::Full] {
        let (bytes, ends) = stream(form, &[0, 1, 0, 300, 7]);
        for there in 1..=bytes.len() {
            let (mut cutter, mut at, mut cuts) = (RecordSplitter::new(form, 4), 0, Vec::new());
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
