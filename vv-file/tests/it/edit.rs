//! Changes in place, and that they change nothing else.

use proptest::prelude::*;
use vv_file::{KeyFile, error::EditError, key_file::Limits};

const FILE: &[u8] = b"# head\r\n[a]\r\n\r\nk = old # no comment\r\nk[de]=x\r\n; j=1\r\n\r\n# tail of a\r\n[b]\nk=1\n[a]\nk = new\nlast=\\q";

fn edited(change: impl FnOnce(&mut KeyFile) -> Result<(), EditError>) -> String {
    let mut file = KeyFile::parse(FILE).unwrap();
    change(&mut file).unwrap();
    String::from_utf8(file.as_bytes().to_vec()).unwrap()
}

fn text(input: &[u8]) -> String {
    String::from_utf8(input.to_vec()).unwrap()
}

#[test]
fn only_the_value_changes() {
    let changed = edited(|file| file.set_string("a", "k", " with\nline \\ "));
    assert_eq!(changed, text(FILE).replace("k = new", "k = \\swith\\nline \\\\ "));
    let changed = edited(|file| file.set_list("b", "k", &["x;y", " z"]));
    assert_eq!(changed, text(FILE).replace("[b]\nk=1\n", "[b]\nk=x\\;y;\\sz;\n"));
    let changed = edited(|file| file.set_value("a", "k[de]", ""));
    assert_eq!(changed, text(FILE).replace("k[de]=x", "k[de]="));
}

#[test]
fn new_keys_and_groups_come_last() {
    let changed = edited(|file| file.set_value("b", "new", "v"));
    assert_eq!(changed, text(FILE).replace("[b]\nk=1\n", "[b]\nk=1\nnew=v\n"));
    // The last line has no line end and goes on having none.
    assert_eq!(edited(|file| file.set_value("a", "new", "v")), text(FILE) + "\nnew=v");
    assert_eq!(
        edited(|file| file.set_value("c", "new", "v")),
        text(FILE) + "\n\n[c]\nnew=v\n"
    );

    let mut crlf = KeyFile::parse(b"[g]\r\n# c\r\n").unwrap();
    crlf.set_value("g", "k", "v").unwrap();
    crlf.set_value("h", "k", "v").unwrap();
    assert_eq!(crlf.as_bytes(), b"[g]\r\nk=v\r\n# c\r\n\r\n[h]\r\nk=v\r\n");
    let mut empty = KeyFile::parse(b"").unwrap();
    empty.set_value("g", "k", "v").unwrap();
    assert_eq!(empty.as_bytes(), b"[g]\nk=v\n");
}

#[test]
fn what_is_removed_is_gone() {
    let changed = edited(|file| file.remove_key("a", "k").map(|there| assert!(there)));
    assert_eq!(
        changed,
        text(FILE)
            .replace("k = old # no comment\r\n", "")
            .replace("k = new\n", "")
    );
    assert_eq!(
        edited(|file| file.remove_key("a", "none").map(|there| assert!(!there))),
        text(FILE)
    );
    assert_eq!(
        edited(|file| file.remove_group("a").map(|there| assert!(there))),
        "# head\r\n[b]\nk=1\n"
    );
    assert_eq!(
        edited(|file| file.remove_group("none").map(|there| assert!(!there))),
        text(FILE)
    );
}

#[test]
fn what_would_read_otherwise_is_refused() {
    let mut file = KeyFile::parse_with(FILE, &Limits::default().with_lines(20)).unwrap();
    for raw in ["a\nhost=evil", "\0", "x\0y", " lead", "\tlead", "\x0clead", "cr\r"] {
        assert_eq!(file.set_value("a", "k", raw), Err(EditError::Value), "{raw:?}");
    }
    assert_eq!(file.set_string("a", "k", "\0"), Err(EditError::Value));
    for key in [
        "", "a=b", "a[", " a", "a ", "#a", "[x]", "a\nb", "a\0", "a[b c]", "a=\n", "a=\0", "a\t",
    ] {
        assert_eq!(file.set_value("a", key, "v"), Err(EditError::KeyName), "{key:?}");
    }
    for group in ["", "a]", "[", "a\nb", "a\x7f", "a]\n", "a]\n[b", "a]\0", "a\0"] {
        assert_eq!(file.set_value(group, "k", "v"), Err(EditError::GroupName), "{group:?}");
    }
    assert!(matches!(
        file.set_value("a", "Encoding", "latin1"),
        Err(EditError::File(_))
    ));
    let mut full = KeyFile::parse_with(b"[g]\na=1\n", &Limits::default().with_keys(1)).unwrap();
    assert!(matches!(full.set_value("g", "b", "1"), Err(EditError::File(_))));
    assert_eq!(file.as_bytes(), FILE);
}

proptest! {
    #[test]
    fn an_edit_changes_its_key_and_nothing_else(
        input in r"(\[[ab]\]\r?\n|[abc]( ?)=[ a-z;\\]{0,5}\r?\n|# .{0,3}\n|\n){0,12}",
        group in "[abc]", key in "[abcd]", value in r"[ \t\r\n\\;=#\[\]a-zé]{0,8}",
    ) {
        let Ok(mut file) = KeyFile::parse(input.as_bytes()) else { return Ok(()) };
        let before = KeyFile::parse(input.as_bytes()).unwrap();
        file.set_string(&group, &key, &value).unwrap();
        prop_assert_eq!(file.get(&group, &key).unwrap().string().unwrap(), value);
        for g in before.groups() {
            for k in before.keys(g).filter(|k| (g, *k) != (group.as_bytes(), key.as_bytes())) {
                prop_assert_eq!(before.get(g, k).map(|v| v.raw()), file.get(g, k).map(|v| v.raw()));
            }
        }
        let was_there = before.get(&group, &key).is_some();
        if !was_there && before.has_group(&group) {
            prop_assert!(file.remove_key(&group, &key).unwrap());
            prop_assert_eq!(file.as_bytes(), input.as_bytes());
        } else {
            // Comments stay where they are.
            let comments = |file: &KeyFile| file.lines().filter(|line| line.starts_with(b"#")).map(<[u8]>::to_vec).collect::<Vec<_>>();
            prop_assert_eq!(comments(&before), comments(&file));
        }
        let again = KeyFile::parse(file.as_bytes()).unwrap();
        prop_assert_eq!(again.as_bytes(), file.as_bytes());
    }
}
