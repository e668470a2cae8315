//! Every seed and every regression of the RFB roles, and what the seeds reach.

use std::collections::BTreeSet;
use std::path::Path;

fn replay(target: &str, stages: fn(&[u8]) -> BTreeSet<String>) -> (usize, BTreeSet<String>) {
    let (mut count, mut reached) = (0, BTreeSet::new());
    for folder in ["seeds", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
        // A target without findings has no folder of regressions.
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            reached.extend(stages(&std::fs::read(path).unwrap()));
            count += 1;
        }
    }
    println!("{target}: {count} inputs reach {reached:?}");
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
