//! What QEMU's command line hands to the program: `-fw_cfg name=opt/declic/settings,file=...`.

use core::str;

use super::mmio::Mmio;

/// Reads the text called `name` into `buffer`; `None` if there is none, or it does not fit.
pub fn read<'a>(name: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    select(SIGNATURE);
    if bytes::<4>() != *b"QEMU" {
        return None;
    }
    select(DIRECTORY);
    for _ in 0..u32::from_be_bytes(bytes()) {
        let size = u32::from_be_bytes(bytes()) as usize;
        let [high, low, _, _] = bytes();
        let entry: [u8; 56] = bytes();
        if entry.split(|byte| *byte == 0).next() == Some(name.as_bytes()) {
            select(u16::from_be_bytes([high, low]));
            let buffer = buffer.get_mut(..size)?;
            buffer.fill_with(byte);
            return str::from_utf8(buffer).ok();
        }
    }
    None
}

fn select(item: u16) {
    FW_CFG.write(SELECTOR, item.to_be());
}

fn bytes<const N: usize>() -> [u8; N] {
    core::array::from_fn(|_| byte())
}

fn byte() -> u8 {
    FW_CFG.read(DATA)
}

// SAFETY: the machine's `fw_cfg` device; it touches no memory as long as its DMA register, which is
// behind these, is not used.
const FW_CFG: Mmio = unsafe { Mmio::new(0x1010_0000, 0x10) };
const DATA: usize = 0;
const SELECTOR: usize = 8;
const SIGNATURE: u16 = 0;
const DIRECTORY: u16 = 0x19;
