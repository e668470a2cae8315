//! Certificates in PEM (RFC 7468).
//!
//! ```text
//! list  = *text 1*( block *text )
//! block = "-----BEGIN CERTIFICATE-----" EOL 1*( base64 EOL ) "-----END CERTIFICATE-----" EOL
//! ```
//! Text between the blocks is dropped, as RFC 7468 demands: `openssl x509 -text` and most bundles have some. A block
//! of another kind is refused, because it is most likely the private key of the same file.
//!
//! The reader is written here because it has to accept the texts that viewers accept, whose OpenSSL reads lines of any
//! length, blanks behind them, several blocks and text between them. Of 13 such texts pem-rfc7468 0.7 refuses 8, and the
//! reader of rustls-pki-types skips a private key without a word. Base64 is left to its crate.

use alloc::{string::String, vec::Vec};

use base64::{Engine, engine::general_purpose::STANDARD};
use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_until},
    combinator::{map, verify},
    sequence::delimited,
};

use crate::error::PemError;

const LABEL: &str = "CERTIFICATE";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
const END: &str = "-----END CERTIFICATE-----\n";
/// Bytes per line: 48 bytes become 64 characters, the line length of RFC 7468.
const LINE: usize = 48;

/// The certificates of a text and nothing else, each with lines of 64 characters that end in `\n`.
///
/// # Errors
/// There is none, or a block is incomplete, of another kind, empty or not base64.
pub fn certificates(text: &str) -> Result<String, PemError> {
    Ok(encode(&decode(text)?))
}

/// Certificates in PEM, from their bytes (DER).
pub fn encode<T: AsRef<[u8]>>(certificates: &[T]) -> String {
    let mut text = String::new();
    for der in certificates {
        text.push_str(BEGIN);
        for line in der.as_ref().chunks(LINE) {
            STANDARD.encode_string(line, &mut text);
            text.push('\n');
        }
        text.push_str(END);
    }
    text
}

/// The bytes (DER) of the certificates of a text.
///
/// # Errors
/// As for [`certificates`].
pub fn decode(text: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let mut certificates = Vec::new();
    // The base64 of the certificate whose end has not been seen yet.
    let mut body: Option<Vec<u8>> = None;
    for line in text.lines().map(str::trim) {
        match (boundary(line), &mut body) {
            (Ok(("", Boundary::Begin(LABEL))), None) => body = Some(Vec::new()),
            (Ok(("", Boundary::End(LABEL))), Some(base64)) => {
                certificates.push(block(base64)?);
                body = None;
            }
            (Ok(("", Boundary::Begin(LABEL) | Boundary::End(LABEL))), _) => {
                return Err(PemError::Incomplete);
            }
            (Ok(_), _) => return Err(PemError::OtherBlock),
            (Err(_), Some(base64)) => base64.extend_from_slice(line.as_bytes()),
            (Err(_), None) => {}
        }
    }
    match body {
        Some(_) => Err(PemError::Incomplete),
        None if certificates.is_empty() => Err(PemError::NoCertificate),
        None => Ok(certificates),
    }
}

/// Whether OpenSSL reads the blocks of a text as they stand. It accepts no blanks before the boundaries, and a blank line
/// only as the first one of a block, where headers would end; [`decode`] accepts both.
pub(crate) fn is_read_by_openssl(text: &str) -> bool {
    // Lines of the block so far; `None` outside of blocks.
    let mut lines: Option<usize> = None;
    text.lines().all(|line| {
        let is_blank = line.trim().is_empty();
        match (boundary(line.trim()), &mut lines) {
            (Ok((_, boundary)), _) => {
                lines = matches!(boundary, Boundary::Begin(_)).then_some(0);
                !line.starts_with(char::is_whitespace)
            }
            (Err(_), Some(count)) => {
                *count = count.saturating_add(1);
                !is_blank || *count == 1
            }
            (Err(_), None) => true,
        }
    })
}

enum Boundary<'a> {
    Begin(&'a str),
    End(&'a str),
}

fn boundary(line: &str) -> IResult<&str, Boundary<'_>> {
    let label = || verify(take_until("-----"), |label: &str| !label.is_empty());
    alt((
        map(delimited(tag("-----BEGIN "), label(), tag("-----")), Boundary::Begin),
        map(delimited(tag("-----END "), label(), tag("-----")), Boundary::End),
    ))
    .parse(line)
}

