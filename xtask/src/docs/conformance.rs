//! Which test holds which statement of the MQTT specifications, from the broker's conformance
//! suite.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::markdown::{code, table};

const SUITE: &str = "crates/broker/tests/conformance";
const PEERS: [(&str, &str); 1] = [("Mosquitto 2.0.11", "mosquitto-2.0.11")];

/// The page, if every statement that binds a server has a test or a reason.
pub fn page(root: &Path) -> Result<String, Box<dyn Error>> {
    let suite = root.join(SUITE);
    let tests = read_tests(&suite)?;
    let statements = rows::<4>(&suite.join("statements.tsv"))?;
    check(&tests, &statements)?;
    let mut page = ENGLISH.to_owned();
    for version in ["3.1.1", "5.0"] {
        let of_version = statements.iter().filter(|row| row[0] == version);
        page += &version_table(version, &of_version.collect::<Vec<_>>(), &tests);
    }
    for (name, file) in PEERS {
        let failures = rows::<4>(&suite.join(format!("peers/{file}.tsv")))?;
        check_failures(file, &failures, &tests)?;
        let _ = write!(page, "\n## What {name} does otherwise\n\n");
        let _ = write!(page, "{} of these tests fail there:\n\n", failures.len());
        page += &table(
            ["Test", "Version", "Statement", "What it does instead"],
            failures
                .into_iter()
                .map(|[test, version, statement, what]| {
                    [code(&test), version, code(&statement), what]
                }),
        );
    }
    Ok(page)
}

/// A test, and the statements that it holds.
struct Test {
    file: String,
    name: String,
    /// Version and statement.
    holds: Vec<(String, String)>,
}

/// All tests that say in their documentation what they hold.
fn read_tests(suite: &Path) -> Result<Vec<Test>, Box<dyn Error>> {
    let mut files: Vec<_> = fs::read_dir(suite)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    let mut tests = Vec::new();
    for path in files {
        let file = path.file_stem().unwrap_or_default().to_string_lossy();
        tests.extend(tests_in(&file, &fs::read_to_string(&path)?));
    }
    Ok(tests)
}

fn tests_in(file: &str, source: &str) -> Vec<Test> {
    let (mut tests, mut documentation, mut is_test) = (Vec::new(), String::new(), false);
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            documentation += text;
        } else if line == "#[test]" {
            is_test = true;
        } else {
            if let Some(name) = line.strip_prefix("fn ")
                && is_test
            {
                tests.push(Test {
                    file: file.to_owned(),
                    name: name.split('(').next().unwrap_or_default().to_owned(),
                    holds: statements_in(&documentation),
                });
            }
            documentation.clear();
            is_test = false;
        }
    }
    tests
}

/// `v3.1.1 [MQTT-1.5.3-1], [MQTT-1.5.3-2]; v5 [MQTT-1.5.4-1]` as pairs.
fn statements_in(documentation: &str) -> Vec<(String, String)> {
    let mut version = "";
    let mut found = Vec::new();
    for word in documentation.split([' ', ',', ';']) {
        match word {
            "v3.1.1" => version = "3.1.1",
            "v5" => version = "5.0",
            _ => {
                let id = word.trim_matches(['[', ']', '.']);
                if id.starts_with("MQTT-") && word.starts_with('[') {
                    found.push((version.to_owned(), id.to_owned()));
                }
            }
        }
    }
    found
}

