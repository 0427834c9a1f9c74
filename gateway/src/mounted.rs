//! What a program gets of a gateway beside its service: the admin API as a router, metrics as a text, another
//! configuration. For one that is mounted; one that serves by itself has an admin API and an end of its own.

use std::sync::Arc;

use crate::admin;
use crate::config::Problem;
use crate::gateway::Gateway;
use crate::network::Network;
use crate::openapi::Keeper;
use crate::reload::{BY_PROGRAM, ReloadError, ReloadReport, Reloader};
use crate::telemetry::exposition::Format;

impl<N: Network> Gateway<N> {
    /// The admin API of a gateway that is mounted, for the program to serve where it likes: `/livez`, `/readyz`,
    /// `/metrics`, `/status`, `/problems`, `/config`, `/upstreams`, `/breakers`, `/limits`, `/routes`, `/requests`,
    /// `/explain`, `/events`, `/cache`, `/jwks.json`, `/openapi.json`, and the pages `/` and `/docs`. docs/operating.md
    /// says what each tells. It is made to be nested, and its pages work below any path:
    ///
    /// ```
    /// # use axum::Router;
    /// # use gateway::prelude::*;
    /// # fn program() -> Result<Router, BuildError> {
    /// let gateway = Gateway::builder().config_text("").build()?;
    /// let program = Router::new()
    ///     .nest("/ops", gateway.admin_router()) // .layer(the program's own authentication)
    ///     .fallback_service(gateway.into_service());
    /// # Ok(program)
    /// # }
    /// # program().unwrap();
    /// ```
    ///
    /// **Whoever reaches it may do all of it**: it shows configuration, addresses and requests, and has `POST /reload`,
    /// `/drain`, `/cache/purge` and `/breakers/...`. Who that is, is the program's to say; `[admin]` with its token is
    /// not looked at. Pages of other sites cannot change anything: a call that would, with an `Origin` that is not its
    /// `Host`, is 403. (A program that lets in by network alone holds `Host` against its own names too: a name that
    /// leads to this machine for a moment, DNS rebinding, makes a foreign page's calls look like its own.) `POST
    /// /reload` is [`Gateway::reload`]; `POST /drain` is [`Gateway::begin_drain`].
    ///
    /// Within a tokio runtime, what was wrong is remembered, and services are asked for their documents, from here on
    /// and until the router is dropped; elsewhere only what is known when somebody asks is told. The router holds the
    /// gateway.
    pub fn admin_router(self: &Arc<Self>) -> axum::Router {
        let reloader = Arc::new(Reloader::of(self));
        let documents = Keeper::new(Arc::clone(self), Vec::new());
        let state = admin::State::mounted(self, &reloader, Arc::clone(&documents));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Keeper::keep(Arc::downgrade(&documents)));
            runtime.spawn(admin::keep_looking(Arc::downgrade(&state)));
            runtime.spawn(admin::keep_counting(Arc::downgrade(&state)));
        }
        admin::router(state)
    }

    /// All metrics as text, in the format of Prometheus 0.0.4, those of the process among them: what `GET /metrics`
    /// answers, for a program that has such a page itself. docs/operating.md lists them.
    pub fn metrics(self: &Arc<Self>) -> String {
        let page = admin::whole_page(self, &Reloader::of(self), Format::Prometheus);
        String::from_utf8(page).unwrap_or_default()
    }

    /// Reads `config_file` again, with what it includes, and puts it in force for requests that begin from then on.
    /// Counts, connections, breakers and metrics stay. One reload at a time: the last that was asked for is the last in
    /// force. To be called within a tokio runtime; the file is read beside it.
    ///
    /// A mounted gateway is never reloaded by itself: the program says when, and nothing of a configuration waits for a
    /// restart. One that serves reloads when its file changes too.
    ///
    /// # Errors
    /// The file cannot be read, is not right, names what is not registered, or its access log cannot be opened; or the
    /// gateway was made of a text. Nothing has changed then.
    pub async fn reload(self: &Arc<Self>) -> Result<ReloadReport, ReloadError> {
        Reloader::of(self).reload(BY_PROGRAM).await.into_result()
    }

    /// The same with this text, whatever the gateway was made of: a configuration from a database, or from a test. A
    /// file that there was before stays the one that [`Gateway::reload`] reads.
    ///
    /// # Errors
    /// As [`Gateway::reload`], of the text.
    pub async fn reload_text(self: &Arc<Self>, text: impl Into<String>) -> Result<ReloadReport, ReloadError> {
        Reloader::of(self).reload_text(text.into(), BY_PROGRAM).await.into_result()
    }

    /// What is perhaps not meant of the configuration in force: what [`Builder::check`](crate::builder::Builder::check)
    /// gives, and what is not looked at as the gateway is mounted.
    pub fn warnings(self: &Arc<Self>) -> Vec<Problem> {
        Reloader::of(self).warnings()
    }
}
