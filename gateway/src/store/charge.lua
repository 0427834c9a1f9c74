-- Takes the tokens of one request from the buckets in KEYS: from all of them, or from none.
--
-- A bucket is the time at which it is full again, in nanoseconds since 2026 by this server's clock (GCRA), and behind a
-- colon the time of one token: whoever asks by another rate finds as many tokens missing as before. A gateway of another
-- version may have written no such time, or more behind it; what is no bucket at all is a full one.
--
-- ARGV has for each bucket, times in nanoseconds: the request's cost (below zero: it is given back), the time that the
-- empty bucket takes to fill, what it lacks at least as its gateway knows, 1 if it may refuse, 0 if it only watches, what
-- its gateway owes, and the time of one token. What is owed is taken first, as far as there are tokens, whatever becomes
-- of the request. Behind those of all buckets stands when it was sent by this server's clock, microseconds, or 0: what a
-- bucket lacked then came back on the way.
--
-- The answer: the number of the first bucket that refuses, or 0; the time, microseconds; what each bucket lacks,
-- nanoseconds: after the request where it passed, before it where it did not; below zero, less one, where a bucket that
-- only watches would have refused; and, where anything was owed, what was paid of it to each bucket, nanoseconds.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1e6 + time[2]
local sent = tonumber(ARGV[6 * #KEYS + 1])
local age = sent > 0 and math.min(math.max(now - sent, 0), 1e7) or 0
local debts, costs, paid, refused, owing = {}, {}, {}, 0, false
local function keep(i, debt)
  local value = string.format('%.0f:%s', (now + debt) * 1000, ARGV[6 * i])
  redis.call('SET', KEYS[i], value, 'PX', math.ceil(debt / 1000))
end
for i, key in ipairs(KEYS) do
  local at = 6 * i - 5
  local cost, window, floor = ARGV[at] / 1000, ARGV[at + 1] / 1000, ARGV[at + 2] / 1000 - age
  local owed = tonumber(ARGV[at + 4])
  local debt, kept = 0, redis.pcall('GET', key)
  if type(kept) == 'string' then
    local tat, token = string.match(kept, '^(%d+):?(%d*)')
    debt = (tat or 0) / 1000 - now
    if token and token ~= '' and token ~= ARGV[at + 5] then debt = debt * ARGV[at + 5] / token end
  end
  debt = math.max(debt, floor, 0)
  if debt > window then
    -- A server whose clock is behind the one that wrote the bucket refuses for one request's time, not for the
    -- difference. It keeps what it takes the bucket for, or it would refuse the next one again.
    debt = window
    keep(i, debt)
  end
  paid[i] = math.floor(math.min(owed, (window - debt) * 1000))
  if paid[i] > 0 then
    debt = debt + paid[i] / 1000
    keep(i, debt)
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
        keep(i, debt)
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
