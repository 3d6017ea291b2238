//! Help, completions, manual pages.

use std::fs;

use crate::harness::{TempDir, declic, run};

const VERBS: [&str; 7] = ["up", "board", "broker", "pub", "sub", "completions", "man"];

fn help(arguments: &[&str]) -> String {
    let done = run(declic(arguments), b"");
    let (stdout, stderr) = done.text();
    assert_eq!((done.code, stderr.as_str()), (0, ""));
    stdout
}

#[test]
fn the_help_of_each_command_says_what_it_does() {
    let all = help(&["--help"]);
    for verb in VERBS {
        assert!(
            all.contains(&format!("\n  {verb} ")),
            "{verb} is not in the help"
        );
        let long = help(&[verb, "--help"]);
        assert!(long.contains(&format!("Usage: declic {verb}")), "{long}");
        assert_eq!(help(&["help", verb]), long);
    }
    assert!(all.contains("Exit codes:"));
}

#[test]
fn every_flag_is_documented() {
    for verb in VERBS {
        let long = help(&[verb, "--help"]);
        let mut lines = long.lines().peekable();
        while let Some(line) = lines.next() {
            let is_flag = line.starts_with("  -") || line.starts_with("      --");
            if is_flag {
                let text = lines.peek().map_or("", |next| next.trim());
                assert!(!text.is_empty() && !text.starts_with('-'), "{verb}: {line}");
            }
        }
    }
}

#[test]
fn pub_and_sub_have_the_flags_of_mosquitto() {
    let flags = [
        (
            "pub",
            "-h --host -p --port -L --url -t --topic -m --message -f --file -l --stdin-line -s \
             --stdin-file -n --null-message -q --qos -r --retain -i --id -I --id-prefix -u \
             --username -P --pw -V --protocol-version -k --keepalive -c --disable-clean-session \
             -x --session-expiry-interval -D --property -d --debug -M --repeat --repeat-delay \
             --will-topic --will-payload --will-qos --will-retain --quiet --help",
        ),
        (
            "sub",
            "-h --host -p --port -L --url -t --topic -T --filter-out -U --unsubscribe -q --qos -i \
             --id -I --id-prefix -u --username -P --pw -V --protocol-version -k --keepalive -c \
             --disable-clean-session -x --session-expiry-interval -D --property -d --debug -C -W \
             -E -v --verbose -N -R -F --retained-only --remove-retained --retain-as-published \
             --will-topic --will-payload --will-qos --will-retain --quiet --help",
        ),
    ];
    for (verb, flags) in flags {
        let help = help(&[verb, "--help"]);
        for flag in flags.split(' ') {
            let is_there = help.split([' ', ',', '\n', '=']).any(|word| word == flag);
            assert!(is_there, "{verb} has no {flag}");
        }
    }
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = help(&["completions", shell]);
        for word in ["declic", "broker", "will-topic"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let directory = TempDir::new();
    let place = directory.path().join("man1");
    assert_eq!(help(&["man", place.to_str().expect("a plain path")]), "");
    for name in ["declic".to_owned()]
        .into_iter()
        .chain(VERBS.map(|verb| format!("declic-{verb}")))
    {
        let page = fs::read_to_string(place.join(format!("{name}.1"))).expect(&name);
        assert!(page.contains(".TH "), "{name}");
    }
    let file = directory.file("file", b"");
    let error = run(declic(&["man", &file]), b"").error(1);
    assert!(
        error.starts_with("can't write the manual pages to "),
        "{error}"
    );
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        help(&["--version"]),
        concat!("declic ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
