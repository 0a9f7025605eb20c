//! A timeline as lines of text: time since the start, node, what happened.

use sagalog_model::{
    Direction, FailureClass,
    event::{ParkCause, TurnCause},
    log::Time,
};
use sagalog_projections::timeline::{
    Ahead, AttemptEnd, End, Ended, Entry, Item, Moment, Note, Noted, Place, Timeline, What,
};

use crate::{
    output::{Output, Style},
    words::{span, utc},
};

/// Columns of the time.
const TIME: usize = 12;

/// The lines of a timeline.
pub(super) fn of(timeline: &Timeline, output: Output) -> Vec<String> {
    let mut rows = Rows { timeline, output, names: names(timeline), lines: Vec::new() };
    rows.head();
    rows.lane("forward", &timeline.forward);
    rows.turn();
    rows.lane("compensation", &timeline.compensation);
    rows.ahead();
    rows.lines
}

/// Why a saga turned, in words that follow "it went back,".
pub(super) const fn cause_of_turn(cause: TurnCause) -> &'static str {
    match cause {
        TurnCause::StepFailed => "because the step failed for good",
        TurnCause::StepDeadline => "because the step's deadline passed",
        TurnCause::CheckFailed => "because the check did not hold",
        TurnCause::Fail => "because the definition gave up",
        TurnCause::Cancelled => "because it was cancelled",
        TurnCause::Deadline => "because its deadline passed",
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

struct Rows<'a> {
    timeline: &'a Timeline,
    output: Output,
    /// Columns of the widest name, with its indent.
    names: usize,
    lines: Vec<String>,
}

/// The widest name of an entry, with its indent.
fn names(timeline: &Timeline) -> usize {
    let entries = timeline.forward.iter().chain(&timeline.compensation).filter_map(|item| match item {
        Item::Node(entry) => Some((&entry.node, entry.depth)),
        Item::Note(_) => None,
    });
    let ahead = timeline.ahead.iter().map(|ahead| (&ahead.node, ahead.depth));
    let widths = entries.chain(ahead).map(|(node, depth)| node.chars().count() + indent(depth));
    widths.max().unwrap_or(0).max("probe 1".len() + 2)
}

const fn indent(depth: u32) -> usize {
    2 * depth as usize
}

