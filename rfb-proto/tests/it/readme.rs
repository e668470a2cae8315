//! What the README quotes is what is compiled.

#[test]
fn the_guide_quotes_the_example() {
    let example = include_str!("../../examples/minimal_proxy.rs");
    let (_, code) = example.split_once("\n\n").unwrap();
    assert!(code.starts_with("use std::"));
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&format!("```rust,ignore\n{code}```\n")),
        "README.md has another minimal_proxy"
    );
    assert!(example.lines().count() <= 80);
}
