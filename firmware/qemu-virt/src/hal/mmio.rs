//! Registers of devices.

/// The registers of one device.
#[derive(Clone, Copy)]
pub struct Mmio {
    base: usize,
    len: usize,
}

impl Mmio {
    /// The registers at `base..base + len`.
    ///
    /// # Safety
    /// The machine has a device there, and whatever is read from it or written to it changes no
    /// memory of the program.
    pub const unsafe fn new(base: usize, len: usize) -> Self {
        Self { base, len }
    }

    pub fn read<T: Register>(self, offset: usize) -> T {
        // SAFETY: inside the device, see `new` and `address`; a register's type has no wrong values.
        unsafe { self.address::<T>(offset).read_volatile() }
    }

    pub fn write<T: Register>(self, offset: usize, value: T) {
        // SAFETY: inside the device, see `new` and `address`.
        unsafe { self.address::<T>(offset).write_volatile(value) }
    }

    fn address<T>(self, offset: usize) -> *mut T {
        assert!(offset + size_of::<T>() <= self.len && offset.is_multiple_of(align_of::<T>()));
        (self.base + offset) as *mut T
    }
}

/// What a register can hold.
pub trait Register: Copy {}
impl Register for u8 {}
impl Register for u16 {}
impl Register for u32 {}
