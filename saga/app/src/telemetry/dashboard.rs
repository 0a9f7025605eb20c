//! The dashboard, as `docs/deploy/grafana/sagalog.json` has it: a panel for each metric.

use serde_json::{Value, json};

use super::catalogue::{self, Kind, Metric, Row};

/// The file of the dashboard.
pub(crate) fn file() -> String {
    let mut text = serde_json::to_string_pretty(&dashboard()).expect("it is plain data");
    text.push('\n');
    text
}

/// How many columns Grafana has, and how many a panel takes.
const COLUMNS: usize = 24;
const WIDTH: usize = 8;
const HEIGHT: usize = 7;

fn dashboard() -> Value {
    let (mut panels, mut y) = (Vec::new(), 0);
    for row in Row::ALL {
        let place = json!({"x": 0, "y": y, "w": COLUMNS, "h": 1});
        panels.push(
            json!({"type": "row", "title": row.title(), "gridPos": place, "id": panels.len() + 1}),
        );
        y += 1;
        let metrics = catalogue::ALL.iter().filter(|metric| metric.row == row);
        let metrics: Vec<_> = metrics.collect();
        for (index, metric) in metrics.iter().enumerate() {
            let (x, down) = (index % 3 * WIDTH, index / 3 * HEIGHT);
            let place = json!({"x": x, "y": y + down, "w": WIDTH, "h": HEIGHT});
            panels.push(panel(metric, place, panels.len() + 1));
        }
        y += metrics.len().div_ceil(3) * HEIGHT;
    }
    json!({
        "uid": "sagalog",
        "title": "Sagalog",
        "tags": ["sagalog"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{
            "name": "source", "label": "Source", "type": "datasource", "query": "prometheus",
        }]},
        "panels": panels,
    })
}

fn panel(metric: &Metric, place: Value, id: usize) -> Value {
    let source = json!({"type": "prometheus", "uid": "${source}"});
    let targets: Vec<_> = queries(metric)
        .into_iter()
        .zip('A'..)
        .map(|((query, legend), name)| {
            json!({
                "refId": name.to_string(),
                "datasource": source,
                "expr": query,
                "legendFormat": legend,
                "exemplar": metric.kind == Kind::Histogram,
            })
        })
        .collect();
    let unit = match metric.kind {
        Kind::Counter => "ops",
        Kind::Histogram if metric.name.ends_with("_seconds") => "s",
        Kind::Gauge | Kind::Histogram => "short",
    };
    json!({
        "id": id,
        "type": "timeseries",
        "title": metric.help,
        "description": metric.queried(),
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": targets,
    })
}

/// What is drawn of a metric, and what each line is called. Partitions are drawn together, but for where they
/// stand.
fn queries(metric: &Metric) -> Vec<(String, String)> {
    let labels = metric.labels.iter().copied();
    let labels: Vec<_> = match metric.row {
        Row::Log | Row::Nodes => labels.collect(),
        _ => labels.filter(|label| *label != "partition").collect(),
    };
    let by = labels.join(", ");
    let legend: Vec<_> = labels
        .iter()
        .map(|label| format!("{{{{{label}}}}}"))
        .collect();
    let legend = legend.join(" ");
    let name = metric.queried();
    match metric.kind {
        Kind::Counter => vec![(format!("sum by ({by}) (rate({name}[5m]))"), legend)],
        // A participant's breaker is where it stands worst.
        Kind::Gauge if *metric == catalogue::BREAKER => {
            vec![(format!("max by ({by}) ({name})"), legend)]
        }
        Kind::Gauge => vec![(format!("sum by ({by}) ({name})"), legend)],
        Kind::Histogram => ["0.5", "0.99"]
            .map(|quantile| {
                let mut by = labels.clone();
                by.insert(0, "le");
                let by = by.join(", ");
                let query = format!(
                    "histogram_quantile({quantile}, sum by ({by}) (rate({name}_bucket[5m])))"
                );
                (query, format!("{legend} {quantile}").trim().to_owned())
            })
            .into(),
    }
}
