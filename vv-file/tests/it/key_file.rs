//! Places of errors, limits, and whatever bytes come.

use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;
use vv_file::{
    ConnectionFile, KeyFile,
    connection::Options,
    error::ParseErrorKind,
    key_file::{BadEscapes, Limits, encode_list, encode_string},
};

fn refusal(input: &[u8]) -> String {
    KeyFile::parse(input).unwrap_err().to_string()
}

#[test]
fn errors_name_their_place() {
    let cases: [(&[u8], _); 11] = [
        (
            b"[g]\nk=v\n  plain\n",
            expect!["line 3, column 3: neither a group, nor a key, nor a comment"],
        ),
        (
            b"\xef\xbb\xbf[g]\n",
            expect!["line 1, column 1: neither a group, nor a key, nor a comment"],
        ),
        (
            b"[g] # c\n",
            expect!["line 1, column 1: neither a group, nor a key, nor a comment"],
        ),
        (b"[]\n", expect!["line 1, column 2: invalid group name"]),
        (b"# c\n [a\tb]\n", expect!["line 2, column 4: invalid group name"]),
        (b"k=v\n", expect!["line 1, column 1: key before the first group"]),
        (b"[g]\r\n k [de]=v\r\n", expect!["line 2, column 2: invalid key name"]),
        (b"[g]\nk[d e]=v\n", expect!["line 2, column 2: invalid key name"]),
        (b"[g]\nk[de]x=v\n", expect!["line 2, column 6: invalid key name"]),
        (
            b"[g]\nEncoding = Latin-1\n",
            expect!["line 2, column 12: encoding is not utf-8"],
        ),
        (
            b"[g]\nk\0=v\n",
            expect!["line 2, column 1: neither a group, nor a key, nor a comment"],
        ),
    ];
    for (input, expected) in cases {
        expected.assert_eq(&refusal(input));
    }
    let connection = |input: &[u8]| ConnectionFile::parse(input).unwrap_err().to_string();
    expect!["no group [virt-viewer]"].assert_eq(&connection(b"[Virt-Viewer]\ntype=spice\n"));
    expect!["no key type in [virt-viewer]"].assert_eq(&connection(b"[virt-viewer]\ntype[de]=spice\n"));
    expect!["line 1, column 1: key before the first group"].assert_eq(&connection(b"type=spice\n"));
}

/// GLib looks for the bracket of a group from the end of the line, and for the encoding up to it, whatever NUL is between.
#[test]
fn what_stands_behind_a_nul_counts_where_glib_sees_it() {
    let kind = |input: &[u8]| KeyFile::parse(input).map(|_| ()).map_err(|error| error.kind);
    assert_eq!(kind(b"[a]\0x\n"), Ok(()));
    assert_eq!(kind(b"[a]\0x]\n"), Err(ParseErrorKind::GroupName));
    for encoding in ["UTF-8", "utf-8", " Utf-8"] {
        assert_eq!(kind(format!("[a]\nEncoding={encoding}\n").as_bytes()), Ok(()));
    }
    assert_eq!(kind(b"[a]\nEncoding=UTF-8\0\n"), Err(ParseErrorKind::Encoding));
}

/// Continuation bytes that belong to no character are passed over with the character before them.
#[test]
fn stray_continuation_bytes() {
    for good in [&b"[g]\x80\n"[..], b"[g] \xbf\t\x80\n", b"[g]\nk[d\x80e\xbf]=v\n"] {
        assert!(KeyFile::parse(good).is_ok(), "{}", good.escape_ascii());
    }
    for bad in [
        &b"[g]\xc0\n"[..],
        b"[g]@\n",
        b"[g]\x7f\n",
        b"[g]\nk[\x80]=v\n",
        b"[g]\nk[d\xc3]=v\n",
    ] {
        assert!(KeyFile::parse(bad).is_err(), "{}", bad.escape_ascii());
    }
}

#[test]
fn brackets_are_in_no_key_and_a_backslash_may_be() {
    for key in ["]", "]]", "a]", "a[", "\\]"] {
        let error = KeyFile::parse(format!("[g]\n{key}=v\n").as_bytes()).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::KeyName, "{key}");
    }
    for key in ["\\", "\\\\", "a\\b"] {
        let file = KeyFile::parse(format!("[g]\n{key}=v\n").as_bytes()).unwrap();
        assert_eq!(file.get("g", key).unwrap().raw(), b"v", "{key}");
    }
}

