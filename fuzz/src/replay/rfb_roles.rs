//! Every seed and every regression of the RFB roles, and what the seeds reach.

use std::collections::BTreeSet;

fn replay(target: &str, stages: fn(&[u8]) -> BTreeSet<String>) -> (usize, BTreeSet<String>) {
    let (mut count, mut reached) = (0, BTreeSet::new());
    for folder in ["seeds", "regressions"] {
        count += crate::each_case(folder, target, |case| reached.extend(stages(case)));
    }
    println!("{target}: {count} cases reach {reached:?}");
    (count, reached)
}

fn all(stages: &[&str]) -> BTreeSet<String> {
    stages.iter().map(|&stage| stage.to_owned()).collect()
}

#[test]
fn rfb_client() {
    let (count, reached) = replay("rfb_client", crate::rfb_roles::client_stages);
    assert!(20 <= count);
    let expected = [
        "Answer",
        "Ended",
        "Reason",
        "RsaAes",
        "Sasl",
        "SecurityResult",
        "SecurityTypes",
        "ServerInit",
        "Tight",
        "Tls",
        "VeNCrypt",
        "Version",
        "Vnc",
    ];
    assert_eq!(reached, all(&expected));
}

#[test]
fn rfb_server() {
    let (count, reached) = replay("rfb_server", crate::rfb_roles::server_stages);
    assert!(20 <= count);
    let expected = [
        "Answer",
        "ClientInit",
        "Credentials",
        "Ended",
        "Sasl",
        "SecurityChoice",
        "Tight",
        "Tls",
        "VeNCrypt",
        "Version",
        "Vnc",
    ];
    assert_eq!(reached, all(&expected));
}
