-- Takes the tokens of one request from the buckets in KEYS: from all of them, or from none.
--
-- A bucket is the time at which it is full again, in nanoseconds since 2026 by this server's clock (GCRA). ARGV has for
-- each bucket, times in nanoseconds: the request's cost (below zero: it is given back), the time that the empty bucket
-- takes to fill, what it lacks at least as its gateway knows, 1 if it may refuse, 0 if it only watches, and what its
-- gateway owes: that is taken first, as far as there are tokens, whatever becomes of the request. Behind those of all
-- buckets stands when it was sent by this server's clock, microseconds, or 0: what a bucket lacked then came back on
-- the way.
--
-- The answer: the number of the first bucket that refuses, or 0; the time, microseconds; what each bucket lacks,
-- nanoseconds: after the request where it passed, before it where it did not; below zero, less one, where a bucket that
-- only watches would have refused; and, where anything was owed, what was paid of it to each bucket, nanoseconds.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1e6 + time[2]
local sent = tonumber(ARGV[5 * #KEYS + 1])
local age = sent > 0 and math.min(math.max(now - sent, 0), 1e7) or 0
local debts, costs, paid, refused, owing = {}, {}, {}, 0, false
local function keep(key, debt)
  redis.call('SET', key, string.format('%.0f', (now + debt) * 1000), 'PX', math.ceil(debt / 1000))
end
for i, key in ipairs(KEYS) do
  local at = 5 * i - 4
  local cost, window, floor, owed = ARGV[at] / 1000, ARGV[at + 1] / 1000, ARGV[at + 2] / 1000 - age, tonumber(ARGV[at + 4])
  local tat = redis.call('GET', key)
  local debt = math.max(tat and tat / 1000 - now or 0, floor, 0)
  if debt > window then
    -- A server whose clock is behind the one that wrote the bucket refuses for one request's time, not for the
    -- difference. It keeps what it takes the bucket for, or it would refuse the next one again.
    debt = window
    keep(key, debt)
  end
  paid[i] = math.floor(math.min(owed, (window - debt) * 1000))
  if paid[i] > 0 then
    debt = debt + paid[i] / 1000
    keep(key, debt)
  end
  owing = owing or owed > 0
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
        keep(key, debt)
      else
        redis.call('DEL', key)
      end
    end
  end
  debt = math.ceil(debt * 1000)
  answer[i + 2] = watched and -debt - 1 or debt
  if owing then answer[#KEYS + i + 2] = paid[i] end
end
return answer