fn check(tests: &[Test], statements: &[[String; 4]]) -> Result<(), Box<dyn Error>> {
    let known: BTreeSet<_> = statements.iter().map(|row| (&row[0], &row[1])).collect();
    let mut held = BTreeSet::new();
    let mut wrong = Vec::new();
    for test in tests {
        for (version, statement) in &test.holds {
            if !known.contains(&(version, statement)) {
                wrong.push(format!("{}: no {statement} in {version:?}", test.name));
            }
            held.insert((version, statement));
        }
    }
    for [version, statement, binds, reason] in statements {
        let has_test = held.contains(&(version, statement));
        if has_test && !reason.is_empty() {
            wrong.push(format!(
                "{version} {statement} has a test and a reason for none"
            ));
        }
        if binds != "client" && !has_test && reason.is_empty() {
            wrong.push(format!("{version} {statement} has neither test nor reason"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{SUITE}:\n{}", wrong.join("\n")).into())
    }
}

/// Each known failure names a test, and a statement that the test holds.
fn check_failures(
    peer: &str,
    failures: &[[String; 4]],
    tests: &[Test],
) -> Result<(), Box<dyn Error>> {
    for [name, version, statement, _] in failures {
        let wanted = (version.clone(), statement.clone());
        let test = tests.iter().find(|test| test.name == *name);
        match test {
            None => return Err(format!("{peer}: there is no test {name}").into()),
            Some(test) if !test.holds.contains(&wanted) => {
                return Err(format!("{peer}: {name} holds no {version} {statement}").into());
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn version_table(version: &str, statements: &[&[String; 4]], tests: &[Test]) -> String {
    let mut holding = BTreeMap::<&str, Vec<String>>::new();
    for test in tests {
        for (of, statement) in &test.holds {
            if of == version {
                let name = code(&format!("{}::{}", test.file, test.name));
                holding.entry(statement).or_default().push(name);
            }
        }
    }
    let is_bound = |row: &&&[String; 4]| row[2] != "client";
    let bound = statements.iter().filter(is_bound).count();
    let without = statements
        .iter()
        .filter(is_bound)
        .filter(|row| !row[3].is_empty());
    let mut text = format!(
        "\n## {version}\n\n{} statements, of which {bound} bind a server: {} are held by tests, {} are not.\n\n",
        statements.len(),
        bound - without.clone().count(),
        without.count(),
    );
    text += &table(
        ["Statement", "Binds", "Tests"],
        statements.iter().map(|[_, statement, binds, reason]| {
            let tests = match holding.get(&**statement) {
                Some(tests) => tests.join(", "),
                None if reason.is_empty() => "none: it binds clients only".to_owned(),
                None => format!("none: {reason}"),
            };
            [code(statement), binds.clone(), tests]
        }),
    );
    text
}

/// The rows of a file with a heading and cells between tabs.
fn rows<const N: usize>(path: &Path) -> Result<Vec<[String; N]>, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(text.lines()).skip(1) {
        let cells: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let cells = <[String; N]>::try_from(cells)
            .map_err(|_| format!("{}:{number}: not {N} cells", path.display()))?;
        rows.push(cells);
    }
    Ok(rows)
}

const ENGLISH: &str = "\
# Conformance

<!-- Made by `cargo xtask docs` from crates/broker/tests/conformance. Don't edit this file. -->

Every statement of MQTT 3.1.1 and 5.0 that has a number, and the tests of the broker that hold it. They speak
to a broker over TCP, byte by byte where it matters:

```sh
cargo test -p declic-broker --test conformance                                             # ours
DECLIC_CONFORMANCE_BROKER=127.0.0.1:1884 cargo test -p declic-broker --test conformance    # another one
```

A statement that binds clients only may be held by a test too: then it is about what the broker does when a
client breaks it. The broker's own settings and limits are tested elsewhere. CI asks Mosquitto the same, as a
check of the suite; what it is known to do otherwise must come out exactly, no more and no less.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_that_binds_a_server_has_a_test_or_a_reason() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        page(&root).expect("a complete suite");
    }

    #[test]
    fn documentation_names_statements_with_their_version() {
        let source = "\
/// Why it is so. v3.1.1 [MQTT-1-1],
/// [MQTT-1-2]; v5 [MQTT-2-1]
#[test]
fn the_rule() {
}

/// v5 [MQTT-9-9]
fn no_test() {}
";
        let [test] = &tests_in("file", source)[..] else {
            panic!("one test");
        };
        assert_eq!((&*test.file, &*test.name), ("file", "the_rule"));
        let holds: Vec<_> = test.holds.iter().map(|(v, s)| (&**v, &**s)).collect();
        assert_eq!(
            holds,
            [
                ("3.1.1", "MQTT-1-1"),
                ("3.1.1", "MQTT-1-2"),
                ("5.0", "MQTT-2-1")
            ]
        );
    }

    #[test]
    fn a_statement_without_test_and_reason_is_an_error_that_names_it() {
        let row = |binds: &str| ["5.0", "MQTT-1-1", binds, ""].map(str::to_owned);
        let error = check(&[], &[row("server")]).expect_err("nothing holds it");
        assert!(error.to_string().contains("5.0 MQTT-1-1 has neither"));
        check(&[], &[row("client")]).expect("no server is bound");
    }
}
