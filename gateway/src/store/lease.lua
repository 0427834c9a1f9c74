-- Takes up to so many tokens from the bucket in KEYS[1], and gives unused ones back.
--
-- Buckets are kept as `charge.lua` says. ARGV, times in nanoseconds: the time of one token, the time that the empty
-- bucket takes to fill, what it lacks at least as its gateway knows, tokens that are wanted, tokens that come back.
--
-- The answer: tokens that were taken; the time, microseconds; and what the bucket lacks then, nanoseconds.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1e6 + time[2]
local token, window, floor = ARGV[1] / 1000, ARGV[2] / 1000, ARGV[3] / 1000
local debt, kept = 0, redis.pcall('GET', KEYS[1])
if type(kept) == 'string' then
  local tat, before = string.match(kept, '^(%d+):?(%d*)')
  debt = (tat or 0) / 1000 - now
  if before and before ~= '' and before ~= ARGV[1] then debt = debt * ARGV[1] / before end
end
debt = math.max(debt, floor, 0)
if debt > window then debt = window end
debt = math.max(debt - ARGV[5] * token, 0)
-- Times are kept in parts of microseconds; one in a thousand of them decides about no token. A double keeps fewer as the
-- years go by (since July 2026 the 256th, from February 2027 the 128th): so much sooner or later a token may be given.
local taken = math.max(math.min(tonumber(ARGV[4]), math.floor((window - debt + 0.001) / token)), 0)
debt = math.min(debt + taken * token, window)
if debt > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f:%s', (now + debt) * 1000, ARGV[1]), 'PX', math.ceil(debt / 1000))
else
  redis.call('DEL', KEYS[1])
end
return { taken, now, math.ceil(debt * 1000) }
