//! Whatever a peer begins a connection with is a header of the PROXY protocol, the beginning of one, or refused for
//! good.

use gateway::proxy_protocol::{LONGEST, Progress, parse};

/// What a connection begins with.
pub fn check(data: &[u8]) {
    let whole = parse(data);
    for cut in 0..data.len().min(LONGEST) {
        match (parse(&data[..cut]), whole) {
            // Who reads what is missing at least never reads beyond the header.
            (Ok(Progress::Missing(least)), Ok(Progress::Whole(_, length))) => {
                assert!(least > 0 && cut + least <= length);
            }
            (Ok(Progress::Missing(least)), _) => assert!(least > 0 && cut + least <= LONGEST),
            (Ok(Progress::Whole(_, length)), _) => assert!(length <= cut && parse(&data[..cut]) == whole),
            (Err(refused), _) => assert_eq!(whole, Err(refused)),
        }
    }
}
