//! A drawn world as the two files that a scenario is made of.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::draft::{Breaker, Draft, Fallback, Health, Load, PATIENT_MS, Service};

/// The body of every fixed answer; its status is one that no mock gives, so that nobody takes it for a mock's.
const FIXED: &str = "in its place";

/// The texts of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub scenario: String,
    pub gateway: String,
}

impl Files {
    /// Writes both into a folder; the scenario's path.
    pub(super) fn save(&self, folder: &Path, name: &str) -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(format!("{name}.gateway.toml")), &self.gateway)?;
        let path = folder.join(format!("{name}.toml"));
        std::fs::write(&path, &self.scenario)?;
        Ok(path)
    }
}

/// Writes a world.
pub(super) fn files(draft: &Draft, name: &str, about: &str) -> Files {
    // Writing to a string cannot fail.
    let mut text = String::new();
    let _ = write!(
        text,
        "name = \"{name}\"\nabout = {}\nseed = {}\ntags = [\"found\"]\nruntime = \"virtual\"\nwarm_up = \"0s\"\n\n\
         [gateway]\nconfig = \"{name}.gateway.toml\"\n",
        toml::Value::String(about.to_owned()),
        draft.seed,
    );
    for service in &draft.services {
        let _ = write!(text, "\n[mocks.{}]\nendpoints = {}\n", service.name, service.weights.len());
        if let Some(time) = service.service_time {
            let _ = writeln!(text, "service_time = \"{time}\"");
            if service.servers > 0 {
                let _ = writeln!(text, "servers = {}", service.servers);
            }
        }
    }
    draft.loads.iter().for_each(|load| write_load(&mut text, load));
    for fault in &draft.faults {
        let on = fault.endpoint.map_or_else(|| fault.service.clone(), |index| format!("{}/{index}", fault.service));
        let _ = write!(
            text,
            "\n[[faults]]\nat = \"{}ms\"\nfor = \"{}ms\"\non = \"{on}\"\nact = {{ {} }}\n",
            fault.at_ms, fault.for_ms, fault.act,
        );
        if fault.share < 1.0 {
            let _ = writeln!(text, "share = {:?}", fault.share);
        }
    }
    for at_ms in &draft.reloads_ms {
        let _ = write!(text, "\n[[events]]\nat = \"{at_ms}ms\"\ndo = \"reload\"\n");
    }
    for load in draft.loads.iter().filter(|load| load.timeout_ms < PATIENT_MS) {
        // It is meant that they leave, all of them perhaps: `sim run` takes nothing else for granted.
        let _ = write!(text, "\n[[expect]]\nfigure = \"load.{}.phases.before.outcome.failed\"\nmin = 0\n", load.name);
    }
    Files { scenario: text, gateway: gateway(draft) }
}

fn write_load(text: &mut String, load: &Load) {
    let _ = write!(text, "\n[[load]]\nname = \"{}\"\n", load.name);
    let _ = match load.rate {
        0 => write!(text, "model = \"closed\"\nconnections = {}\n", load.connections),
        rate => write!(text, "model = \"open\"\nrate = \"{rate}/s\"\nmax_in_flight = 4000\n"),
    };
    let _ = write!(text, "duration = \"{}ms\"\ntimeout = \"{}ms\"\n", load.duration_ms, load.timeout_ms);
    let requests = load.requests.iter().map(|request| {
        let path = toml::Value::String(format!("/{}{}", load.service, request.path));
        let body = match request.body_bytes {
            0 => String::new(),
            bytes => format!(", body_bytes = {bytes}"),
        };
        format!("{{ method = \"{}\", path = {path}{body} }}", request.method)
    });
    let _ = writeln!(text, "requests = [\n  {},\n]", requests.collect::<Vec<_>>().join(",\n  "));
}

fn gateway(draft: &Draft) -> String {
    let mut text = format!(
        "[server]\nworkers = {}\ntrusted_proxies = [\"192.168.0.0/16\"]\nmax_in_flight = 0\n\n\
         [telemetry.access_log]\noutput = \"stdout\"\nqueue = 1000000\n",
        draft.workers
    );
    draft.services.iter().for_each(|service| write_service(&mut text, service));
    text
}

fn write_service(text: &mut String, service: &Service) {
    let name = &service.name;
    let endpoint =
        |(index, weight): (usize, &u64)| format!("  {{ address = \"mock://{name}/{index}\", weight = {weight} }},\n");
    let endpoints: String = service.weights.iter().enumerate().map(endpoint).collect();
    let key = if service.policy == "consistent_hash" { ", key = \"client_ip\"" } else { "" };
    let _ = write!(
        text,
        "\n[upstreams.{name}]\nendpoints = [\n{endpoints}]\nbalance = {{ policy = \"{}\"{key} }}\n\
         pool = {{ idle_timeout = \"{}ms\", max_idle_per_worker = {} }}\n{}{}\n\
         [[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*rest}}\"\nupstream = \"{name}\"\n\
         rewrite = {{ strip_prefix = \"/{name}\" }}\ntimeout = \"{}ms\"\n\
         retry = {{ attempts = {} }}\n",
        service.policy,
        service.pool_idle_ms,
        service.max_idle,
        service.health.map(checked).unwrap_or_default(),
        service.breaker.map(written).unwrap_or_default(),
        service.timeout_ms,
        service.attempts,
    );
    if let Some((after, max)) = service.hedge {
        let _ = writeln!(text, "hedge = {{ after = \"{after}\", max = {max} }}");
    }
    let _ = match &service.fallback {
        None => Ok(()),
        Some(Fallback::Fixed) => writeln!(text, "fallback = {{ status = 203, body = \"{FIXED}\" }}"),
        Some(Fallback::Other(name)) => writeln!(text, "fallback = {{ upstream = \"{name}\" }}"),
    };
}

fn checked(health: Health) -> String {
    let Health { interval_ms, timeout_ms, healthy_after, unhealthy_after } = health;
    format!(
        "health = {{ path = \"/bytes/1\", interval = \"{interval_ms}ms\", timeout = \"{timeout_ms}ms\", \
         healthy_after = {healthy_after}, unhealthy_after = {unhealthy_after} }}\n"
    )
}

fn written(breaker: Breaker) -> String {
    let Breaker { consecutive, open_for_ms, max_open_for_ms, probes, probe_timeout_ms, max_percent } = breaker;
    format!(
        "breaker = {{ consecutive_failures = {consecutive}, open_for = \"{open_for_ms}ms\", \
         max_open_for = \"{max_open_for_ms}ms\", probes = {probes}, probe_timeout = \"{probe_timeout_ms}ms\" }}\n\
         ejection = {{ max_percent = {max_percent} }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn every_drawn_world_is_a_scenario_that_holds() {
        let folder = tempfile::tempdir().unwrap();
        for seed in 0..100 {
            let draft = Draft::draw(seed);
            let path = files(&draft, "drawn", "A \"drawn\" world.").save(folder.path(), "drawn").unwrap();
            let scenario = scenario::load(&path).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!((scenario.seed, scenario.faults.len()), (seed, draft.faults.len()));
            assert_eq!(scenario.loads.len(), draft.loads.len());
            assert_eq!(scenario.events.len(), draft.reloads_ms.len());
        }
    }
}
