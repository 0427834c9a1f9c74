//! The admin page in a real browser: what an operator sees of a fault, a refused reload and a limit, as it happens.

use mocks::Rule;

use crate::support::{Browser, Gateway, Issuer, Process, echo, guarded, nowhere};

async fn look_at(gateway: &Gateway) -> Option<Browser> {
    Browser::open(&format!("http://{}/", gateway.admin)).await
}

/// Waits until what happened names this, newest first; the whole line.
async fn told(browser: &mut Browser, text: &str) -> String {
    let line =
        format!("[...document.querySelectorAll('#feed li')].map(li => li.innerText).find(t => t.includes('{text}'))");
    browser.until(&line).await.as_str().unwrap_or_default().replace('\n', " ")
}

#[tokio::test]
async fn a_fault_shows_in_tiles_tables_and_events() {
    let upstream = echo().await;
    let breaker = "breaker = { consecutive_failures = 3, open_for = '60s' }";
    let gateway = Gateway::start(&format!(
        "[upstreams.orders]\nendpoints = ['{}']\n{breaker}\n[[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'orders'\n",
        upstream.addr()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.until("document.getElementById('state').textContent === 'serving'").await;
    browser.until("document.getElementById('feed-state').textContent === 'live'").await;
    upstream.set_rules([Rule::any().status(503)]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").await.status, 503);
    }
    let line = told(&mut browser, "closed → open, consecutive failures").await;
    assert!(line.contains(&format!("orders {}", upstream.addr())) && line.contains("3 of 3 failed"), "{line}");
    browser.until("document.querySelector('#upstreams tr.failing .bad').innerText.includes('breaker is open')").await;
    let codes = "[...document.querySelectorAll('#codes tr')].some(tr => tr.innerText.includes('5xx'))";
    browser.until(codes).await;
    browser.be_as_wide_as(360).await;
    browser.until("document.documentElement.scrollWidth <= 360").await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn reloads_are_told_with_what_is_wrong_and_events_can_be_chosen() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.until("document.getElementById('feed-state').textContent === 'live'").await;
    std::fs::write(gateway.file(), "[[routes]]\npath = '/'\nupstreem = 'x'\n").unwrap();
    gateway.admin("POST", "/reload").await;
    let line = told(&mut browser, "configuration refused").await;
    assert!(line.contains("gateway.toml:3:") && line.contains("upstreem"), "{line}");
    browser.until("document.querySelector('#alerts .bad').innerText.includes('upstreem')").await;
    let choose = |name: &str| {
        format!("[...document.querySelectorAll('#groups button')].find(b => b.innerText === '{name}').click()")
    };
    browser.run(&choose("Keys and TLS")).await;
    browser.until("document.getElementById('feed').innerText === 'Nothing of this kind yet.'").await;
    browser.run(&choose("Configuration")).await;
    told(&mut browser, "configuration refused").await;
}

#[tokio::test]
async fn many_warnings_leave_the_first_screen_of_a_phone_to_how_it_does() {
    let open = |number: usize| format!("[[routes]]\npath = '/{number}/'\nupstream = 'http://127.0.0.1:9'\n");
    let routes: String = (0..200).map(open).collect();
    let gateway = Gateway::start(&format!("{routes}{}", Issuer::new("k1").provider(""))).await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.be_as_wide_as(390).await;
    let reloaded = gateway.admin("POST", "/reload").await.json();
    assert!(reloaded["problems"].as_array().unwrap().len() >= 200, "nothing is below any of their slashes: {reloaded}");
    browser
        .until("document.querySelector('#alerts .warn summary')?.innerText.endsWith('of the configuration in force')")
        .await;
    browser.until("document.getElementById('tiles').getBoundingClientRect().top < 700").await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn an_upstream_is_the_sum_of_its_endpoints_and_long_names_push_nothing_away() {
    let (one, other) = (echo().await, echo().await);
    let (route, path) = ("r".repeat(100), "p".repeat(100));
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nendpoints = ['{}', '{}']\nbalance = 'round_robin'\n\
         [[routes]]\nname = '{route}'\npath = '/{path}/{{*rest}}'\nupstream = 'up'\n",
        one.addr(),
        other.addr()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    for _ in 0..10 {
        gateway.get(&format!("/{path}/a")).await;
    }
    let rate = |row: usize| format!("Number(document.querySelectorAll('#upstreams tr')[{row}]?.children[3].innerText)");
    let (all, first, second) = (rate(0), rate(1), rate(2));
    browser.until(&format!("{all} > 0 && Math.abs({all} - {first} - {second}) < 0.2")).await;
    let table = "document.getElementById('routes').parentElement";
    browser.be_as_wide_as(1280).await;
    browser.until(&format!("{table}.scrollWidth <= {table}.parentElement.clientWidth")).await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn an_aggregate_is_found_by_the_upstreams_of_its_parts_and_empty_tables_say_so() {
    let (upstream, empty) = (echo().await, Gateway::start("").await);
    let gateway = Gateway::start(&format!(
        "[upstreams.users]\nendpoints = ['{0}']\n[[aggregates]]\nname = 'board'\npath = '/board/{{id}}'\n\
         parts = [{{ name = 'user', upstream = 'users', path = '/users/{{id}}' }}]\n\
         [[routes]]\nname = 'other'\npath = '/other'\nupstream = 'http://{0}'\n",
        upstream.addr()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    let filter = |words: &str| {
        format!(
            "(f => {{ f.value = '{words}'; f.dispatchEvent(new Event('input')); }})(document.getElementById('filter'))"
        )
    };
    browser.until("document.querySelectorAll('#routes tr').length === 2").await;
    browser.run(&filter("users")).await;
    browser.until("document.querySelectorAll('#routes tr').length === 1").await;
    browser.until("document.querySelector('#routes tr td:last-child').innerText.includes(' of users')").await;
    browser.run(&filter("nowhere")).await;
    browser.until("document.getElementById('no-routes').innerText === 'No route has these words.'").await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    let Some(mut browser) = look_at(&empty).await else { return };
    browser.until("document.getElementById('no-routes').innerText.startsWith('No routes')").await;
    browser.until("!document.getElementById('no-upstreams').hidden").await;
    browser.until("!document.getElementById('no-codes').hidden").await;
}

#[tokio::test]
async fn why_an_endpoint_fails_is_in_sight_on_a_phone() {
    let upstream = echo().await;
    let health = "health = { path = '/', interval = '100ms', timeout = '1s', unhealthy_after = 1 }";
    let gateway = Gateway::start(&format!(
        "[upstreams.a-service-with-a-long-name]\nendpoints = ['{}', '127.0.0.1:1']\n{health}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'a-service-with-a-long-name'\n",
        upstream.addr()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.be_as_wide_as(375).await;
    let why = "[...document.querySelectorAll('#upstreams .bad')].find(it => it.innerText.includes('health checks'))";
    browser.until(&format!("{why}?.getBoundingClientRect().right <= 375")).await;
    // It is told in a few long lines, not in many short ones.
    browser.until(&format!("{why}?.getBoundingClientRect().width > 280")).await;
    browser.be_as_wide_as(1280).await;
    browser.until(&format!("{why}?.tagName === 'TD'")).await;
}

#[tokio::test]
async fn a_breaker_that_waits_for_a_request_is_no_outage_and_a_red_row_says_why() {
    let upstream = echo().await;
    let breaker = "breaker = { consecutive_failures = 1, open_for = '10ms', max_open_for = '10ms' }";
    let gateway = Gateway::start(&format!(
        "[upstreams.orders]\nendpoints = ['{}']\n{breaker}\n[[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'orders'\n",
        upstream.addr()
    ))
    .await;
    upstream.set_rules([Rule::any().status(503)]);
    assert_eq!(gateway.get("/a").await.status, 503);
    let Some(mut browser) = look_at(&gateway).await else { return };
    // What failed a moment ago marks the row, and is told in it.
    let failing = "document.querySelector('#upstreams tr')?.innerText.includes('over 10 s')";
    browser.until(&format!("{failing} || document.querySelector('#upstreams tr.waiting')")).await;
    browser
        .until("document.querySelector('#upstreams tr.waiting .warn').innerText.includes('the next requests try it')")
        .await;
    browser.until("document.querySelector('#alerts').textContent.includes('it waits for requests')").await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn which_route_a_request_takes_is_told_in_words() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.until("!document.getElementById('main').hidden").await;
    browser.run("document.getElementById('explain').requestSubmit()").await;
    let text = browser.until("document.getElementById('text').innerText").await.as_str().unwrap().to_owned();
    let now = format!("now        {}: in, breaker closed", upstream.addr());
    assert!(text.contains("\nupstream   ") && text.contains(&now), "{text}");
}

#[tokio::test]
async fn a_limit_shows_with_its_busiest_keys() {
    let upstream = echo().await;
    let gateway = Gateway::start(&format!(
        "[rate_limits.each]\nkey = 'client_ip'\nrate = '1/h'\nburst = 2\n[[routes]]\npath = '/{{*rest}}'\n\
         upstream = 'http://{}'\nrate_limits = ['each']\n",
        upstream.addr()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    for _ in 0..5 {
        gateway.get("/").await;
    }
    browser.until("document.querySelector('#limits tr')?.innerText.includes('127.0.0.1 5')").await;
    browser.until("document.querySelector('#codes').innerText.includes('rate_limited')").await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn a_failed_request_opens_to_its_time_line() {
    let (good, bad) = (echo().await, echo().await);
    for mock in [&good, &bad] {
        mock.set_rules([Rule::any().effect(mocks::Effect::Reset(mocks::Reset::BeforeHeaders))]);
    }
    let gateway = Gateway::start(&format!(
        "[upstreams.orders]\nendpoints = ['{}', '{}']\n[[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'orders'\n\
         retry = {{ attempts = 2 }}\n",
        good.addr(),
        bad.addr()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.until("!document.getElementById('no-requests').hidden").await;
    let answer = gateway.get("/orders/7?token=secret").await;
    assert_eq!(answer.code(), "upstream_reset");
    browser.until("document.querySelector('#requests tr.failing')?.innerText.includes('/orders/7')").await;
    browser.run("document.querySelector('#requests button').click()").await;
    let id = answer.header("x-request-id").unwrap();
    browser.until(&format!("document.getElementById('request-name').innerText.includes('{id}')")).await;
    browser.until("document.querySelectorAll('#timeline rect.bad').length === 3").await;
    let text = browser.until("document.getElementById('request').innerText").await.as_str().unwrap().to_owned();
    for said in [&good.addr().to_string(), &bad.addr().to_string(), "reset", "fault of the upstream", "x-forwarded-for"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    browser.run("[...document.querySelectorAll('#choices button')].find(b => b.innerText === 'Sampled').click()").await;
    browser.until("document.querySelectorAll('#requests tr').length === 0").await;
    browser.be_as_wide_as(360).await;
    browser.until("document.documentElement.scrollWidth <= 360").await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_opens_the_stream_too() {
    let upstream = echo().await;
    let (process, _folder) = Process::start_with_token(upstream.addr(), "s3cret-and-long-enough").await;
    let Some(mut browser) = Browser::open(&format!("http://{}/", process.admin)).await else { return };
    browser.until("!document.getElementById('enter').hidden").await;
    let enter = |token: &str| {
        format!("document.getElementById('token').value = '{token}', document.getElementById('enter').requestSubmit()")
    };
    browser.run(&enter("wrong")).await;
    browser.until("!document.getElementById('wrong').hidden").await;
    browser.run(&enter("s3cret-and-long-enough")).await;
    browser.until("document.getElementById('feed-state').textContent === 'live'").await;
    browser.until("document.getElementById('state').textContent === 'serving'").await;
}

#[tokio::test]
async fn another_process_in_its_place_is_followed_from_its_start() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.until("document.getElementById('feed-state').textContent === 'live'").await;
    gateway.admin("POST", "/reload").await;
    told(&mut browser, "configuration 2 is in force").await;
    // What the page would be told by one that was started at another time.
    browser.run("keepFollowing({ clock: { ...feed.clock, started_ns: feed.events.at(-1).ts_ns + 1 } })").await;
    told(&mut browser, "another process of the gateway answers").await;
    let twice = "[...document.querySelectorAll('#feed li')].filter(li => li.innerText.includes('configuration 2')).length === 2";
    browser.until(twice).await;
}

#[tokio::test]
async fn calls_that_fail_behind_a_good_status_and_answers_that_break_off_are_marked_as_failing() {
    let cut = echo().await;
    cut.set_rules([Rule::any().effect(mocks::Effect::Truncate(Some(1)))]);
    let grpc = mocks::Mock::builder().service("g").start().await.unwrap();
    grpc.set_rules([Rule::any().grpc_status(13)]);
    let gateway = Gateway::start(&format!(
        "[upstreams.cut]\nendpoints = ['{}']\nbreaker = {{ failures = [] }}\n\
         [upstreams.grpc]\nendpoints = ['{}']\nprotocol = 'http2'\nbreaker = {{ failures = [] }}\n\
         [[routes]]\nname = 'cut'\npath = '/cut'\nupstream = 'cut'\n\
         [[routes]]\nname = 'calls'\npath = '/a.B/C'\nupstream = 'grpc'\n",
        cut.addr(),
        grpc.addr()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.until("document.getElementById('feed-state').textContent === 'live'").await;
    let call = "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
                content-length: 5\r\n\r\n\0\0\0\0\0";
    let rows = "[...document.querySelectorAll('#routes tr.failing')].map(tr => tr.innerText).join('; ')";
    let tile = "document.querySelector('#tiles .bad')?.innerText.includes('Failing/s')";
    let requests = "[...document.querySelectorAll('#requests tr.failing')].map(tr => tr.innerText).join('; ')";
    let get = "GET /cut HTTP/1.1\r\nhost: a\r\n\r\n";
    for (asked, said, listed) in [(call, "grpc-status 13", "grpc-status 13"), (get, "behind its head", "upstream_")] {
        // A look is about what came since the last.
        let seen = async {
            while browser.run(&format!("Boolean({rows}.includes('{said}') && {tile})")).await != true {
                gateway.ask(asked).await;
            }
        };
        guarded(said, seen).await;
        // The page lists the newest alone: these, as nothing else was asked since.
        browser.until(&format!("{requests}.includes('{listed}')")).await;
    }
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[tokio::test]
async fn a_call_of_grpc_that_the_gateway_itself_fails_is_one_failure() {
    let gateway = Gateway::start(&format!(
        "[upstreams.grpc]\nendpoints = ['{}']\nprotocol = 'http2'\n\
         [[routes]]\nname = 'calls'\npath = '/a.B/C'\nupstream = 'grpc'\n",
        nowhere()
    ))
    .await;
    let Some(mut browser) = look_at(&gateway).await else { return };
    browser.until("document.getElementById('feed-state').textContent === 'live'").await;
    let call = "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
                content-length: 5\r\n\r\n\0\0\0\0\0";
    let tile = "document.querySelector('#tiles .bad')?.innerText ?? ''";
    // It is a 5xx in one metric, and 14 in another one.
    let seen = async {
        while browser.run(&format!("({tile}).includes('Failing/s') && ({tile}).includes('100 %')")).await != true {
            gateway.ask(call).await;
        }
    };
    guarded("all calls fail, and no more", seen).await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
