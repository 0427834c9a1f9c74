-- Uses a token up, once among all gateways.
--
-- KEYS[1] stands for the token. ARGV: the name of this use, which no other has; milliseconds for which it is remembered.
-- The answer: 1 where this use is the first, 0 where there was another. A call that is sent twice, since nobody knew
-- whether the first one arrived, is still one use.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0
