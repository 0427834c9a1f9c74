-- Says that a gateway is alive, and counts those that are.
--
-- KEYS[1] holds gateways with the time at which each was last heard of. ARGV: this gateway; seconds after which one that
-- was not heard of is gone.
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('EXPIRE', KEYS[1], 2 * ARGV[2])
return redis.call('ZCARD', KEYS[1])
