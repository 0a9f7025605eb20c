//! The alert rules, as `docs/deploy/prometheus/alerts.yaml` has them.

use std::fmt::Write as _;

/// When somebody is told.
pub(crate) struct Alert {
    pub(crate) name: &'static str,
    /// In the language of Prometheus.
    pub(crate) when: &'static str,
    /// For how long that must be so.
    pub(crate) lasts: &'static str,
    pub(crate) severity: &'static str,
    /// What it says, for people.
    pub(crate) summary: &'static str,
}

/// Somebody should look now.
const PAGE: &str = "page";
/// Somebody should look today.
const TICKET: &str = "ticket";

/// All of them. Each has its section in `docs/operations.md`.
pub(crate) const ALL: &[Alert] = &[
    Alert {
        name: "SagalogNodeDown",
        when: r#"up{job="sagalog"} == 0"#,
        lasts: "1m",
        severity: PAGE,
        summary: "A node does not answer",
    },
    Alert {
        name: "SagalogPartitionsUnowned",
        when: "sum(sagalog_partition_owned) < max(sagalog_partitions)",
        lasts: "1m",
        severity: PAGE,
        summary: "Partitions are owned by no node: their sagas stand still",
    },
    Alert {
        name: "SagalogAppendsSlow",
        when: "histogram_quantile(0.99, sum by (le) (rate(sagalog_append_seconds_bucket[5m]))) > 0.5",
        lasts: "10m",
        severity: PAGE,
        summary: "One commit in a hundred takes more than half a second",
    },
    Alert {
        name: "SagalogLogStandsStill",
        when: "sum by (partition) (sagalog_log_pending) > 0 and sum by (partition) (changes(sagalog_log_position[2m])) == 0",
        lasts: "2m",
        severity: PAGE,
        summary: "What was decided does not become durable",
    },
    Alert {
        name: "SagalogSagasCannotBeDriven",
        when: r#"sum(sagalog_sagas{state="held"}) > 0"#,
        lasts: "5m",
        severity: PAGE,
        summary: "Sagas cannot be driven by this program",
    },
    Alert {
        name: "SagalogSagasParked",
        when: r#"sum(sagalog_sagas{state="parked"}) > 0"#,
        lasts: "10m",
        severity: TICKET,
        summary: "Sagas wait for a person",
    },
    Alert {
        name: "SagalogInputsHeld",
        when: r#"sum(sagalog_sagas{state="holding"}) > 0"#,
        lasts: "10m",
        severity: TICKET,
        summary: "Sagas hold inputs that could not be processed",
    },
    Alert {
        name: "SagalogPartlyCompensated",
        when: r#"sum by (saga) (increase(sagalog_sagas_ended_total{status="PartlyCompensated"}[1h])) > 0"#,
        lasts: "0m",
        severity: TICKET,
        summary: "A saga ended with something left undone",
    },
    Alert {
        name: "SagalogSagasTurn",
        when: "sum by (saga) (rate(sagalog_sagas_turned_total[15m])) > 0.2 * sum by (saga) (rate(sagalog_sagas_started_total[15m])) > 0",
        lasts: "15m",
        severity: TICKET,
        summary: "One saga in five turns back",
    },
    Alert {
        name: "SagalogAttemptsFail",
        when: r#"sum by (participant) (rate(sagalog_attempts_total{outcome=~"failed|unknown|timed_out"}[10m])) > 0.3 * sum by (participant) (rate(sagalog_attempts_total[10m])) > 0"#,
        lasts: "10m",
        severity: TICKET,
        summary: "Three attempts in ten of a participant do not succeed",
    },
    Alert {
        name: "SagalogBreakerOpen",
        when: "max by (participant) (sagalog_breaker) == 2",
        lasts: "2m",
        severity: PAGE,
        summary: "A participant fails, and is left alone but for trials",
    },
    Alert {
        name: "SagalogBreakerOpenByHand",
        when: "max by (participant) (sagalog_breaker) == 3",
        lasts: "1h",
        severity: TICKET,
        summary: "A person keeps everything from a participant",
    },
    Alert {
        name: "SagalogCommandsWait",
        when: "sum by (participant) (sagalog_bulkhead_waiting) > 1000",
        lasts: "5m",
        severity: TICKET,
        summary: "More is asked of a participant than it may have under way",
    },
    Alert {
        name: "SagalogWindowFull",
        when: "sagalog_window_used > 0.95 * sagalog_window",
        lasts: "10m",
        severity: TICKET,
        summary: "A partition waits for answers to as many commands as it may publish",
    },
    Alert {
        name: "SagalogDeadLetters",
        when: "sum(sagalog_dead_letters) > 0",
        lasts: "15m",
        severity: TICKET,
        summary: "Messages that nobody could use wait for a person",
    },
    Alert {
        name: "SagalogPublishingLags",
        when: "sagalog_log_position - sagalog_published_position > 100000",
        lasts: "10m",
        severity: TICKET,
        summary: "Those who follow the log are far behind it",
    },
    Alert {
        name: "SagalogDisconnects",
        when: "sum(increase(sagalog_disconnects_total[10m])) > 32",
        lasts: "10m",
        severity: TICKET,
        summary: "Connections to the broker are lost again and again",
    },
];

/// The file of the rules.
pub(crate) fn rules() -> String {
    let mut rules = String::from(HEAD);
    for alert in ALL {
        let place = alert.name.to_lowercase();
        writeln!(
            rules,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          severity: {}\n        \
             annotations:\n          summary: {}\n          runbook: docs/operations.md#{place}",
            alert.name,
            quoted(alert.when),
            alert.lasts,
            alert.severity,
            quoted(alert.summary),
        )
        .expect("a string takes what is written");
    }
    rules
}

/// In single quotes, where nothing but the quote itself is special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const HEAD: &str = "\
# Written by `sagalog metrics export`; change the program instead.
groups:
  - name: sagalog
    rules:
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::telemetry::catalogue;

    #[test]
    fn alerts_ask_for_metrics_and_labels_that_there_are() {
        let known: BTreeSet<_> = catalogue::ALL.iter().map(|it| it.queried()).collect();
        for alert in ALL {
            for name in alert.when.split(|c: char| !c.is_alphanumeric() && c != '_') {
                if name.starts_with("sagalog_") {
                    let name = name.strip_suffix("_bucket").unwrap_or(name);
                    assert!(known.contains(name), "{}: {name}", alert.name);
                }
            }
        }
    }

    #[test]
    fn every_alert_has_a_section_that_says_what_to_do() {
        let page = include_str!("../../../../docs/operations.md");
        for alert in ALL {
            let head = format!("\n### {}\n", alert.name);
            let section = page.split_once(&head);
            let (_, section) = section.unwrap_or_else(|| panic!("{} has none", alert.name));
            let section = section.split("\n#").next().unwrap_or_default();
            for what in ["**Means**", "**Look**", "**Mend**"] {
                assert!(section.contains(what), "{}: {what}", alert.name);
            }
        }
    }
}
