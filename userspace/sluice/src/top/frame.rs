//! What is shown of two readings: rates, percentiles and levels, sorted, without a word about how.

use core::{cmp::Reverse, time::Duration};

use stats::{Distribution, SeriesView, View};

/// All of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Frame {
    pub(super) summary: Summary,
    pub(super) routes: Vec<Row>,
    pub(super) endpoints: Vec<Row>,
    pub(super) workers: Vec<WorkerRow>,
}

/// The process as a whole.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Summary {
    pub(super) requests: f64,
    pub(super) errors: f64,
    pub(super) requests_active: i64,
    pub(super) connections_down: i64,
    pub(super) connections_up: i64,
    pub(super) generation: i64,
    pub(super) ready: bool,
}

/// A route or an endpoint.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// A second.
    pub(super) requests: f64,
    /// Responses of 5xx, and requests without one, a second.
    pub(super) errors: f64,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
}

/// A worker; all but `tasks` a second.
#[derive(Debug, PartialEq)]
pub(super) struct WorkerRow {
    pub(super) name: String,
    pub(super) turns: f64,
    pub(super) completions: f64,
    pub(super) tasks: i64,
    pub(super) parked: f64,
    pub(super) short_sends: f64,
    pub(super) panics: i64,
}

/// Two readings of one process and how far they are apart.
struct Window<'a> {
    before: &'a View,
    now: &'a View,
    seconds: f64,
}

/// Where the numbers of one kind of row stand.
struct Source {
    labels: &'static [&'static str],
    requests: &'static str,
    responses: &'static str,
    durations: &'static str,
}

const ROUTES: Source = Source {
    labels: &["route"],
    requests: "sluice_requests_total",
    responses: "sluice_responses_total",
    durations: "sluice_request_duration_seconds",
};

const ENDPOINTS: Source = Source {
    labels: &["cluster", "endpoint"],
    requests: "sluice_upstream_requests_total",
    responses: "sluice_upstream_responses_total",
    durations: "sluice_upstream_duration_seconds",
};

impl Frame {
    pub(super) fn between(before: &View, now: &View, apart: Duration) -> Self {
        let window = Window { before, now, seconds: apart.as_secs_f64().max(f64::MIN_POSITIVE) };
        Self { summary: window.summary(), routes: window.rows(&ROUTES), endpoints: window.rows(&ENDPOINTS), workers: window.workers() }
    }
}

