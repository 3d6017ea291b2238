//! `declic sim report`: the figures in `docs/simulator.md`, and its picture.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use declic_sim::{Awake, Storm, compare};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;

/// Write the figures of docs/simulator.md
///
/// Replaces what stands there between the marks, and the picture of the storm. All of it follows
/// from seeds: it is the same on every machine.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the documents
    #[arg(default_value = "docs")]
    folder: PathBuf,

    /// Write nothing; fail if it is not up to date
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let page = args.folder.join("simulator.md");
    let picture = args.folder.join("images").join("reconnect-storm.svg");
    let old = read(&page)?;
    let storms: Vec<_> = OUTAGES
        .into_iter()
        .map(|outage| Storm::run(SEED, BOARDS, Duration::from_secs(outage)))
        .collect();
    let text = replaced(&old, "comparison", &compare::table(SEEDS))
        .and_then(|text| replaced(&text, "storm", &storm_table(&storms)))
        .and_then(|text| replaced(&text, "awake", &awake_table()))
        .ok_or_else(|| {
            Error::new(
                ExitCode::Failure,
                format!("{}: the marks are missing", page.display()),
            )
        })?;
    for (path, new) in [(&page, text), (&picture, Storm::svg(&storms))] {
        if fs::read_to_string(path).is_ok_and(|old| old == new) {
            continue;
        }
        if args.check {
            let what = format!("{} is not up to date", path.display());
            return Err(Error::new(ExitCode::Failure, what).remedy("Run `declic sim report`."));
        }
        write(path, &new)?;
        printer.line(path.display())?;
    }
    Ok(ExitCode::Success)
}

/// `text` with what stands between the marks of `name` replaced; `None` without marks.
fn replaced(text: &str, name: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n"))?;
    let (_, after) = rest.split_once(&format!("<!-- end of {name} -->"))?;
    Some(format!(
        "{before}<!-- {name} -->\n\n{new}\n<!-- end of {name} -->{after}"
    ))
}

fn storm_table(storms: &[Storm]) -> String {
    let mut table = String::from(
        "| broker away for | most boards accepted in one second | half are back in | all are back \
         in | most knocks in one second |\n|---|---|---|---|---|\n",
    );
    for storm in storms {
        let share = |part: usize| format!("{:.1} %", 100.0 * part as f64 / storm.boards as f64);
        let back = |percent| {
            let time = storm.back_after(percent);
            time.map_or("never".to_owned(), |time| format!("{} s", time.as_secs()))
        };
        // Writing into a string does not fail.
        let _ = writeln!(
            table,
            "| {} s | {} | {} | {} | {} |",
            storm.outage.as_secs(),
            share(storm.peak()),
            back(50),
            back(100),
            share(storm.most_attempts),
        );
    }
    table
}

fn awake_table() -> String {
    let mut table = String::from(
        "| network | awake for a press: median / worst | of that for the broker: median | light \
         after: median |\n|---|---|---|---|\n",
    );
    for awake in Awake::measure(JOINING) {
        let (Some((median, worst)), Some((light, _))) = (
            Awake::median_and_worst(&awake.times),
            Awake::median_and_worst(&awake.lights),
        ) else {
            continue;
        };
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        // Its start, the network, and the second of the setting.
        let others = Duration::from_millis(1_300) + JOINING;
        let _ = writeln!(
            table,
            "| {} | {} / {} | {} | {} |",
            awake.name,
            seconds(median),
            seconds(worst),
            seconds(median.saturating_sub(others)),
            seconds(light),
        );
    }
    table
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| {
        Error::new(ExitCode::Failure, format!("can't read {}", path.display())).because(error)
    })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| {
        Error::new(ExitCode::Failure, format!("can't write {}", path.display())).because(error)
    })
}

const SEEDS: u64 = 40;
/// What Wi-Fi and DHCP take of a board that wakes: a guess, until it was measured on a chip.
const JOINING: Duration = Duration::from_millis(1_500);
const SEED: u64 = 1;
const BOARDS: usize = 10_000;
/// In seconds.
const OUTAGES: [u64; 4] = [1, 10, 60, 300];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n";
        let new = replaced(text, "x", "| new |\n").expect("both marks");
        assert_eq!(new, "a\n<!-- x -->\n\n| new |\n\n<!-- end of x -->\nb\n");
        assert_eq!(replaced(&new, "x", "| new |\n"), Some(new.clone()));
        assert_eq!(replaced(text, "y", ""), None);
    }
}
