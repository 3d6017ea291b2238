use std::collections::HashMap;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::Accepts;

/// A flash of small pages whose power fails after a number of written or erased bytes.
#[derive(Clone)]
struct CutFlash {
    bytes: Vec<u8>,
    /// Bytes until the power fails; `None` for never.
    left: Option<usize>,
    worked: usize,
}

impl CutFlash {
    fn new(pages: usize) -> Self {
        Self {
            bytes: vec![0xff; pages * PAGE],
            left: None,
            worked: 0,
        }
    }

    fn step(&mut self) -> Result<(), NorFlashErrorKind> {
        self.worked += 1;
        match &mut self.left {
            Some(0) => return Err(NorFlashErrorKind::Other),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

impl ErrorType for CutFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for CutFlash {
    const READ_SIZE: usize = WORD;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let offset = offset as usize;
        bytes.copy_from_slice(&self.bytes[offset..offset + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for CutFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        for at in from..to {
            self.step()?;
            self.bytes[at as usize] = 0xff;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        assert!((offset as usize).is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD));
        for (at, byte) in (offset as usize..).zip(bytes) {
            self.step()?;
            self.bytes[at] &= byte;
        }
        Ok(())
    }
}

const PAGE: usize = 512;

fn store(flash: &mut CutFlash) -> SettingsStore<&mut CutFlash> {
    let partition = 0..flash.bytes.len() as u32;
    SettingsStore::new(flash, partition).unwrap()
}

fn load(flash: &mut CutFlash) -> (Settings, Loaded) {
    let mut settings = Settings::default();
    let loaded = store(flash).load(&mut settings).unwrap();
    (settings, loaded)
}

fn put(flash: &mut CutFlash, key: Key, value: &str) -> Result<(), StoreError> {
    store(flash).store(key, value)
}

/// Writes an item behind the store's back.
fn put_raw(flash: &mut CutFlash, number: u16, value: &[u8]) {
    store(flash).put(number, value).unwrap();
}

#[test]
fn what_is_stored_is_there_after_a_restart() {
    let mut flash = CutFlash::new(3);
    assert_eq!(load(&mut flash), (Settings::default(), Loaded::default()));
    put(&mut flash, Key::WifiSsid, "My net").unwrap();
    put(&mut flash, Key::WifiPassword, "correct horse").unwrap();
    put(&mut flash, Key::Role, "publisher").unwrap();
    put(&mut flash, Key::WifiSsid, "Other net").unwrap();
    let (settings, loaded) = load(&mut flash);
    assert_eq!(settings.wifi_ssid(), Some("Other net"));
    assert_eq!(settings.wifi_password(), Some("correct horse"));
    assert_eq!(settings.value(Key::Role), "publisher");
    assert_eq!(loaded.found.len(), 3);
    assert!(loaded.broken.is_empty());
}

#[test]
fn what_another_program_stored_is_kept_through_many_writes() {
    let mut flash = CutFlash::new(3);
    put_raw(&mut flash, 126, b"from a newer program");
    put_raw(&mut flash, 40_000, &[0xee; 100]);
    for round in 0..200 {
        put(&mut flash, Key::Debounce, &round.to_string()).unwrap();
    }
    let (settings, loaded) = load(&mut flash);
    assert_eq!(settings.value(Key::Debounce), "199");
    assert!(loaded.broken.is_empty());
    let mut store = store(&mut flash);
    for (number, value) in [(126, &b"from a newer program"[..]), (40_000, &[0xee; 100])] {
        assert_eq!(store.fetch(number), Ok(Some(value)));
    }
}

#[test]
fn a_value_that_cannot_be_used_gives_the_default_and_is_reported() {
    let mut flash = CutFlash::new(3);
    put(&mut flash, Key::Broker, "192.168.1.20").unwrap();
    put(&mut flash, Key::Port, "8883").unwrap();
    put_raw(&mut flash, Key::Port.number(), b"70000");
    put_raw(&mut flash, Key::Name.number(), b"\xff\xfe");
    let (settings, loaded) = load(&mut flash);
    assert_eq!(settings.port(), 1883);
    assert_eq!(settings.name(), "");
    assert_eq!(settings.broker(), Some("192.168.1.20"));
    let broken: Vec<_> = loaded.broken.iter().collect();
    assert_eq!(broken, [Key::Name, Key::Port]);
    // Set again, it is well again.
    put(&mut flash, Key::Port, "8884").unwrap();
    put(&mut flash, Key::Name, "lamp").unwrap();
    let (settings, loaded) = load(&mut flash);
    assert_eq!((settings.port(), settings.name()), (8884, "lamp"));
    assert!(loaded.broken.is_empty());
}

#[test]
fn an_item_that_is_damaged_in_flash_is_missed_and_reported() {
    let mut flash = CutFlash::new(3);
    put(&mut flash, Key::Name, "lamp in the kitchen").unwrap();
    put(&mut flash, Key::Pair, "table-7").unwrap();
    let at = find(&flash.bytes, b"kitchen");
    flash.bytes[at] = 0;
    let (settings, loaded) = load(&mut flash);
    assert_eq!(settings.name(), "");
    assert_eq!(settings.value(Key::Pair), "table-7");
    assert_eq!(loaded.broken.iter().collect::<Vec<_>>(), [Key::Name]);
    assert_eq!(loaded.found.len(), 1);
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    let mut windows = bytes.windows(text.len());
    windows
        .position(|window| window == text)
        .expect("it is there")
}

#[test]
fn payloads_may_change_places_but_never_be_the_same() {
    let mut flash = CutFlash::new(3);
    put(&mut flash, Key::PayloadOff, "on").unwrap();
    put(&mut flash, Key::PayloadOn, "OFF").unwrap();
    let (settings, loaded) = load(&mut flash);
    assert_eq!(
        (settings.payload_on(), settings.payload_off()),
        ("OFF", "on")
    );
    assert!(loaded.broken.is_empty());
    put(&mut flash, Key::PayloadOff, "off").unwrap();
    let (settings, loaded) = load(&mut flash);
    assert_eq!(
        (settings.payload_on(), settings.payload_off()),
        ("ON", "OFF")
    );
    let broken: Vec<_> = loaded.broken.iter().collect();
    assert_eq!(broken, [Key::PayloadOn, Key::PayloadOff]);
}

#[test]
fn another_format_is_left_alone_until_it_is_forgotten() {
    let mut flash = CutFlash::new(3);
    put_raw(&mut flash, FORMAT, b"2");
    put_raw(&mut flash, Key::Role.number(), b"publisher");
    let before = flash.bytes.clone();
    let mut settings = Settings::default();
    let mut store = store(&mut flash);
    assert_eq!(store.load(&mut settings), Err(StoreError::Format));
    assert_eq!(settings, Settings::default());
    assert_eq!(store.store(Key::Role, "both"), Err(StoreError::Format));
    assert_eq!(store.count_boot(), Err(StoreError::Format));
    assert_eq!(store.flash().bytes, before);
    store.forget().unwrap();
    store.store(Key::Role, "subscriber").unwrap();
    assert_eq!(load(&mut flash).0.value(Key::Role), "subscriber");
}

#[test]
fn starts_are_counted_and_the_count_outlives_the_settings() {
    let mut flash = CutFlash::new(3);
    for boot in 1..=40 {
        assert_eq!(store(&mut flash).count_boot(), Ok(boot));
    }
    put(&mut flash, Key::Role, "publisher").unwrap();
    store(&mut flash).forget().unwrap();
    assert_eq!(load(&mut flash), (Settings::default(), Loaded::default()));
    assert_eq!(store(&mut flash).count_boot(), Ok(41));
}

#[test]
fn the_light_is_kept_and_forgotten_with_the_settings() {
    let mut flash = CutFlash::new(3);
    assert_eq!(store(&mut flash).light(), Ok(None));
    for on in [true, false, true] {
        store(&mut flash).store_light(on).unwrap();
        let before = flash.worked;
        store(&mut flash).store_light(on).unwrap();
        assert_eq!(flash.worked - before, 12, "as its documentation says");
        assert_eq!(store(&mut flash).light(), Ok(Some(on)));
    }
    assert_eq!(load(&mut flash).1, Loaded::default(), "it is no setting");
    store(&mut flash).forget().unwrap();
    assert_eq!(store(&mut flash).light(), Ok(None));
    put_raw(&mut flash, FORMAT, b"2");
    assert_eq!(store(&mut flash).light(), Err(StoreError::Format));
}

#[test]
fn power_may_fail_while_the_light_is_stored_and_it_has_the_old_state_or_the_new() {
    let mut flash = CutFlash::new(2);
    put(&mut flash, Key::Role, "publisher").unwrap();
    let mut on = false;
    // Through every page, so that some of these erase one.
    for _ in 0..200 {
        store(&mut flash).store_light(on).unwrap();
        for cut in 0..PAGE + 64 {
            let mut cut_off = flash.clone();
            cut_off.left = Some(cut);
            let done = store(&mut cut_off).store_light(!on);
            cut_off.left = None;
            let light = store(&mut cut_off).light().unwrap();
            assert!(light == Some(!on) || (done.is_err() && light == Some(on)));
            assert_eq!(load(&mut cut_off).0.value(Key::Role), "publisher");
            if done.is_ok() {
                break;
            }
        }
        on = !on;
    }
}

#[test]
fn a_partition_with_anything_else_in_it_counts_as_empty() {
    for fill in [0x00_u8, 0x5a, 0xf0] {
        let mut flash = CutFlash::new(3);
        flash.bytes.fill(fill);
        let (settings, loaded) = load(&mut flash);
        assert_eq!(settings, Settings::default());
        assert!(loaded.unreadable && loaded.found.is_empty() && loaded.broken.is_empty());
        assert_eq!(load(&mut flash).1, Loaded::default());
        put(&mut flash, Key::Name, "lamp").unwrap();
        assert_eq!(load(&mut flash).0.name(), "lamp");
    }
}

#[test]
fn a_partition_must_have_two_whole_pages() {
    for len in [0, 4096, 8190, 10_000] {
        let mut image = vec![0; len];
        let result = write_image(&Settings::default(), &mut image);
        assert_eq!(result, Err(StoreError::Partition), "{len}");
    }
}

#[test]
fn an_image_holds_every_setting_that_is_no_default() {
    let mut settings = Settings::default();
    let mut expected = KeySet::EMPTY;
    for key in Key::ALL {
        let value = match key.accepts() {
            Accepts::Number { max, .. } => max.to_string(),
            Accepts::OneOf(words) => words[words.len() - 1].to_string(),
            Accepts::Text { .. } => match key {
                Key::Address => "255.255.255.255/32".replace("255", "200"),
                Key::Gateway | Key::Dns => "200.200.200.200".to_string(),
                Key::ButtonPin | Key::LedPin => "63".to_string(),
                Key::PayloadOff => "y".repeat(32),
                Key::Broker | Key::User | Key::Password | Key::ClientId | Key::Topic => {
                    "x".repeat(64)
                }
                Key::WifiPassword => "a".repeat(64),
                _ => "x".repeat(32),
            },
        };
        settings.set_key(*key, &value).unwrap();
        if settings.value(*key) != key.default_value() {
            expected.insert(*key);
        }
    }
    let mut image = vec![0; 0x1_0000];
    write_image(&settings, &mut image).unwrap();
    let before = image.clone();
    let mut again = Settings::default();
    let loaded = read_image(&mut image, &mut again).unwrap();
    assert_eq!(again, settings);
    assert_eq!(loaded.found, expected);
    assert!(loaded.broken.is_empty());
    assert_eq!(image, before, "reading changes nothing");
}

#[test]
fn the_image_of_a_few_settings_is_the_one_of_version_1() {
    let mut settings = Settings::default();
    settings.set("role", "publisher").unwrap();
    settings.set("wifi-ssid", "MyNet").unwrap();
    let mut image = vec![0; 8192];
    write_image(&settings, &mut image).unwrap();
    // A board that reads another format than the tool writes would forget everything: if this
    // fails, the format has changed and needs a new version.
    let sum = image.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    assert_eq!(sum, 0xc642_7c28_b622_af17, "{:02x?}", &image[..96]);
}

/// A value for a key, different for each `seed`.
fn value(key: Key, seed: u32) -> String {
    match key {
        Key::Debounce => (seed % 1001).to_string(),
        Key::Name => "n".repeat(seed as usize % 33),
        Key::WifiPassword => "p".repeat(8 + seed as usize % 50),
        Key::Broker => std::format!("host-{seed}"),
        _ => ["on", "off"][seed as usize % 2].to_string(),
    }
}

const SOME_KEYS: [Key; 5] = [
    Key::Debounce,
    Key::Name,
    Key::WifiPassword,
    Key::Broker,
    Key::Retain,
];

/// Whether the flash holds `saved`, where the key that was being stored may have either value.
fn check(flash: &mut CutFlash, saved: &HashMap<Key, String>, cut: Option<(Key, &str)>) {
    let (settings, loaded) = load(flash);
    assert!(
        loaded.broken.is_empty(),
        "{:?}",
        loaded.broken.iter().collect::<Vec<_>>()
    );
    for key in SOME_KEYS {
        let found = settings.value(key);
        let old = saved.get(&key).map_or(key.default_value(), String::as_str);
        let new = cut.filter(|(cut, _)| *cut == key).map(|(_, new)| new);
        assert!(
            found == old || Some(found.as_str()) == new,
            "{key} is `{found}`, and was `{old}` before it was set to {new:?}"
        );
    }
}

#[test]
fn power_may_fail_after_every_byte_and_nothing_that_was_saved_is_lost() {
    // Long enough that every page is written, closed, emptied and used again.
    let mut flash = CutFlash::new(3);
    let mut saved = HashMap::new();
    let mut seed = 1_u32;
    for _ in 0..70 {
        seed = seed.wrapping_mul(0x9e37_79b9).rotate_left(7) ^ 0x55;
        let key = SOME_KEYS[seed as usize % SOME_KEYS.len()];
        let text = value(key, seed);
        let before = flash.clone();
        flash.worked = 0;
        put(&mut flash, key, &text).unwrap();
        for left in 0..flash.worked {
            let mut cut = before.clone();
            cut.left = Some(left);
            put(&mut cut, key, &text).unwrap_err();
            // And again, while the next start repairs that.
            cut.left = Some(left % 97);
            let _ = store(&mut cut).load(&mut Settings::default());
            cut.left = None;
            check(&mut cut, &saved, Some((key, &text)));
            // And it goes on.
            put(&mut cut, key, &text).unwrap();
            let mut then = saved.clone();
            then.insert(key, text.clone());
            check(&mut cut, &then, None);
        }
        saved.insert(key, text);
        check(&mut flash, &saved, None);
    }
}

#[test]
fn power_may_fail_while_everything_is_forgotten_and_it_is_all_or_nothing() {
    let mut full = CutFlash::new(3);
    let mut saved = HashMap::new();
    for seed in 0..60 {
        let key = SOME_KEYS[seed as usize % SOME_KEYS.len()];
        put(&mut full, key, &value(key, seed)).unwrap();
        saved.insert(key, value(key, seed));
    }
    full.worked = 0;
    let mut whole = full.clone();
    store(&mut whole).forget().unwrap();
    let mut kept = 0;
    for left in 0..whole.worked {
        let mut cut = full.clone();
        cut.left = Some(left);
        store(&mut cut).forget().unwrap_err();
        // Also while that is being finished.
        cut.left = Some(left / 2);
        let _ = store(&mut cut).load(&mut Settings::default());
        cut.left = None;
        let (settings, loaded) = load(&mut cut);
        if settings == Settings::default() {
            assert_eq!(loaded, Loaded::default());
        } else {
            kept += 1;
            check(&mut cut, &saved, None);
        }
        put(&mut cut, Key::Name, "new").unwrap();
        assert_eq!(load(&mut cut).0.name(), "new");
    }
    assert!(kept < 40, "the mark is written first: {kept}");
}

/// What is done to a store.
#[derive(Debug, Clone)]
enum Step {
    Store(Key, u32),
    Boot,
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (prop::sample::select(&SOME_KEYS[..]), any::<u32>())
            .prop_map(|(key, seed)| Step::Store(key, seed)),
        3 => Just(Step::Boot),
        1 => Just(Step::Forget),
    ]
}

proptest! {
    #[test]
    fn any_steps_with_any_power_cuts_give_what_a_map_gives(
        steps in prop::collection::vec((step(), prop::option::weighted(0.4, 0..3_000_usize)), 1..80),
        pages in 2..5_usize,
    ) {
        let mut flash = CutFlash::new(pages);
        let mut saved = HashMap::new();
        for (step, left) in steps {
            flash.left = left;
            match step {
                Step::Store(key, seed) => {
                    let text = value(key, seed);
                    match put(&mut flash, key, &text) {
                        Ok(()) => {
                            saved.insert(key, text);
                        }
                        Err(_) => {
                            flash.left = None;
                            check(&mut flash, &saved, Some((key, &text)));
                            let found = load(&mut flash).0.value(key).to_string();
                            saved.insert(key, found);
                        }
                    }
                }
                Step::Boot => {
                    let _ = store(&mut flash).count_boot();
                }
                Step::Forget => {
                    let done = store(&mut flash).forget().is_ok();
                    flash.left = None;
                    if done || load(&mut flash).0 == Settings::default() {
                        saved.clear();
                    }
                }
            }
            flash.left = None;
            check(&mut flash, &saved, None);
        }
    }

    #[test]
    fn any_bytes_in_the_partition_never_panic_and_can_be_forgotten(
        bytes in prop::collection::vec(any::<u8>(), 0..PAGE * 3),
        marks in any::<[bool; 3]>(),
    ) {
        let mut flash = CutFlash::new(3);
        flash.bytes[..bytes.len()].copy_from_slice(&bytes);
        for (page, marked) in marks.into_iter().enumerate() {
            flash.bytes[page * PAGE..][..WORD].fill(if marked { 0 } else { 0xff });
        }
        let _ = store(&mut flash).load(&mut Settings::default());
        let _ = put(&mut flash, Key::Name, "lamp");
        prop_assert_eq!(store(&mut flash).forget(), Ok(()));
        put(&mut flash, Key::Name, "lamp").unwrap();
        let (settings, _) = load(&mut flash);
        prop_assert_eq!(settings.name(), "lamp");
    }
}
