//! Figures of each journey and each step, beside the recorder's figures of the whole load.

use hdrhistogram::Histogram;

use super::model::Journeys;
use crate::recorder::{Phase, histogram};
use crate::sample::Sample;

/// What was seen of all journeys of a file.
#[derive(Debug, Clone)]
pub struct Book {
    /// In the order of the file.
    pub journeys: Vec<JourneySeen>,
    /// For each request of the file its journey and its place there.
    requests: Vec<(usize, usize)>,
    /// For each step its journey and its place among that one's pages, if it is one of several parts.
    steps: Vec<(usize, Option<usize>)>,
    /// What began before this is warm-up and is left out, nanoseconds of the run's clock.
    from_ns: u64,
}

/// What was seen of one journey.
#[derive(Debug, Clone)]
pub struct JourneySeen {
    /// Its name.
    pub name: String,
    /// Gone to the end.
    pub completed: u64,
    /// Given up, since a step did not come out as expected.
    pub abandoned: u64,
    /// How long a whole one took, thinking included.
    pub duration: Histogram<u64>,
    /// Its requests, in the order of the file.
    pub requests: Vec<Phase>,
    /// Its steps that are pages of several parts: their names, and the time until all was there.
    pub pages: Vec<(String, Histogram<u64>)>,
}

impl Book {
    /// An empty book for journeys of which counts what begins at `from_ns` or later.
    #[must_use]
    pub fn new(journeys: &Journeys, from_ns: u64) -> Self {
        let (mut seen, mut requests, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for (number, journey) in journeys.list.iter().enumerate() {
            let mut one = JourneySeen {
                name: journey.name.clone(),
                completed: 0,
                abandoned: 0,
                duration: histogram(),
                requests: Vec::new(),
                pages: Vec::new(),
            };
            for step in &journey.steps {
                steps.push((number, (!step.parts.is_empty()).then_some(one.pages.len())));
                if !step.parts.is_empty() {
                    one.pages.push((step.name.clone(), histogram()));
                }
                for request in std::iter::once(&step.request).chain(&step.parts) {
                    requests.push((number, one.requests.len()));
                    one.requests.push(Phase::new(&request.name, from_ns));
                }
            }
            seen.push(one);
        }
        Self { journeys: seen, requests, steps, from_ns }
    }

    /// A request ended.
    pub fn sample(&mut self, sample: &Sample) {
        if sample.intended_ns < self.from_ns {
            return;
        }
        if let Some((journey, request)) = self.requests.get(sample.template) {
            self.journeys[*journey].requests[*request].record(sample);
        }
    }

    /// A page of several parts was whole.
    pub fn page(&mut self, step: u32, from_ns: u64, end_ns: u64) {
        if from_ns < self.from_ns {
            return;
        }
        let place = usize::try_from(step).ok().and_then(|step| self.steps.get(step));
        if let Some((journey, Some(page))) = place {
            self.journeys[*journey].pages[*page].1.saturating_record(end_ns.saturating_sub(from_ns).max(1));
        }
    }

    /// A journey ended.
    pub fn journey(&mut self, journey: u32, from_ns: u64, end_ns: u64, whole: bool) {
        let seen = usize::try_from(journey).ok().and_then(|journey| self.journeys.get_mut(journey));
        let Some(seen) = seen.filter(|_| from_ns >= self.from_ns) else { return };
        if whole {
            seen.completed += 1;
            seen.duration.saturating_record(end_ns.saturating_sub(from_ns).max(1));
        } else {
            seen.abandoned += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::parse;
    use super::*;

    const FILE: &str = "[[journeys]]\nname = \"a\"\n[[journeys.steps]]\nname = \"one\"\npath = \"/\"\n\
        [[journeys.steps]]\nname = \"page\"\npath = \"/p\"\nparts = [{ path = \"/q\" }]\n\
        [[journeys]]\nname = \"b\"\n[[journeys.steps]]\nname = \"one\"\npath = \"/\"\n";

    fn sample(template: usize, intended_ns: u64) -> Sample {
        let end_ns = intended_ns + 50;
        Sample { template, intended_ns, sent_ns: intended_ns, head_ns: intended_ns, end_ns, ..Sample::GOOD }
    }

    #[test]
    fn what_happened_is_booked_where_it_belongs_and_the_warm_up_is_left_out() {
        let mut book = Book::new(&parse(Path::new("a"), FILE).unwrap(), 1_000);
        for template in [0, 2, 2, 3, 99] {
            book.sample(&sample(template, 1_000));
            book.sample(&sample(template, 999));
        }
        book.page(1, 1_000, 1_500);
        book.page(1, 0, 1_500);
        book.page(0, 1_000, 1_500); // a step of one request
        book.journey(0, 1_000, 9_000, true);
        book.journey(0, 1_000, 9_000, false);
        book.journey(1, 999, 9_000, true);
        let [a, b] = book.journeys.as_slice() else { panic!("two") };
        let counts =
            |seen: &JourneySeen| seen.requests.iter().map(|one| (one.name.clone(), one.ok)).collect::<Vec<_>>();
        assert_eq!(counts(a), [("one".to_owned(), 1), ("page".to_owned(), 0), ("page/q".to_owned(), 2)]);
        assert_eq!(counts(b), [("one".to_owned(), 1)]);
        assert_eq!((a.completed, a.abandoned, b.completed), (1, 1, 0));
        assert_eq!((a.pages[0].0.as_str(), a.pages[0].1.len()), ("page", 1));
    }
}
