//! The little Markdown that the pages need.

use std::fmt::Write as _;

/// A table.
pub fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = row(&head.map(str::to_owned));
    text += &"|---".repeat(N);
    text += "|\n";
    rows.into_iter().for_each(|cells| text += &row(&cells));
    text
}

/// Literal text.
pub fn code(text: &str) -> String {
    format!("`{text}`")
}

fn row<const N: usize>(cells: &[String; N]) -> String {
    let mut line = String::from("|");
    for cell in cells {
        let _ = write!(line, " {} |", cell.replace('|', "\\|"));
    }
    line.push('\n');
    line
}
