//! Notes: compare and set, names and values at their edges, lists, ends.

use core::num::NonZeroU32;

use console_token::{Note, NoteChange, Store, StoreError, UnixSeconds};
use futures_util::future::join_all;

use super::Fresh;

const ALL: NonZeroU32 = NonZeroU32::MAX;

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds(seconds)
}

async fn value(store: &dyn Store, name: &str, now: u64) -> Option<Vec<u8>> {
    let note = store.note(name, at(now)).await.unwrap();
    note.map(|note| note.value.clone())
}

pub(super) async fn notes(store: &dyn Store, fresh: &mut Fresh) {
    let name = fresh.name();
    let set = async |now, change| store.set_note(&name, at(now), change).await.unwrap();
    let version = async |now| store.note(&name, at(now)).await.unwrap().map(|note| note.version);
    let write = |value: &'static [u8]| NoteChange::write(value, at(100));

    assert_eq!(value(store, &name, 0).await, None);
    assert!(!set(0, write(b"x").expecting(1)).await, "there is none");
    assert!(!set(0, NoteChange::remove().expecting(1)).await);
    assert!(set(0, NoteChange::remove().expecting(0)).await);
    assert!(set(0, NoteChange::remove()).await);
    assert!(set(0, write(b"one").expecting(0)).await);
    assert!(!set(0, write(b"two").expecting(0)).await);
    assert!(!set(0, NoteChange::remove().expecting(0)).await);
    let note = store.note(&name, at(99)).await.unwrap().unwrap();
    assert_eq!((&note.value[..], note.until), (&b"one"[..], at(100)));
    assert_ne!(note.version, 0);
    let first = note.version;
    assert!(set(0, write(b"two").expecting(first)).await);
    assert!(
        !set(0, write(b"three").expecting(first)).await,
        "the version is another"
    );
    assert!(!set(0, NoteChange::remove().expecting(first)).await);
    assert_eq!(value(store, &name, 99).await.unwrap(), b"two");
    assert!(set(0, write(b"")).await, "whatever is there");
    assert_eq!(value(store, &name, 99).await.unwrap(), b"");
    let second = version(0).await.unwrap();
    assert_ne!(second, first);

    // Removed and written again, it is another note.
    assert!(set(0, NoteChange::remove().expecting(second)).await);
    assert_eq!(value(store, &name, 0).await, None);
    assert!(set(0, write(b"new").expecting(0)).await);
    for old in [first, second] {
        assert_ne!(version(0).await, Some(old));
        assert!(!set(0, write(b"late").expecting(old)).await);
    }

    // Over, it is not there, swept or not; and a sweep leaves what is not over.
    let third = version(99).await.unwrap();
    assert_eq!(value(store, &name, 100).await, None);
    assert!(!set(100, write(b"x").expecting(third)).await);
    assert!(!set(100, NoteChange::remove().expecting(third)).await);
    store.sweep(at(99), ALL).await.unwrap();
    assert_eq!(version(99).await, Some(third));
    assert!(set(100, NoteChange::write(b"after", at(200)).expecting(0)).await);
    assert_eq!(value(store, &name, 199).await.unwrap(), b"after");
    store.sweep(at(200), ALL).await.unwrap();
    assert_eq!(value(store, &name, 150).await, None, "it was swept");
    assert!(set(300, NoteChange::write(b"over", at(300))).await);
    assert_eq!(value(store, &name, 300).await, None);

    // A late moment is one.
    assert!(set(1 << 40, NoteChange::write(b"far", at(u64::MAX))).await);
    assert_eq!(value(store, &name, 1 << 50).await.unwrap(), b"far");
    assert!(set(0, NoteChange::remove()).await);

    // Edges of names and values.
    let any: Vec<u8> = (0..=255).collect();
    let most = vec![0xa5; Note::VALUE_MAX];
    let stem = fresh.name();
    let long = format!("{stem}{}", "n".repeat(Note::NAME_MAX - stem.len()));
    let odd = format!("{stem}'\0\u{1f5a5} \"\\{{}}%_*?[:,\n");
    for (name, value) in [(&long, &most), (&odd, &any), (&odd, &Vec::new())] {
        assert!(
            store
                .set_note(name, at(0), NoteChange::write(value, at(1)))
                .await
                .unwrap()
        );
        assert_eq!(store.note(name, at(0)).await.unwrap().unwrap().value, *value);
        assert_eq!(store.notes(name, at(0)).await.unwrap()[0].0.as_ref(), name);
    }
    let too_long = format!("{long}n");
    let one_more = vec![0; Note::VALUE_MAX + 1];
    for (name, value) in [(&too_long, &any), (&long, &one_more)] {
        let refused = store.set_note(name, at(0), NoteChange::write(value, at(1))).await;
        assert!(matches!(refused, Err(StoreError::NoteTooLong)), "{refused:?}");
    }
    assert_eq!(value(store, &too_long, 0).await, None);
    assert_eq!(value(store, &long, 0).await.unwrap(), most);
    store.sweep(at(1), ALL).await.unwrap();

    // Of many at once one is the first, and each later round has one winner.
    let name = fresh.name();
    let mut expected = 0;
    for round in 0..5_u64 {
        let values: Vec<[u8; 2]> = (0..16).map(|number| [round.to_le_bytes()[0], number]).collect();
        let writes = values
            .iter()
            .map(|value| store.set_note(&name, at(0), NoteChange::write(value, at(9)).expecting(expected)));
        let won: Vec<bool> = join_all(writes).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{round}");
        let winner = won.iter().position(|won| *won).unwrap();
        let note = store.note(&name, at(0)).await.unwrap().unwrap();
        assert_eq!(note.value, values[winner]);
        assert_ne!(note.version, expected);
        expected = note.version;
    }
    let removals = (0..8).map(|_| store.set_note(&name, at(0), NoteChange::remove().expecting(expected)));
    let removed = join_all(removals).await;
    assert_eq!(removed.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
}

/// More than one page of any engine, beside others whose names begin alike.
pub(super) async fn many_notes(store: &dyn Store, fresh: &mut Fresh) {
    let stem = fresh.name();
    let (stem, beside) = (format!("{stem}/"), format!("{stem}0"));
    // Every third is over soon.
    for number in 0..250_u16 {
        let (name, until) = (
            format!("{stem}{:03}", number ^ 0x55),
            at(10 + 10 * u64::from(number % 3)),
        );
        let value = number.to_le_bytes();
        assert!(
            store
                .set_note(&name, at(0), NoteChange::write(&value, until))
                .await
                .unwrap()
        );
    }
    assert!(
        store
            .set_note(&beside, at(0), NoteChange::write(b"beside", at(99)))
            .await
            .unwrap()
    );
    for name in ["\u{e9}", "\u{1f5a5}", "Z", "a", "_"] {
        let name = format!("{stem}{name}");
        assert!(
            store
                .set_note(&name, at(0), NoteChange::write(b"", at(99)))
                .await
                .unwrap()
        );
    }
    let names = async |now| -> Vec<String> {
        let notes = store.notes(&stem, at(now)).await.unwrap();
        notes.into_iter().map(|(name, _)| name.into()).collect()
    };
    let all = names(9).await;
    assert_eq!(all.len(), 255);
    assert!(
        all.is_sorted_by(|one, next| one.as_bytes() < next.as_bytes()),
        "{all:?}"
    );
    assert_eq!(
        (names(10).await.len(), names(20).await.len(), names(30).await.len()),
        (171, 88, 5)
    );
    for (name, note) in store.notes(&stem, at(0)).await.unwrap() {
        let alone = store.note(&name, at(0)).await.unwrap().unwrap();
        assert_eq!(note, alone);
    }
    store.sweep(at(20), NonZeroU32::new(10_000).unwrap()).await.unwrap();
    assert_eq!(names(0).await.len(), 88);
    store.sweep(at(99), NonZeroU32::new(10_000).unwrap()).await.unwrap();
    assert_eq!(names(0).await.len(), 0);
    let shown = format!(
        "{:?} {:?}",
        NoteChange::write(b"secret", at(9)),
        Note {
            value: b"secret".to_vec(),
            version: 7,
            until: at(9),
        }
    );
    assert!(
        !shown.contains("secret") && !shown.contains("115") && shown.contains("len: 6"),
        "{shown}"
    );
}
