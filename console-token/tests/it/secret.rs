//! Secrets, hashes, and what can be seen of them.

use console_token::{
    AccessPath, AccessUrl, ConsolePassword, Grant, NovaHash, Pepper, Peppers, Record, Refusal, Secret, TokenHash,
};
use proptest::prelude::*;
use zeroize::ZeroizeOnDrop;

use crate::{attempt, context, spice};

/// Expected texts by Python: `base64.urlsafe_b64encode` without `=`.
#[test]
fn base64url_vectors() {
    let random: [u8; 32] = core::array::from_fn(|index| 0xe0 + u8::try_from(index).unwrap());
    assert_eq!(
        Secret::base64url(&random).expose(),
        "4OHi4-Tl5ufo6err7O3u7_Dx8vP09fb3-Pn6-_z9_v8"
    );
    assert_eq!(Secret::base64url(&[0; 32]).expose(), "A".repeat(43));
}

/// Expected texts by Python: `uuid.UUID(bytes=.., version=4)`.
#[test]
fn uuid4_vectors() {
    let counting: [u8; 16] = core::array::from_fn(|index| u8::try_from(index).unwrap());
    for (random, text) in [
        ([0; 16], "00000000-0000-4000-8000-000000000000"),
        ([0xff; 16], "ffffffff-ffff-4fff-bfff-ffffffffffff"),
        (counting, "00010203-0405-4607-8809-0a0b0c0d0e0f"),
    ] {
        assert_eq!(Secret::uuid4(&random).expose(), text);
    }
}

/// Expected hashes by Python: `hmac.new(key, token, hashlib.sha256)`. The lengths are the
/// shortest key, one that fills the block of the hash, and two that have to be hashed first.
#[test]
fn hmac_vectors() {
    let token = Secret::presented(b"00010203-0405-4607-8809-0a0b0c0d0e0f").unwrap();
    for (len, expected) in [
        (32, "1b5496468875a84fc59af988321914437bf745a9f89020bff5d2c1375054464e"),
        (64, "190284d64e68e165ede0addc091eeb4fd02856ff49281dbe863df0e2a9b47b9d"),
        (65, "83b1e13cbe44267df59c04c7bbfe011a9a467a14706001410bef9ef620f970b6"),
        (131, "8c2a06c6d8d49d1e5dbaa5f403467c48ff5dc9adad1939543f6b62055f08a979"),
    ] {
        let hash = Pepper::new(&vec![0xaa; len]).unwrap().hash(&token);
        let hex: String = base16ct::lower::encode_string(hash.as_bytes());
        assert_eq!(hex, expected, "key of {len} bytes");
        assert_eq!(hash.fingerprint().to_string(), expected[..16]);
        assert_eq!(hash.fingerprint().as_bytes(), &hash.as_bytes()[..8]);
        assert_eq!(format!("{hash:?}"), format!("TokenHash({}..)", &expected[..16]));
    }
}

/// Expected hashes by Python: `hashlib.sha256(token.encode()).hexdigest()`, which is Nova's `get_sha256_str`.
#[test]
fn nova_hash_vectors() {
    for (token, expected) in [
        (
            "00010203-0405-4607-8809-0a0b0c0d0e0f",
            "417250359ae1ab3ab55ce121b21fdf5ef1efa78faf1cd63f97305e4134baaf24",
        ),
        (
            "4OHi4-Tl5ufo6err7O3u7_Dx8vP09fb3-Pn6-_z9_v8",
            "d90bad97384181273203dd0f8cc30e16a817bef7a51b026eb6bf0a7fcba3312a",
        ),
    ] {
        let hash = Secret::presented(token.as_bytes()).unwrap().nova_hash();
        assert_eq!(hash.to_hex(), expected);
        assert_eq!(NovaHash::from_hex(expected), Some(hash));
        assert_eq!(format!("{hash:?}"), "NovaHash(redacted)");
        let mut other = expected.to_owned();
        other.replace_range(63.., "z");
        for text in [
            &expected[..63],
            &expected.to_uppercase(),
            &other,
            "",
            &format!("{expected}0"),
        ] {
            assert_eq!(NovaHash::from_hex(text), None, "{text}");
        }
        for index in 0..64 {
            let mut other = expected.to_owned();
            let digit = if expected[index..].starts_with('0') { "1" } else { "0" };
            other.replace_range(index..=index, digit);
            assert_ne!(NovaHash::from_hex(&other), Some(hash), "digit {index}");
        }
    }
}

