//! Every metric there is, declared once: the endpoint, the reference, the dashboard and the alert rules are made
//! from this list.

/// A metric, as Prometheus knows it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Metric {
    /// Its name, without what its kind appends.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The names of its labels.
    pub(crate) labels: &'static [&'static str],
    /// What it says, for people.
    pub(crate) help: &'static str,
    /// Where on the dashboard it is.
    pub(crate) row: Row,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// Its word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The rows of the dashboard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Row {
    Sagas,
    Participants,
    Admission,
    Log,
    Nodes,
}

impl Row {
    /// All of them, from above.
    pub(crate) const ALL: [Self; 5] = [
        Self::Sagas,
        Self::Participants,
        Self::Admission,
        Self::Log,
        Self::Nodes,
    ];

    /// Its title.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Sagas => "Sagas",
            Self::Participants => "Participants",
            Self::Admission => "Breakers and bulkheads",
            Self::Log => "Log",
            Self::Nodes => "Nodes",
        }
    }
}

impl Metric {
    /// The name by which queries know its numbers: a counter's ends in `_total`.
    pub(crate) fn queried(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

const fn counter(
    row: Row,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    metric(Kind::Counter, row, name, labels, help)
}

const fn gauge(
    row: Row,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    metric(Kind::Gauge, row, name, labels, help)
}

const fn histogram(
    row: Row,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    metric(Kind::Histogram, row, name, labels, help)
}

const fn metric(
    kind: Kind,
    row: Row,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        row,
    }
}

macro_rules! metrics {
    ($( $constant:ident = $make:ident($row:ident, $name:literal, [$($label:literal),*], $help:literal); )*) => {
        $( pub(crate) const $constant: Metric = $make(Row::$row, $name, &[$($label),*], $help); )*

        /// All of them, in the order of the reference.
        pub(crate) const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    SAGAS_STARTED = counter(Sagas, "sagalog_sagas_started", ["saga"],
        "Sagas that were started");
    SAGAS_ENDED = counter(Sagas, "sagalog_sagas_ended", ["saga", "status"],
        "Sagas that ended, by how");
    SAGAS_TURNED = counter(Sagas, "sagalog_sagas_turned", ["saga", "cause"],
        "Sagas that started back, by why");
    NODES_PARKED = counter(Sagas, "sagalog_nodes_parked", ["saga", "cause"],
        "Nodes that began to wait for a person, by why");
    INPUTS_HELD = counter(Sagas, "sagalog_inputs_held", ["saga"],
        "Inputs that could not be processed, or came behind one that could not, and are held");
    SAGAS = gauge(Sagas, "sagalog_sagas", ["partition", "state"],
        "Sagas under way: running or compensating; of these parked (a node waits for a person) and holding (inputs are held); and held, which cannot be driven");

    ATTEMPTS_ASKED = counter(Participants, "sagalog_attempts_asked", ["participant", "direction"],
        "Attempts that participants were asked for");
    ATTEMPTS = counter(Participants, "sagalog_attempts", ["participant", "outcome"],
        "Attempts that ended, by how");
    RETRIES = counter(Participants, "sagalog_retries", ["participant"],
        "Attempts that were asked because an earlier one had not succeeded");
    COMPENSATIONS = counter(Participants, "sagalog_compensations", ["participant"],
        "Steps that participants were asked to undo");
    ATTEMPT_SECONDS = histogram(Participants, "sagalog_attempt_seconds", ["participant"],
        "From when an attempt was asked until it was answered; with a saga and its trace as exemplar");

    BREAKER = gauge(Admission, "sagalog_breaker", ["partition", "participant", "class"],
        "Where a breaker stands: 0 closed, 1 half-open, 2 open, 3 open by hand");
    BREAKER_OPENED = gauge(Admission, "sagalog_breaker_opened", ["partition", "participant", "class"],
        "How often a breaker opened by itself since its partition was taken over");
    BULKHEAD_USED = gauge(Admission, "sagalog_bulkhead_used", ["partition", "participant", "class"],
        "Commands that are under way at a participant");
    BULKHEAD_PERMITS = gauge(Admission, "sagalog_bulkhead_permits", ["partition", "participant"],
        "How many commands may be under way at a participant");
    BULKHEAD_WAITING = gauge(Admission, "sagalog_bulkhead_waiting", ["partition", "participant", "class"],
        "Commands that wait to be admitted to a participant");
    WINDOW_USED = gauge(Admission, "sagalog_window_used", ["partition"],
        "Commands that were published and are not answered");
    WINDOW = gauge(Admission, "sagalog_window", ["partition"],
        "How many commands may be published and not answered");

    APPENDED_EVENTS = counter(Log, "sagalog_appended_events", ["partition"],
        "Events that were appended to the log");
    APPEND_SECONDS = histogram(Log, "sagalog_append_seconds", [],
        "From when a commit was begun until it was durable");
    APPEND_BATCHES = histogram(Log, "sagalog_append_batches", [],
        "Inputs that one commit held");
    LOG_POSITION = gauge(Log, "sagalog_log_position", ["partition"],
        "The newest position of the log that is durable");
    LOG_PENDING = gauge(Log, "sagalog_log_pending", ["partition"],
        "Events that were decided and are not durable yet");
    PUBLISHED_POSITION = gauge(Log, "sagalog_published_position", ["partition"],
        "Up to where the log is published to the broker's streams");
    DEAD_LETTERS = gauge(Log, "sagalog_dead_letters", ["partition"],
        "Dead letters that wait for a person");
    DIED = counter(Log, "sagalog_dead_letters_recorded", ["cause"],
        "Messages that became dead letters, by why");

    PARTITIONS = gauge(Nodes, "sagalog_partitions", [],
        "How many partitions the log has");
    OWNED = gauge(Nodes, "sagalog_partition_owned", ["partition"],
        "1 for each partition that this node owns");
    EPOCH = gauge(Nodes, "sagalog_partition_epoch", ["partition"],
        "The number of the ownership: it grows when a partition is taken over");
    MESSAGES = counter(Nodes, "sagalog_messages_sent", ["partition"],
        "Messages that were handed to the transport");
    NOT_TAKEN = counter(Nodes, "sagalog_messages_not_taken", ["partition"],
        "Messages that the transport did not take, each time that it was tried");
    SEND_SECONDS = histogram(Nodes, "sagalog_send_seconds", [],
        "From when messages were handed to the transport until it had taken them");
    DISCONNECTS = counter(Nodes, "sagalog_disconnects", ["partition"],
        "How often the connection to a queue of a partition was lost");
    SPANS_DROPPED = counter(Nodes, "sagalog_spans_dropped", [],
        "Spans of traces that found no room or were not taken by their collector");
    BUILD = gauge(Nodes, "sagalog_build", ["version", "rules"],
        "1, with the release of the program and the rules by which it decides");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_what_the_conventions_want() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert!(metric.name.starts_with("sagalog_"), "{}", metric.name);
            let legal = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(metric.name.chars().all(legal), "{}", metric.name);
            assert!(
                !metric.name.ends_with("_total"),
                "a counter gets it by itself"
            );
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
