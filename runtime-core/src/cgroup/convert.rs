//! The numbers of config.json, which are those of version 1, in the terms of version 2.

/// `cpu.shares` (2 to 262144, normally 1024) as `cpu.weight` (1 to 10000, normally 100): a curve through the ends and
/// the normal values of both scales.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // An exact power must not be lifted by the last digit of its computation.
    (10f64.powf(exponent) - 1e-9).ceil() as u64
}

/// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000).
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).clamp(10, 1000) - 10) * 9999 / 990
}

/// A limit of which a negative number means none.
pub(super) fn or_max(limit: i64) -> String {
    if limit < 0 { "max".into() } else { limit.to_string() }
}

/// The period that the kernel gives to a fresh cgroup, in microseconds.
const PERIOD: u64 = 100_000;

/// `cpu.max`; `None` where neither quota nor period is given.
pub(super) fn cpu_max(quota: Option<i64>, period: Option<u64>) -> Option<String> {
    if quota.is_none() && period.is_none() {
        return None;
    }
    let quota = quota.filter(|&quota| quota > 0).map_or("max".into(), |quota| quota.to_string());
    Some(format!("{quota} {}", period.unwrap_or(PERIOD)))
}

/// How much memory and swap together may be used; -1 for any amount. `None` leaves it as it is.
///
/// A container with unlimited memory whose swap isn't mentioned gets unlimited swap too.
pub(super) fn memory_and_swap(limit: Option<i64>, swap: Option<i64>) -> Result<Option<i64>, String> {
    match (limit, swap) {
        (Some(-1), None) | (_, Some(-1)) => Ok(Some(-1)),
        (_, None) => Ok(None),
        (None | Some(-1), Some(_)) => {
            Err("unable to set swap limit without memory limit: set memory.limit too".into())
        }
        (Some(limit), Some(swap)) if swap < limit => {
            Err(format!("{swap} is less than the memory limit {limit}: it counts memory and swap together"))
        }
        (Some(_), swap) => Ok(swap),
    }
}

/// `memory.swap.max`, which counts swap alone.
pub(super) fn swap_max(limit: Option<i64>, both: i64) -> String {
    match limit {
        Some(limit) if both >= 0 => or_max(both - limit),
        _ => or_max(both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_to_weight() {
        for (shares, weight) in [
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 2),
            (10, 4),
            (100, 17),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (10_000, 627),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        let weights: Vec<u64> = (2..=262_144).map(weight_of_shares).collect();
        assert!(weights.is_sorted(), "more shares never weigh less");
    }

    #[test]
    fn block_weights() {
        for (weight, io) in [(0, 1), (10, 1), (100, 910), (500, 4950), (1000, 10_000), (u16::MAX, 10_000)] {
            assert_eq!(io_weight(weight), io, "{weight}");
        }
    }

    #[test]
    fn quota_and_period() {
        for (quota, period, text) in [
            (None, None, None),
            (Some(50_000), None, Some("50000 100000")),
            (Some(50_000), Some(20_000), Some("50000 20000")),
            (Some(-1), Some(20_000), Some("max 20000")),
            (None, Some(20_000), Some("max 20000")),
            (Some(-1), None, Some("max 100000")),
        ] {
            assert_eq!(cpu_max(quota, period).as_deref(), text, "{quota:?} {period:?}");
        }
    }

    #[test]
    fn swap() {
        for (limit, swap, both, v2) in [
            (None, None, None, ""),
            (Some(100), None, None, ""),
            (Some(-1), None, Some(-1), "max"),
            (Some(100), Some(-1), Some(-1), "max"),
            (None, Some(-1), Some(-1), "max"),
            (Some(-1), Some(-1), Some(-1), "max"),
            (Some(100), Some(100), Some(100), "0"),
            (Some(100), Some(250), Some(250), "150"),
        ] {
            assert_eq!(memory_and_swap(limit, swap), Ok(both), "{limit:?} {swap:?}");
            assert_eq!(both.map(|both| swap_max(limit, both)).unwrap_or_default(), v2, "{limit:?} {swap:?}");
        }
        for (limit, swap) in [(None, 5), (Some(-1), 5), (Some(100), 99)] {
            assert!(memory_and_swap(limit, Some(swap)).is_err(), "{limit:?} {swap}");
        }
        assert!(
            memory_and_swap(None, Some(5))
                .unwrap_err()
                .contains("unable to set swap limit without memory limit")
        );
    }
}
