-- Every request asks another of PATHS paths; the step is a prime, so that neighbours are far apart.
local paths = tonumber(os.getenv("PATHS"))
local at = 0

function request()
  at = (at + 7919) % paths
  return wrk.format(nil, "/catalogue-" .. at .. "/items/42")
end
