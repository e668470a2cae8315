//! Heads that are changed in every bit, and long ones.

use std::collections::BTreeMap;

use super::*;
use crate::changed::changed;

/// Reads a head and looks at all of it; tells whether it went with its image.
fn judge(what: &str, image: &Image, len: usize) -> bool {
    let mut agrees = false;
    let allocated = allocation_counter::measure(|| match image.head() {
        Err(error) => assert!(error.offset <= len, "{what}: {error}"),
        Ok(head) => agrees = head.is_some_and(|head| head.check(image).is_ok()),
    });
    // Blocks and segments are slices, for which `Bytes` keeps one count; what unpacks zlib has 11 KiB of tables.
    let most = if image.descriptor.r#type == ImageType::ZLIB_GLZ_RGB {
        16 << 10
    } else {
        64
    };
    assert!(allocated.bytes_max <= most, "{what}: {} bytes", allocated.bytes_max);
    agrees
}

#[test]
fn hostile_heads() {
    let mut rows = Rows::new();
    let mut of_kind: BTreeMap<u8, usize> = BTreeMap::new();
    let examples = examples().into_iter();
    let mut images: Vec<_> = examples.map(|(image, _)| ("by hand".to_owned(), image)).collect();
    for connection in recordings::all() {
        for image in rows
            .part(&connection.name, || recorded(&connection))
            .unwrap_or_default()
        {
            let seen = of_kind.entry(image.descriptor.r#type.0).or_default();
            *seen += 1;
            if *seen <= 10 && image.head() != Ok(None) {
                // The heads of most kinds are in the first bytes.
                let bytes = packed_bytes(&image);
                let image = repacked(&image, &bytes[..bytes.len().min(48)]);
                images.push((connection.name.clone(), image));
            }
        }
    }
    let (mut runs, mut agreed) = (0, 0);
    for (from, image) in images {
        let name = format!("{from}: {}", image.descriptor.r#type);
        let row = rows.row(&name, || {
            let (mut runs, mut agreed) = (0, 0);
            changed(&packed_bytes(&image), true, 2000, |what, bytes| {
                runs += 1;
                agreed += usize::from(judge(what, &repacked(&image, bytes), bytes.len()));
            });
            (runs, agreed)
        });
        let row = row.unwrap_or_default();
        (runs, agreed) = (runs + row.0, agreed + row.1);
    }
    println!("{runs} hostile heads of images, {agreed} agreed with their image");
    // Those by hand alone are so many.
    assert!(10_000 < runs && 0 < agreed);
    rows.end();
}

/// Work is linear: 16 MiB of the smallest steps take no time to speak of.
#[test]
fn long_walks_end() {
    let mut fill = vec![0xff; 16 << 20];
    fill[1] = 0xd8;
    assert!(packed(ImageType::JPEG, &fill).head().is_err());
    let markers = [&[0xff, 0xd8][..], &[0xff, 0xd0].repeat(8 << 20)].concat();
    assert!(packed(ImageType::JPEG, &markers).head().is_err());
    let blocks = [&[1, 8][..], &[0, 0, 0, 1, 0].repeat(3 << 20)].concat();
    let head = packed(ImageType::LZ4, &blocks).head().unwrap().unwrap();
    assert!(matches!(head, ImageHead::Lz4(Lz4Head { blocks, .. }) if blocks == 3 << 20));
}
