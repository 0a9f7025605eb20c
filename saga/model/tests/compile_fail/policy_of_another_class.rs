//! A step that has no compensation has no policy for one, and only what can be in doubt is probed.
use sagalog_model::Step;

const SKIPPED: Step<u64, u64> = Step::new("stock.read").read_only().or_skip("harmless");
const PROBED: Step<u64, u64> = Step::new("stock.read").read_only().probed();

fn main() {
    let _ = (SKIPPED, PROBED);
}
