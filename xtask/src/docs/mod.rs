//! `cargo xtask docs`: the reference pages, made from the code and the data they describe.

mod boards;
mod conformance;
mod console;
mod language;
mod markdown;
mod partitions;
mod pins;
mod settings;

use std::error::Error;
use std::fs;
use std::path::Path;

use language::Language;

/// Carries out the command with these arguments.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        [flag] if flag == "-h" || flag == "--help" => {
            println!("{USAGE}");
            return Ok(());
        }
        _ => return Err(format!("what does that mean?\n{USAGE}").into()),
    };
    let mut stale = Vec::new();
    for (path, text) in pages(root)? {
        if fs::read_to_string(root.join(&path)).is_ok_and(|old| old == text) {
            continue;
        }
        if !check {
            let file = root.join(&path);
            fs::create_dir_all(file.parent().unwrap_or(root))?;
            fs::write(file, text)?;
            println!("{path}");
        }
        stale.push(path);
    }
    if check && !stale.is_empty() {
        let stale = stale.join(", ");
        return Err(format!("not up to date: {stale}. Run `cargo xtask docs`").into());
    }
    Ok(())
}

/// Every page: where it belongs, and its text.
fn pages(root: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let boards = boards::Table::read(root)?;
    let partitions = partitions::read(root)?;
    let mut pages = vec![("docs/conformance.md".to_owned(), conformance::page(root)?)];
    for language in [Language::English, Language::french()?] {
        let folder = language.pick("docs/reference", "docs/fr/reference");
        for (name, text) in [
            ("settings", settings::page(&language)),
            ("console", console::page(&language)),
            ("pins", pins::page(&boards, &language)),
            (
                "partitions",
                partitions::page(&partitions, &boards, &language),
            ),
        ] {
            pages.push((format!("{folder}/{name}.md"), text));
        }
        for text in language.unknown() {
            eprintln!("note: xtask/src/docs/french.toml has no French for: {text}");
        }
    }
    Ok(pages)
}

const USAGE: &str = "\
cargo xtask docs [--check]

Writes the reference pages in docs/reference and docs/fr/reference, which are made from the
settings' and the console's tables, boards.toml and firmware/esp/partitions.csv. French texts of these are in
xtask/src/docs/french.toml; what has none there stays English. docs/conformance.md comes from the tests in
crates/broker/tests/conformance.

--check  write nothing; fail if a page is not up to date";
