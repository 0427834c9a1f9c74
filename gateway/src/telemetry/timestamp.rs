//! RFC 3339 time stamps in UTC with microseconds, without formatting machinery.

const DAY_S: i64 = 86_400;
/// The year 0 begins.
const FIRST_US: i64 = -62_167_219_200_000_000;
/// The year 9999 ends.
const LAST_US: i64 = 253_402_300_799_999_999;

/// A time since the Unix epoch, microseconds, as text.
pub fn rfc3339(unix_us: i64) -> String {
    let mut text = Vec::with_capacity(27);
    write_rfc3339(&mut text, unix_us);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends `2026-11-23T14:15:16.000123Z`. Years before 0 or after 9999 have no such form and are clamped to its ends.
pub(super) fn write_rfc3339(out: &mut Vec<u8>, unix_us: i64) {
    Stamper::default().write(out, unix_us);
}

/// Writes one time after another: of those within the same second, only the microseconds are made anew.
#[derive(Debug)]
pub(super) struct Stamper {
    second: i64,
    text: [u8; 27],
}

impl Default for Stamper {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00.000000Z" }
    }
}

impl Stamper {
    /// Appends a time as [`write_rfc3339`] does.
    #[inline]
    pub(super) fn write(&mut self, out: &mut Vec<u8>, unix_us: i64) {
        let unix_us = unix_us.clamp(FIRST_US, LAST_US);
        let (second, micros) = (unix_us.div_euclid(1_000_000), unix_us.rem_euclid(1_000_000));
        if second != self.second {
            self.turn(second);
        }
        put(&mut self.text[20..26], micros);
        out.extend_from_slice(&self.text);
    }

    /// Another second.
    fn turn(&mut self, unix_s: i64) {
        let (days, second) = (unix_s.div_euclid(DAY_S), unix_s.rem_euclid(DAY_S));
        let (year, month, day) = civil_from_days(days);
        put(&mut self.text[0..4], year);
        put(&mut self.text[5..7], month);
        put(&mut self.text[8..10], day);
        put(&mut self.text[11..13], second / 3600);
        put(&mut self.text[14..16], second / 60 % 60);
        put(&mut self.text[17..19], second % 60);
        self.second = unix_s;
    }
}

/// Decimal digits, right-aligned over the zeros that are there.
#[inline]
fn put(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01 in the proleptic Gregorian calendar: `civil_from_days` of
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". Years begin in March, so that the leap day is the
/// last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(unix_us: i64, expected: &str) {
        let mut out = Vec::new();
        write_rfc3339(&mut out, unix_us);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }

    #[test]
    fn known_moments() {
        check(0, "1970-01-01T00:00:00.000000Z");
        check(-1, "1969-12-31T23:59:59.999999Z");
        check(951_782_400_000_000, "2000-02-29T00:00:00.000000Z");
        check(951_868_800_000_001, "2000-03-01T00:00:00.000001Z");
        check(4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z");
        check(4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z");
        check(1_795_443_296_123_456, "2026-11-23T14:14:56.123456Z");
        check(i64::MIN, "0000-01-01T00:00:00.000000Z");
        check(i64::MAX, "9999-12-31T23:59:59.999999Z");
    }

    proptest! {
        #[test]
        fn what_was_written_before_makes_no_difference(
            times in proptest::collection::vec(prop_oneof![any::<i64>(), -3_000_000..3_000_000_i64], 1..9),
        ) {
            let mut stamper = Stamper::default();
            for unix_us in times {
                let mut out = Vec::new();
                stamper.write(&mut out, unix_us);
                prop_assert_eq!(String::from_utf8(out).unwrap(), rfc3339(unix_us));
            }
        }
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let length = |year, month| match month {
            2 => 28 + i64::from(leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..800 * 366 {
            assert_eq!(civil_from_days(days), (year, month, day));
            day += 1;
            if day > length(year, month) {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
