-- Takes the tokens of one request from the buckets in KEYS: from all of them, or from none.
--
-- A bucket is the time at which it is full again, in nanoseconds since 2026 by this server's clock (GCRA). ARGV has for
-- each bucket, times in nanoseconds: the request's cost (below zero: it is given back), the time that the empty bucket
-- takes to fill, what it lacks at least as its gateway knows, and 1 if it may refuse, 0 if it only watches.
--
-- The answer: the number of the first bucket that refuses, or 0; the time, microseconds; and what each bucket lacks,
-- nanoseconds: after the request where it passed, before it where it did not; below zero, less one, where a bucket that
-- only watches would have refused.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1e6 + time[2]
local debts, costs, refused = {}, {}, 0
for i, key in ipairs(KEYS) do
  local at = 4 * i - 3
  local cost, window, floor = ARGV[at] / 1000, ARGV[at + 1] / 1000, ARGV[at + 2] / 1000
  local tat = redis.call('GET', key)
  local debt = math.max(tat and tat / 1000 - now or 0, floor, 0)
  if debt > window then
    -- A server whose clock is behind the one that wrote the bucket refuses for one request's time, not for the
    -- difference. It keeps what it takes the bucket for, or it would refuse the next one again.
    debt = window
    redis.call('SET', key, string.format('%.0f', (now + debt) * 1000), 'PX', math.ceil(debt / 1000))
  end
  debts[i], costs[i] = debt, cost
  if cost > 0 and debt + cost > window then
    costs[i] = 0
    if ARGV[at + 3] == '1' and refused == 0 then refused = i end
  end
end
local answer = { refused, now }
for i, key in ipairs(KEYS) do
  local debt, watched = debts[i], false
  if refused == 0 then
    if costs[i] == 0 then
      watched = true
    else
      debt = math.max(debt + costs[i], 0)
      if debt > 0 then
        redis.call('SET', key, string.format('%.0f', (now + debt) * 1000), 'PX', math.ceil(debt / 1000))
      else
        redis.call('DEL', key)
      end
    end
  end
  debt = math.ceil(debt * 1000)
  answer[i + 2] = watched and -debt - 1 or debt
end
return answer
