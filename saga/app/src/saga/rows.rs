//! A timeline as lines of text: time since the start, node, what happened.

use std::time::Duration;

use sagalog_model::{
    Direction, FailureClass,
    event::{Origin, ParkCause, TurnCause},
    log::Time,
};
use sagalog_projections::{
    timeline::{
        Ahead, AttemptEnd, End, Ended, Entry, GapStep, HeldEnd, Item, Moment, Note, Noted, Place,
        Timeline, What,
    },
    why::Turned,
};

use crate::{
    output::{Output, Style},
    words::{numbers, plain, span, utc},
};

/// Columns of the time.
const TIME: usize = 12;

/// Columns of a usual moment's name, with its own indent.
const MOMENT: usize = 2 + "attempt 1".len();

/// The lines of a timeline.
pub(crate) fn of(timeline: &Timeline, output: Output) -> Vec<String> {
    let mut rows = Rows {
        timeline,
        output,
        names: names(timeline),
        lines: Vec::new(),
    };
    rows.head();
    rows.lane("forward", &timeline.forward);
    rows.turn();
    rows.lane("compensation", &timeline.compensation);
    rows.ahead();
    rows.lines
}

/// Why a saga turned, in words that follow "it went back".
pub(super) fn why_it_turned(turned: &Turned) -> String {
    let cause = match turned.cause {
        TurnCause::StepFailed => "because the step failed for good",
        TurnCause::StepDeadline => "because the step's deadline passed",
        TurnCause::CheckFailed => "because the check did not hold",
        TurnCause::Fail => "because the definition gave up",
        TurnCause::Cancelled => "because it was cancelled",
        TurnCause::Operator => "because an operator had it undone",
        TurnCause::Deadline => return "because its deadline passed".into(),
    };
    let node = turned
        .node
        .as_ref()
        .map_or_else(String::new, |node| format!("at {node} "));
    format!("{node}{cause}: {}", turned.reason)
}

/// What was said of an attempt that takes long.
pub(super) fn kept_alive(progress: &str) -> String {
    match progress {
        "" => ", which is under way".into(),
        progress => format!(", which is under way: {}", plain(progress)),
    }
}

/// What could not be done, in words.
pub(super) const fn what_was_parked(cause: ParkCause) -> &'static str {
    match cause {
        ParkCause::Expression => "the definition's own code failed",
        ParkCause::Action => "the action failed for good after the pivot",
        ParkCause::Compensation => "the compensation failed for good",
    }
}

/// How long after the start, as a column.
pub(super) fn at_time(since: Duration) -> String {
    format!("{:>TIME$}", format!("+{}", span(since)))
}

struct Rows<'a> {
    timeline: &'a Timeline,
    output: Output,
    /// Columns of the widest name of a node or moment, with its indent.
    names: usize,
    lines: Vec<String>,
}

/// The widest name of a node or moment, with its indent.
fn names(timeline: &Timeline) -> usize {
    let entries = timeline
        .forward
        .iter()
        .chain(&timeline.compensation)
        .filter_map(|item| match item {
            Item::Entry(entry) => {
                let moment = if inline(entry) { 0 } else { MOMENT };
                Some(indent(entry.depth) + entry.node.chars().count().max(moment))
            }
            Item::Note(_) => None,
        });
    let ahead = timeline
        .ahead
        .iter()
        .map(|ahead| indent(ahead.depth) + ahead.node.chars().count());
    entries.chain(ahead).max().unwrap_or(0)
}

const fn indent(depth: u32) -> usize {
    2 * depth as usize
}