impl Rows<'_> {
    fn head(&mut self) {
        let timeline = self.timeline;
        let status = self.output.styled(style_of_status(timeline.status), timeline.status);
        self.lines.push(format!(
            "{}  {status}  {} version {}",
            self.output.styled(Style::Bold, &timeline.saga),
            timeline.definition,
            timeline.definition_version
        ));
        let over = matches!(timeline.status, "Completed" | "Compensated" | "PartlyCompensated");
        let word = if over { "ended" } else { "last changed" };
        self.lines.push(format!(
            "started {}, {word} after {}, at version {}",
            utc(timeline.started.at),
            span(timeline.last.since(timeline.started)),
            timeline.last.version
        ));
        if let Some(deadline) = &timeline.deadline {
            let note = if deadline.overdue { ", passed after the pivot, so it goes on" } else { "" };
            self.lines.push(format!("deadline {}{note}", self.after(deadline.at).trim_start()));
        }
        self.field("input", timeline.input.as_str());
        if let Some(result) = &timeline.output {
            self.field("output", result.as_str());
        }
        if !timeline.left.is_empty() {
            self.lines.push(format!("left with their effects: {}", timeline.left.join(", ")));
        }
    }

    fn field(&mut self, name: &str, text: &str) {
        self.lines.push(format!("{name} {}", self.output.cut(text, name.len() + 1)));
    }

    fn lane(&mut self, name: &str, items: &[Item]) {
        if items.is_empty() {
            return;
        }
        self.title(name);
        for item in items {
            match item {
                Item::Node(entry) => self.entry(entry),
                Item::Note(note) => self.note(note),
            }
        }
    }

    fn title(&mut self, name: &str) {
        self.lines.push(String::new());
        self.lines.push(self.output.styled(Style::Bold, name));
    }

    fn turn(&mut self) {
        let Some(turned) = &self.timeline.turned else { return };
        let node = turned.node.as_ref().map_or_else(String::new, |node| format!(" at {node}"));
        let what = format!("turned{node} {}: {}", cause_of_turn(turned.cause), turned.reason);
        self.lines.push(String::new());
        self.row(turned.at, Style::Warn, &what);
    }

    fn entry(&mut self, entry: &Entry) {
        let (style, end) = outcome(entry);
        let contract = entry.contract.as_ref().map_or_else(|| entry.does.to_owned(), |contract| {
            if entry.does == "signal" { format!("waits for {contract}") } else { contract.to_string() }
        });
        let (inline, rest) = inline(entry);
        let took = match (entry.ended, inline, entry.does) {
            // What asks nobody takes no time.
            (Some(_), false, "value" | "check" | "fail" | "pivot") => String::new(),
            (Some(ended), _, _) => format!(" after {}", span(ended.since(entry.began))),
            (None, _, _) => entry.until.map_or_else(String::new, |until| format!(", until {}", self.after(until).trim_start())),
        };
        let gave = match (&entry.output, entry.end) {
            (Some(output), Some(End::Done)) if output.as_str() != "null" => format!(", gave {output}"),
            _ => String::new(),
        };
        let name = format!("{:indent$}{}", "", entry.node, indent = indent(entry.depth));
        let text = match end {
            "" => contract,
            end => format!("{contract}: {end}{took}{gave}"),
        };
        self.named(entry.began.at, style, &name, &text);
        for moment in rest {
            self.moment(entry, moment);
        }
    }

    fn moment(&mut self, entry: &Entry, moment: &Moment) {
        let (style, name, text) = match &moment.what {
            What::Attempt { direction, attempt, deadline, renewed, ended } => {
                let renewed = if *renewed { " (asked again after a downtime)" } else { "" };
                let (style, text) = match ended {
                    Some(ended) => attempt_end(ended, moment.place),
                    None => (Style::Warn, format!("no answer so far, unknown from {} on", self.after(*deadline).trim_start())),
                };
                (style, format!("{} {attempt}", word(*direction)), format!("{text}{renewed}"))
            }
            What::LateAnswer { direction, attempt, answer } => {
                let (_, text) = attempt_end(answer, moment.place);
                (Style::Plain, "late answer".into(), format!("to {} {attempt}: {}", word(*direction), text.replace(" after 0 ms", "")))
            }
            What::Retry { due, .. } => {
                (Style::Dim, "retry".into(), format!("waits {}", span(due.since(moment.place.at))))
            }
            What::StepDeadlinePassed => (Style::Warn, "deadline".into(), "of the step passed".into()),
            What::Arm { arm } => {
                let text = arm.as_ref().map_or_else(|| "none".to_owned(), |arm| format!("into {arm}"));
                (Style::Plain, "arm".into(), text)
            }
            What::Signal { id } => (Style::Plain, "signal".into(), format!("taken, id {id}")),
            What::Parked { cause, reason } => {
                (Style::Bad, "parked".into(), format!("waits for a person: {}: {reason}", what_was_parked(*cause)))
            }
            What::RetryRequested { by } => (Style::Plain, "retry".into(), format!("wanted by {by}, with a new budget")),
            What::ResolvedByHand { by } => (Style::Plain, "resolved".into(), format!("by hand, by {by}")),
            What::SkippedByHand { by, reason } => (Style::Warn, "given up".into(), format!("by {by}: {reason}")),
            What::Skipped { reason } => (Style::Warn, "left".into(), format!("as its policy says: {reason}")),
        };
        let name = format!("{:indent$}{name}", "", indent = indent(entry.depth) + 2);
        self.named(moment.place.at, style, &name, &text);
    }

    fn note(&mut self, note: &Note) {
        let (style, text) = match &note.what {
            Noted::SignalReceived { signal, id } => (Style::Plain, format!("signal {signal} came, id {id}")),
            Noted::SignalLate { id } => (Style::Dim, format!("signal {id} came when nothing waits for it any more")),
            Noted::CancelRequested { by, reason } => (Style::Warn, format!("cancel wanted by {by}: {reason}")),
            Noted::DeadlinePassed => (Style::Warn, "the saga's deadline passed".to_owned()),
        };
        self.row(note.place.at, style, &text);
    }

    fn ahead(&mut self) {
        if self.timeline.ahead.is_empty() {
            return;
        }
        let turned = self.timeline.turned.is_some();
        self.title(if turned { "still to undo" } else { "ahead" });
        for Ahead { node, does, depth, contract } in &self.timeline.ahead {
            let name = format!("{:indent$}{node}", "", indent = indent(*depth));
            let does = contract.as_deref().unwrap_or(does);
            let line = format!("{:>TIME$}  {name:names$}  {does}", "·", names = self.names);
            self.lines.push(self.output.styled(Style::Dim, line));
        }
    }

    fn named(&mut self, at: Time, style: Style, name: &str, text: &str) {
        let names = self.names;
        let text = self.output.cut(text, TIME + names + 4);
        let line = format!("{}  {name:names$}  {}", self.after(at), self.output.styled(style, text));
        self.lines.push(line);
    }

    fn row(&mut self, at: Time, style: Style, text: &str) {
        let text = self.output.cut(text, TIME + 2);
        let line = format!("{}  {}", self.after(at), self.output.styled(style, text));
        self.lines.push(line);
    }

    /// How long after the start.
    fn after(&self, at: Time) -> String {
        format!("{:>TIME$}", format!("+{}", span(at.since(self.timeline.started.at))))
    }
}

/// The one attempt of a step that went well needs no line of its own.
fn inline(entry: &Entry) -> (bool, &[Moment]) {
    match entry.moments.as_slice() {
        [Moment { what: What::Attempt { ended: Some(Ended { outcome: AttemptEnd::Succeeded, .. }), renewed: false, attempt: 1, direction: Direction::Action | Direction::Compensation, .. }, .. }] => {
            (true, &[])
        }
        moments => (false, moments),
    }
}

fn outcome(entry: &Entry) -> (Style, &'static str) {
    let plain = matches!(entry.does, "choice");
    match (entry.end, entry.parked) {
        (_, true) => (Style::Bad, "parked"),
        (None, _) if plain => (Style::Plain, "under way"),
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
    let (style, word) = match (ended.outcome, ended.class) {
        (AttemptEnd::Succeeded, _) => (Style::Good, "succeeded"),
        (AttemptEnd::Failed, Some(FailureClass::Permanent)) => (Style::Bad, "failed permanently"),
        (AttemptEnd::Failed, _) => (Style::Bad, "failed"),
        (AttemptEnd::Unknown, _) => (Style::Warn, "unknown"),
        (AttemptEnd::TimedOut, _) => (Style::Warn, "no answer"),
        (AttemptEnd::NotFound, _) => (Style::Plain, "found no effect so far"),
        (AttemptEnd::SettledOtherwise, _) => (Style::Dim, "settled otherwise"),
    };
    let reason = ended.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    (style, format!("{word} after {}{reason}", span(ended.at.since(asked.at))))
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
