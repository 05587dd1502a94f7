package notify

// What tests of the package from outside look at.
const (
	FlushEvery   = flushEvery
	SweepPortion = sweepPortion
	MaxDue       = maxDue
	MaxEvents    = maxEvents
)

// Waiting returns how much waits to be written.
func (s *Service) Waiting() (due, events, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting.due), len(s.waiting.events), s.waiting.dropped
}

// DropWaiting forgets it.
func (s *Service) DropWaiting() { s.take() }
