//! Values that turn something off, or are its default, ask for nothing.

use super::{check, check_route, check_upstream};

#[test]
fn what_is_off_or_default_is_accepted() {
    for keys in
        ["hedge = { after = \"0ms\", max = 3 }", "coalesce = false", "body = {}", "rate_limits = []", "openapi = \"\""]
    {
        check_route(keys, &[]);
    }
    check_upstream("protocol = \"http1\"", &[]);
    check_upstream("protocol = \"http2\"", &[]);
    check("[server]\nh2_stream_window = \"65536B\"", &[]);
    check("[stores]\n[rate_limits]\n[identity]\nclaims = {}\n[identity.providers]", &[]);
}
