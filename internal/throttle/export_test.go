package throttle

import "time"

// Timeout is how long a login waits for Redis, unless a test says otherwise.
const Timeout = timeout

// SetTimeout changes how long a login waits for Redis.
func (t *Throttle) SetTimeout(d time.Duration) { t.timeout = d }
