-- The requests of a folder in turn; what wrk found goes out as one line of JSON. Arguments: path, folder, count, first, headers.
local requests, last, step = {}, 0, 1

init = function(args)
   local path, folder, count, first = args[1], args[2], tonumber(args[3]), tonumber(args[4])
   local headers = {}
   for index = 5, #args, 2 do headers[args[index]] = args[index + 1] end
   for index = 0, count - 1 do
      local file = io.open(string.format("%s/%d", folder, index), "rb")
      requests[#requests + 1] = wrk.format("POST", path, headers, file:read("*a"))
      file:close()
   end
   last = first
end

request = function()
   last = last % #requests + step
   return requests[last]
end

done = function(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      'JSON {"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p95": %d, "p99": %d, "max": %d, "mean": %.1f, ' ..
      '"not_2xx": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
      summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(95),
      latency:percentile(99), latency.max, latency.mean, errors.status, errors.connect, errors.read, errors.write,
      errors.timeout))
end
