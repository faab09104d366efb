//! Medians, and a histogram of latencies.

/// The middle value; the mean of the two middle ones where their number is even. 0 for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Counts of nanoseconds in steps of at most 1/32 (3 %), from 0 to 2^40 (18 minutes).
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(1 << MAX_BITS) + 1], total: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds.min(1 << MAX_BITS))] += 1;
        self.total += 1;
    }

    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The smallest value, in nanoseconds, that at least `share` (0 to 1) of those recorded do not exceed.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return lower_bound(index);
            }
        }
        0
    }
}

const STEP_BITS: u32 = 5;
const MAX_BITS: u32 = 40;

fn bucket(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    ((shift as usize) << STEP_BITS) + (value >> shift) as usize
}

fn lower_bound(bucket: usize) -> u64 {
    let shift = (bucket >> STEP_BITS).saturating_sub(1);
    ((bucket - (shift << STEP_BITS)) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_bucket_is_at_most_a_32nd_wide() {
        for value in (0..100_000).chain([1 << 20, (1 << 30) + 12345, 1 << MAX_BITS]) {
            let low = lower_bound(bucket(value));
            assert!(low <= value && value - low <= value / 32, "{value} in a bucket from {low}");
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value));
        assert_eq!(histogram.quantile(0.5), 496);
        assert_eq!(histogram.quantile(1.0), 992);
    }
}
