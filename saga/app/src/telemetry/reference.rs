//! The page about all metrics and alerts, as `docs/metrics.md` has it.

use std::fmt::Write as _;

use super::{alerts, catalogue};

/// The page.
pub(crate) fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str("| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for metric in catalogue::ALL {
        let labels: Vec<_> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let (name, kind, labels) = (metric.queried(), metric.kind.as_str(), labels.join(", "));
        writeln!(page, "| `{name}` | {kind} | {labels} | {} |", metric.help).expect(FITS);
    }
    page.push_str(ALERTS);
    page.push_str("| alert | when | for | severity |\n|---|---|---|---|\n");
    for alert in alerts::ALL {
        let place = format!("operations.md#{}", alert.name.to_lowercase());
        let (name, lasts, severity) = (alert.name, alert.lasts, alert.severity);
        let means = alert.summary;
        writeln!(
            page,
            "| [{name}]({place}) | {means} | {lasts} | {severity} |"
        )
        .expect(FITS);
    }
    page
}

const FITS: &str = "a string takes what is written";

const HEAD: &str = "\
# Metrics

What a node shows at `/metrics`, in the format of OpenMetrics. `sagalog metrics export --to docs` writes this page, the dashboard
(`deploy/grafana/sagalog.json`) and the alert rules (`deploy/prometheus/alerts.yaml`) from one list in the program; a test compares them.

- Numbers of several nodes add up: each shows what it did itself, and of partitions only those that it owns.
- Gauges of a partition are at most five seconds old. Counters begin at 0 with the process; an append of which nobody knew what became may be counted twice.
- `saga` and `participant` are those of the program's definitions; anything else is `other`, so the number of series is bounded by the definitions and the partitions.
- A histogram's counts and sum are exact; in between two scrapes one value of each participant is kept as the exemplar.

";

const ALERTS: &str = "
## Alerts

Each has a section in [operations.md](operations.md#alerts): what it means, how to look, how to mend.

";
