-- A body of UPLOAD_BYTES on each request.
wrk.method = "POST"
wrk.body = string.rep("x", tonumber(os.getenv("UPLOAD_BYTES")))
