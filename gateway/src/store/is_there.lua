-- Whether KEYS[1] is there: 1 or 0.
return redis.call('EXISTS', KEYS[1])