#[test]
fn limits_hold_at_their_value_and_not_one_over() {
    let input = b"# c\n[g]\na=1\na=2\n";
    let fits = Limits::default().with_size(input.len()).with_lines(4).with_keys(2);
    assert!(KeyFile::parse_with(input, &fits).is_ok());
    let kind = |limits: Limits| {
        let error = KeyFile::parse_with(input, &limits).unwrap_err();
        (error.line, error.kind)
    };
    let size = input.len() - 1;
    assert_eq!(
        kind(fits.with_size(size)),
        (1, ParseErrorKind::TooLarge { limit: size })
    );
    assert_eq!(kind(fits.with_lines(3)), (4, ParseErrorKind::TooManyLines { limit: 3 }));
    assert_eq!(kind(fits.with_keys(1)), (4, ParseErrorKind::TooManyKeys { limit: 1 }));
}

#[test]
fn default_limits_hold() {
    let limits = Limits::default();
    let file = |line: &str, count: usize| format!("[g]\n{}", line.repeat(count));
    assert!(KeyFile::parse(file("k=v\n", limits.keys).as_bytes()).is_ok());
    assert!(KeyFile::parse(file("k=v\n", limits.keys + 1).as_bytes()).is_err());
    assert!(KeyFile::parse(file("\n", limits.lines - 1).as_bytes()).is_ok());
    assert!(KeyFile::parse(file("\n", limits.lines).as_bytes()).is_err());
    assert!(KeyFile::parse(file("#", limits.size - 4).as_bytes()).is_ok());
    assert!(KeyFile::parse(file("#", limits.size - 3).as_bytes()).is_err());
}

#[test]
fn what_is_not_there_is_none() {
    let file = KeyFile::parse(b"[g]\nk=v\n[empty]\n").unwrap();
    assert!(file.get("g", "j").is_none());
    assert!(file.get("h", "k").is_none());
    assert_eq!(file.keys("h").count(), 0);
    assert_eq!(file.keys("empty").count(), 0);
    assert!(file.has_group("empty"));
    assert!(!file.has_group("h"));
}

/// Numbers of a list may have blanks of C before them, whose blanks are one more than Rust's; and booleans blanks behind.
#[test]
fn numbers_and_booleans_are_read_as_glib_reads_them() {
    let file =
        KeyFile::parse(b"[g]\nn=1; 2;\t-3;\x0b+4;\nt=true\nf=false  \none=1\nnone=0\t\nb=1;false;true ;0 \n").unwrap();
    let value = |key: &str| file.get("g", key).unwrap();
    assert_eq!(value("n").integer_list(), Ok(vec![1, 2, -3, 4]));
    assert_eq!(value("t").boolean(), Ok(true));
    assert_eq!(value("f").boolean(), Ok(false));
    assert_eq!(value("one").boolean(), Ok(true));
    assert_eq!(value("none").boolean(), Ok(false));
    assert_eq!(value("b").boolean_list(), Ok(vec![true, false, true, false]));
}

#[test]
fn a_carriage_return_at_the_end_wears_off() {
    // Only the last line can hold one without a second; GLib writes it before a newline, and then
    // it belongs to the line end.
    let file = KeyFile::parse(b"[g]\nk=v\r").unwrap();
    assert_eq!(file.get("g", "k").unwrap().raw(), b"v\r");
    let data = file.to_data();
    assert_eq!(data.as_bytes(), b"[g]\nk=v\r\n");
    let again = KeyFile::parse(data.as_bytes()).unwrap();
    assert_eq!(again.get("g", "k").unwrap().raw(), b"v");
}

