//! Large and hostile files: an error or a result, in linear time and within the limits; and what a common file costs.

use std::time::{Duration, Instant};

use vv_file::{ConnectionFile, KeyFile, error::ParseErrorKind, key_file::Limits, lint::lint_with};

/// Every reader of files, and the most that they allocate.
fn bytes_allocated(input: &[u8], limits: &Limits) -> u64 {
    let counted = allocation_counter::measure(|| {
        let _ = KeyFile::parse_with(input, limits).map(|file| file.to_data());
        let _ = lint_with(input, limits);
    });
    counted.bytes_max
}

#[test]
fn a_hundred_megabytes_are_refused_without_a_copy() {
    let input = vec![b'#'; 100 << 20];
    let error = KeyFile::parse(&input).unwrap_err();
    assert!(matches!(error.kind, ParseErrorKind::TooLarge { limit: 1_048_576 }));
    assert!(ConnectionFile::parse(&input).is_err());
    assert!(bytes_allocated(&input, &Limits::default()) < 64 << 10);
}

#[test]
fn hostile_files_take_linear_time_and_bounded_memory() {
    let head = b"[virt-viewer]\ntype=spice\n".as_slice();
    let repeated = |piece: &[u8]| [head, &piece.repeat((1 << 20) / piece.len() - 30)].concat();
    let files = [
        repeated(b"x"),
        repeated(b"k=v\n"),
        repeated(b"host=h\n"),
        repeated(b"title=\\\\\\q\n"),
        repeated(b"[a]\n"),
        repeated(b"["),
        repeated(b"[["),
        repeated(b"]"),
        repeated(b"\0"),
        repeated(b"\n"),
        repeated(b"\xff\n"),
        repeated(b"a\xff=\xfe\n"),
        [
            head.to_vec(),
            (0..60_000)
                .map(|number| format!("[{number}]\n"))
                .collect::<String>()
                .into_bytes(),
        ]
        .concat(),
    ];
    let wide = Limits::default()
        .with_lines(1 << 20)
        .with_keys(1 << 20)
        .with_size(2 << 20);
    for limits in [Limits::default(), wide] {
        for input in &files {
            let start = Instant::now();
            let most = bytes_allocated(input, &limits);
            // A text of at most a line a byte pair: its lines, its copies and the findings.
            assert!(
                most < 512 * (limits.lines.min(input.len()) as u64 + 1024) + 16 * input.len() as u64,
                "{most}"
            );
            let taken = start.elapsed();
            assert!(
                taken < Duration::from_secs(20),
                "{taken:?}: {:?}",
                String::from_utf8_lossy(&input[..60])
            );
        }
    }
}

#[test]
fn a_common_file_takes_few_allocations() {
    let der = vec![7_u8; 1900];
    let ca = vv_file::pem::encode(&[der.clone(), der]).replace('\n', "\\n");
    let template = include_str!("../data/vv/ovirt-spice.vv");
    let file: Vec<String> = template
        .lines()
        .map(|line| {
            if line.starts_with("ca=") {
                format!("ca={ca}\n")
            } else {
                format!("{line}\n")
            }
        })
        .take(24)
        .collect();
    let file = file.concat();
    assert!((5500..6700).contains(&file.len()), "{}", file.len());
    let counted = allocation_counter::measure(|| {
        let file = KeyFile::parse(file.as_bytes()).unwrap();
        for entry in file.entries_of("virt-viewer") {
            let _ = entry.value.text().unwrap();
        }
    });
    println!("{} bytes, {} allocations", file.len(), counted.count_total);
    assert!(counted.count_total <= 30, "{}", counted.count_total);
}
