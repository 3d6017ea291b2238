//! `cargo xtask picture`: the README's picture of `declic up`, made by running it in tmux.

mod ansi;
mod svg;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use ansi::Screen;
use svg::Frame;

/// Runs it, presses the button twice, and writes `docs/images/up.svg`.
pub fn run(root: &Path, arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(argument) = arguments.first() {
        return Err(format!("{argument}? `cargo xtask picture` takes no arguments").into());
    }
    let declic = build(root)?;
    let state = std::env::temp_dir().join(format!("declic-picture-{}", std::process::id()));
    let terminal = Terminal::open(&declic, &state)?;
    let frames = record(&terminal);
    drop(terminal);
    let _ = fs::remove_dir_all(&state);
    let path = root.join("docs/images/up.svg");
    fs::create_dir_all(root.join("docs/images"))?;
    fs::write(&path, svg::animation(&frames?, TITLE, DESCRIPTION))?;
    println!("wrote {}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn record(terminal: &Terminal) -> Result<Vec<Frame>, Box<dyn Error>> {
    let is_lit = |screen: &Screen| screen.text().contains("█ ON █");
    let frame = |screen, millis| Frame {
        screen,
        time: Duration::from_millis(millis),
    };
    let dark = terminal.wait_for("ready", |screen| screen.text().contains("ready:"))?;
    terminal.press()?;
    let pressed = terminal.wait_for("the light", |screen| {
        is_lit(screen) && screen.has_reversed()
    })?;
    let lit = terminal.wait_for("the button's end", |screen| !screen.has_reversed())?;
    terminal.press()?;
    let pressed_again = terminal.wait_for("no light", |screen| {
        !is_lit(screen) && screen.has_reversed()
    })?;
    let dark_again = terminal.wait_for("the button's end", |screen| !screen.has_reversed())?;
    Ok(vec![
        frame(dark, 1_600),
        frame(pressed, 250),
        frame(lit, 2_000),
        frame(pressed_again, 250),
        frame(dark_again, 1_400),
    ])
}

/// Builds the command as the README tells, and returns where it is.
fn build(root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let done = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "declic"])
        .current_dir(root)
        .status()?;
    if !done.success() {
        return Err("declic could not be built".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |target| root.join(target));
    Ok(target.join("release/declic"))
}

/// `declic up` in a tmux of its own; both end when it is dropped.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(declic: &Path, state: &Path) -> Result<Self, Box<dyn Error>> {
        let terminal = Self {
            socket: format!("declic-picture-{}", std::process::id()),
        };
        let command = format!(
            "exec env LC_ALL=C.UTF-8 DECLIC_STATE_DIR='{}' '{}' --color always up",
            state.display(),
            declic.display()
        );
        let size = [SIZE.0.to_string(), SIZE.1.to_string()];
        terminal.tmux(&[
            "set-option",
            "-g",
            "default-terminal",
            "tmux-256color",
            ";",
            "new-session",
            "-d",
            "-x",
            &size[0],
            "-y",
            &size[1],
            &command,
        ])?;
        Ok(terminal)
    }

    fn press(&self) -> Result<(), Box<dyn Error>> {
        self.tmux(&["send-keys", "Space"]).map(drop)
    }

    /// The first screen that is as wanted, within ten seconds.
    fn wait_for(
        &self,
        what: &str,
        is_wanted: impl Fn(&Screen) -> bool,
    ) -> Result<Screen, Box<dyn Error>> {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let shown = self.tmux(&["capture-pane", "-p", "-e"])?;
            let screen = Screen::parse(&shown, SIZE);
            if is_wanted(&screen) {
                return Ok(screen);
            }
            if Instant::now() > limit {
                return Err(format!("waited for {what} in vain:\n{}", screen.text()).into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let output = Command::new("tmux")
            .args(["-u", "-f", "/dev/null", "-L", &self.socket])
            .args(arguments)
            .output()
            .map_err(|error| format!("tmux does not start: {error}. Is it installed?"))?;
        if !output.status.success() {
            let cause = String::from_utf8_lossy(&output.stderr);
            return Err(format!("tmux {}: {}", arguments[0], cause.trim()).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

/// Columns and rows.
const SIZE: (usize, usize) = (90, 26);
const TITLE: &str = "declic up";
const DESCRIPTION: &str = "A terminal with declic up: on the left the board with the button, on \
     the right the board with the light. The button is pressed, ON goes over the topic \
     esp32/data, and the light turns yellow; pressed again, it goes out.";