impl Rows<'_> {
    fn head(&mut self) {
        let timeline = self.timeline;
        let status = self
            .output
            .styled(style_of_status(timeline.status), timeline.status);
        self.lines.push(format!(
            "{}  {status}  {} version {}",
            self.output.styled(Style::Bold, &timeline.saga),
            timeline.definition,
            timeline.definition_version
        ));
        let over = matches!(
            timeline.status,
            "Completed" | "Compensated" | "PartlyCompensated"
        );
        let word = if over { "ended" } else { "last changed" };
        self.lines.push(format!(
            "started {}, {word} after {}, at version {}",
            utc(timeline.started.at),
            span(timeline.last.since(timeline.started)),
            timeline.last.version
        ));
        if let Some(paused) = &timeline.paused {
            self.lines.push(format!(
                "it is paused by {} since {} after the start: {}",
                plain(&paused.by),
                self.span(paused.since),
                plain(&paused.reason)
            ));
        }
        match &timeline.deadline {
            Some(deadline) if deadline.overdue => self.lines.push(format!(
                "its deadline passed after the pivot, {} after the start, so it goes on",
                self.span(deadline.at)
            )),
            Some(deadline) if !over && timeline.turned.is_none() => {
                self.lines.push(format!(
                    "it goes back by itself {} after the start",
                    self.span(deadline.at)
                ));
            }
            _ => {}
        }
        self.field("input", timeline.input.as_str());
        if let Some(result) = &timeline.output {
            self.field("output", result.as_str());
        }
        if !timeline.left.is_empty() {
            self.lines.push(format!(
                "left with their effects: {}",
                timeline.left.join(", ")
            ));
        }
    }

    fn field(&mut self, name: &str, text: &str) {
        self.lines.push(format!(
            "{name} {}",
            self.output.cut(&plain(text), name.len() + 1)
        ));
    }

    fn lane(&mut self, name: &str, items: &[Item]) {
        if items.is_empty() {
            return;
        }
        self.title(name);
        for item in items {
            match item {
                Item::Entry(entry) => self.entry(entry),
                Item::Note(note) => self.note(note),
            }
        }
    }

    fn title(&mut self, name: &str) {
        self.lines.push(String::new());
        self.lines.push(self.output.styled(Style::Bold, name));
    }

    fn turn(&mut self) {
        let Some(turned) = &self.timeline.turned else {
            return;
        };
        self.lines.push(String::new());
        self.row(
            turned.at,
            Style::Warn,
            &format!("turned {}", why_it_turned(turned)),
        );
    }

    fn entry(&mut self, entry: &Entry) {
        let name = format!("{:indent$}{}", "", entry.node, indent = indent(entry.depth));
        let (style, text) = self.what_became_of(entry);
        self.named(entry.began.at, style, &name, &text);
        if !inline(entry) {
            for moment in &entry.moments {
                self.moment(entry, moment);
            }
        }
    }

    fn what_became_of(&self, entry: &Entry) -> (Style, String) {
        let (style, end) = outcome(entry);
        let did = match (entry.does, &entry.contract) {
            ("choice", _) => return (Style::Plain, arm(entry)),
            ("signal", Some(signal)) => format!("waits for {signal}"),
            (does, contract) => contract.as_deref().unwrap_or(does).to_owned(),
        };
        let took = match (entry.does, entry.ended, entry.until) {
            // What asks nobody takes no time.
            ("value" | "check" | "fail" | "pivot", ..) => String::new(),
            (_, Some(ended), _) => format!(" after {}", span(ended.since(entry.began))),
            (_, None, Some(until)) => format!(", until {}", self.short(until)),
            (_, None, None) => String::new(),
        };
        let gave = match (&entry.output, entry.end) {
            (Some(output), Some(End::Done)) if output.as_str() != "null" => {
                format!(", gave {output}")
            }
            _ => String::new(),
        };
        (style, format!("{did}: {end}{took}{gave}"))
    }

    fn moment(&mut self, entry: &Entry, moment: &Moment) {
        let (style, name, text) = match &moment.what {
            What::Attempt {
                direction,
                attempt,
                deadline,
                renewed,
                progress,
                ended,
            } => {
                let mut renewed = String::from(if *renewed {
                    " (asked again after a downtime)"
                } else {
                    ""
                });
                if let Some(progress) = progress {
                    renewed.push_str(&kept_alive(progress));
                }
                let (style, text) = match ended {
                    Some(ended) => attempt_end(ended, moment.place),
                    None => (
                        Style::Warn,
                        format!(
                            "no answer so far, unknown from {} on",
                            self.short(*deadline)
                        ),
                    ),
                };
                (
                    style,
                    format!("{} {attempt}", word(*direction)),
                    format!("{text}{renewed}"),
                )
            }
            What::LateAnswer {
                direction,
                attempt,
                answer,
            } => {
                let (style, said) = attempt_said(answer);
                (
                    style,
                    "late".into(),
                    format!("answer to {} {attempt}: {said}", word(*direction)),
                )
            }
            What::Retry { due, .. } => (
                Style::Dim,
                "retry".into(),
                format!("waits {}", span(due.since(moment.place.at))),
            ),
            What::StepDeadlinePassed => {
                (Style::Warn, "deadline".into(), "of the step passed".into())
            }
            What::Arm { arm } => {
                let text = arm
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |arm| format!("into {arm}"));
                (Style::Plain, "arm".into(), text)
            }
            What::Signal { id } => (Style::Plain, "signal".into(), format!("taken, id {id}")),
            What::Parked { cause, reason } => (
                Style::Bad,
                "parked".into(),
                format!("waits for a person: {}: {reason}", what_was_parked(*cause)),
            ),
            What::RetryRequested { by, reason } => {
                let why = reason
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {why}"));
                let text = format!("wanted by {by}, with a new budget{why}");
                (Style::Plain, "retry".into(), text)
            }
            What::ResolvedByHand { by } => {
                (Style::Plain, "resolved".into(), format!("by hand, by {by}"))
            }
            What::SkippedByHand { by, reason } => {
                (Style::Warn, "given up".into(), format!("by {by}: {reason}"))
            }
            What::Skipped { reason } => (
                Style::Warn,
                "left".into(),
                format!("as its policy says: {reason}"),
            ),
        };
        let name = format!("{:indent$}{name}", "", indent = indent(entry.depth) + 2);
        self.named(moment.place.at, style, &name, &text);
    }

    fn note(&mut self, note: &Note) {
        let (style, text) = match &note.what {
            Noted::SignalReceived { signal, id } => {
                (Style::Plain, format!("signal {signal} came, id {id}"))
            }
            Noted::NumberedSignalReceived {
                signal,
                producer,
                number,
            } => match signal {
                Some(signal) => (
                    Style::Plain,
                    format!("signal {signal} came, number {number} of {producer}"),
                ),
                None => (
                    Style::Plain,
                    format!("number {number} of {producer}, which was kept, is next"),
                ),
            },
            Noted::SignalAhead {
                signal,
                producer,
                number,
            } => (
                Style::Dim,
                format!(
                    "signal {signal} is kept: numbers are missing before {number} of {producer}"
                ),
            ),
            Noted::Gap {
                producer,
                from,
                to,
                then,
            } => {
                let (style, what) = match then {
                    GapStep::Waited => (Style::Dim, "missing, and waited for"),
                    GapStep::Asked => (Style::Warn, "asked for again"),
                    GapStep::Abandoned => (Style::Warn, "given up"),
                    GapStep::Rejected => (
                        Style::Warn,
                        "missing still: what came behind them is rejected",
                    ),
                };
                (
                    style,
                    format!("{} of {producer}: {what}", numbers(*from, *to)),
                )
            }
            Noted::InputHeld {
                number,
                input,
                reason,
            } => match reason {
                Some(reason) => (
                    Style::Bad,
                    format!("input {number} is held: {}: {reason}", what_is_held(input)),
                ),
                None => (
                    Style::Dim,
                    format!(
                        "input {number} is held behind others: {}",
                        what_is_held(input)
                    ),
                ),
            },
            Noted::HeldEnded {
                number,
                by,
                how,
                reason,
            } => {
                let how = match how {
                    HeldEnd::Processed => "processed",
                    HeldEnd::Edited => "processed with other content",
                    HeldEnd::Dropped => "given up",
                };
                let by = by
                    .as_ref()
                    .map_or_else(String::new, |by| format!(" by {by}"));
                let why = reason
                    .as_ref()
                    .map_or_else(String::new, |why| format!(": {why}"));
                (
                    Style::Plain,
                    format!("held input {number} is {how}{by}{why}"),
                )
            }
            Noted::SignalLate { id } => (
                Style::Dim,
                format!("signal {id} came when nothing waits for it any more"),
            ),
            Noted::IdsForgotten { of, until } => (
                Style::Dim,
                format!(
                    "{of} that could come again until {} are not remembered any more",
                    utc(*until)
                ),
            ),
            Noted::CancelRequested { by, reason } => {
                (Style::Warn, format!("cancel wanted by {by}: {reason}"))
            }
            Noted::CompensateRequested { by, reason } => {
                (Style::Warn, format!("compensate wanted by {by}: {reason}"))
            }
            Noted::Paused { by, reason } => (Style::Warn, format!("paused by {by}: {reason}")),
            Noted::Resumed { by } => (Style::Warn, format!("resumed by {by}")),
            Noted::DeadlineSet {
                deadline,
                by,
                reason,
            } => {
                let set = match deadline {
                    Some(deadline) => format!("deadline set to {}", utc(*deadline)),
                    None => "deadline removed".to_owned(),
                };
                (Style::Warn, format!("{set} by {by}: {reason}"))
            }
            Noted::DeadlinePassed => (Style::Warn, "the saga's deadline passed".to_owned()),
        };
        self.row(note.place.at, style, &text);
    }

    fn ahead(&mut self) {
        if self
            .timeline
            .ahead
            .iter()
            .all(|ahead| ahead.does == "return")
        {
            return;
        }
        let turned = self.timeline.turned.is_some();
        self.title(if turned { "still to undo" } else { "ahead" });
        let said = |ahead: &&Ahead| ahead.does != "return";
        for Ahead {
            node,
            does,
            depth,
            contract,
        } in self.timeline.ahead.iter().filter(said)
        {
            let name = format!("{:indent$}{node}", "", indent = indent(*depth));
            let does = contract.as_deref().unwrap_or(does);
            let line = format!("{:>TIME$}  {name:names$}  {does}", "·", names = self.names);
            self.lines.push(self.output.styled(Style::Dim, line));
        }
    }

    fn named(&mut self, at: Time, style: Style, name: &str, text: &str) {
        let names = self.names;
        let text = self.output.cut(&plain(text), TIME + names + 4);
        let line = format!(
            "{}  {name:names$}  {}",
            self.after(at),
            self.output.styled(style, text)
        );
        self.lines.push(line);
    }

    fn row(&mut self, at: Time, style: Style, text: &str) {
        let text = self.output.cut(&plain(text), TIME + 2);
        let line = format!("{}  {}", self.after(at), self.output.styled(style, text));
        self.lines.push(line);
    }

    /// How long after the start, as a column.
    fn after(&self, at: Time) -> String {
        at_time(at.since(self.timeline.started.at))
    }

    fn short(&self, at: Time) -> String {
        format!("+{}", self.span(at))
    }

    fn span(&self, at: Time) -> String {
        span(at.since(self.timeline.started.at))
    }
}

