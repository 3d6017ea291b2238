//! How much of a chip a program takes.

use std::error::Error;
use std::fmt;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// Bytes, by what they are for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Size {
    /// The application's image, with padding and headers.
    pub image: u64,
    /// Code that runs from flash.
    pub text: u64,
    /// Constants in flash.
    pub rodata: u64,
    /// Code that is copied to RAM.
    pub ram_code: u64,
    /// Variables, without the heap.
    pub ram_data: u64,
    /// Of these, the ones whose first values come from flash.
    pub initialized: u64,
    /// The heap, which the radio needs.
    pub heap: u64,
    /// What is left for the stack of the tasks.
    pub stack: u64,
}

impl Size {
    /// Measures the program `elf`, which makes an application of `image` bytes.
    pub fn new(elf: &[u8], image: usize) -> Result<Self, Box<dyn Error>> {
        let elf = object::File::parse(elf)?;
        let mut size = Self {
            image: image as u64,
            ..Self::default()
        };
        let heap: Vec<_> = elf
            .symbols()
            .filter(|symbol| symbol.name().is_ok_and(is_heap))
            .collect();
        size.heap = heap.iter().map(ObjectSymbol::size).sum();
        for section in elf.sections() {
            let (name, len) = (section.name()?, section.size());
            // The heap may lie in memory that nothing else uses.
            let heap_here = heap
                .iter()
                .filter(|symbol| symbol.section_index() == Some(section.index()))
                .map(ObjectSymbol::size)
                .sum::<u64>();
            match name {
                ".stack" => size.stack += len,
                // Not memory, but places that are left free for what has two addresses.
                _ if name.ends_with("_dummy") || name.ends_with("_gap") => {}
                _ if name.starts_with(".text") => size.text += len,
                _ if name.starts_with(".rodata") => size.rodata += len,
                _ if name.starts_with(".rwtext")
                    || name.starts_with(".trap")
                    || name.starts_with(".vectors") =>
                {
                    size.ram_code += len;
                }
                _ => match section.kind() {
                    SectionKind::Data => {
                        size.ram_data += len;
                        size.initialized += len;
                    }
                    SectionKind::UninitializedData => size.ram_data += len - heap_here,
                    _ => {}
                },
            }
        }
        Ok(size)
    }

    /// What the program takes of the flash, but for headers and for padding, which jumps with the
    /// smallest change.
    pub fn flash(&self) -> u64 {
        self.text + self.rodata + self.ram_code + self.initialized
    }

    /// What it takes of the RAM, but for heap and stack.
    pub fn ram(&self) -> u64 {
        self.ram_code + self.ram_data
    }
}

/// The regions that `esp_alloc::heap_allocator!` makes; not the allocator itself.
fn is_heap(name: &str) -> bool {
    name.contains("4HEAP17h") && !name.contains("9esp_alloc")
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            image,
            text,
            rodata,
            ram_code,
            ram_data,
            heap,
            stack,
            ..
        } = self;
        write!(
            f,
            "{image:>9} {text:>9} {rodata:>9} {ram_code:>9} {ram_data:>9} {heap:>9} {stack:>9}"
        )
    }
}