impl Window<'_> {
    fn summary(&self) -> Summary {
        Summary {
            requests: self.rate(ROUTES.requests, &[]),
            errors: self.errors(ROUTES.responses, &[]),
            requests_active: self.now.total("sluice_requests_active", &[]),
            connections_down: self.now.total("sluice_downstream_connections_active", &[]),
            connections_up: self.now.total("sluice_upstream_connections_active", &[]),
            generation: self.now.total("sluice_config_generation", &[]),
            ready: self.now.total("sluice_ready", &[]) > 0,
        }
    }

    /// The busiest first.
    fn rows(&self, source: &Source) -> Vec<Row> {
        let row = |series: &SeriesView| {
            let labels: Vec<(&str, &str)> =
                source.labels.iter().map(|name| (*name, series.labels.get(*name).map_or("", String::as_str))).collect();
            let took = self.durations(source.durations, &labels);
            Row {
                name: labels.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(" "),
                requests: self.rate(source.requests, &labels),
                errors: self.errors(source.responses, &labels),
                p50: took.quantile(0.5),
                p99: took.quantile(0.99),
            }
        };
        let mut rows: Vec<Row> = self.now.series(source.durations).iter().map(row).collect();
        rows.sort_by(|one, other| other.requests.total_cmp(&one.requests).then_with(|| one.name.cmp(&other.name)));
        rows
    }

    fn workers(&self) -> Vec<WorkerRow> {
        let row = |series: &SeriesView| {
            let name = series.labels.get("worker").cloned().unwrap_or_default();
            let labels = [("worker", name.as_str())];
            WorkerRow {
                turns: self.rate("sluice_worker_turns_total", &labels),
                completions: self.rate("sluice_worker_completions_total", &labels),
                tasks: self.now.total("sluice_worker_tasks", &labels),
                parked: self.rate("sluice_worker_recv_parked_total", &labels),
                short_sends: self.rate("sluice_worker_send_short_total", &labels),
                panics: self.now.total("sluice_worker_panics_total", &labels),
                name,
            }
        };
        let mut rows: Vec<WorkerRow> = self.now.series("sluice_worker_turns_total").iter().map(row).collect();
        rows.sort_by_key(|row| Reverse(row.name.parse::<u32>().map_or(i64::MIN, |number| -i64::from(number))));
        rows
    }

    /// A second.
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    fn rate(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let (before, now) = (self.before.total(metric, labels), self.now.total(metric, labels));
        // Less than before: the process was started anew.
        let came = if now >= before { now - before } else { now };
        came as f64 / self.seconds
    }

    fn errors(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        ["5xx", "none"].iter().map(|class| self.rate(metric, &[labels, &[("class", *class)]].concat())).sum()
    }

    fn durations(&self, metric: &str, labels: &[(&str, &str)]) -> Distribution {
        let all = |view: &View| {
            let mut all = Distribution::default();
            view.series(metric)
                .iter()
                .filter(|series| series.has(labels))
                .filter_map(|series| series.histogram.as_ref())
                .for_each(|one| all.merge(one));
            all
        };
        all(self.now).since(&all(self.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stats::{metrics, stats};

    #[test]
    fn a_frame_is_what_came_between_two_readings() {
        let (hub, mut reader) = stats();
        let page = hub.page();
        let labels = [("cluster", "api"), ("endpoint", "10.0.0.1:80")];
        let took = page.histogram(&metrics::REQUEST_DURATION, &[("route", "web/*/0")]);
        let up = page.histogram(&metrics::UPSTREAM_DURATION, &labels);
        let requests = page.counter(&metrics::REQUESTS, &[("listener", "web"), ("route", "web/*/0")]);
        let errors = page.counter(&metrics::RESPONSES, &[("route", "web/*/0"), ("class", "5xx")]);
        page.histogram(&metrics::REQUEST_DURATION, &[("route", "quiet")]);
        page.counter(&metrics::WORKER_TURNS, &[("worker", "10")]).add(5);
        let turns = page.counter(&metrics::WORKER_TURNS, &[("worker", "2")]);
        // Long ago: counts for nothing.
        took.record(Duration::from_secs(9));
        requests.add(100);
        let before = View::from(&reader.collect());
        for _ in 0..10 {
            took.record(Duration::from_millis(2));
            up.record(Duration::from_millis(1));
        }
        requests.add(20);
        errors.add(3);
        turns.add(8);
        page.gauge(&metrics::DOWNSTREAM_ACTIVE, &[("listener", "web")]).set(7);
        let frame = Frame::between(&before, &View::from(&reader.collect()), Duration::from_secs(2));

        assert_eq!((frame.summary.requests, frame.summary.errors, frame.summary.connections_down), (10.0, 1.5, 7));
        let busy = &frame.routes[0];
        assert_eq!((busy.name.as_str(), busy.requests, busy.errors), ("web/*/0", 10.0, 1.5));
        assert!((0.0019..0.0021).contains(&busy.p99.unwrap().as_secs_f64()), "{:?}", busy.p99);
        assert_eq!((frame.routes[1].name.as_str(), frame.routes[1].p50), ("quiet", None));
        assert_eq!(frame.endpoints[0].name, "api 10.0.0.1:80");
        let workers: Vec<_> = frame.workers.iter().map(|worker| (worker.name.as_str(), worker.turns)).collect();
        assert_eq!(workers, [("2", 4.0), ("10", 0.0)]);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
    fn a_process_begun_anew_counts_from_nothing() {
        let view = |requests| {
            let (hub, mut reader) = stats();
            hub.page().counter(&metrics::REQUESTS, &[("listener", "web"), ("route", "r")]).add(requests);
            View::from(&reader.collect())
        };
        let frame = Frame::between(&view(1_000), &view(4), Duration::from_secs(1));
        assert_eq!(frame.summary.requests, 4.0);
    }
}