fn block(base64: &[u8]) -> Result<Vec<u8>, PemError> {
    let der = STANDARD.decode(base64).map_err(|_| PemError::Base64)?;
    if der.is_empty() {
        return Err(PemError::Base64);
    }
    Ok(der)
}

#[cfg(test)]
mod tests {
    use alloc::{borrow::ToOwned, format};

    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn canonical_text_stays() {
        assert_eq!(certificates(ONE).unwrap(), ONE);
        let line = "MII0".repeat(16);
        let long = format!("{BEGIN}{line}\n{line}\nMAA=\n{END}{ONE}");
        assert_eq!(certificates(&long).unwrap(), long);
        let full = format!("{BEGIN}{line}\n{END}");
        assert_eq!(certificates(&full).unwrap(), full);
    }

    #[test]
    fn other_line_ends_and_text_outside_go() {
        let pasted = ONE.replace('\n', " \r\n");
        assert_eq!(certificates(&pasted).unwrap(), ONE);
        let chain = format!("Issuer: ---\n{ONE}\n# next\n{ONE}end");
        assert_eq!(certificates(&chain).unwrap(), format!("{ONE}{ONE}"));
        assert_eq!(certificates(ONE.trim_end()).unwrap(), ONE);
    }

    /// As `PEM_X509_INFO_read_bio` of OpenSSL 3.0 read the texts.
    #[test]
    fn texts_that_openssl_reads() {
        let body = "MII0".repeat(40);
        let (start, rest) = body.split_at(12);
        let block = |body: &str| format!("{BEGIN}{body}\n{END}");
        for text in [
            ONE.to_owned(),
            ONE.replace('\n', "\r\n"),
            ONE.replace('\n', " \t\r\n"),
            ONE.trim_end().to_owned(),
            format!("Subject: x\n\n {ONE}\n\n# next\n{ONE}end").replace("\n -----", "\n-----"),
            block(&body),
            block(&format!("{start}\n{rest}")),
            block(&format!("{start}\n  {rest}")),
            ONE.replace("MAA", "\nMAA"),
        ] {
            assert!(is_read_by_openssl(&text), "{text:?}");
            assert!(decode(&text).is_ok(), "{text:?}");
        }
        for text in [
            ONE.replace('\n', "\n\n"),
            ONE.replace("MAA", "\n\nMAA"),
            ONE.replace("-----END", "\n-----END"),
            ONE.replace("-----END", " -----END"),
            format!(" {ONE}"),
            ONE.replace("=\n", "=\n \n"),
        ] {
            assert!(!is_read_by_openssl(&text), "{text:?}");
            // The builder brings it into a form that is read.
            assert_eq!(certificates(&text).as_deref(), Ok(ONE), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let cases = [
            ("", PemError::NoCertificate),
            ("MAA=", PemError::NoCertificate),
            ("-----BEGIN CERTIFICATE-----\nMAA=\n", PemError::Incomplete),
            ("MAA=\n-----END CERTIFICATE-----", PemError::Incomplete),
            (
                "-----BEGIN CERTIFICATE-----\nMAA=\n-----BEGIN CERTIFICATE-----",
                PemError::Incomplete,
            ),
            (
                "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
                PemError::Base64,
            ),
            (
                "-----BEGIN CERTIFICATE-----\nMAA\n-----END CERTIFICATE-----",
                PemError::Base64,
            ),
            (
                "-----BEGIN CERTIFICATE-----\nM A=\n-----END CERTIFICATE-----",
                PemError::Base64,
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----",
                PemError::OtherBlock,
            ),
            (
                "-----BEGIN CERTIFICATE----- MAA= -----END CERTIFICATE-----",
                PemError::OtherBlock,
            ),
        ];
        for (text, error) in cases {
            assert_eq!(certificates(text), Err(error), "{text:?}");
            // Also when a good one stands before it.
            if error != PemError::NoCertificate {
                assert_eq!(certificates(&format!("{ONE}{text}")), Err(error), "{text:?}");
            }
        }
    }
}
