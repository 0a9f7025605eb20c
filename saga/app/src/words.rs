//! Times and spans in words.

use std::{borrow::Cow, time::Duration};

use sagalog_model::log::Time;

/// A span, short: `350 µs`, `120 ms`, `1.20 s`, `2 min 5 s`, `3 h 2 min`, `4 d 5 h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, word: &str, small: u64, rest: &str| match small {
        0 => format!("{large} {word}"),
        small => format!("{large} {word} {small} {rest}"),
    };
    match seconds {
        0 if span.is_zero() => "0 ms".into(),
        0 if span.as_micros() < 1_000 => format!("{} µs", span.as_micros()),
        0 => format!("{} ms", span.as_millis()),
        1..60 if span.subsec_millis() < 10 => format!("{seconds} s"),
        1..60 => format!("{seconds}.{:02} s", span.subsec_millis() / 10),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// A moment as `2026-11-20T20:07:30.250000Z`.
pub(crate) fn utc(time: Time) -> String {
    let micros = time.as_micros();
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// The moment that a text as `2026-11-20T20:07:30Z` names, with a fraction of the second or without one.
pub(crate) fn moment(text: &str) -> Option<Time> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(time, ':')?;
    if !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // The days are counted back from their text, so that what names no day names none here.
    let days = (365 * (year - 1970)..=366 * (year - 1969))
        .find(|days| self::date(*days) == (year, month, day))?;
    let micros: u64 = match fraction.len() {
        1..=6 if fraction.bytes().all(|digit| digit.is_ascii_digit()) => {
            format!("{fraction:0<6}").parse().ok()?
        }
        _ => return None,
    };
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Time::from_micros(seconds * 1_000_000 + micros))
}

/// The span that a text as `90s`, `15m`, `2h` or `3d` names.
pub(crate) fn to_span(text: &str) -> Option<Duration> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    number_of(text, &units).map(Duration::from_secs)
}

/// The number of bytes that a text as `512MiB` or `10GiB` names.
pub(crate) fn to_bytes(text: &str) -> Option<u64> {
    number_of(
        text,
        &[("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)],
    )
}

/// What a number with one of these units behind it comes to.
fn number_of(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let named = |(unit, one): &(&str, u64)| Some((text.strip_suffix(unit)?, *one));
    let (count, one) = units.iter().find_map(named)?;
    count.parse::<u64>().ok()?.checked_mul(one)
}

fn three(text: &str, between: char) -> Option<[u64; 3]> {
    let numbers: Option<Vec<_>> = text.split(between).map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// Days since 1970 to a civil date, counted in eras of 400 years that begin on 1 March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (
        era * 400 + year_of_era + u64::from(month <= 2),
        month,
        day_of_month,
    )
}

/// Text of others in one line: what would move the cursor or colour the terminal is spelled out.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let spelled = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(spelled).collect::<String>().into()
}

/// A number of things: `1 event`, `2 events`.
pub(crate) fn count(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// A range of numbers: `number 3`, `numbers 3 to 5`.
pub(crate) fn numbers(from: u64, to: u64) -> String {
    if from == to {
        format!("number {from}")
    } else {
        format!("numbers {from} to {to}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_have_a_number_and_a_unit() {
        let spans = ["90s", "15m", "2h", "3d"].map(to_span);
        let seconds = [90, 900, 7_200, 259_200].map(|it| Some(Duration::from_secs(it)));
        assert_eq!(spans, seconds);
        let sizes = ["512MiB", "10GiB", "1TiB"].map(to_bytes);
        assert_eq!(sizes, [512 << 20, 10 << 30, 1 << 40].map(Some));
        let none = ["", "3", "d", "-3d", "1.5h", "3 d", "99999999999999999999d"];
        assert_eq!(none.map(to_span), [None; 7]);
        assert_eq!(["1GB", "GiB", "99999999999TiB"].map(to_bytes), [None; 3]);
    }

    #[test]
    fn spans_are_short() {
        let spans = [
            0,
            350,
            120_000,
            1_004_000,
            1_200_000,
            59_999_999,
            125_000_000,
            10_920_000_000,
            363_600_000_000,
        ];
        let said: Vec<_> = spans
            .map(|micros| span(Duration::from_micros(micros)))
            .into();
        assert_eq!(
            said,
            [
                "0 ms",
                "350 µs",
                "120 ms",
                "1 s",
                "1.20 s",
                "59.99 s",
                "2 min 5 s",
                "3 h 2 min",
                "4 d 5 h"
            ]
        );
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(plain("a\nb \u{1b}[31mé"), r"a\nb \u{1b}[31mé");
    }

    #[test]
    fn moments_are_read_as_they_are_written() {
        for micros in [
            0,
            1_795_205_250_250_000,
            951_782_400_000_001,
            4_102_444_799_999_999,
        ] {
            let time = Time::from_micros(micros);
            assert_eq!(moment(&utc(time)), Some(time));
        }
        let short = moment("2026-11-20T20:07:30Z").map(utc);
        assert_eq!(short.as_deref(), Some("2026-11-20T20:07:30.000000Z"));
        for bad in [
            "2026-02-30T00:00:00Z",
            "2026-11-20",
            "2026-11-20T24:00:00Z",
            "now",
        ] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_in_utc() {
        assert_eq!(
            utc(Time::from_micros(1_795_205_250_250_000)),
            "2026-11-20T20:07:30.250000Z"
        );
        assert_eq!(
            utc(Time::from_micros(951_782_400_000_001)),
            "2000-02-29T00:00:00.000001Z"
        );
    }
}
