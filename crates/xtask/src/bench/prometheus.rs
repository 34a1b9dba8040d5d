//! Reading a process' metrics in Prometheus' text format.

/// The sum over all series of this name that have this label; over all of them for an empty one.
pub(crate) fn sum_of(metrics: &str, name: &str, label: &str) -> f64 {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '))
        .filter(|(labels, _)| (labels.is_empty() || labels.starts_with('{')) && labels.contains(label))
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_name_and_a_label_are_added_up() {
        let metrics = "# TYPE polls_total counter\npolls_total{by=\"memory\"} 7\npolls_total{by=\"queue\",x=\"a b\"} 2\n\
                       polls_total_other 100\ntick_seconds_sum 0.5\n";
        assert_eq!(sum_of(metrics, "polls_total", "by=\"memory\""), 7.0);
        assert_eq!(sum_of(metrics, "polls_total", ""), 9.0);
        assert_eq!(sum_of(metrics, "tick_seconds_sum", ""), 0.5);
        assert_eq!(sum_of(metrics, "absent", ""), 0.0);
    }
}
