//! A text that QEMU's command line lays into memory for the program:
//! `-device loader,file=...,addr=0x80300000,force-raw=on`.

use core::{slice, str};

/// The text; empty if there is none.
pub fn text() -> &'static str {
    // SAFETY: RAM that the linker gives to nothing, so nobody ever writes to it; QEMU zeroes it or
    // fills it before the program starts.
    let bytes = unsafe { slice::from_raw_parts(ADDRESS as *const u8, LEN) };
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    str::from_utf8(text).unwrap_or_default()
}

const ADDRESS: usize = 0x8030_0000;
const LEN: usize = 4096;
