//! Which lines of a long run are shown: those around faults and crashes, its beginning and its end.

use std::ops::Range;

use super::lines::Happened;
use crate::world::Lane;

/// The widest surroundings of a remarkable line.
const AROUND_MAX: usize = 12;

/// How much of the beginning is shown whatever happens.
const BEGINNING: usize = 3;

/// A stretch of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Stretch {
    /// Lines that are shown.
    Shown(Range<usize>),
    /// Lines that are left out, and whether nothing goes wrong in them.
    LeftOut {
        /// How many.
        count: usize,
        /// No fault or crash is among them.
        healthy: bool,
    },
}

/// The stretches of a run in at most `room` lines, with as much around each fault as fits.
pub(super) fn stretches(lines: &[Happened], room: usize) -> Vec<Stretch> {
    if lines.len() <= room {
        return vec![Stretch::Shown(0..lines.len())];
    }
    let chosen = (0..=AROUND_MAX)
        .rev()
        .map(|around| parted(lines, &shown_around(lines, around)))
        .find(|parts| height(parts) <= room);
    chosen.unwrap_or_else(|| head_and_tail(lines, room))
}

/// What is worth a look: a fault, a node that dies or takes over after the beginning, or the event after
/// which a failure was inevitable.
fn is_remarkable(at: usize, line: &Happened) -> bool {
    line.fault || line.baked_in || (line.lane == Lane::Node && at > 0)
}

fn shown_around(lines: &[Happened], around: usize) -> Vec<bool> {
    let mut shown = vec![false; lines.len()];
    let mut show = |from: usize, to: usize| {
        for line in &mut shown[from..to.min(lines.len())] {
            *line = true;
        }
    };
    show(0, BEGINNING);
    show(lines.len() - (2 * around + 3).min(lines.len()), lines.len());
    for (at, line) in lines.iter().enumerate() {
        if is_remarkable(at, line) {
            show(at.saturating_sub(around), at + around + 1);
        }
    }
    shown
}

fn parted(lines: &[Happened], shown: &[bool]) -> Vec<Stretch> {
    let mut parts = Vec::new();
    let mut from = 0;
    for run in shown.chunk_by(|a, b| a == b) {
        let range = from..from + run.len();
        from = range.end;
        // A line says no less than a line that says that one line is left out.
        parts.push(if run[0] || run.len() == 1 {
            Stretch::Shown(range)
        } else {
            left_out(lines, range)
        });
    }
    parts
}

fn left_out(lines: &[Happened], range: Range<usize>) -> Stretch {
    let remarkable = |at: usize| is_remarkable(at, &lines[at]);
    Stretch::LeftOut {
        count: range.len(),
        healthy: !range.into_iter().any(remarkable),
    }
}

fn head_and_tail(lines: &[Happened], room: usize) -> Vec<Stretch> {
    let head = room / 3;
    let tail = lines.len() - (room - head - 1);
    vec![
        Stretch::Shown(0..head),
        left_out(lines, head..tail),
        Stretch::Shown(tail..lines.len()),
    ]
}

fn height(parts: &[Stretch]) -> usize {
    let heights = parts.iter().map(|part| match part {
        Stretch::Shown(lines) => lines.len(),
        Stretch::LeftOut { .. } => 1,
    });
    heights.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize, faults: &[usize]) -> Vec<Happened> {
        let line = |at: usize| Happened {
            at_ms: 0,
            lane: Lane::World,
            saga: None,
            what: "a line".into(),
            fault: faults.contains(&at),
            baked_in: false,
            changed: None,
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn a_short_run_is_shown_as_it_is() {
        assert_eq!(stretches(&lines(50, &[7]), 50), [Stretch::Shown(0..50)]);
    }

    #[test]
    fn a_long_run_shows_its_beginning_its_end_and_what_is_around_a_fault() {
        let lines = lines(500, &[200]);
        let parts = stretches(&lines, 50);
        assert!(height(&parts) <= 50);
        assert_eq!(parts.len(), 5, "{parts:?}");
        let shows = |line: usize| {
            parts
                .iter()
                .any(|part| matches!(part, Stretch::Shown(lines) if lines.contains(&line)))
        };
        assert!(shows(0) && shows(199) && shows(201) && shows(499) && !shows(100));
        for part in &parts {
            assert!(!matches!(part, Stretch::LeftOut { healthy: false, .. }));
        }
    }

    #[test]
    fn nothing_is_called_healthy_that_hides_a_fault() {
        let faults: Vec<_> = (0..500).step_by(5).collect();
        let parts = stretches(&lines(500, &faults), 50);
        assert!(height(&parts) <= 50);
        assert!(parts.contains(&Stretch::LeftOut {
            count: 451,
            healthy: false
        }));
    }
}
