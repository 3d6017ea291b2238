//! Where a built image is.

use std::fs;
use std::path::{Path, PathBuf};

use super::catalog::{Catalog, Chip};
use super::image::{Image, ImageError};
use crate::error::Error;
use crate::exit_code::ExitCode;

/// Reads the image in `path`.
///
/// # Errors
/// The file can't be read, or is no image.
pub fn read<'a>(path: &Path, catalog: &'a Catalog) -> Result<Image<'a>, Error> {
    let failed = || Error::new(ExitCode::Usage, format!("can't use {}", path.display()));
    let bytes = fs::read(path).map_err(|error| failed().because(crate::host::reason(&error)))?;
    Image::parse(&bytes, catalog).map_err(|error| {
        let remedy = match error {
            ImageError::Damaged(_) => "Build or download it again.",
            _ => "The file to flash is declic-CHIP.bin, which `cargo xtask firmware` makes.",
        };
        failed().because(error).remedy(remedy)
    })
}

/// The newest image for `chip` in the places where images are put.
///
/// # Errors
/// There is none; how to get one is said.
pub fn built(chip: &Chip) -> Result<PathBuf, Error> {
    let here = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    built_in(&places(here.as_deref(), program.as_deref()), chip)
}

fn built_in(places: &[PathBuf], chip: &Chip) -> Result<PathBuf, Error> {
    let file = format!("declic-{}.bin", chip.name);
    places
        .iter()
        .flat_map(|place| [place.join(&chip.name).join(&file), place.join(&file)])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let toolchain = if chip.is_xtensa() {
                ", which needs Espressif's toolchain (`cargo install espup`, `espup install`)"
            } else {
                ""
            };
            let chip_name = &chip.name;
            Error::new(
                ExitCode::Failure,
                format!("no firmware for {} found here", chip.title),
            )
            .remedy(format!(
                "Run `cargo xtask firmware {chip_name}` in a copy of {}{toolchain}, or take {file} \
                 from a release and give it with --image {file}.",
                env!("CARGO_PKG_REPOSITORY"),
            ))
        })
}

/// Where images are looked for: `dist/firmware` in this directory and those above, and next to
/// the program.
fn places(here: Option<&Path>, program: Option<&Path>) -> Vec<PathBuf> {
    let beside = program.and_then(Path::parent);
    let above = |path: &Path| -> Vec<_> {
        let paths = path.ancestors();
        paths.map(|path| path.join("dist/firmware")).collect()
    };
    let mut places = here.map(above).unwrap_or_default();
    if let Some(beside) = beside {
        places.extend([beside.join("firmware"), beside.to_owned()]);
        places.extend(above(beside));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_comes_before_what_lies_beside_the_program() {
        let places = places(
            Some(Path::new("/src/declic/crates")),
            Some(Path::new("/opt/declic/declic")),
        );
        let at = |path: &str| places.iter().position(|place| place == Path::new(path));
        let checkout = at("/src/declic/dist/firmware").expect("looked at");
        let installed = at("/opt/declic/firmware").expect("looked at");
        assert!(checkout < installed);
        assert!(at("/opt/declic").is_some());
    }

    #[test]
    fn without_an_image_the_way_to_get_one_is_said() {
        let catalog = Catalog::new();
        let missing = |chip: &str| {
            let chip = catalog.chip(chip).expect("known");
            built_in(&[PathBuf::from("/nonesuch")], chip)
                .expect_err("none")
                .to_string()
        };
        let text = missing("esp32c3");
        assert!(
            text.starts_with(
                "no firmware for ESP32-C3 found here. Run `cargo xtask firmware esp32c3`"
            ),
            "{text}"
        );
        assert!(text.ends_with("--image declic-esp32c3.bin."), "{text}");
        assert!(!text.contains("espup"), "{text}");
        assert!(missing("esp32").contains("espup"));
    }
}
