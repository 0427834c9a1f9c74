//! Families about who asks: credentials, tokens that are known, keys, and issuers that are asked.

use super::ScrapeInputs;
use crate::telemetry::exposition::format::{Kind, Page};
use crate::telemetry::metrics::{CacheResult, Registry};

pub(super) fn render(page: &mut Page, registry: &Registry, ScrapeInputs { keys, issuers, .. }: &ScrapeInputs) {
    page.family("gateway_auth_total", Kind::Counter, "Credentials, by provider and what came of them.");
    for provider in registry.auths() {
        for (result, count) in provider.totals() {
            page.number(&[("provider", provider.name()), ("result", result.as_str())], count);
        }
    }
    page.family("gateway_token_cache_total", Kind::Counter, "Tokens by whether they were known already, and where.");
    for result in CacheResult::ALL {
        page.number(&[("result", result.as_str())], registry.token_cache().total(result));
    }
    page.family("gateway_keys_age_seconds", Kind::Gauge, "Time since a provider's keys were fetched.");
    for keys in keys {
        if let Some(seconds) = keys.seconds {
            page.float(&[("provider", &keys.provider)], seconds);
        }
    }
    page.family("gateway_keys_failing", Kind::Gauge, "1 while a provider's keys cannot be fetched, else 0.");
    for keys in keys {
        page.number(&[("provider", &keys.provider)], keys.failing.into());
    }
    page.family(
        "gateway_issuer_failing",
        Kind::Gauge,
        "1 while a provider's issuer does not say whether tokens hold and is left alone, else 0.",
    );
    for issuer in issuers {
        page.number(&[("provider", &issuer.provider)], issuer.failing.into());
    }
}