/// Where a token may travel as a password. Nothing that is made here fits VNC.
#[test]
fn fits() {
    for token in [Secret::uuid4(&[7; 16]), Secret::base64url(&[7; 32])] {
        assert!(token.fits_spice_password());
        assert!(!token.fits_vnc_password());
    }
    for len in 1..=Secret::MAX_LEN {
        let token = Secret::presented(&vec![b'x'; len]).unwrap();
        assert_eq!(token.fits_spice_password(), len <= 60, "{len}");
        assert_eq!(token.fits_vnc_password(), len <= 8, "{len}");
    }
}

/// A token of before a rotation is found until the pepper is retired; what is new is under the new one.
#[test]
fn peppers_rotate() {
    let pepper = |n: u8| Pepper::new(&[n; 32]).unwrap();
    let token = Secret::base64url(&[0x5a; 32]);
    let hash = |n| pepper(n).hash(&token);
    let found = |peppers: &Peppers| peppers.hashes(&token).collect::<Vec<_>>();

    let mut peppers = Peppers::new(pepper(1));
    assert_eq!((peppers.hash(&token), found(&peppers)), (hash(1), vec![hash(1)]));
    peppers.rotate(pepper(2));
    peppers.rotate(pepper(3));
    assert_eq!(peppers.hash(&token), hash(3));
    assert_eq!(found(&peppers), [hash(3), hash(2), hash(1)]);
    assert_eq!(peppers.count(), 3);

    // As another gateway has them, from its configuration.
    let configured = Peppers::new(pepper(3))
        .with_previous(pepper(2))
        .with_previous(pepper(1));
    assert_eq!(found(&configured), found(&peppers));

    peppers.retire(5);
    assert_eq!(peppers.count(), 3);
    peppers.retire(1);
    assert_eq!(found(&peppers), [hash(3), hash(2)]);
    peppers.retire(0);
    assert_eq!(found(&peppers), [hash(3)]);
}

#[test]
fn pepper_length() {
    for len in [0, 1, 31] {
        assert_eq!(Pepper::new(&vec![1; len]).unwrap_err().len, len);
    }
    assert!(Pepper::new(&[1; Pepper::MIN_LEN]).is_ok());
}

#[test]
fn presented_length_and_bytes() {
    assert_eq!(Secret::presented(b""), Err(Refusal::Malformed));
    assert!(Secret::presented(&[b'x'; Secret::MAX_LEN]).is_ok());
    assert_eq!(Secret::presented(&[b'x'; Secret::MAX_LEN + 1]), Err(Refusal::Malformed));
    for byte in 0..=u8::MAX {
        let expected = (0x21..=0x7e).contains(&byte);
        assert_eq!(Secret::presented(&[b'x', byte, b'x']).is_ok(), expected, "{byte:#04x}");
        assert_eq!(Secret::presented(&[byte]).is_ok(), expected, "{byte:#04x}");
    }
    assert_eq!(Secret::presented("tökén".as_bytes()), Err(Refusal::Malformed));
}

