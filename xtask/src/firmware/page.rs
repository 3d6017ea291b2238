//! Flashing from the browser: a manifest for ESP Web Tools and a page that uses it.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::boards::Chip;
use super::image::Image;

#[derive(Serialize, Deserialize)]
struct Manifest {
    name: String,
    version: String,
    new_install_prompt_erase: bool,
    /// Seconds to wait for Improv Wi-Fi, which answers as soon as the board has started.
    new_install_improv_wait_time: u32,
    builds: Vec<Build>,
}

#[derive(Serialize, Deserialize)]
struct Build {
    #[serde(rename = "chipFamily")]
    chip_family: String,
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    path: String,
    offset: u32,
}

/// Enters `image` into `manifest.json` in `dir`, beside the chips that are there already, and
/// writes the page.
pub fn write(dir: &Path, chip: &Chip, image: &Image) -> Result<(), Box<dyn Error>> {
    let path = dir.join("manifest.json");
    let old = fs::read_to_string(&path).ok();
    let old = old.and_then(|text| serde_json::from_str::<Manifest>(&text).ok());
    let mut builds = old.map_or_else(Vec::new, |manifest| manifest.builds);
    builds.retain(|build| build.chip_family != chip.title);
    let parts = image.parts.iter().map(|part| Part {
        path: format!("{}/{}", chip.name, part.name),
        offset: part.offset,
    });
    builds.push(Build {
        chip_family: chip.title.clone(),
        parts: parts.collect(),
    });
    builds.sort_by(|one, other| one.chip_family.cmp(&other.chip_family));
    let manifest = Manifest {
        // The name by which a board goes in Improv Wi-Fi, so that an update is known for one.
        name: "Déclic".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        new_install_prompt_erase: true,
        new_install_improv_wait_time: 10,
        builds,
    };
    fs::write(path, serde_json::to_string_pretty(&manifest)? + "\n")?;
    fs::write(dir.join("index.html"), include_str!("page.html"))?;
    Ok(())
}

#[cfg(all(test, feature = "docs"))]
mod tests {
    use declic_board::Settings;

    #[test]
    fn a_board_understands_what_the_page_says_to_type() {
        let page = include_str!("page.html");
        let (_, commands) = page.split_once("<pre>").expect("commands to type");
        let (commands, _) = commands.split_once("</pre>").expect("their end");
        let mut settings = Settings::default();
        let mut count = 0;
        for line in commands
            .lines()
            .filter_map(|line| line.strip_prefix("set "))
        {
            let (key, value) = line.split_once(' ').expect("a key and its value");
            settings
                .set(key, value)
                .expect("a setting and a value that it takes");
            count += 1;
        }
        assert!(count > 0, "the page sets nothing");
        // The network is asked for by the dialog.
        assert!(settings.broker().is_some());
    }
}
