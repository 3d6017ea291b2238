//! The LED: a plain one on a pin, or a WS2812 (one wire, one pixel) driven by the RMT peripheral.

use declic_board::LedKind;
use esp_hal::Blocking;
use esp_hal::gpio::{AnyPin, Level, Output, OutputConfig};
use esp_hal::peripherals::RMT;
use esp_hal::rmt::{Channel, PulseCode, Rmt, Tx, TxChannelConfig, TxChannelCreator};
use esp_hal::time::Rate;

pub enum Led {
    Plain {
        pin: Output<'static>,
        on_level: Level,
    },
    Ws2812(Option<Channel<'static, Blocking, Tx>>),
    /// There is none, or the settings name a pin that can't be used.
    None,
}

impl Led {
    /// The LED on `pin`, dark.
    pub fn new(kind: LedKind, pin: AnyPin<'static>, rmt: RMT<'static>) -> Self {
        let plain = |pin, on_level: Level| Self::Plain {
            pin: Output::new(pin, !on_level, OutputConfig::default()),
            on_level,
        };
        let mut led = match kind {
            LedKind::PlainHigh => plain(pin, Level::High),
            LedKind::PlainLow => plain(pin, Level::Low),
            LedKind::Ws2812 => Self::Ws2812(channel(pin, rmt)),
            LedKind::Auto | LedKind::None => Self::None,
        };
        led.set(false);
        led
    }

    /// Turns it on or off. Takes 30 µs with a WS2812.
    pub fn set(&mut self, on: bool) {
        match self {
            Self::Plain { pin, on_level } => {
                pin.set_level(if on { *on_level } else { !*on_level });
            }
            Self::Ws2812(channel) => {
                let codes = pulses(if on { WHITE } else { [0; 3] });
                *channel = channel.take().map(|channel| {
                    let (Ok(channel) | Err((_, channel))) = channel
                        .transmit(&codes)
                        .and_then(|transaction| transaction.wait());
                    channel
                });
            }
            Self::None => {}
        }
    }
}

fn channel(pin: AnyPin<'static>, rmt: RMT<'static>) -> Option<Channel<'static, Blocking, Tx>> {
    let config = TxChannelConfig::default()
        .with_clk_divider(1)
        .with_idle_output_level(Level::Low)
        .with_idle_output(true);
    let rmt = Rmt::new(rmt, Rate::from_mhz(TICKS_PER_MICRO)).ok()?;
    let channel = rmt.channel0.configure_tx(&config).ok()?;
    Some(channel.with_pin(pin))
}

/// The pixel's 24 bits (green, red, blue; highest bit first) and the end.
fn pulses(color: [u8; 3]) -> [PulseCode; 25] {
    let mut codes = [PulseCode::end_marker(); 25];
    for (index, code) in codes.iter_mut().take(24).enumerate() {
        let bit = color[index / 8] << (index % 8) & 0x80 != 0;
        *code = if bit { ONE } else { ZERO };
    }
    codes
}

/// Bright enough to see, not enough to hurt.
const WHITE: [u8; 3] = [32; 3];

const TICKS_PER_MICRO: u32 = 80;

/// High and low times of a bit in ticks; the data sheet allows 150 ns more or less.
const ZERO: PulseCode = PulseCode::new(Level::High, 32, Level::Low, 68);
const ONE: PulseCode = PulseCode::new(Level::High, 64, Level::Low, 36);
