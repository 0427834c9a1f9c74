//! What happened over time, and how latency was spread.

use std::path::Path;

use maud::{Markup, html};

use super::section as page_section;
use crate::plot::percentiles::Percentiles;
use crate::plot::time_series::TimeSeries;
use crate::plot::{Ink, Mark, Shape, both, key};
use crate::result::{Kind, ResultFile};
use crate::spectrum::{Log, of_load};

/// The time series with faults and lanes.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    let series = TimeSeries::of(result)?;
    let mut marks = vec![
        Mark::new(Ink::Rate, Shape::Line, "requests a second"),
        Mark::new(Ink::Tail, Shape::Line, "p99"),
        Mark::new(Ink::Median, Shape::Line, "p50"),
    ];
    if series.has_errors() {
        marks.push(Mark::new(Ink::Bad, Shape::Area, "errors a second"));
    }
    if series.has_faults() {
        marks.push(Mark::new(Ink::Fault, Shape::Area, "a fault was active"));
    }
    let mut states = Vec::new();
    if series.has_breakers() {
        states.push(Mark::new(Ink::Good, Shape::Area, "low: breaker closed"));
        states.push(Mark::new(Ink::Unsure, Shape::Area, "middle: half-open"));
        states.push(Mark::new(Ink::Bad, Shape::Area, "full: open"));
    }
    let label = "Requests a second, latency and errors over time, with faults and breakers under the same axis";
    Some(page_section(
        "Over time",
        &html! {
            figure {
                (key(&marks))
                (both(label, &series))
                @if !states.is_empty() { (key(&states)) }
                figcaption {
                    "Latency counts from the intended send time"
                    @if result.kind == Kind::Load { ", and each second shows the requests that were to be sent in it" }
                    ". Point at the plot for the figures of a moment."
                }
            }
        },
    ))
}

/// One percentile spectrum for each load.
pub(super) fn spectra(result: &ResultFile, folder: Option<&Path>) -> Option<Markup> {
    let mut figures = Vec::new();
    for (name, load) in &result.load {
        let log = folder.and_then(|folder| Log::read(folder, name));
        let spectra = of_load(load, log.as_ref());
        if spectra.is_empty() {
            continue;
        }
        let drawing = Percentiles { spectra: &spectra };
        let label = format!("Latency of the load {name} at each percentile");
        let source = if spectra.iter().all(|spectrum| spectrum.is_whole) {
            "From the histogram log: every request counts."
        } else {
            "From the five percentiles in the result: there is no histogram log beside it."
        };
        figures.push(html! {
            figure {
                @if result.load.len() > 1 { h3 { (name) } }
                (key(&drawing.key()))
                (both(&label, &drawing))
                figcaption { "Each further nine takes the same room. " (source) }
            }
        });
    }
    let body = html! { @for figure in &figures { (figure) } };
    (!figures.is_empty()).then(|| page_section("Percentile spectrum", &body))
}
