//! The virtual hardware: everything that needs `unsafe` is in here.

pub mod flash;
pub mod handover;
pub mod interrupts;
pub mod machine;
pub mod mmio;
pub mod net_device;
pub mod time_driver;
pub mod uart;
pub mod virtio;
