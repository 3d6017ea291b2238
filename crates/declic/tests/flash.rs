//! `declic flash --dry-run`: what would be written, read by the firmware's own code.

mod running;
mod small_image;

use std::fs;
use std::path::PathBuf;

use declic_board::Settings;
use declic_board::flash::read_image;
use running::Running;

/// A directory with an image for the ESP32-C3, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("declic-flash-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        fs::write(path.join("image.bin"), small_image::small_image(5, 0)).expect("written");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("a plain path").to_owned()
    }

    /// Runs `declic flash --dry-run`; returns its exit code and errors.
    fn flash(&self, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
        let (out, image) = (self.path("out"), self.path("image.bin"));
        let fixed = ["flash", "--dry-run", &out, "--image", &image];
        Running::start_without_input(&[&fixed[..], arguments].concat()).wait()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_firmware_reads_the_settings_that_were_given() {
    let place = Place::new("settings");
    let file = place.path("mine.toml");
    fs::write(&file, "wifi-ssid = \"Not This\"\nqos = 2\nretain = false\n").expect("written");
    let arguments = [
        "--settings",
        &file,
        "--role",
        "publisher",
        "--wifi",
        "My Net",
        "--wifi-password",
        " secret \"1\" ",
        "--broker",
        "mqtt://ann:pw@pi.local:1884",
        "--set",
        "led-pin=5",
    ];
    assert_eq!(place.flash(&arguments), (Some(0), vec![]));
    let mut partition = fs::read(place.path("out/settings.bin")).expect("written");
    let mut settings = Settings::default();
    let loaded = read_image(&mut partition, &mut settings).expect("readable");
    assert!(loaded.broken.is_empty());
    let mut expected = Settings::default();
    for (key, value) in [
        ("role", "publisher"),
        ("wifi-ssid", "My Net"),
        ("wifi-password", " secret \"1\" "),
        ("broker", "pi.local"),
        ("port", "1884"),
        ("user", "ann"),
        ("password", "pw"),
        ("qos", "2"),
        ("retain", "off"),
        ("led-pin", "5"),
    ] {
        expected.set(key, value).expect(key);
    }
    assert!(settings == expected, "{settings:?} {expected:?}");
}

#[test]
fn an_image_for_another_chip_is_refused() {
    let place = Place::new("chip");
    let (code, errors) = place.flash(&["--chip", "esp32c6", "--keep-settings"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        errors,
        [
            "error: the image is for ESP32-C3: --chip says ESP32-C6. The one to take is \
          declic-esp32c6.bin."
        ]
    );
    assert!(!place.0.join("out").exists());
}

#[test]
fn settings_that_are_kept_are_not_written() {
    let place = Place::new("keep");
    assert_eq!(place.flash(&["--keep-settings"]), (Some(0), vec![]));
    assert!(place.0.join("out/application.bin").exists());
    assert!(!place.0.join("out/settings.bin").exists());
    let (code, errors) = place.flash(&["--keep-settings", "--role", "publisher"]);
    assert_eq!(code, Some(2));
    assert!(errors[0].starts_with("error: --keep-settings goes with no other settings"));
}