/// Whether its own line says all: one attempt that went well, or the arm that was chosen.
fn inline(entry: &Entry) -> bool {
    let [Moment { what, .. }] = entry.moments.as_slice() else {
        return entry.moments.is_empty();
    };
    match what {
        What::Attempt {
            direction,
            attempt: 1,
            renewed: false,
            ended: Some(ended),
            ..
        } => {
            matches!(direction, Direction::Action | Direction::Compensation)
                && ended.outcome == AttemptEnd::Succeeded
        }
        What::Arm { .. } => true,
        _ => false,
    }
}

fn arm(entry: &Entry) -> String {
    let arm = entry.moments.iter().find_map(|moment| match &moment.what {
        What::Arm { arm } => arm.as_deref(),
        _ => None,
    });
    arm.map_or_else(|| "choice: none".into(), |arm| format!("choice: {arm}"))
}

fn outcome(entry: &Entry) -> (Style, &'static str) {
    match (entry.end, entry.parked) {
        (_, true) => (Style::Bad, "parked"),
        (None, _) => (Style::Warn, "under way"),
        (Some(End::Done), _) => (Style::Good, "done"),
        (Some(End::Failed), _) => (Style::Bad, "failed"),
        (Some(End::InDoubt), _) => (Style::Bad, "in doubt"),
        (Some(End::Skipped), _) => (Style::Warn, "given up"),
        (Some(End::Dropped), _) => (Style::Dim, "dropped at the turn"),
        (Some(End::TimedOut), _) => (Style::Warn, "no signal came"),
        (Some(End::Undone), _) => (Style::Good, "undone"),
        (Some(End::Left), _) => (Style::Warn, "left"),
    }
}

