//! The date and the time of day, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment of the calendar. UTC: the standard library knows no time zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub unix: u64,
    pub nanos: u32,
}

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    pub year: u64,
    pub month: u64,
    pub day: u64,
    pub hour: u64,
    pub minute: u64,
    pub second: u64,
}

impl Timestamp {
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            unix: since.as_secs(),
            nanos: since.subsec_nanos(),
        }
    }

    /// Days to date as Howard Hinnant's "chrono-compatible low-level date algorithms" do it.
    pub const fn calendar(self) -> Calendar {
        let days = self.unix / 86_400 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Calendar {
            year: era * 400 + year_of_era + (month <= 2) as u64,
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: self.unix / 3_600 % 24,
            minute: self.unix / 60 % 60,
            second: self.unix % 60,
        }
    }

    /// `2026-11-22T17:31:54.547441Z`.
    pub fn iso_8601_micros(self) -> String {
        let seconds = self.iso_8601();
        format!("{seconds}.{:06}Z", self.nanos / 1_000)
    }

    /// `2026-11-22T17:31:54`, without a time zone.
    pub fn iso_8601(self) -> String {
        let Calendar {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self.calendar();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_795_369_177, "2026-11-22T17:39:37.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            let timestamp = Timestamp { unix, nanos: 999 };
            assert_eq!(timestamp.iso_8601_micros(), expected);
        }
    }
}
