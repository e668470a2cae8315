//! All programs, as their command lines are seen from outside: help, wrong arguments, completions, man pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Each program, and whether it needs arguments.
const PROGRAMS: [(&str, &str); 10] = [
    ("console-gateway", env!("CARGO_BIN_EXE_console-gateway")),
    ("rfb-dissect", env!("CARGO_BIN_EXE_rfb-dissect")),
    ("spice-dissect", env!("CARGO_BIN_EXE_spice-dissect")),
    ("spice-picture", env!("CARGO_BIN_EXE_spice-picture")),
    ("spice-probe", env!("CARGO_BIN_EXE_spice-probe")),
    ("token", env!("CARGO_BIN_EXE_token")),
    ("vnc-bridge", env!("CARGO_BIN_EXE_vnc-bridge")),
    ("vnc-picture", env!("CARGO_BIN_EXE_vnc-picture")),
    ("vnc-screenshot", env!("CARGO_BIN_EXE_vnc-screenshot")),
    ("vv", env!("CARGO_BIN_EXE_vv")),
];

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn these_are_all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, PROGRAMS.map(|(name, _)| name));
    for (name, _) in PROGRAMS {
        let starts = [
            format!("| `{name}` |"),
            format!("| [`{name}`](src/bin/{name}/README.md) |"),
        ];
        let row = readme()
            .lines()
            .find(|line| starts.iter().any(|start| line.starts_with(start)))
            .map(ToOwned::to_owned);
        let row = row.unwrap_or_else(|| panic!("{name} has no line in README.md"));
        let command = row.rsplit('`').nth(1).unwrap();
        assert!(command.contains(&format!("{name} ")), "no command of {name}: {row}");
        if row.contains("README.md") {
            let page = format!("src/bin/{name}/README.md");
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&page).exists(), "{page}");
        }
    }
}

#[test]
fn help_names_the_program_its_use_and_an_example() {
    for (name, program) in PROGRAMS {
        for option in ["-h", "--help"] {
            let output = run(program, &[option]);
            let help = text(&output.stdout);
            assert!(output.status.success() && output.stderr.is_empty(), "{name}");
            assert!(help.contains(&format!("Usage: {name} ")), "{help}");
            let long = help.lines().find(|line| 120 < line.chars().count());
            assert_eq!(long, None, "{name} {option}");
        }
        let help = text(&run(program, &["--help"]).stdout);
        let (_, examples) = help.split_once("Example").unwrap_or_default();
        assert!(examples.contains(&format!("{name} ")), "{help}");
        let version = text(&run(program, &["--version"]).stdout);
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// Exit status 2, nothing on standard output, and what is wrong with how it is used on standard error.
#[test]
fn wrong_arguments_are_told() {
    for (name, program) in PROGRAMS {
        let output = run(program, &["--no-such-option"]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{name}");
        assert!(said.contains("--no-such-option") && said.contains("--help"), "{said}");
        let output = run(program, &[]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{name}");
        assert!(said.contains("Usage: ") && said.contains(name), "{said}");
    }
}

#[test]
fn completions_for_each_shell() {
    for (name, program) in PROGRAMS {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let output = run(program, &["--completions", shell]);
            assert!(output.status.success() && output.stderr.is_empty(), "{name} {shell}");
            let script = text(&output.stdout);
            assert!(script.contains(name) && script.contains("version"), "{name} {shell}");
        }
        let output = run(program, &["--completions", "cmd"]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_eq!(
            text(&output.stderr),
            "--completions takes one of bash, elvish, fish, powershell, zsh\n"
        );
    }
}

/// What bash makes of the script: a name that is begun is completed.
#[test]
fn bash_completes_a_subcommand() {
    let (_, vv) = PROGRAMS[9];
    let script = text(&run(vv, &["--completions", "bash"]).stdout);
    let asked = "COMP_WORDS=(vv re); COMP_CWORD=1; _vv vv re vv; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["-c", &format!("{script}\n{asked}")])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "redact\n", "{}", text(&output.stderr));
}

#[test]
fn man_pages_of_programs_and_subcommands() {
    let folder: PathBuf = std::env::temp_dir().join(format!("programs-man-pages-{}", std::process::id()));
    for (name, program) in PROGRAMS {
        let output = run(program, &["--man-pages", folder.to_str().unwrap()]);
        assert!(
            output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(),
            "{name}"
        );
        let page = fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        assert!(
            page.contains(".SH SYNOPSIS") && page.contains(".SH DESCRIPTION"),
            "{name}"
        );
    }
    for page in ["vv-check.1", "token-mint.1", "console-gateway-serve.1"] {
        let text = fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    fs::remove_dir_all(&folder).unwrap();
    // A folder that cannot be made.
    let output = run(PROGRAMS[9].1, &["--man-pages", "/dev/null/man"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("/dev/null/man: "));
}

/// What is wrong is named as the user wrote it, on one line, behind the name of the program or of the file.
#[test]
fn mistakes_are_named() {
    let missing = "/nonexistent/file";
    for (number, arguments, said) in [
        (
            0,
            &["check-config", missing][..],
            "/nonexistent/file: cannot be read: No such file or directory (os error 2)",
        ),
        (
            1,
            &[missing],
            "rfb-dissect: /nonexistent/file: No such file or directory (os error 2)",
        ),
        (
            2,
            &[missing],
            "spice-dissect: /nonexistent/file: No such file or directory (os error 2)",
        ),
        (
            3,
            &[missing],
            "spice-picture: /nonexistent/file: No such file or directory (os error 2)",
        ),
        (4, &["localhost"], "spice-probe: the server needs a port: HOST:PORT"),
        (
            6,
            &["--config", missing],
            "vnc-bridge: /nonexistent/file: No such file or directory (os error 2)",
        ),
        (
            7,
            &["--security", "none", missing],
            "vnc-picture: /nonexistent/file: No such file or directory (os error 2)",
        ),
        (
            8,
            &["localhost", "a.png"],
            "vnc-screenshot: the server needs a port: HOST:PORT",
        ),
        (
            8,
            &["localhost:vnc", "a.png"],
            "vnc-screenshot: \"localhost:vnc\" has no port that is a number",
        ),
        (
            9,
            &["check", missing],
            "vv: /nonexistent/file: No such file or directory (os error 2)",
        ),
    ] {
        let output = run(PROGRAMS[number].1, arguments);
        assert!(!output.status.success());
        assert_eq!(
            (text(&output.stdout), text(&output.stderr)),
            (String::new(), format!("{said}\n"))
        );
    }
}