fn attempt_end(ended: &Ended, asked: Place) -> (Style, String) {
    let (style, word) = attempt_word(ended);
    (
        style,
        format!(
            "{word} after {}{}",
            span(ended.place.since(asked)),
            because(ended)
        ),
    )
}

fn attempt_said(ended: &Ended) -> (Style, String) {
    let (style, word) = attempt_word(ended);
    (style, format!("{word}{}", because(ended)))
}

fn because(ended: &Ended) -> String {
    ended
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"))
}

const fn attempt_word(ended: &Ended) -> (Style, &'static str) {
    match (ended.outcome, ended.class) {
        (AttemptEnd::Succeeded, _) => (Style::Good, "succeeded"),
        (AttemptEnd::Failed, Some(FailureClass::Permanent)) => (Style::Bad, "failed permanently"),
        (AttemptEnd::Failed, _) => (Style::Bad, "failed"),
        (AttemptEnd::Unknown, _) => (Style::Warn, "unknown"),
        (AttemptEnd::TimedOut, _) => (Style::Warn, "no answer"),
        (AttemptEnd::NotFound, _) => (Style::Plain, "found no effect so far"),
        (AttemptEnd::SettledOtherwise, _) => (Style::Dim, "settled otherwise"),
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Action | Direction::Compensation => "attempt",
        Direction::Probe => "probe",
        Direction::Alternative => "alternative",
    }
}

fn style_of_status(status: &str) -> Style {
    match status {
        "Completed" => Style::Good,
        "PartlyCompensated" => Style::Bad,
        "Compensating" | "Compensated" => Style::Warn,
        _ => Style::Plain,
    }
}

/// What a held input is.
pub(crate) fn what_is_held(input: &Origin) -> String {
    match input {
        Origin::Signal { signal, id, .. } => format!("signal {signal}, id {id}"),
        Origin::Numbered {
            signal,
            producer,
            number,
        } => format!("signal {signal}, number {number} of {producer}"),
        Origin::Reply {
            node,
            direction,
            attempt,
        } => format!("the answer to attempt {attempt} of the {direction} of {node}"),
    }
}
