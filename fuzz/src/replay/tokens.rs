//! Every seed and every regression of the tokens' texts, and that the seeds reach every form of them.

use std::collections::BTreeSet;

/// Runs all inputs of a target. Those of its seeds must reach all of these, and no more.
fn replay(target: &str, check: fn(&[u8]) -> Option<&'static str>, forms: &[&'static str]) {
    let mut reached = BTreeSet::new();
    crate::each_case("regressions", target, |case| {
        check(case);
    });
    crate::each_case("seeds", target, |case| reached.extend(check(case)));
    assert_eq!(reached, forms.iter().copied().collect());
}

#[test]
fn token_signed() {
    let forms = [
        "claims: accepted",
        "claims: refused",
        "signed: audience",
        "signed: expired",
        "signed: header",
        "signed: issuer",
        "signed: kerbside",
        "signed: not yet valid",
        "signed: other claims",
        "signed: other id",
        "signed: other target",
        "signed: too long",
        "signed: websockify",
        "text: accepted",
        "text: algorithm",
        "text: claims",
        "text: extension",
        "text: header",
        "text: signature",
        "text: unknown key",
    ];
    replay("token_signed", crate::token_signed::check, &forms);
}

#[test]
fn token_json() {
    let forms = [
        "kubevirt: answer",
        "libvirt: answer",
        "libvirt: in the file",
        "libvirt: not in the file",
        "libvirt: refused",
        "nova: TLS",
        "nova: action",
        "nova: created",
        "nova: fault",
        "nova: internal",
        "nova: no target",
        "nova: refused",
        "nova: request",
        "nova: shown",
        "websockify: JSON",
        "websockify: Redis",
        "websockify: host",
        "websockify: no target",
        "websockify: other token",
        "websockify: socket",
        "websockify: source",
    ];
    replay("token_json", crate::token_json::check, &forms);
}

#[test]
fn token_web() {
    let forms = [
        "CONNECT: content",
        "CONNECT: host token",
        "CONNECT: malformed",
        "CONNECT: method",
        "CONNECT: not whole",
        "CONNECT: target",
        "CONNECT: token",
        "CONNECT: too long",
        "address: IPv4",
        "address: IPv6",
        "address: special IPv4",
        "address: special IPv6",
        "client: proxy",
        "client: told",
        "host: IPv4",
        "host: IPv6",
        "host: name",
        "host: name and port",
        "network",
        "origin: foreign",
        "origin: forwarded",
        "origin: malformed",
        "origin: no host",
        "origin: opaque",
        "origin: own",
        "place: basic",
        "place: bearer",
        "place: cookie",
        "place: host",
        "place: query",
        "place: sub-protocol",
        "redacted",
        "written: cookie",
        "written: header",
        "written: host",
        "written: not carried",
        "written: password",
        "written: proxy's header",
        "written: query",
        "written: sub-protocol",
    ];
    replay("token_web", crate::token_web::check, &forms);
}
