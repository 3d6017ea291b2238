//! `declic broker passwd`: users with hashed passwords in a file.

use std::fs;
use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use declic_broker::{HashError, Users, generate_password, hash_generated_password, hash_password};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::printer::Printer;
use crate::state;

/// Add a user to a file of users, change the password, or delete the user
///
/// The password is asked for, or is the first line of standard input. The file keeps a hash of it
/// (argon2), and nobody but its owner can read the file. A broker that runs takes it over on SIGHUP
/// or `declic broker ctl reload`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The file; it is made if it is not there
    file: PathBuf,

    /// The user's name
    user: String,

    /// Make a password that nobody can guess, and print it: for boards, of which thousands may
    /// connect at once, since it needs no slow hash
    #[arg(long, conflicts_with = "delete")]
    generate: bool,

    /// Delete the user
    #[arg(short = 'D', long)]
    delete: bool,
}

/// Changes the file.
pub fn run(args: &Args, printer: &Printer) -> Result<ExitCode, Error> {
    let text = match fs::read_to_string(&args.file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !args.delete => String::new(),
        Err(error) => return Err(failed(&args.file).because(error)),
    };
    if !text.trim().is_empty() {
        // What is broken is not made worse.
        Users::parse(&text).map_err(|error| failed(&args.file).because(error))?;
    }
    let mut generated = None;
    let entry = if args.delete {
        None
    } else if args.generate {
        let (password, entry) = generate(&args.user)?;
        generated = Some(password);
        Some(entry)
    } else {
        Some(entry(&args.user)?)
    };
    let Some(changed) = change(&text, &args.user, entry.as_deref()) else {
        return Err(failed(&args.file).because(format!("there is no user {:?}", args.user)));
    };
    Users::parse(&changed).map_err(|error| {
        failed(&args.file)
            .because(error)
            .remedy("A user's name is not empty and has no `:` in it; there is at least one user.")
    })?;
    write(&args.file, &changed).map_err(|error| failed(&args.file).because(error))?;
    if let Some(password) = generated {
        printer.line(password)?;
        return Ok(ExitCode::Success);
    }
    let done = if args.delete { "deleted" } else { "set" };
    printer.line(format_args!("user {} {done}", args.user))?;
    Ok(ExitCode::Success)
}

/// The line of a user, with a password that is asked for.
fn entry(user: &str) -> Result<String, Error> {
    let no_password = |cause: &str| Error::new(ExitCode::Usage, "no password").because(cause);
    check_name(user)?;
    let password = if io::stdin().is_terminal() {
        let ask = |prompt: &str| {
            rpassword::prompt_password(prompt).map_err(|error| no_password(&error.to_string()))
        };
        let password = ask(&format!("Password of {user}: "))?;
        if ask("Once more: ")? != password {
            return Err(no_password("the two are not the same"));
        }
        password
    } else {
        let mut line = String::new();
        io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|error| no_password(&error.to_string()))?;
        let line = line.strip_suffix('\n').unwrap_or(&line);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    };
    if password.is_empty() {
        return Err(no_password("it is empty"));
    }
    let hash = hash_password(password.as_bytes()).map_err(|error| not_set(user, &error))?;
    Ok(format!("{user}:{hash}"))
}

/// A new password, and the line of the user with it.
fn generate(user: &str) -> Result<(String, String), Error> {
    check_name(user)?;
    let password = generate_password().map_err(|error| not_set(user, &error))?;
    let hash = hash_generated_password(&password).map_err(|error| not_set(user, &error))?;
    Ok((password, format!("{user}:{hash}")))
}

fn check_name(user: &str) -> Result<(), Error> {
    if user.is_empty() || user.contains([':', '\n', '\r']) || user.starts_with('#') {
        return Err(
            Error::new(ExitCode::Usage, format!("can't name a user {user:?}"))
                .because("a name is not empty, has no `:` in it, and does not begin with #"),
        );
    }
    Ok(())
}

fn not_set(user: &str, error: &HashError) -> Error {
    let what = format!("can't set the password of {user}");
    Error::new(ExitCode::Failure, what).because(error)
}

/// The text with another line for the user; with none to delete it. `None` when there is no such
/// user to delete. All other lines stay as they are.
fn change(text: &str, user: &str, entry: Option<&str>) -> Option<String> {
    let is_user = |line: &str| {
        !line.starts_with('#') && line.split_once(':').is_some_and(|(name, _)| name == user)
    };
    let mut changed = String::new();
    let mut found = false;
    for line in text.lines() {
        let line = if is_user(line) {
            found = true;
            match entry {
                Some(entry) => entry,
                None => continue,
            }
        } else {
            line
        };
        changed.push_str(line);
        changed.push('\n');
    }
    match (found, entry) {
        (true, _) => Some(changed),
        (false, Some(entry)) => Some(changed + entry + "\n"),
        (false, None) => None,
    }
}

/// Puts the file there whole: a broker that reads it meanwhile finds the old one or the new one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let mut temporary = path.clone().into_os_string();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let done = state::create_file(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    });
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}

fn failed(path: &Path) -> Error {
    Error::new(
        ExitCode::Usage,
        format!("can't change the users in {}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes_and_all_others_stay() {
        let text = "# people\nann:a\n\nbob:b:c \n#ann:x\n";
        assert_eq!(
            change(text, "ann", Some("ann:new")).as_deref(),
            Some("# people\nann:new\n\nbob:b:c \n#ann:x\n")
        );
        assert_eq!(
            change(text, "eve", Some("eve:new")).as_deref(),
            Some("# people\nann:a\n\nbob:b:c \n#ann:x\neve:new\n")
        );
        assert_eq!(
            change(text, "bob", None).as_deref(),
            Some("# people\nann:a\n\n#ann:x\n")
        );
        assert_eq!(change(text, "eve", None), None);
    }
}
