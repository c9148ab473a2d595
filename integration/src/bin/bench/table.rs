//! The results as people and as programs read them.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::measure::{Measure, Results};

/// Three lines per measure: medians, minima, and each median as a multiple of the first contender's.
pub fn text(results: &[Results], rounds: usize) -> String {
    let mut table = format!("{:40}", format!("{rounds} rounds, taken in turn"));
    for one in results {
        let _ = write!(table, "{:>10}", one.name);
    }
    table.push('\n');
    for measure in Measure::ALL {
        let title = format!("{} ({})", measure.name(), measure.unit());
        line(&mut table, &title, results.iter().map(|one| number(measure, one.median(measure)?)));
        if measure.unit() == "ms" {
            line(&mut table, "  minimum", results.iter().map(|one| number(measure, one.minimum(measure)?)));
        }
        let base = base(results).and_then(|base| base.median(measure));
        let title = format!("  × {}", base_name(results));
        line(&mut table, &title, results.iter().map(|one| ratio(one.median(measure)?, base?)));
    }
    for (name, error) in results.iter().filter_map(|one| Some((&one.name, one.error.as_ref()?))) {
        let _ = writeln!(table, "{name}: {error}");
    }
    table
}

fn line(table: &mut String, title: &str, cells: impl Iterator<Item = Option<String>>) {
    let _ = write!(table, "{title:40}");
    for cell in cells {
        let _ = write!(table, "{:>10}", cell.unwrap_or_else(|| "-".into()));
    }
    table.push('\n');
}

/// Ratios are to ours, or to the first that could be measured.
fn base(results: &[Results]) -> Option<&Results> {
    results.iter().find(|one| one.error.is_none())
}

fn base_name(results: &[Results]) -> &str {
    base(results).map_or("nobody", |one| &one.name)
}

#[allow(clippy::cast_precision_loss, reason = "samples are far below 2^52")]
fn number(measure: Measure, sample: i64) -> Option<String> {
    match measure.unit() {
        "ms" => Some(format!("{:.2}", sample as f64 / 1000.0)),
        _ => Some(sample.to_string()),
    }
}

#[allow(clippy::cast_precision_loss, reason = "samples are far below 2^52")]
fn ratio(sample: i64, base: i64) -> Option<String> {
    (base > 0).then(|| format!("{:.2}", sample as f64 / base as f64))
}

/// Median and minimum by contender and measure, in µs, KiB or calls.
pub fn json(results: &[Results]) -> String {
    let entry = |one: &Results| {
        let measures = Measure::ALL.iter().filter_map(|&measure| {
            let (median, minimum) = (one.median(measure)?, one.minimum(measure)?);
            let unit = if measure.unit() == "ms" { "µs" } else { measure.unit() };
            Some((measure.name().to_owned(), json!({"median": median, "minimum": minimum, "unit": unit})))
        });
        let value = json!({"measures": Value::Object(measures.collect()), "error": one.error});
        (one.name.clone(), value)
    };
    let all: Map<_, _> = results.iter().map(entry).collect();
    format!("{}\n", Value::Object(all))
}