#[test]
fn equality_looks_at_every_byte() {
    let text = [b'a'; 43];
    let secret = Secret::presented(&text).unwrap();
    assert_eq!(secret, Secret::presented(&text).unwrap());
    assert_ne!(secret, Secret::presented(&text[..42]).unwrap());
    for index in 0..text.len() {
        let mut other = text;
        other[index] = b'b';
        assert_ne!(secret, Secret::presented(&other).unwrap(), "byte {index}");
    }

    let hash = TokenHash::from_bytes([7; 32]);
    assert_eq!(hash, TokenHash::from_bytes([7; 32]));
    for bit in 0..256 {
        let mut other = [7; 32];
        other[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(hash, TokenHash::from_bytes(other), "bit {bit}");
    }
}

/// Compiles only while neither secret can be cloned, copied or printed, and both are wiped.
#[test]
fn secrets_cannot_be_copied() {
    /// Has one method for every type and a second one for types with the trait: naming it is
    /// ambiguous, which is an error, as soon as the type has the trait.
    macro_rules! assert_lacks {
        ($type:ty: $($trait:tt)+) => {{
            trait Lacks<Marker> {
                fn check() {}
            }
            impl<T: ?Sized> Lacks<()> for T {}
            impl<T: ?Sized + $($trait)+> Lacks<u8> for T {}
            <$type as Lacks<_>>::check();
        }};
    }
    assert_lacks!(Secret: Clone);
    assert_lacks!(Secret: core::fmt::Display);
    assert_lacks!(Secret: AsRef<str>);
    assert_lacks!(Secret: core::ops::Deref);
    assert_lacks!(Pepper: Clone);
    assert_lacks!(Pepper: core::fmt::Display);
    assert_lacks!(AccessUrl: Clone);
    assert_lacks!(AccessUrl: core::fmt::Display);
    assert_lacks!(ConsolePassword: Clone);
    assert_lacks!(ConsolePassword: core::fmt::Display);
    assert_lacks!(AccessPath: core::fmt::Display);
    assert_lacks!(TokenHash: Ord);
    assert_lacks!(TokenHash: core::fmt::Display);

    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Secret>();
    wiped::<AccessPath>();
    wiped::<AccessUrl>();
    wiped::<ConsolePassword>();
    wiped::<Pepper>();
}

#[test]
fn debug_shows_no_secret() {
    let random = [0x5a; 32];
    let key = *b"the pepper of this deployment 0123456789";
    let token = Secret::base64url(&random);
    let pepper = Pepper::new(&key).unwrap();
    let hash = pepper.hash(&token);

    let mut record = Record::new(spice());
    let refused = record.redeem(&context(1000), attempt()).unwrap_err();
    let session = record.claim(&context(1000), attempt()).unwrap();
    let grant: &Grant = record.grant();

    let mut shown = String::new();
    macro_rules! show {
        ($($value:expr),+ $(,)?) => { $( shown += &format!("{0:?} {0:#?}\n", $value); )+ };
    }
    show!(token, pepper, hash, hash.fingerprint(), record, grant, session, refused);
    show!(
        Secret::uuid4(&[0x5a; 16]),
        Secret::presented(b"hunter2"),
        Secret::presented(b"hunter 2")
    );
    show!(Pepper::new(b"hunter2").unwrap_err(), context(1000));
    show!(
        grant.target,
        grant.console,
        grant.console.protocol(),
        grant.uses,
        grant.scope
    );
    shown += &format!("{} {refused}", hash.fingerprint());

    let whole_hash: String = base16ct::lower::encode_string(hash.as_bytes());
    for hidden in [
        token.expose(),
        &token.expose()[..8],
        "5a5a",
        "90, 90",
        "hunter",
        "the pepper",
        "116, 104, 101",
        &whole_hash[..17],
    ] {
        assert!(!shown.contains(hidden), "{hidden} in:\n{shown}");
    }
    assert!(shown.contains("Secret(redacted)") && shown.contains("Pepper(redacted)"));
}

proptest! {
    #[test]
    fn minted_can_be_presented(random: [u8; 32]) {
        let half = core::array::from_fn(|index| random[index]);
        for (token, len) in [(Secret::base64url(&random), 43), (Secret::uuid4(&half), 36)] {
            prop_assert_eq!(token.expose().len(), len);
            prop_assert_eq!(Secret::presented(token.expose().as_bytes()), Ok(token));
        }
    }

    #[test]
    fn uuid4_keeps_122_bits(random: [u8; 16]) {
        let token = Secret::uuid4(&random);
        let digits: String = token.expose().split('-').collect();
        let mut value = u128::from_str_radix(&digits, 16).unwrap();
        let fixed = 0xf << 76 | 0b11 << 62;
        prop_assert_eq!(value & fixed, 0x4 << 76 | 0b10 << 62);
        value ^= u128::from_be_bytes(random);
        prop_assert_eq!(value & !fixed, 0);
        prop_assert_eq!(token.expose().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }

    #[test]
    fn any_bytes_may_be_presented(bytes: Vec<u8>) {
        if let Ok(token) = Secret::presented(&bytes) {
            prop_assert_eq!(token.expose().as_bytes(), &bytes[..]);
        }
    }

    #[test]
    fn another_pepper_gives_another_hash(random: [u8; 32], one: [u8; 32], other: [u8; 32]) {
        let token = Secret::base64url(&random);
        let [one_hash, other_hash] = [one, other].map(|key| Pepper::new(&key).unwrap().hash(&token));
        prop_assert_eq!(one_hash == other_hash, one == other);
    }
}