#[test]
fn debug_shows_no_value() {
    let input = b"[virt-viewer]\ntype=spice\nhost=hunter2\npassword=hunter2\nproxy=http://u:hunter2@p\n\
        title=hunter2\n[ovirt]\nsso-token=hunter2\n";
    let file = ConnectionFile::parse(input).unwrap();
    let shown = format!(
        "{file:?} {:?} {:?} {:?} {:?}",
        file.virt_viewer.password,
        file.key_file(),
        file.key_file().get("virt-viewer", "password"),
        file.key_file().to_data(),
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    expect![[r#"
        ConnectionFile { virt_viewer: VirtViewer { .. }, ovirt: Some(Ovirt { .. }), key_file: KeyFile { bytes: 120, lines: 8, groups: 2 } } Some(Secret(..)) KeyFile { bytes: 120, lines: 8, groups: 2 } Some(Value(7 bytes)) Document(121 bytes)"#]]
    .assert_eq(&shown);
}

#[test]
fn the_socket_is_read() {
    let input = b"[virt-viewer]\ntype=spice\nunix-path=/run/\\\\x\\qy\n";
    let path = |bad_escapes| {
        let options = Options::default().with_bad_escapes(bad_escapes);
        let file = ConnectionFile::parse_with(input, &options).unwrap();
        (file.is_set("unix-path"), file.virt_viewer.unix_path)
    };
    assert_eq!(path(BadEscapes::Kept), (true, Some("/run/\\x\\qy".into())));
    assert_eq!(path(BadEscapes::Fatal), (true, None));
}

/// Bytes of which a good part means something.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        prop::sample::select(vec![
            "[",
            "]",
            "=",
            "\n",
            "\r\n",
            "[virt-viewer]\n",
            "type=",
            "host",
            "spice",
            "\\",
            "\\s",
            ";",
            "#",
            " ",
            "\t",
            "\0",
            "1",
            "-",
            "true",
            "Encoding=",
            "UTF-8",
            "[de]",
            "é",
        ])
        .prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    /// With few groups and keys, and with so many that they are looked up by an index.
    #[test]
    fn a_key_is_found_in_its_group_and_the_last_one_counts(
        groups in 1..10_u8,
        lines in prop::collection::vec((0..10_u8, 0..40_u8), 0..300),
    ) {
        let (mut text, mut last) = (String::new(), BTreeMap::new());
        for (number, (group, key)) in lines.iter().enumerate() {
            let (group, key, value) = ((group % groups).to_string(), format!("k{key}"), number.to_string());
            text += &format!("[{group}]\n# c\n{key}={value}\n");
            last.insert((group, key), value);
        }
        let file = KeyFile::parse(text.as_bytes()).unwrap();
        for group in (0..11).map(|number| number.to_string()).chain(["".into()]) {
            for key in (0..41).map(|number| format!("k{number}")).chain(["".into(), "z".into(), "K1".into()]) {
                let value = file.get(&group, &key).map(|value| value.raw());
                let expected = last.get(&(group.clone(), key.clone())).map(String::as_bytes);
                prop_assert_eq!(value, expected, "{} {}", group, key);
            }
        }
    }

    #[test]
    fn no_bytes_panic_and_no_line_is_lost(input in bytes(), in_group: bool) {
        let mut input = input;
        if in_group {
            input.splice(0..0, *b"[virt-viewer]\ntype=vnc\n");
        }
        let _ = ConnectionFile::parse(&input);
        let Ok(file) = KeyFile::parse(&input) else { return Ok(()) };
        prop_assert_eq!(file.as_bytes(), &input);
        prop_assert_eq!(file.lines().collect::<Vec<_>>().concat(), input);
        for group in file.groups() {
            for key in file.keys(group) {
                let value = file.get(group, key).unwrap();
                let _ = (value.string(), value.string_with(BadEscapes::Kept), value.list());
                let _ = (value.boolean(), value.integer(), value.int64(), value.uint64());
                let _ = (value.integer_list(), value.boolean_list());
            }
        }
        // What is written reads back the same, and is then written the same; but for carriage
        // returns, see `a_carriage_return_at_the_end_wears_off`.
        let data = file.to_data();
        prop_assume!(!data.as_bytes().windows(2).any(|pair| pair == b"\r\n"));
        let again = KeyFile::parse(data.as_bytes()).unwrap();
        let again = again.to_data();
        prop_assert_eq!(again.as_bytes(), data.as_bytes());
    }

    #[test]
    fn strings_and_lists_read_back(text in text(), items in prop::collection::vec(text(), 0..5)) {
        let raw = encode_string(text.as_bytes());
        let list = encode_list(&items);
        let file = [b"[g]\ntext=".as_slice(), &raw, b"\nlist=", &list, b"\n"].concat();
        let file = KeyFile::parse(&file).unwrap();
        prop_assert_eq!(&*file.get("g", "text").unwrap().text().unwrap(), text.as_str());
        prop_assert_eq!(file.get("g", "text").unwrap().string().unwrap(), text);
        prop_assert_eq!(file.get("g", "list").unwrap().list().unwrap(), items);
    }
}

/// Any text but NUL, which no key file can hold, and form feeds, which GLib loses in front.
fn text() -> impl Strategy<Value = String> {
    r"[ \t\r\n\\;=#\[\]a-zé]{0,12}|[^\x00\x0c]{0,12}"
}
