-- Takes up to so many tokens from the bucket in KEYS[1], and gives unused ones back.
--
-- ARGV, times in nanoseconds: the time of one token, the time that the empty bucket takes to fill, what it lacks at
-- least as its gateway knows, tokens that are wanted, tokens that come back.
--
-- The answer: tokens that were taken; the time, microseconds; and what the bucket lacks then, nanoseconds.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1e6 + time[2]
local token, window, floor = ARGV[1] / 1000, ARGV[2] / 1000, ARGV[3] / 1000
local tat = redis.call('GET', KEYS[1])
local debt = math.max(tat and tat / 1000 - now or 0, floor, 0)
if debt > window then debt = window end
debt = math.max(debt - ARGV[5] * token, 0)
-- Times are kept in parts of microseconds; one in a thousand of them decides about no token.
local taken = math.max(math.min(tonumber(ARGV[4]), math.floor((window - debt + 0.001) / token)), 0)
debt = math.min(debt + taken * token, window)
if debt > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', (now + debt) * 1000), 'PX', math.ceil(debt / 1000))
else
  redis.call('DEL', KEYS[1])
end
return { taken, now, math.ceil(debt * 1000) }
